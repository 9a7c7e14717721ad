# Every function has its own role, and a log group with a retention.

locals {
  function_names = {
    stream_consumer = "${local.prefix}-stream-consumer"
    schema          = "${local.prefix}-schema"
    dlq_replayer    = "${local.prefix}-dlq-replayer"
    reconciler      = "${local.prefix}-reconciler"
    monitor         = "${local.prefix}-monitor"
  }
  live = "live" # the alias of the functions that write to MySQL

  tracing_mode = var.xray_tracing ? "Active" : "PassThrough"

  # The functions that connect to MySQL run here.
  database_network = {
    subnet_ids         = local.subnet_ids
    security_group_ids = local.security_group_ids
  }

  # Consumer, replayer, reconciler and schema step
  mysql_environment = merge(local.powertools, {
    RDS_CONNECTION_PARAM_NAME = var.rds_connection_param_name
    RDS_SECRET_ARN            = var.rds_secret_arn
    MYSQL_TLS                 = var.mysql_tls
    MYSQL_CONNECT_TIMEOUT     = tostring(var.mysql_connect_timeout_seconds)
    MYSQL_READ_TIMEOUT        = tostring(var.mysql_read_timeout_seconds)
    STREAM_ARN                = local.stream_arn
    STREAM_GENERATION         = tostring(var.stream_generation)
    MAPPING                   = var.mapping
  }, var.mysql_ca_pem == null ? {} : { MYSQL_CA_PEM = var.mysql_ca_pem })

  # Consumer, replayer and reconciler: all must write a change in the same way.
  pipeline_environment = merge(local.mysql_environment, {
    FAILURES_BUCKET    = local.failures_bucket
    MIRROR_TTL_DELETES = tostring(var.mirror_ttl_deletes)
    APPLY_EVERY_CHANGE = tostring(var.apply_every_change)
  }, var.max_statement_bytes == null ? {} : { MAX_STATEMENT_BYTES = tostring(var.max_statement_bytes) })

  # As long as what AWS makes up, which the first plan does not know. The preconditions of replayer and reconciler measure
  # an environment with these. Lambda allows 4,096 bytes, and measures them as JSON:
  # https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
  sample_stream_arn   = "${local.table_arn}/stream/2026-01-01T00:00:00.000"
  sample_mapping_uuid = "00000000-0000-0000-0000-000000000000"
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
    precondition {
      condition     = length("${each.value}-${local.region}") <= 64
      error_message = "The name of the role ${each.value}-${local.region} exceeds the 64 characters that IAM allows. Shorten name, env or pipeline."
    }

    # IAM takes a policy of the account or of AWS, in the same partition.
    precondition {
      condition     = var.permissions_boundary == null ? true : can(regex("^arn:${local.partition}:iam::(${local.account_id}|aws):policy/", var.permissions_boundary))
      error_message = "permissions_boundary must be of ${local.account_id}, the account of the provider, or of AWS (arn:${local.partition}:iam::...)."
    }
  }
}

resource "aws_cloudwatch_log_group" "function" {
  #checkov:skip=CKV_AWS_338:log_retention_days chooses the retention; what failed is kept in the failures bucket, not in a log

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

# Shared by the functions that connect to MySQL.

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
        values   = ["secretsmanager.${local.region}.amazonaws.com"]
      }
    }
  }

  # SSM decrypts a SecureString with the rights of the caller:
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
        values   = ["ssm.${local.region}.amazonaws.com"]
      }
    }
  }
}

data "aws_iam_policy_document" "vpc_access" {
  for_each = { for function, name in local.function_names : function => name if function != "monitor" }

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
    resources = ["*"] # Lambda requires it for a function in a VPC
  }

  # Lambda needs these rights, the code does not. This refuses requests from inside the function.
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
      # AWS does not document whether a call through an alias carries a version.
      values = [for suffix in ["", ":*"] : "arn:${local.partition}:lambda:${local.region}:${local.account_id}:function:${each.value}${suffix}"]
    }
  }
}
