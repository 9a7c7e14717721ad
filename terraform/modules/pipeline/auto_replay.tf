# auto_replay: each failed batch starts an execution. One of them gets the lock, and the others end in AlreadyRunning.
# The schedule covers what no event starts: batches that fail during a replay, messages in the queue, and deferred
# records. A scheduled execution that finds nothing ends after its first step.

locals {
  auto_replay_rules = var.auto_replay ? merge({
    schedule = {
      description = "Starts a replay, which ends at once when nothing has failed"
      schedule    = "rate(${var.auto_replay_schedule_minutes} ${var.auto_replay_schedule_minutes == 1 ? "minute" : "minutes"})"
      pattern     = null
    }
    }, var.failure_destination == "s3" ? {
    failed-batch = {
      description = "Starts a replay when a failed batch arrives in the bucket"
      schedule    = null
      pattern = jsonencode({
        source      = ["aws.s3"]
        detail-type = ["Object Created"]
        detail = {
          bucket = { name = [local.failures_bucket] }
          object = { key = [{ prefix = "aws/lambda/" }] }
        }
      })
    }
  } : {}) : {}
}

resource "aws_s3_bucket_notification" "failures" {
  for_each = { for name, rule in local.auto_replay_rules : "failures" => aws_s3_bucket.failures.id if rule.pattern != null }

  bucket      = each.value
  eventbridge = true
}

resource "aws_cloudwatch_event_rule" "auto_replay" {
  for_each = local.auto_replay_rules

  name                = "${local.replay_name}-${each.key}"
  description         = each.value.description
  schedule_expression = each.value.schedule
  event_pattern       = each.value.pattern

  tags = local.tags

  lifecycle {
    precondition {
      condition     = length("${local.replay_name}-${each.key}") <= 64
      error_message = "The name of the rule ${local.replay_name}-${each.key} exceeds the 64 characters that EventBridge allows. Shorten name, env or pipeline."
    }
  }
}

resource "aws_cloudwatch_event_target" "auto_replay" {
  for_each = aws_cloudwatch_event_rule.auto_replay

  rule     = each.value.name
  arn      = aws_sfn_state_machine.replay.arn
  role_arn = aws_iam_role.auto_replay["events"].arn

  # The replay refuses a whole event as input. The id marks automatic executions and names the event.
  input_transformer {
    input_paths    = { id = "$.id" }
    input_template = "{\"id\": <id>}"
  }
}

# Also for the schedule of verifications.
data "aws_iam_policy_document" "events_trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["events.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account_id]
    }
  }
}

data "aws_iam_policy_document" "auto_replay" {
  statement {
    sid       = "StartReplay"
    actions   = ["states:StartExecution"]
    resources = [local.replay_arn]
  }
}

locals {
  auto_replay_roles = var.auto_replay ? { events = "${local.prefix}-auto-replay" } : {}
}

resource "aws_iam_role" "auto_replay" {
  for_each = local.auto_replay_roles

  name                 = "${each.value}-${local.region}"
  path                 = var.role_path
  permissions_boundary = var.permissions_boundary
  assume_role_policy   = data.aws_iam_policy_document.events_trust.json

  tags = local.tags
}

resource "aws_iam_role_policy" "auto_replay" {
  for_each = aws_iam_role.auto_replay

  name   = "auto-replay"
  role   = each.value.name
  policy = data.aws_iam_policy_document.auto_replay.json
}
