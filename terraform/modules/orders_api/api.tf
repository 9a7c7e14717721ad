# The function answers every path and method, so that a wrong method is 405 and a wrong path 404, as problem+json.
# API Gateway itself answers 403 to a method that is not defined here.

resource "aws_api_gateway_rest_api" "orders" {
  name        = "${local.prefix}-api"
  description = "Orders API"

  endpoint_configuration {
    types = ["REGIONAL"]
  }

  tags = local.tags

  lifecycle {
    create_before_destroy = true # as its deployment requires
  }
}

resource "aws_api_gateway_resource" "v1" {
  rest_api_id = aws_api_gateway_rest_api.orders.id
  parent_id   = aws_api_gateway_rest_api.orders.root_resource_id
  path_part   = "v1"
}

resource "aws_api_gateway_resource" "orders" {
  rest_api_id = aws_api_gateway_rest_api.orders.id
  parent_id   = aws_api_gateway_resource.v1.id
  path_part   = "orders"
}

resource "aws_api_gateway_resource" "order" {
  rest_api_id = aws_api_gateway_rest_api.orders.id
  parent_id   = aws_api_gateway_resource.orders.id
  path_part   = "{order_id}"
}

resource "aws_api_gateway_resource" "other" {
  rest_api_id = aws_api_gateway_rest_api.orders.id
  parent_id   = aws_api_gateway_rest_api.orders.root_resource_id
  path_part   = "{proxy+}"
}

locals {
  api_resources = {
    root   = aws_api_gateway_rest_api.orders.root_resource_id
    orders = aws_api_gateway_resource.orders.id
    order  = aws_api_gateway_resource.order.id
    other  = aws_api_gateway_resource.other.id
  }
  api_authorization = var.api_auth == "iam" ? "AWS_IAM" : "CUSTOM"
}

resource "aws_api_gateway_method" "any" {
  #checkov:skip=CKV2_AWS_53:The function validates each request and names every wrong field, which a request validator does not

  for_each = local.api_resources

  rest_api_id   = aws_api_gateway_rest_api.orders.id
  resource_id   = each.value
  http_method   = "ANY"
  authorization = local.api_authorization
  authorizer_id = one([for authorizer in aws_api_gateway_authorizer.basic : authorizer.id])
}

resource "aws_api_gateway_integration" "function" {
  for_each = aws_api_gateway_method.any

  rest_api_id             = aws_api_gateway_rest_api.orders.id
  resource_id             = each.value.resource_id
  http_method             = each.value.http_method
  type                    = "AWS_PROXY"
  integration_http_method = "POST"
  uri                     = aws_lambda_function.api.invoke_arn
}

resource "aws_lambda_permission" "api" {
  statement_id  = "api-gateway"
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_function.api.function_name
  principal     = "apigateway.amazonaws.com"
  # Any stage, method and path of this API.
  source_arn = "${aws_api_gateway_rest_api.orders.execution_arn}/*/*"
}

# API Gateway's own errors have the format of the function's errors.

locals {
  gateway_title = "$context.error.messageString" # a JSON string, quotes included
  gateway_responses = {
    DEFAULT_4XX = { status = null, problem = { title = local.gateway_title, detail = local.gateway_title }, headers = {} }
    DEFAULT_5XX = { status = null, problem = { title = local.gateway_title, detail = local.gateway_title }, headers = {} }
    UNAUTHORIZED = {
      status  = "401"
      problem = { title = "\"Unauthorized\"", status = "401", detail = "\"The credentials are missing or wrong.\"" }
      headers = { "gatewayresponse.header.WWW-Authenticate" = "'Basic realm=\"orders\", charset=\"UTF-8\"'" }
    }
    THROTTLED = {
      status  = "429"
      problem = { title = "\"Too Many Requests\"", status = "429", detail = "\"Too many requests. Retry after one second.\"" }
      headers = { "gatewayresponse.header.Retry-After" = "'1'" }
    }
  }
}

resource "aws_api_gateway_gateway_response" "problem" {
  for_each = local.gateway_responses

  rest_api_id   = aws_api_gateway_rest_api.orders.id
  response_type = each.key
  status_code   = each.value.status

  response_parameters = merge({
    "gatewayresponse.header.Content-Type" = "'application/problem+json'"
  }, local.cors_error_headers, each.value.headers)

  # jsonencode would quote the variables of API Gateway twice.
  response_templates = {
    "application/json" = "{\"type\": \"about:blank\", ${join(", ", [for name, value in each.value.problem : "\"${name}\": ${value}"])}, \"request_id\": \"$context.requestId\"}"
  }
}

# A deployment is a snapshot. A change of anything above needs a new one.

