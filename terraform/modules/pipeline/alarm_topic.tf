# The SNS topic that the alarms notify, unless alarm_topic_arn names one.

locals {
  # A bool, because the ARN of a topic that is created in the same apply is not known at plan.
  creates_alarm_topic = var.create_alarms && (var.create_alarm_topic == null ? var.alarm_topic_arn == null : var.create_alarm_topic)
  alarm_topics        = local.creates_alarm_topic ? { alarms = "${local.prefix}-alarms" } : {}
  alarm_topic_arn     = local.creates_alarm_topic ? "arn:${local.partition}:sns:${local.region}:${local.account_id}:${local.prefix}-alarms" : var.alarm_topic_arn
}

# Without a key of your own it is not encrypted at rest: CloudWatch may not use the key that AWS manages, alias/aws/sns.
# https://repost.aws/knowledge-center/cloudwatch-configure-alarm-sns
resource "aws_sns_topic" "alarms" {
  for_each = local.alarm_topics

  name              = each.value
  display_name      = "Backstream alarms"
  kms_master_key_id = var.kms_key_arn

  tags = local.tags
}

data "aws_iam_policy_document" "alarm_topic" {
  for_each = local.alarm_topics

  # Also for composite alarms.
  statement {
    sid       = "PublishAlarms"
    actions   = ["sns:Publish"]
    resources = [aws_sns_topic.alarms[each.key].arn]

    principals {
      type        = "Service"
      identifiers = ["cloudwatch.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account_id]
    }
  }

  statement {
    sid       = "OnlyEncryptedConnections"
    effect    = "Deny"
    actions   = ["sns:Publish"]
    resources = [aws_sns_topic.alarms[each.key].arn]

    principals {
      type        = "*"
      identifiers = ["*"]
    }

    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}

resource "aws_sns_topic_policy" "alarms" {
  for_each = aws_sns_topic.alarms

  arn    = each.value.arn
  policy = data.aws_iam_policy_document.alarm_topic[each.key].json
}

# Each address gets a mail with a link to confirm it.
resource "aws_sns_topic_subscription" "alarms" {
  for_each = local.creates_alarm_topic ? toset(var.alarm_email_addresses) : toset([])

  topic_arn = aws_sns_topic.alarms["alarms"].arn
  protocol  = "email"
  endpoint  = each.value
}
