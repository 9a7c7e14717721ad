# Alarms. The first word of a name is the severity: a warning can wait for working hours, a page cannot wait, and with a
# critical one data may be lost. Each description says what it means and what to do, and links to a step of the runbook.
#
# Missing data does not ring: a function that is not called and a gauge that does not apply emit nothing. Only the alarms
# for a silent monitor and for a late heartbeat treat missing data as breaching: there, silence is the trouble.

locals {
  # By name. What differs from the defaults below is beside each alarm.
  metric_alarms = {
    for name, alarm in merge(local.stream_alarms, local.record_alarms, local.backlog_alarms, local.job_alarms, local.platform_alarms) :
    name => merge({
      dimensions = null
      metric     = null
      namespace  = "Backstream"
      statistic  = "Sum"
      period     = 300
      periods    = 1
      datapoints = 1
      comparison = "GreaterThanThreshold"
      threshold  = 0
      missing    = "notBreaching"
      expression = null
      metrics    = {} # of the expression, each with the namespace and the dimensions of the alarm
    }, alarm) if var.create_alarms && try(alarm.on, true)
  }

  alarm_names = { for name in keys(local.metric_alarms) : name => "${local.prefix}-${name}" }

  alarm_arns = [for name in values(local.alarm_names) : "arn:${local.partition}:cloudwatch:${local.region}:${local.account_id}:alarm:${name}"]

  # Those with which changes are late or may be lost.
  risk_alarms = [for name, alarm in local.metric_alarms : name if try(alarm.risk, false)]

  alarm_actions = local.creates_alarm_topic ? [for topic in aws_sns_topic.alarms : topic.arn] : var.alarm_topic_arn[*]
}

resource "aws_cloudwatch_metric_alarm" "pipeline" {
  for_each = local.metric_alarms

  alarm_name          = local.alarm_names[each.key]
  alarm_description   = "${each.value.means} ${each.value.do} Runbook: ${var.runbook_url}#${each.value.heading}"
  comparison_operator = each.value.comparison
  threshold           = each.value.threshold
  evaluation_periods  = each.value.periods
  datapoints_to_alarm = each.value.datapoints
  treat_missing_data  = each.value.missing

  namespace   = each.value.expression == null ? each.value.namespace : null
  metric_name = each.value.metric
  dimensions  = each.value.expression == null ? each.value.dimensions : null
  statistic   = each.value.expression == null ? each.value.statistic : null
  period      = each.value.expression == null ? each.value.period : null

  dynamic "metric_query" {
    for_each = each.value.expression[*]

    content {
      id          = "watched"
      expression  = metric_query.value
      label       = each.key
      return_data = true
    }
  }

  dynamic "metric_query" {
    for_each = each.value.metrics

    content {
      id = metric_query.key

      metric {
        namespace   = each.value.namespace
        metric_name = metric_query.value
        dimensions  = each.value.dimensions
        stat        = each.value.statistic
        period      = each.value.period
      }
    }
  }

  alarm_actions = local.alarm_actions
  ok_actions    = local.alarm_actions

  tags = merge(var.tags, { Severity = split("-", each.key)[0] })

  lifecycle {
    precondition {
      condition     = local.creates_alarm_topic || var.alarm_topic_arn != null
      error_message = "Give alarm_topic_arn with create_alarm_topic = false. An alarm without a topic tells nobody."
    }

    precondition {
      condition     = var.alarm_topic_arn == null ? true : startswith(var.alarm_topic_arn, "arn:${local.partition}:sns:${local.region}:")
      error_message = "alarm_topic_arn must be in ${local.region}, the Region of the provider (arn:${local.partition}:sns:${local.region}:...). CloudWatch notifies no topic of another Region."
    }

    precondition {
      condition     = local.iterator_age_seconds.warning <= local.iterator_age_seconds.page && local.iterator_age_seconds.page <= local.iterator_age_seconds.critical && local.iterator_age_seconds.critical < var.stream_maximum_record_age_seconds
      error_message = "alarms must have iterator_age_warning_seconds, iterator_age_page_seconds and iterator_age_critical_seconds in this order, all below stream_maximum_record_age_seconds. A batch that is older has left the stream."
    }

    precondition {
      condition     = length(local.failures_queues) == 0 || var.alarms.pointer_hours_left * 3600 < 86400 - var.stream_maximum_record_age_seconds
      error_message = "alarms.pointer_hours_left must be below 24 hours less stream_maximum_record_age_seconds. Every pointer would ring when it arrives."
    }

    # Lambda waits for the window before it calls the consumer with a single heartbeat.
    precondition {
      condition     = !var.heartbeat || var.alarms.heartbeat_seconds >= var.stream_batching_window_seconds + 30
      error_message = "alarms.heartbeat_seconds must be at least stream_batching_window_seconds and 30 s more. A heartbeat waits in its batch for the window, so the alarm would ring although every one arrives."
    }

    # The time until a change is lost includes that of the pointers.
    precondition {
      condition     = length(local.failures_queues) == 0 || var.alarms.hours_until_loss * 3600 < 86400 - var.stream_maximum_record_age_seconds
      error_message = "alarms.hours_until_loss must be below 24 hours less stream_maximum_record_age_seconds. Every pointer would ring when it arrives."
    }

    precondition {
      condition     = var.verify_schedule_expression == null || local.unverified_hours > local.verify_round_hours
      error_message = "alarms.unverified_hours must exceed the time in which the schedule verifies all verify_slices once. The alarm would ring although every verification succeeds."
    }
  }
}

# CloudWatch refuses to delete an alarm that a composite alarm names, and Terraform deletes before it updates. So the
# composite alarm is replaced when its alarms change: Terraform then deletes it first.
# https://github.com/hashicorp/terraform-provider-aws/issues/34807
resource "terraform_data" "risk_alarms" {
  for_each = var.create_alarms ? { alarm = local.risk_alarms } : {}

  input = each.value
}

# One alarm to page on, for those who do not want a page for each cause. A rule may hold 100 alarms and 10,240 characters:
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutCompositeAlarm.html
resource "aws_cloudwatch_composite_alarm" "replication_at_risk" {
  for_each = var.create_alarms ? { alarm = "${local.prefix}-critical-replication-at-risk" } : {}

  alarm_name        = each.value
  alarm_description = "Replication is at risk: changes are late in MySQL, or may be lost. Open the alarms that it names, the critical ones first. Runbook: ${var.runbook_url}#the-alarms"
  alarm_rule        = join(" OR ", [for name in local.risk_alarms : "ALARM(\"${aws_cloudwatch_metric_alarm.pipeline[name].alarm_name}\")"])

  alarm_actions = local.alarm_actions
  ok_actions    = local.alarm_actions

  tags = merge(var.tags, { Severity = "critical" })

  lifecycle {
    replace_triggered_by = [terraform_data.risk_alarms]
  }
}
