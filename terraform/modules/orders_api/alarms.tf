# Alarms of the API. The first word of a name is the severity, as in the pipeline module. Missing data does not ring.

locals {
  of_stage = {
    namespace  = "AWS/ApiGateway"
    dimensions = { ApiName = aws_api_gateway_rest_api.orders.name, Stage = aws_api_gateway_stage.live.stage_name }
    heading    = "errors-of-the-api"
  }
  # An alarm on a metric of DynamoDB keeps its state while data is missing, whatever is asked of it, and a table that is
  # not throttled emits none. FILL ends the alarm.
  # https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html
  of_idempotency = {
    namespace  = "AWS/DynamoDB"
    dimensions = { TableName = aws_dynamodb_table.idempotency.name }
    expression = "FILL(throttled, 0)"
    heading    = "throttling"
    means      = "DynamoDB throttles the table of the idempotency keys: clients get errors."
    do         = "Let clients retry more slowly, or lower api_throttle_rate."
  }

  metric_alarms = { for name, alarm in merge(
    {
      page-api-errors = merge(local.of_stage, {
        metric    = "5XXError"
        threshold = var.api_alarms.errors
        means     = "The API answered more than ${var.api_alarms.errors} requests with a 5xx error in each of two times 5 minutes. Clients cannot write orders."
        do        = "Read the log of the API's function, or of its authorizer."
      })
      warning-api-latency = merge(local.of_stage, {
        metric     = "Latency"
        percentile = "p99"
        threshold  = var.api_alarms.latency_milliseconds
        periods    = 3
        means      = "One of a hundred requests takes longer than ${var.api_alarms.latency_milliseconds} ms."
        do         = "Look for throttling of DynamoDB and for cold starts. More memory gives the function more CPU."
      })
    },
    {
      for function, name in local.function_names : "page-throttled-${replace(function, "_", "-")}" => {
        namespace  = "AWS/Lambda"
        metric     = "Throttles"
        dimensions = { FunctionName = name }
        means      = "Lambda refuses calls of ${name}, because no concurrency is left. Clients get errors."
        do         = "Raise the quota of the account, or find out which function uses it up."
        heading    = "throttling"
      } if function != "api_authorizer" || var.api_auth == "basic"
    },
    {
      warning-throttled-idempotency-reads  = merge(local.of_idempotency, { metric = "ReadThrottleEvents" })
      warning-throttled-idempotency-writes = merge(local.of_idempotency, { metric = "WriteThrottleEvents" })
    },
  ) : name => merge({ percentile = null, threshold = 0, periods = 2, expression = null }, alarm) if var.create_alarms }
}

resource "aws_cloudwatch_metric_alarm" "api" {
  for_each = local.metric_alarms

  alarm_name          = "${local.prefix}-${each.key}"
  alarm_description   = "${each.value.means} ${each.value.do} Runbook: ${var.runbook_url}#${each.value.heading}"
  namespace           = each.value.expression == null ? each.value.namespace : null
  metric_name         = each.value.expression == null ? each.value.metric : null
  dimensions          = each.value.expression == null ? each.value.dimensions : null
  statistic           = each.value.expression == null && each.value.percentile == null ? "Sum" : null
  extended_statistic  = each.value.percentile
  period              = each.value.expression == null ? 300 : null
  comparison_operator = "GreaterThanThreshold"
  threshold           = each.value.threshold
  evaluation_periods  = each.value.periods
  datapoints_to_alarm = each.value.periods
  treat_missing_data  = "notBreaching"

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
    for_each = each.value.expression[*]

    content {
      id = "throttled"

      metric {
        namespace   = each.value.namespace
        metric_name = each.value.metric
        dimensions  = each.value.dimensions
        stat        = "Sum"
        period      = 300
      }
    }
  }

  alarm_actions = var.alarm_topic_arn[*]
  ok_actions    = var.alarm_topic_arn[*]

  tags = merge(var.tags, { Severity = split("-", each.key)[0] })

  lifecycle {
    precondition {
      condition     = var.alarm_topic_arn != null
      error_message = "Give alarm_topic_arn with create_alarms. An alarm without a topic tells nobody."
    }

    precondition {
      condition     = var.alarm_topic_arn == null ? true : startswith(var.alarm_topic_arn, "arn:${local.partition}:sns:${local.region}:")
      error_message = "alarm_topic_arn must be in ${local.region}, the Region of the provider (arn:${local.partition}:sns:${local.region}:...). CloudWatch notifies no topic of another Region."
    }
  }
}
