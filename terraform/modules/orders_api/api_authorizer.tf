# Checks credentials before the API function, for api_auth = "basic". The function checks them too. But API Gateway
# renames the WWW-Authenticate header of a proxied function's 401, and only its own answer can carry that header:
# https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-known-issues.html

locals {
  api_authorizers = var.api_auth == "basic" ? { api = local.function_names.api_authorizer } : {}
}

data "aws_iam_policy_document" "api_authorizer" {
  for_each = local.api_authorizers

  source_policy_documents = [data.aws_iam_policy_document.telemetry["api_authorizer"].json]

  statement {
    sid       = "ReadApiSecret"
    actions   = ["secretsmanager:GetSecretValue"]
    resources = [aws_secretsmanager_secret.api[each.key].arn]
  }

  dynamic "statement" {
    for_each = local.uses_kms_key ? ["on"] : []

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
}

resource "aws_iam_role_policy" "api_authorizer" {
  for_each = local.api_authorizers

  name   = "api-authorizer"
  role   = aws_iam_role.function["api_authorizer"].name
  policy = data.aws_iam_policy_document.api_authorizer[each.key].json
}

resource "aws_lambda_function" "api_authorizer" {
  #checkov:skip=CKV_AWS_116:API Gateway calls it synchronously, and Lambda sends only asynchronous calls to a dead-letter queue
  #checkov:skip=CKV_AWS_117:It calls Secrets Manager only, and nothing in a VPC
  #checkov:skip=CKV_AWS_272:Code signing needs a signing profile of the account; the build is reproducible, so the hash of the zip says what runs

  for_each = local.api_authorizers

  function_name = each.value
  description   = "Checks the credentials of the orders API"
  role          = aws_iam_role.function["api_authorizer"].arn

  filename         = local.zips.api.path
  s3_bucket        = var.lambda_zips.bucket
  s3_key           = local.zips.api.key
  source_code_hash = local.zips.api.hash
  handler          = "api.authorizer.handler"
  runtime          = local.runtime
  architectures    = [local.architecture]
  memory_size      = var.api_memory_mb
  timeout          = 10 # the longest that API Gateway waits for an authorizer

  reserved_concurrent_executions = var.authorizer_reserved_concurrency

  kms_key_arn = var.kms_key_arn # of the environment

  environment {
    variables = merge(local.api_environment, {
      POWERTOOLS_SERVICE_NAME = each.value
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

  depends_on = [aws_cloudwatch_log_group.function, aws_iam_role_policy.api_authorizer]
}

resource "aws_api_gateway_authorizer" "basic" {
  for_each = aws_lambda_function.api_authorizer

  name                             = each.key
  rest_api_id                      = aws_api_gateway_rest_api.orders.id
  type                             = "REQUEST"
  authorizer_uri                   = each.value.invoke_arn
  identity_source                  = "method.request.header.Authorization"
  authorizer_result_ttl_in_seconds = 300 # an old password passes here for this long; the API function refuses it
}

resource "aws_lambda_permission" "api_authorizer" {
  for_each = aws_lambda_function.api_authorizer

  statement_id  = "api-gateway"
  action        = "lambda:InvokeFunction"
  function_name = each.value.function_name
  principal     = "apigateway.amazonaws.com"
  source_arn    = "${aws_api_gateway_rest_api.orders.execution_arn}/authorizers/${aws_api_gateway_authorizer.basic[each.key].id}"
}
