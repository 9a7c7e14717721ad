# verify_schedule_expression: each event of the schedule starts a verification of the next slice. One that meets another
# verification ends in AlreadyRunning.

locals {
  verify_schedules = { for expression in var.verify_schedule_expression[*] : "schedule" => "${local.prefix}-verify-schedule" }
}

resource "aws_cloudwatch_event_rule" "verify" {
  for_each = local.verify_schedules

  name                = each.value # shorter than the names of the roles
  description         = "Starts a verification of the slice that was tried longest ago"
  schedule_expression = var.verify_schedule_expression

  tags = local.tags
}

resource "aws_cloudwatch_event_target" "verify" {
  for_each = aws_cloudwatch_event_rule.verify

  rule     = each.value.name
  arn      = aws_sfn_state_machine.job["verify"].arn
  role_arn = aws_iam_role.verify_schedule[each.key].arn

  input = jsonencode({
    slice         = "next/${var.verify_slices}"
    repair        = var.verify_repair
    after_cutover = var.verify_after_cutover
  })
}

data "aws_iam_policy_document" "verify_schedule" {
  statement {
    sid       = "StartVerification"
    actions   = ["states:StartExecution"]
    resources = [local.job_arns.verify]
  }
}

resource "aws_iam_role" "verify_schedule" {
  for_each = local.verify_schedules

  name                 = "${each.value}-${local.region}"
  path                 = var.role_path
  permissions_boundary = var.permissions_boundary
  assume_role_policy   = data.aws_iam_policy_document.events_trust.json

  tags = local.tags
}

resource "aws_iam_role_policy" "verify_schedule" {
  for_each = aws_iam_role.verify_schedule

  name   = "verify-schedule"
  role   = each.value.name
  policy = data.aws_iam_policy_document.verify_schedule.json
}
