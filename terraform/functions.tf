# What every function has: a role of its own, and a log group that Terraform made, so that it has a retention.

locals {
  function_names = {
    api             = "${local.prefix}-api"
    api_authorizer  = "${local.prefix}-api-authorizer"
    stream_consumer = "${local.prefix}-stream-consumer"
    schema          = "${local.prefix}-schema"
    dlq_replayer    = "${local.prefix}-dlq-replayer"
  }
  live = "live" # the alias of what writes to MySQL
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

# IAM knows no Regions: every role's name carries one, so that a deployment may stand in two.
resource "aws_iam_role" "function" {
  for_each = local.function_names

  name               = "${each.value}-${var.aws_region}"
  assume_role_policy = data.aws_iam_policy_document.lambda_trust.json
}

resource "aws_cloudwatch_log_group" "function" {
  for_each = local.function_names

  name              = "/aws/lambda/${each.value}"
  retention_in_days = var.log_retention_days
}

data "aws_iam_policy_document" "telemetry" {
  for_each = local.function_names

  statement {
    sid     = "WriteOwnLogs"
    actions = ["logs:CreateLogStream", "logs:PutLogEvents"]
    # The star stands for the log streams in the function's own group.
    resources = ["arn:${local.partition}:logs:${var.aws_region}:${local.account_id}:log-group:/aws/lambda/${each.value}:*"]
  }

  dynamic "statement" {
    for_each = var.xray_tracing ? ["on"] : []

    content {
      sid       = "SendTraces"
      actions   = ["xray:PutTraceSegments", "xray:PutTelemetryRecords"]
      resources = ["*"] # X-Ray has no resource to name
    }
  }
}

# What the functions with a way to the database share.

data "aws_iam_policy_document" "database_access" {
  statement {
    sid       = "ReadConnection"
    actions   = ["ssm:GetParameter"]
    resources = [local.rds_connection_param_arn]
  }

  statement {
    sid       = "ReadDatabaseSecret"
    actions   = ["secretsmanager:GetSecretValue"]
    resources = [var.rds_secret_arn]
  }

  dynamic "statement" {
    for_each = var.rds_secret_kms_key_arn[*]

    content {
      sid       = "DecryptDatabaseSecret"
      actions   = ["kms:Decrypt"]
      resources = [statement.value]

      condition {
        test     = "StringEquals"
        variable = "kms:ViaService"
        values   = ["secretsmanager.${var.aws_region}.amazonaws.com"]
      }
    }
  }

  # A SecureString is decrypted with the caller's rights:
  # https://docs.aws.amazon.com/kms/latest/developerguide/services-parameter-store.html
  dynamic "statement" {
    for_each = var.rds_connection_param_kms_key_arn[*]

    content {
      sid       = "DecryptConnection"
      actions   = ["kms:Decrypt"]
      resources = [statement.value]

      condition {
        test     = "StringEquals"
        variable = "kms:ViaService"
        values   = ["ssm.${var.aws_region}.amazonaws.com"]
      }
    }
  }
}

data "aws_iam_policy_document" "vpc_access" {
  for_each = toset(["stream_consumer", "schema", "dlq_replayer"])

  statement {
    sid = "ManageNetworkInterfaces"
    actions = [
      "ec2:AssignPrivateIpAddresses",
      "ec2:CreateNetworkInterface",
      "ec2:DeleteNetworkInterface",
      "ec2:DescribeNetworkInterfaces",
      "ec2:DescribeSubnets",
      "ec2:UnassignPrivateIpAddresses",
    ]
    resources = ["*"] # Lambda demands it before it puts a function into a VPC
  }

  # The service needs these rights, the code does not: a request from inside the function is refused.
  # https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html
  statement {
    sid    = "OnlyForTheService"
    effect = "Deny"
    actions = [
      "ec2:AssignPrivateIpAddresses",
      "ec2:CreateNetworkInterface",
      "ec2:DeleteNetworkInterface",
      "ec2:DescribeNetworkInterfaces",
      "ec2:DescribeSubnets",
      "ec2:UnassignPrivateIpAddresses",
    ]
    resources = ["*"]

    condition {
      test     = "ArnEquals"
      variable = "lambda:SourceFunctionArn"
      # With and without a version: AWS does not say which of both a call from an alias carries.
      values = [for suffix in ["", ":*"] : "arn:${local.partition}:lambda:${var.aws_region}:${local.account_id}:function:${local.function_names[each.value]}${suffix}"]
    }
  }
}
