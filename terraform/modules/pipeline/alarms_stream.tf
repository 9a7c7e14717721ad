# Alarms for the way from the stream to MySQL.

locals {
  # An eighth, a quarter and three quarters of the record age. The critical one leaves the last quarter to bring MySQL
  # back before batches leave the stream, and never rings later than after 12 hours: the stream forgets after 24.
  iterator_age_seconds = {
    warning  = coalesce(var.alarms.iterator_age_warning_seconds, min(300, var.stream_maximum_record_age_seconds / 8))
    page     = coalesce(var.alarms.iterator_age_page_seconds, var.stream_maximum_record_age_seconds / 4)
    critical = coalesce(var.alarms.iterator_age_critical_seconds, min(43200, var.stream_maximum_record_age_seconds * 3 / 4))
  }

  of_consumer = {
    namespace  = "AWS/Lambda"
    dimensions = { FunctionName = local.function_names.stream_consumer }
  }
  of_mapping = {
    namespace  = "AWS/Lambda"
    dimensions = { EventSourceMappingUUID = aws_lambda_event_source_mapping.stream.uuid }
  }
  # A held batch is retried with pauses. One late call in 15 minutes keeps the alarm up.
  iterator_age = merge(local.of_consumer, {
    metric    = "IteratorAge" # in milliseconds
    statistic = "Maximum"
    periods   = 3
    heading   = "an-outage"
  })
  # A single event stays visible for an hour.
  rare_event = { periods = 12 }

  stream_alarms = {
    warning-iterator-age = merge(local.iterator_age, {
      threshold = local.iterator_age_seconds.warning * 1000
      means     = "The consumer received changes that were older than ${local.iterator_age_seconds.warning} s. MySQL lags behind the table."
      do        = "Find out whether MySQL is down or slow, or whether more is written than one consumer can copy."
    })
    page-iterator-age = merge(local.iterator_age, {
      risk      = true
      threshold = local.iterator_age_seconds.page * 1000
      means     = "The consumer received changes that were older than a part of the record age: ${local.iterator_age_seconds.page} s of ${var.stream_maximum_record_age_seconds} s. Nothing is lost."
      do        = "Bring MySQL back: read the reason in the consumer's last line \"batch not applied\"."
    })
    critical-iterator-age = merge(local.iterator_age, {
      risk      = true
      threshold = local.iterator_age_seconds.critical * 1000
      means     = "Changes wait for MySQL for more than ${local.iterator_age_seconds.critical} s. At ${var.stream_maximum_record_age_seconds} s they leave the stream for the failure destination."
      do        = "Bring MySQL back now, or get ready for a replay."
    })
    warning-consumer-errors = merge(local.of_consumer, {
      metric     = "Errors"
      periods    = 3
      datapoints = 2
      means      = "Calls of the consumer fail. The shard waits and keeps the order."
      do         = "Read the reason in the consumer's last line \"batch not applied\"."
      heading    = "an-outage"
    })
    # Such a call is neither an invocation nor an error of the function: missing rights, a deleted alias, a key that is
    # disabled. https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
    page-not-invoked = merge(local.of_mapping, {
      risk       = true
      metric     = "FailedInvokeEventCount"
      periods    = 3
      datapoints = 2
      means      = "Lambda has changes from the stream and cannot call the consumer with them. The shard waits and keeps the order."
      do         = "Read the mapping's last result: aws lambda get-event-source-mapping. Then correct the role, the key, the alias or the network."
      heading    = "lambda-cannot-call-the-consumer"
    })
    page-consumer-stopped = {
      risk       = true
      metric     = "stopped"
      dimensions = local.of_service.stream_consumer
      periods    = 3
      means      = "The consumer stopped: credentials, schema, TLS or configuration are wrong. It does not heal by itself."
      do         = "Read the error number in the consumer's log and correct the cause. The shard then continues."
      heading    = "a-stop"
    }
    critical-destination-delivery = merge(local.of_consumer, local.rare_event, {
      risk    = true
      metric  = "DestinationDeliveryFailures"
      means   = "Lambda gave up a batch and could not store it. Its changes are in no other place than the table."
      do      = "Correct the policy of the bucket or the queue, or the role. Then repair the time of the loss."
      heading = "a-batch-that-lambda-could-not-deliver"
    })
    # Lambda does not count an event here that it delivered to the failure destination:
    # https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
    critical-dropped-events = merge(local.of_mapping, local.rare_event, {
      risk    = true
      metric  = "DroppedEventCount"
      means   = "Lambda dropped changes: they were too old or retried too often, and reached no failure destination."
      do      = "Correct the policy of the bucket or the queue, or the role. Then repair the time of the loss."
      heading = "a-batch-that-lambda-could-not-deliver"
    })
    # A batch in flight has been polled and not yet invoked. One lane has at most one, so the difference cannot grow by
    # more than a batch in each of three hours. A retry counts again as invoked, which only lowers the difference.
    critical-unaccounted-events = merge(local.of_mapping, {
      risk       = true
      period     = 3600
      periods    = 3
      datapoints = 3
      threshold  = var.stream_batch_size * var.stream_parallelization_factor
      expression = "polled - FILL(invoked, 0) - FILL(delivered, 0) - FILL(dropped, 0)"
      metrics    = { polled = "PolledEventCount", invoked = "InvokedEventCount", delivered = "OnFailureDestinationDeliveredEventCount", dropped = "DroppedEventCount" }
      means      = "Lambda read changes from the stream and neither called the consumer with them nor stored them."
      do         = "Look for throttled or refused calls of the consumer, then repair the time of the difference."
      heading    = "a-batch-that-lambda-could-not-deliver"
    })
    page-heartbeat-late = {
      on         = var.heartbeat
      risk       = true
      metric     = "heartbeat_seconds"
      dimensions = local.of_service.stream_consumer
      statistic  = "Maximum"
      periods    = 3
      datapoints = 3
      missing    = "breaching" # the consumer emits it after a commit, and not before
      threshold  = var.alarms.heartbeat_seconds
      means      = "For 15 minutes no heartbeat of the monitor was in MySQL within ${var.alarms.heartbeat_seconds} s. No other change is faster."
      do         = "Find out whether MySQL is down or slow, whether more is written than one consumer can copy, or whether the monitor's log says that it wrote none."
      heading    = "an-outage"
    }
    page-mapping-disabled = {
      risk       = true
      metric     = "mapping_enabled"
      dimensions = local.of_service.monitor
      statistic  = "Maximum"
      comparison = "LessThanThreshold"
      threshold  = 1
      periods    = 3
      datapoints = 3
      means      = "The event source mapping is not enabled. No change reaches MySQL, and the stream forgets a change after 24 hours."
      do         = "Enable the mapping, unless you disabled it on purpose."
      heading    = "a-disabled-mapping"
    }
  }
}
