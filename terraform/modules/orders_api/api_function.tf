data "aws_iam_policy_document" "api" {
  source_policy_documents = [data.aws_iam_policy_document.telemetry["api"].json]

  statement {
    sid = "UseOrders"
    actions = [
      "dynamodb:DeleteItem",
      "dynamodb:GetItem",
      "dynamodb:PutItem",
      "dynamodb:UpdateItem",
    ]
    resources = [local.orders_arn]
  }

  statement {
    sid       = "ListOrders"
    actions   = ["dynamodb:Query"]
    resources = ["${local.orders_arn}/index/${var.merchant_index_name}"]
  }

  statement {
    sid       = "RememberRequests"
    actions   = ["dynamodb:GetItem", "dynamodb:PutItem"]
    resources = [local.idempotency_arn]
  }

  dynamic "statement" {
    for_each = local.api_secrets

    content {
      sid       = "ReadApiSecret"
      actions   = ["secretsmanager:GetSecretValue"]
      resources = [aws_secretsmanager_secret.api[statement.key].arn]
    }
  }

  dynamic "statement" {
    for_each = local.uses_kms_key && length(local.api_secrets) > 0 ? ["on"] : []

    content {
      sid       = "DecryptApiSecret"
      actions   = ["kms:Decrypt"]
      resources = [var.kms_key_arn]

      condition {
        test     = "StringEquals"
        variable = "kms:ViaService"
        values   = ["secretsmanager.${local.region}.amazonaws.com"]
      }
    }
  }

  # DynamoDB decrypts a table with the rights of the caller:
  # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/encryption.usagenotes.html
  dynamic "statement" {
    for_each = local.uses_kms_key ? ["on"] : []

    content {
      sid       = "UseEncryptedTables"
      actions   = ["kms:Decrypt"]
      resources = [var.kms_key_arn]

      condition {
        test     = "StringEquals"
        variable = "kms:ViaService"
        values   = ["dynamodb.${local.region}.amazonaws.com"]
      }
    }
  }
}

resource "aws_iam_role_policy" "api" {
  name   = "api"
  role   = aws_iam_role.function["api"].name
  policy = data.aws_iam_policy_document.api.json
}

locals {
  api_function_environment = merge(local.api_environment, {
    POWERTOOLS_SERVICE_NAME = local.function_names.api
    TABLE_NAME              = var.table_name
    MERCHANT_INDEX_NAME     = var.merchant_index_name
    IDEMPOTENCY_TABLE_NAME  = aws_dynamodb_table.idempotency.name
    API_AUTH                = var.api_auth
    ORDER_TTL_DAYS          = tostring(var.order_ttl_days)
    IDEMPOTENCY_TTL_HOURS   = tostring(var.idempotency_ttl_hours)
  }, length(var.cors_allowed_origins) == 0 ? {} : { CORS_ALLOWED_ORIGINS = join(",", var.cors_allowed_origins) })
  # Lambda allows 4,096 bytes, and measures them as JSON. The first plan does not know the ARN of the secret, so one of
  # the same length is measured. https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
  api_function_environment_bytes = length(jsonencode(merge(local.api_function_environment, {
    for name in local.api_secrets : "API_SECRET_ARN" => "arn:${local.partition}:secretsmanager:${local.region}:${local.account_id}:secret:${name}-AbCdEf"
  })))
}

resource "aws_lambda_function" "api" {
  #checkov:skip=CKV_AWS_116:API Gateway calls it synchronously, and Lambda sends only asynchronous calls to a dead-letter queue
  #checkov:skip=CKV_AWS_117:It calls DynamoDB and Secrets Manager only, and nothing in a VPC
  #checkov:skip=CKV_AWS_272:Code signing needs a signing profile of the account; the build is reproducible, so the hash of the zip says what runs

  function_name = local.function_names.api
  description   = "Orders API"
  role          = aws_iam_role.function["api"].arn

  filename         = local.zips.api.path
  s3_bucket        = var.lambda_zips.bucket
  s3_key           = local.zips.api.key
  source_code_hash = local.zips.api.hash
  handler          = "api.handler.handler"
  runtime          = local.runtime
  architectures    = [local.architecture]
  memory_size      = var.api_memory_mb
  timeout          = var.api_timeout_seconds

  reserved_concurrent_executions = var.api_reserved_concurrency

  kms_key_arn = var.kms_key_arn # of the environment

  environment {
    variables = local.api_function_environment
  }

  tracing_config {
    mode = local.tracing_mode
  }

  tags = local.tags

  lifecycle {
    precondition {
      condition     = local.zips.api.found
      error_message = local.zip_missing
    }

    precondition {
      condition     = local.api_function_environment_bytes <= 4096
      error_message = "The environment of the API function has ${local.api_function_environment_bytes} bytes, and Lambda allows 4096. Give fewer or shorter cors_allowed_origins."
    }
  }

  depends_on = [aws_cloudwatch_log_group.function, aws_iam_role_policy.api]
}

# Credentials of the API, for api_auth = "basic".

locals {
  api_secrets    = var.api_auth == "basic" ? { api = "${local.prefix}-api" } : {}
  password_given = nonsensitive(var.api_password != null)
}

resource "aws_secretsmanager_secret" "api" {
  #checkov:skip=CKV2_AWS_57:Clients hold the password, so a rotation that they do not take part in locks them out

  for_each = local.api_secrets

  name        = each.value
  description = "Username and password of the orders API"
  kms_key_id  = var.kms_key_arn
  # Days in which a deleted secret can be restored. They block its name for the next apply.
  recovery_window_in_days = var.deletion_protection ? 30 : 0

  tags = local.tags
}

resource "aws_secretsmanager_secret_version" "api_generated" {
  for_each = local.password_given ? {} : local.api_secrets

  secret_id = aws_secretsmanager_secret.api[each.key].id
  # A random UUID has 122 random bits in 32 characters that need no quoting. The AWS data source for passwords would
  # show the password in every plan, as its id.
  secret_string = jsonencode({
    username = var.api_username
    password = replace(uuid(), "-", "")
  })

  lifecycle {
    ignore_changes = [secret_string] # a later apply keeps the password, also after a rotation
  }
}

resource "aws_secretsmanager_secret_version" "api_given" {
  for_each = local.password_given ? local.api_secrets : {}

  secret_id = aws_secretsmanager_secret.api[each.key].id
  secret_string = jsonencode({
    username = var.api_username
    password = var.api_password
  })
}
