# Alarms for records that are set aside, by the consumer or by a replay.

locals {
  # Dimensions of the project's own metrics, by function. The monitor emits the gauges.
  of_service = { for function, name in local.function_names : function => { service = name } }

  parking_functions = { consumer = "stream_consumer", replay = "dlq_replayer" }

  record_alarms = merge(
    {
      for source, function in local.parking_functions : "page-parked-by-${source}" => merge(local.rare_event, {
        dimensions = local.of_service[function]
        # A function that parked nothing emits no parked. FILL needs it: without a deferred record nothing is subtracted.
        expression = "parked - FILL(deferred, 0)"
        metrics    = { parked = "parked", deferred = "deferred" }
        means      = "Records were set aside because MySQL can never take them as they are. Later changes of their items are written."
        do         = "List them with: backstream replay list. Correct each item at its source, or the table, and retry."
        heading    = "quarantine"
      })
    },
    {
      for source, function in local.parking_functions : "page-unknown-error-in-${source}" => merge(local.rare_event, {
        metric     = "unknown"
        dimensions = local.of_service[function]
        means      = "MySQL refused records with an error number that Backstream does not know. Every replay tries them again."
        do         = "Look up the number that the reason names, and fix its cause."
        heading    = "deferred"
      })
    },
    {
      for source, function in local.parking_functions : "critical-clock-tripped-in-${source}" => merge(local.rare_event, {
        risk       = true
        metric     = "clock_tripped"
        dimensions = local.of_service[function]
        means      = "A record is older by its version and later by its clock than what MySQL holds. The order of its item is in doubt. It was set aside."
        do         = "Compare the item with its row before you retry or discard the record."
        heading    = "a-tripped-clock"
      })
    },
    {
      # Also for what the two functions' own counts have missed, such as a call that was killed.
      warning-quarantine = {
        metric     = "quarantined_waiting"
        dimensions = local.of_service.monitor
        statistic  = "Maximum"
        periods    = 3
        datapoints = 3
        means      = "Records wait in quarantine for a person."
        do         = "List them with: backstream replay list. Retry or discard each."
        heading    = "quarantine"
      }
      warning-deferred = {
        metric     = "oldest_deferred_seconds"
        dimensions = local.of_service.monitor
        statistic  = "Maximum"
        periods    = 3
        datapoints = 3
        threshold  = var.alarms.oldest_deferred_seconds
        means      = "A record waits for another row for more than ${var.alarms.oldest_deferred_seconds} s. No replay has tried it lately, or its error is unknown."
        do         = "Start a replay: backstream replay. It writes what fits, and moves what has waited for a day to quarantine."
        heading    = "deferred"
      }
    },
  )
}
