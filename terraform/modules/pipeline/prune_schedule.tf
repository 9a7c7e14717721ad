# prune_schedule_expression: each event of the schedule starts a prune. One that meets another job of the reconciler ends
# in AlreadyRunning.

locals {
  prune_schedules = { for expression in var.prune_schedule_expression[*] : "schedule" => "${local.prefix}-prune-schedule" }
}

resource "aws_cloudwatch_event_rule" "prune" {
  for_each = local.prune_schedules

  name                = each.value # shorter than the names of the roles
  description         = "Starts a prune of the sidecar"
  schedule_expression = var.prune_schedule_expression

  tags = local.tags
}

resource "aws_cloudwatch_event_target" "prune" {
  for_each = aws_cloudwatch_event_rule.prune

  rule     = each.value.name
  arn      = aws_sfn_state_machine.job["prune"].arn
  role_arn = aws_iam_role.prune_schedule[each.key].arn

  input = jsonencode({})
}

data "aws_iam_policy_document" "prune_schedule" {
  statement {
    sid       = "StartPrune"
    actions   = ["states:StartExecution"]
    resources = [local.job_arns.prune]
  }
}

resource "aws_iam_role" "prune_schedule" {
  for_each = local.prune_schedules

  name                 = "${each.value}-${local.region}"
  path                 = var.role_path
  permissions_boundary = var.permissions_boundary
  assume_role_policy   = data.aws_iam_policy_document.events_trust.json

  tags = local.tags
}

resource "aws_iam_role_policy" "prune_schedule" {
  for_each = aws_iam_role.prune_schedule

  name   = "prune-schedule"
  role   = each.value.name
  policy = data.aws_iam_policy_document.prune_schedule.json
}
