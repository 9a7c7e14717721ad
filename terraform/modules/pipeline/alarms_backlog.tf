# Alarms for what waits for a replay, and for the time that is left.

locals {
  backlog_alarms = {
    warning-batches-waiting = {
      metric     = "batches_waiting"
      dimensions = local.of_service.monitor
      statistic  = "Maximum"
      periods    = 3
      datapoints = 3
      threshold  = var.alarms.batches_waiting
      means      = "Failed batches wait for a replay. They are stored, and newer changes may already be in MySQL."
      do         = "Start a replay when MySQL answers: backstream replay. With auto_replay one runs or waits already."
      heading    = "replay"
    }
    page-oldest-batch = {
      risk       = true
      metric     = "oldest_batch_seconds"
      dimensions = local.of_service.monitor
      statistic  = "Maximum"
      periods    = 3
      datapoints = 3
      threshold  = var.alarms.oldest_batch_seconds
      means      = "A failed batch waits for a replay for more than ${var.alarms.oldest_batch_seconds} s. No replay has settled it."
      do         = "Start a replay, or read in the last report what it lists under problems."
      heading    = "replay"
    }
    critical-pointers = {
      on         = length(local.failures_queues) > 0
      risk       = true
      metric     = "pointer_seconds_left"
      dimensions = local.of_service.monitor
      statistic  = "Minimum"
      comparison = "LessThanThreshold"
      threshold  = var.alarms.pointer_hours_left * 3600
      periods    = 3
      means      = "The stream forgets a failed batch of the queue in less than ${var.alarms.pointer_hours_left} hours. Its changes are then lost."
      do         = "Start a replay now, also while MySQL is down: its first step saves the records."
      heading    = "a-pointer-that-expires"
    }
    critical-hours-until-loss = {
      risk       = true
      metric     = "hours_until_loss"
      dimensions = local.of_service.monitor
      statistic  = "Minimum"
      comparison = "LessThanThreshold"
      threshold  = var.alarms.hours_until_loss
      periods    = 3
      datapoints = 3 # on a quiet table, one call that finds the mapping in transition counts as a stop
      means      = "The first change that is not in MySQL is lost for good in less than ${var.alarms.hours_until_loss} hours."
      do         = "Enable the mapping if it is off, bring MySQL back, and replay."
      heading    = "the-time-that-is-left"
    }
    page-expired-ranges = merge(local.rare_event, {
      risk       = true
      metric     = "expired"
      dimensions = local.of_service.dlq_replayer
      means      = "A replay found ranges of changes that the stream has forgotten. It starts a verification that repairs them."
      do         = "Look at that verification, and decide what it has left."
      heading    = "expired-ranges"
    })
    warning-replay-problems = merge(local.rare_event, {
      metric     = "problems"
      dimensions = local.of_service.dlq_replayer
      means      = "A replay found objects or messages that it cannot use. They stay where they are."
      do         = "Read the reasons in its report."
      heading    = "problems"
    })
    page-replay-failed = {
      risk       = true
      metric     = "replay_failed"
      dimensions = local.of_service.monitor
      statistic  = "Maximum"
      periods    = 3
      datapoints = 2
      means      = "The newest replay that ended has failed. Nothing is lost, and what it did not apply waits."
      do         = "Read its reason, correct the cause and start a new replay."
      heading    = "how-a-replay-ends"
    }
  }
}
