# Alarms for loads, verifications, seeds and prunes.

locals {
  job_failures = {
    failed    = { metric = "ExecutionsFailed", means = "failed" }
    timed-out = { metric = "ExecutionsTimedOut", means = "timed out" }
    aborted   = { metric = "ExecutionsAborted", means = "was aborted" }
  }
  job_titles = { verify = "verification" } # the others are called as they are
  # What a schedule of rate(...) promises. A cron expression counts as weekly.
  schedule_hours = {
    minute = 1 / 60, minutes = 1 / 60, hour = 1, hours = 1, day = 24, days = 24
  }
  verify_rate        = try(regex("^rate\\((?P<value>[0-9]+) (?P<unit>[a-z]+)\\)$", var.verify_schedule_expression), { value = 7, unit = "days" })
  verify_round_hours = tonumber(local.verify_rate.value) * local.schedule_hours[local.verify_rate.unit] * var.verify_slices
  # Two rounds, so that one verification may fail. A day at least: a verification takes its time.
  unverified_hours = coalesce(var.alarms.unverified_hours, max(24, 2 * local.verify_round_hours))

  job_alarms = merge(
    {
      for pair in setproduct(keys(local.reconciler_jobs), keys(local.job_failures)) : "warning-${pair[0]}-${pair[1]}" => merge(local.rare_event, {
        namespace  = "AWS/States"
        metric     = local.job_failures[pair[1]].metric
        dimensions = { StateMachineArn = local.job_arns[pair[0]] }
        means      = "A ${lookup(local.job_titles, pair[0], pair[0])} ${local.job_failures[pair[1]].means}. Nothing is lost: the next one goes on where it was."
        do         = "Read the error of the execution, correct its cause and start it again."
        heading    = "a-load-verification-seed-or-prune-that-failed"
      })
    },
    {
      warning-drift = merge(local.rare_event, {
        expression = "FILL(drift, 0) + FILL(refused, 0) + FILL(item_refused, 0)"
        metrics    = { drift = "verify_drift", refused = "verify_refused", item_refused = "verify_item_refused" }
        dimensions = local.of_service.reconciler
        means      = "A verification found rows in MySQL that are not what their items are, or items that cannot become rows."
        do         = "Read its report. Find out who wrote the rows and repair them, backstream verify --repair, or correct what is refused."
        heading    = "differences-between-the-sides"
      })
      warning-unverified = {
        on         = var.verify_schedule_expression != null
        metric     = "unverified_seconds"
        dimensions = local.of_service.monitor
        statistic  = "Maximum"
        periods    = 3
        datapoints = 3
        threshold  = local.unverified_hours * 3600
        means      = "No verification has proven for ${local.unverified_hours} hours that MySQL and the table are equal, although a schedule starts them."
        do         = "Look at the last verifications: backstream verify watch."
        heading    = "nothing-is-verified"
      }
    },
  )
}