resource "aws_api_gateway_deployment" "orders" {
  rest_api_id = aws_api_gateway_rest_api.orders.id

  triggers = {
    definition = sha1(jsonencode(concat([
      local.api_resources,
      local.api_authorization,
      [for authorizer in aws_api_gateway_authorizer.basic : authorizer.id],
      aws_lambda_function.api.invoke_arn,
      local.gateway_responses,
    ], [for origin in [local.cors_error_origin] : origin if length(var.cors_allowed_origins) > 0])))
  }

  lifecycle {
    create_before_destroy = true # the stage must always point at a deployment
  }

  depends_on = [
    aws_api_gateway_gateway_response.problem,
    aws_api_gateway_integration.function,
    aws_api_gateway_integration.preflight,
  ]
}

resource "aws_api_gateway_stage" "live" {
  #checkov:skip=CKV2_AWS_4:Execution logs can contain bodies and credentials; api_access_logs writes access logs, which cannot
  #checkov:skip=CKV2_AWS_51:A client certificate proves API Gateway to an HTTP backend, and the backend is a Lambda function
  #checkov:skip=CKV2_AWS_77:The rules of the web ACL belong to the caller, who gives it as web_acl_arn
  #checkov:skip=CKV_AWS_120:Orders are private and change: each response says Cache-Control no-store

  rest_api_id          = aws_api_gateway_rest_api.orders.id
  deployment_id        = aws_api_gateway_deployment.orders.id
  stage_name           = var.env
  xray_tracing_enabled = var.xray_tracing

  dynamic "access_log_settings" {
    for_each = aws_cloudwatch_log_group.api_access

    content {
      destination_arn = access_log_settings.value.arn
      format = jsonencode({
        request_id         = "$context.requestId"
        time               = "$context.requestTime"
        source_ip          = "$context.identity.sourceIp"
        user_agent         = "$context.identity.userAgent"
        method             = "$context.httpMethod"
        path               = "$context.path"
        resource           = "$context.resourcePath"
        status             = "$context.status"
        response_bytes     = "$context.responseLength"
        latency_ms         = "$context.responseLatency"
        integration_ms     = "$context.integrationLatency"
        integration_status = "$context.integration.integrationStatus"
        error              = "$context.error.responseType"
        trace_id           = "$context.xrayTraceId"
      })
    }
  }

  tags = local.tags

  depends_on = [aws_api_gateway_account.logs]
}

resource "aws_api_gateway_method_settings" "all" {
  #checkov:skip=CKV_AWS_225:Orders are private and change: each response says Cache-Control no-store

  rest_api_id = aws_api_gateway_rest_api.orders.id
  stage_name  = aws_api_gateway_stage.live.stage_name
  method_path = "*/*"

  settings {
    throttling_rate_limit  = var.api_throttle_rate
    throttling_burst_limit = var.api_throttle_burst
    logging_level          = "OFF" # execution logs can contain bodies and credentials, access logs cannot
  }
}

locals {
  # API Gateway refuses a stage with access logs when the account has no role for logs.
  access_logs = coalesce(var.api_access_logs, var.manage_api_gateway_account) ? { api = "/aws/apigateway/${local.prefix}-api" } : {}
}

resource "aws_cloudwatch_log_group" "api_access" {
  #checkov:skip=CKV_AWS_338:log_retention_days chooses the retention, because access logs hold addresses of clients

  for_each = local.access_logs

  name              = each.value
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn

  tags = local.tags
}

# One setting for the account and Region lets API Gateway write logs.

data "aws_iam_policy_document" "api_gateway_trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["apigateway.amazonaws.com"]
    }
  }
}

locals {
  api_gateway_accounts = var.manage_api_gateway_account ? { logs = "${local.prefix}-api-gateway-logs" } : {}
}

resource "aws_iam_role" "api_gateway_logs" {
  for_each = local.api_gateway_accounts

  name                 = "${each.value}-${local.region}"
  path                 = var.role_path
  permissions_boundary = var.permissions_boundary
  assume_role_policy   = data.aws_iam_policy_document.api_gateway_trust.json

  tags = local.tags
}

# API Gateway refuses a role with fewer rights than this AWS-managed policy.
resource "aws_iam_role_policy_attachment" "api_gateway_logs" {
  for_each = aws_iam_role.api_gateway_logs

  role       = each.value.name
  policy_arn = "arn:${local.partition}:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs"
}

resource "aws_api_gateway_account" "logs" {
  for_each = aws_iam_role.api_gateway_logs

  # A destroy leaves the setting in place, pointing at a deleted role. No API of the account can write logs until
  # someone sets another role. The provider's attribute that resets it causes a warning in every command.
  cloudwatch_role_arn = each.value.arn

  depends_on = [aws_iam_role_policy_attachment.api_gateway_logs]
}
