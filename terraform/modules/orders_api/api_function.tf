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
    for_each = aws_secretsmanager_secret.api

    content {
      sid       = "ReadApiSecret"
      actions   = ["secretsmanager:GetSecretValue"]
      resources = [statement.value.arn]
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

resource "aws_lambda_function" "api" {
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

  environment {
    variables = merge(local.api_environment, {
      POWERTOOLS_SERVICE_NAME = local.function_names.api
      TABLE_NAME              = var.table_name
      MERCHANT_INDEX_NAME     = var.merchant_index_name
      IDEMPOTENCY_TABLE_NAME  = aws_dynamodb_table.idempotency.name
      API_AUTH                = var.api_auth
      ORDER_TTL_DAYS          = tostring(var.order_ttl_days)
      IDEMPOTENCY_TTL_HOURS   = tostring(var.idempotency_ttl_hours)
    })
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
  }

  depends_on = [aws_cloudwatch_log_group.function, aws_iam_role_policy.api]
}

# Credentials of the API, for api_auth = "basic".

locals {
  api_secrets    = var.api_auth == "basic" ? { api = "${local.prefix}-api" } : {}
  password_given = nonsensitive(var.api_password != null)
}

resource "aws_secretsmanager_secret" "api" {
  for_each = local.api_secrets

  name        = each.value
  description = "Username and password of the orders API"
  kms_key_id  = var.kms_key_arn
  # A recovery window would block the name for the next apply. The secret can be made again.
  recovery_window_in_days = 0

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
