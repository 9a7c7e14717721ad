# Every function has its own role, and a log group with a retention.

locals {
  function_names = {
    api            = "${local.prefix}-api"
    api_authorizer = "${local.prefix}-api-authorizer"
  }

  # API and authorizer
  api_environment = merge(local.powertools, { for secret in aws_secretsmanager_secret.api : "API_SECRET_ARN" => secret.arn })
}

data "aws_iam_policy_document" "lambda_trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["lambda.amazonaws.com"]
    }
  }
}

# IAM is global. Role names contain the Region, so that deployments in two Regions do not collide.
resource "aws_iam_role" "function" {
  for_each = local.function_names

  name                 = "${each.value}-${local.region}"
  path                 = var.role_path
  permissions_boundary = var.permissions_boundary
  assume_role_policy   = data.aws_iam_policy_document.lambda_trust.json

  tags = local.tags

  lifecycle {
    # IAM takes a policy of the account or of AWS, in the same partition.
    precondition {
      condition     = var.permissions_boundary == null ? true : can(regex("^arn:${local.partition}:iam::(${local.account_id}|aws):policy/", var.permissions_boundary))
      error_message = "permissions_boundary must be of ${local.account_id}, the account of the provider, or of AWS (arn:${local.partition}:iam::...)."
    }
  }
}

resource "aws_cloudwatch_log_group" "function" {
  #checkov:skip=CKV_AWS_338:log_retention_days chooses the retention; no order is read back from a log

  for_each = local.function_names

  name              = "/aws/lambda/${each.value}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn

  tags = local.tags
}

data "aws_iam_policy_document" "telemetry" {
  for_each = local.function_names

  statement {
    sid     = "WriteOwnLogs"
    actions = ["logs:CreateLogStream", "logs:PutLogEvents"]
    # All log streams of the function's own group.
    resources = ["arn:${local.partition}:logs:${local.region}:${local.account_id}:log-group:/aws/lambda/${each.value}:*"]
  }

  dynamic "statement" {
    for_each = var.xray_tracing ? ["on"] : []

    content {
      sid       = "SendTraces"
      actions   = ["xray:PutTraceSegments", "xray:PutTelemetryRecords"]
      resources = ["*"] # X-Ray has no resources
    }
  }
}
