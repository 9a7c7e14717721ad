# CORS: the web pages that may call the API. A browser asks with OPTIONS before it sends Authorization or
# Idempotency-Key, and sends no credentials with that. The function answers, because only it can choose among several
# origins. Without credentials it answers nothing else.

locals {
  cors_resources = { for name in ["orders", "order"] : name => local.api_resources[name] if length(var.cors_allowed_origins) > 0 }
  # The header of API Gateway's own responses is a constant. With several origins it lets every page read them. They hold
  # an error and the id of a request, and nothing of an order.
  cors_error_origin  = length(var.cors_allowed_origins) == 1 ? var.cors_allowed_origins[0] : "*"
  cors_error_headers = length(var.cors_allowed_origins) == 0 ? {} : { "gatewayresponse.header.Access-Control-Allow-Origin" = "'${local.cors_error_origin}'" }
}

resource "aws_api_gateway_method" "preflight" {
  #checkov:skip=CKV2_AWS_53:A preflight request has no body, and the function checks its headers

  for_each = local.cors_resources

  rest_api_id   = aws_api_gateway_rest_api.orders.id
  resource_id   = each.value
  http_method   = "OPTIONS"
  authorization = "NONE"
}

resource "aws_api_gateway_integration" "preflight" {
  for_each = aws_api_gateway_method.preflight

  rest_api_id             = aws_api_gateway_rest_api.orders.id
  resource_id             = each.value.resource_id
  http_method             = each.value.http_method
  type                    = "AWS_PROXY"
  integration_http_method = "POST"
  uri                     = aws_lambda_function.api.invoke_arn
}
