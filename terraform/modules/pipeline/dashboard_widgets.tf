# The widgets of the dashboard.

locals {
  dashboard_head = [{
    height = 6
    widgets = concat(
      [for alarms in var.create_alarms ? ["on"] : [] : {
        type = "alarm"
        properties = {
          title  = "Does anything ring?"
          alarms = local.alarm_arns # a widget shows at most 100
        }
      }],
      [{
        type = "text"
        properties = {
          markdown = <<-EOT
            ## What to do first
            Nothing rings: there is nothing to do.
            - The age below rises, and calls fail: [an outage](${var.runbook_url}#an-outage)
            - Batches wait: [replay](${var.runbook_url}#replay)
            - Records are set aside: [quarantine](${var.runbook_url}#quarantine), [deferred](${var.runbook_url}#deferred)
            - Lambda dropped changes: [a batch that Lambda could not deliver](${var.runbook_url}#a-batch-that-lambda-could-not-deliver)
            - Something else rings: [the alarms](${var.runbook_url}#the-alarms)
          EOT
        }
      }],
    )
  }]

  metric_widget = { region = local.region, view = "timeSeries", stat = "Sum", period = 60 }

  keeping_up_widgets = [for properties in [
    {
      title   = "How old are the changes that the consumer receives?"
      stat    = "Maximum"
      metrics = [["AWS/Lambda", "IteratorAge", "FunctionName", local.function_names.stream_consumer]]
      annotations = { horizontal = [
        for tier, seconds in local.iterator_age_seconds : { label = tier, value = seconds * 1000 }
      ] }
    },
    {
      title = "How long does a change take to reach MySQL?"
      metrics = [for stat in ["p50", "p99", "Maximum"] :
        concat(["Backstream", "lag_seconds"], local.of_consumer_service, [{ stat = stat, label = stat }])
      ]
    },
    {
      title   = "How many changes does it write?"
      metrics = [for name in ["received", "upserted", "deleted", "seeded", "stale"] : concat(["Backstream", name], local.of_consumer_service)]
    },
  ] : { type = "metric", properties = merge(local.metric_widget, properties) }]

  of_consumer_service = ["service", local.function_names.stream_consumer]
  of_replayer_service = ["service", local.function_names.dlq_replayer]
  of_monitor_service  = ["service", local.function_names.monitor]

  failed_widgets = [for properties in [
    {
      title   = "What waits?"
      stat    = "Maximum"
      metrics = [for name in ["batches_waiting", "quarantined_waiting", "deferred_waiting"] : concat(["Backstream", name], local.of_monitor_service)]
    },
    {
      title = "How much time is left?"
      stat  = "Minimum"
      metrics = [for name in concat(["hours_until_loss"], length(local.failures_queues) > 0 ? ["pointer_seconds_left"] : []) :
        concat(["Backstream", name], local.of_monitor_service, [{ yAxis = name == "hours_until_loss" ? "left" : "right" }])
      ]
    },
    {
      title = "Which records were set aside?"
      metrics = [for pair in setproduct(["parked", "deferred", "unknown", "clock_tripped"], [local.of_consumer_service, local.of_replayer_service]) :
        concat(["Backstream", pair[0]], pair[1], [{ label = "${pair[0]} ${pair[1][1]}" }])
      ]
    },
    {
      title = "How many batches were not applied?"
      metrics = concat(
        [for name in ["held", "stopped"] : concat(["Backstream", name], local.of_consumer_service)],
        [["AWS/Lambda", "Errors", "FunctionName", local.function_names.stream_consumer]],
      )
    },
    {
      title = "What did Lambda read, hand over and drop?"
      metrics = [for name in ["PolledEventCount", "OnFailureDestinationDeliveredEventCount", "DroppedEventCount"] :
        ["AWS/Lambda", name, "EventSourceMappingUUID", aws_lambda_event_source_mapping.stream.uuid]
      ]
    },
    {
      title = "How far are replays, loads and verifications?"
      stat  = "Maximum"
      metrics = concat(
        [concat(["Backstream", "replay_progress"], local.of_replayer_service)],
        [for name in ["load_progress", "verify_progress"] : ["Backstream", name, "service", local.function_names.reconciler]],
      )
    },
  ] : { type = "metric", properties = merge(local.metric_widget, properties) }]

  database_widgets = [for properties in concat([
    {
      title = "How long does a transaction take?"
      metrics = [for stat in ["p50", "p99", "Maximum"] :
        concat(["Backstream", "transaction_ms"], local.of_consumer_service, [{ stat = stat, label = stat }])
      ]
    },
    {
      title = "Why are batches not applied?"
      metrics = [
        for name in ["database_unreachable", "connection_lost", "database_busy", "database_read_only", "rows_locked", "storage_full", "login_refused", "tls_refused"] :
        concat(["Backstream", name], local.of_consumer_service)
      ]
    },
    ], [for name in local.proxy_name[*] : {
      title = "How full is the RDS Proxy?"
      metrics = [for metric in ["DatabaseConnections", "DatabaseConnectionsCurrentlySessionPinned", "MaxDatabaseConnectionsAllowed"] :
        ["AWS/RDS", metric, "ProxyName", name]
      ]
  }]) : { type = "metric", properties = merge(local.metric_widget, properties) }]

  cost_widgets = [for properties in [
    {
      title   = "How long do the functions run?"
      period  = 3600
      metrics = [for name in local.watched_functions : ["AWS/Lambda", "Duration", "FunctionName", name]]
    },
    {
      title   = "How often are they called?"
      period  = 3600
      metrics = [for name in local.watched_functions : ["AWS/Lambda", "Invocations", "FunctionName", name]]
    },
    {
      title   = "How many capacity units does the table use?"
      period  = 3600
      metrics = [for name in ["ConsumedReadCapacityUnits", "ConsumedWriteCapacityUnits"] : ["AWS/DynamoDB", name, "TableName", local.table_name]]
    },
  ] : { type = "metric", properties = merge(local.metric_widget, properties) }]

  # An apply calls the schema step only.
  watched_functions = sort(values({ for function, name in local.function_names : function => name if function != "schema" }))
}
