# Values of AWS that Terraform or an assertion reads.

mock_data "aws_caller_identity" {
  defaults = { account_id = "123456789012" }
}

mock_data "aws_partition" {
  defaults = { partition = "aws", dns_suffix = "amazonaws.com" }
}

mock_data "aws_region" {
  defaults = { id = "eu-west-1" }
}

mock_data "aws_subnets" {
  defaults = { ids = ["subnet-1", "subnet-2"] }
}

mock_data "aws_subnet" {
  defaults = { availability_zone = "eu-west-1a" }
}

mock_data "aws_vpc_endpoint_service" {
  defaults = { availability_zones = ["eu-west-1a", "eu-west-1b"] }
}

mock_data "aws_iam_policy_document" {
  defaults = { json = "{}" }
}

mock_data "aws_dynamodb_table" {
  defaults = {
    stream_arn             = "arn:aws:dynamodb:eu-west-1:123456789012:table/customers/stream/2026-01-01T00:00:00.000"
    stream_enabled         = true
    stream_view_type       = "NEW_AND_OLD_IMAGES"
    server_side_encryption = []
  }
}

mock_resource "aws_db_proxy" {
  defaults = { endpoint = "proxy.example" }
}

mock_resource "aws_dynamodb_table" {
  defaults = { stream_arn = "arn:aws:dynamodb:eu-west-1:123456789012:table/orders/stream/2026-01-01T00:00:00.000" }
}

mock_resource "aws_sqs_queue" {
  defaults = {
    arn = "arn:aws:sqs:eu-west-1:123456789012:backstream-test-failures"
    url = "https://sqs.eu-west-1.amazonaws.com/123456789012/backstream-test-failures"
  }
}

mock_resource "aws_s3_bucket" {
  defaults = { arn = "arn:aws:s3:::backstream-test-failures-123456789012-eu-west-1" }
}

mock_resource "aws_cloudwatch_log_group" {
  defaults = { arn = "arn:aws:logs:eu-west-1:123456789012:log-group:mocked" }
}

mock_resource "aws_lambda_function" {
  defaults = {
    arn        = "arn:aws:lambda:eu-west-1:123456789012:function:mocked"
    invoke_arn = "arn:aws:apigateway:eu-west-1:lambda:path/2015-03-31/functions/mocked/invocations"
  }
}

mock_resource "aws_cloudwatch_event_rule" {
  defaults = { arn = "arn:aws:events:eu-west-1:123456789012:rule/mocked" }
}

mock_resource "aws_iam_role" {
  defaults = { arn = "arn:aws:iam::123456789012:role/mocked" }
}

mock_resource "aws_api_gateway_rest_api" {
  defaults = { execution_arn = "arn:aws:execute-api:eu-west-1:123456789012:abcdefghij" }
}

mock_resource "aws_secretsmanager_secret" {
  defaults = { arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:mocked-AbCdEf" }
}

# A mocked name may begin with a digit, which the target refuses.
mock_resource "aws_db_proxy_default_target_group" {
  defaults = { name = "default" }
}

mock_resource "aws_sns_topic" {
  defaults = { arn = "arn:aws:sns:eu-west-1:123456789012:backstream-test-alarms" }
}

mock_resource "aws_api_gateway_stage" {
  defaults = {
    arn        = "arn:aws:apigateway:eu-west-1::/restapis/mocked/stages/test"
    invoke_url = "https://mocked.execute-api.eu-west-1.amazonaws.com/test"
  }
}
