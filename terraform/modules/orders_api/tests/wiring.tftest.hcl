# The wiring of the API, without an AWS account.

mock_provider "aws" {
  source = "../../tests/mocks"
}

override_resource {
  target = aws_iam_role.function["api"]
  values = { arn = "arn:aws:iam::123456789012:role/api" }
}

override_resource {
  target = aws_iam_role.function["api_authorizer"]
  values = { arn = "arn:aws:iam::123456789012:role/api_authorizer" }
}

variables {
  env             = "test"
  table_name      = "backstream-test-orders"
  alarm_topic_arn = "arn:aws:sns:eu-west-1:123456789012:alarms"
  lambda_zips     = { folder = "../../tests/fixture" }
}

# Applied once. The other runs plan changes to it where that shows all values, which is quicker.
run "the_api_password_is_generated" {
  assert {
    condition     = length(aws_secretsmanager_secret_version.api_generated) == 1 && length(aws_secretsmanager_secret_version.api_given) == 0
    error_message = "Terraform generates a password when none is given."
  }

  assert {
    condition     = aws_lambda_function.api.environment[0].variables.API_SECRET_ARN == aws_secretsmanager_secret.api["api"].arn
    error_message = "The function must know its secret."
  }
}

run "a_given_api_password_is_used" {
  command = plan

  variables {
    api_username = "foo"
    api_password = "bar"
  }

  assert {
    condition     = jsondecode(aws_secretsmanager_secret_version.api_given["api"].secret_string) == { username = "foo", password = "bar" }
    error_message = "A given password must be in the secret."
  }

  assert {
    condition     = length(aws_secretsmanager_secret_version.api_generated) == 0
    error_message = "Terraform must not generate a password when one is given."
  }
}

run "with_iam_there_is_no_api_secret" {
  command = plan

  variables {
    api_auth = "iam"
  }

  assert {
    condition     = alltrue([for method in aws_api_gateway_method.any : method.authorization == "AWS_IAM"])
    error_message = "API Gateway checks signatures on every method."
  }

  assert {
    condition     = length(aws_secretsmanager_secret.api) == 0 && output.api_secret_arn == "" && !can(aws_lambda_function.api.environment[0].variables.API_SECRET_ARN)
    error_message = "Only basic needs a secret."
  }

  assert {
    condition     = length(aws_lambda_function.api_authorizer) == 0 && length(aws_api_gateway_authorizer.basic) == 0
    error_message = "Only basic needs an authorizer."
  }
}

run "the_function_gets_every_request_and_the_stage_is_watched" {
  command = plan

  assert {
    condition     = alltrue([for method in aws_api_gateway_method.any : method.http_method == "ANY" && method.authorization == "CUSTOM" && method.authorizer_id == aws_api_gateway_authorizer.basic["api"].id]) && length(aws_api_gateway_method.any) == 4
    error_message = "Every path goes to the function, behind the authorizer."
  }

  assert {
    condition     = length(regexall("Basic realm", aws_api_gateway_gateway_response.problem["UNAUTHORIZED"].response_parameters["gatewayresponse.header.WWW-Authenticate"])) == 1
    error_message = "A 401 has the WWW-Authenticate header."
  }

  assert {
    condition     = aws_api_gateway_stage.live.xray_tracing_enabled
    error_message = "The stage writes traces."
  }

  assert {
    condition     = aws_api_gateway_method_settings.all.settings[0].throttling_rate_limit == 1000 && aws_api_gateway_method_settings.all.settings[0].throttling_burst_limit == 500
    error_message = "The stage is throttled."
  }
}

run "a_bare_account_needs_no_setting_of_its_own" {
  command = plan

  assert {
    condition     = length(aws_api_gateway_account.logs) == 0 && length(aws_iam_role.api_gateway_logs) == 0
    error_message = "Terraform must not change the logging role of the account."
  }

  assert {
    condition     = length(aws_api_gateway_stage.live.access_log_settings) == 0 && length(aws_cloudwatch_log_group.api_access) == 0 && aws_api_gateway_method_settings.all.settings[0].logging_level == "OFF"
    error_message = "API Gateway refuses a stage with access logs when the account has no role for logs."
  }
}

run "access_logs_where_the_account_has_its_role" {
  variables {
    api_access_logs = true
  }

  assert {
    condition     = aws_api_gateway_stage.live.access_log_settings[0].destination_arn == aws_cloudwatch_log_group.api_access["api"].arn && length(aws_api_gateway_account.logs) == 0
    error_message = "Access logs must not change the setting of the account."
  }
}

run "a_managed_account_has_access_logs" {
  variables {
    manage_api_gateway_account = true
  }

  assert {
    condition     = aws_api_gateway_account.logs["logs"].cloudwatch_role_arn == aws_iam_role.api_gateway_logs["logs"].arn && length(aws_api_gateway_stage.live.access_log_settings) == 1
    error_message = "Setting the role turns access logs on."
  }
}

run "a_managed_account_without_access_logs" {
  command = plan

  variables {
    manage_api_gateway_account = true
    api_access_logs            = false
  }

  assert {
    condition     = length(aws_api_gateway_account.logs) == 1 && length(aws_api_gateway_stage.live.access_log_settings) == 0
    error_message = "The role must be possible without access logs."
  }
}

run "each_function_has_a_role_and_a_log_group_of_its_own" {
  command = plan

  assert {
    condition = (
      aws_lambda_function.api.role == aws_iam_role.function["api"].arn &&
      aws_lambda_function.api_authorizer["api"].role == aws_iam_role.function["api_authorizer"].arn &&
      length(distinct([for role in aws_iam_role.function : role.name])) == 2
    )
    error_message = "Each function must have its own role."
  }

  assert {
    condition     = toset([for group in aws_cloudwatch_log_group.function : group.name]) == toset([for name in [aws_lambda_function.api.function_name, aws_lambda_function.api_authorizer["api"].function_name] : "/aws/lambda/${name}"])
    error_message = "Terraform must create the log group of each function."
  }

  assert {
    condition     = alltrue([for group in aws_cloudwatch_log_group.function : group.retention_in_days == 30])
    error_message = "Log groups must have a retention."
  }
}

run "the_functions_are_outside_the_vpc" {
  command = plan

  assert {
    condition     = length(aws_lambda_function.api.vpc_config) == 0
    error_message = "The API function does not need the VPC."
  }
}

run "runtime_and_architecture_come_with_the_zips" {
  command = plan

  assert {
    condition     = aws_lambda_function.api.runtime == "python3.13" && aws_lambda_function.api.architectures == tolist(["arm64"])
    error_message = "The manifest decides on runtime and architecture."
  }
}

run "a_missing_build_says_what_to_run" {
  command = plan

  variables {
    lambda_zips = { folder = "./tests" }
  }

  expect_failures = [aws_lambda_function.api, aws_lambda_function.api_authorizer]
}

run "a_released_zip_is_taken_from_its_bucket" {
  command = plan

  variables {
    lambda_zips = { bucket = "releases", keys = { api = "2.0/api.zip" }, runtime = "python3.12", architecture = "x86_64" }
  }

  assert {
    condition     = alltrue([for function in [aws_lambda_function.api, aws_lambda_function.api_authorizer["api"]] : function.s3_bucket == "releases" && function.s3_key == "2.0/api.zip" && function.filename == null && function.runtime == "python3.12"])
    error_message = "With a bucket no file is read."
  }
}

run "the_table_of_requests_is_protected" {
  command = plan

  assert {
    condition     = aws_dynamodb_table.idempotency.deletion_protection_enabled && aws_dynamodb_table.idempotency.ttl[0].enabled && aws_dynamodb_table.idempotency.ttl[0].attribute_name == "record_ttl"
    error_message = "The table is protected from deletion by default, and its items expire."
  }
}

run "protection_can_be_lifted" {
  command = plan

  variables {
    deletion_protection = false
  }

  assert {
    condition     = !aws_dynamodb_table.idempotency.deletion_protection_enabled
    error_message = "deletion_protection must reach the table."
  }
}

run "tracing_can_be_turned_off" {
  command = plan

  variables {
    xray_tracing = false
  }

  assert {
    condition     = !aws_api_gateway_stage.live.xray_tracing_enabled && aws_lambda_function.api.tracing_config[0].mode == "PassThrough"
    error_message = "xray_tracing must reach the stage and every function."
  }

  assert {
    condition     = !contains(flatten([for document in data.aws_iam_policy_document.telemetry : document.statement[*].sid]), "SendTraces")
    error_message = "Without tracing no function may send traces."
  }
}

run "without_a_key_the_table_gives_up_one_of_before" {
  command = plan

  assert {
    condition     = !aws_dynamodb_table.idempotency.server_side_encryption[0].enabled
    error_message = "The table must be planned without a key, so that it gives up one of before."
  }
}

run "a_key_of_your_own_encrypts_secret_table_and_logs" {
  command = plan

  variables {
    kms_key_arn          = "arn:aws:kms:eu-west-1:123456789012:key/own"
    permissions_boundary = "arn:aws:iam::123456789012:policy/boundary"
    role_path            = "/platform/"
    tags                 = { Team = "orders" }
  }

  assert {
    condition     = aws_secretsmanager_secret.api["api"].kms_key_id == var.kms_key_arn && aws_dynamodb_table.idempotency.server_side_encryption[0].kms_key_arn == var.kms_key_arn && alltrue([for group in aws_cloudwatch_log_group.function : group.kms_key_id == var.kms_key_arn])
    error_message = "The key must reach all that holds data."
  }

  assert {
    condition     = toset(flatten([for statement in data.aws_iam_policy_document.api.statement : flatten(statement.condition[*].values) if contains(statement.actions, "kms:Decrypt")])) == toset(["secretsmanager.eu-west-1.amazonaws.com", "dynamodb.eu-west-1.amazonaws.com"])
    error_message = "The function may decrypt for these services only."
  }

  assert {
    condition     = alltrue([for role in aws_iam_role.function : role.path == "/platform/" && role.permissions_boundary == var.permissions_boundary && role.tags == tomap({ Team = "orders" })])
    error_message = "Path, boundary and tags must reach the roles."
  }
}

run "the_longest_names_are_legal" {
  command = plan

  variables {
    name                       = "backstream"
    env                        = "production-ohio"
    manage_api_gateway_account = true
    alarm_topic_arn            = "arn:aws:sns:us-isof-south-1:123456789012:alarms"
  }

  override_data {
    target = data.aws_region.current
    values = { id = "us-isof-south-1" }
  }

  assert {
    condition     = alltrue([for role in concat(values(aws_iam_role.function), values(aws_iam_role.api_gateway_logs)) : length(role.name) <= 64 && endswith(role.name, "-us-isof-south-1") && can(regex("^[a-z0-9-]+$", role.name))])
    error_message = "IAM allows 64 characters. Its names are global, so they contain the Region."
  }
}

run "alarms_notify_the_topic" {
  command = plan

  assert {
    condition     = length(aws_cloudwatch_metric_alarm.api) == 6 && alltrue([for alarm in values(aws_cloudwatch_metric_alarm.api) : alarm.alarm_actions == toset([var.alarm_topic_arn]) && alarm.ok_actions == alarm.alarm_actions])
    error_message = "Somebody must be told that an alarm rings, and that it is over."
  }

  assert {
    condition     = length(output.alarm_arns) == 6
    error_message = "Each alarm is an output."
  }
}

run "alarms_of_the_api_need_a_topic" {
  command = plan

  variables {
    alarm_topic_arn = null
  }

  expect_failures = [aws_cloudwatch_metric_alarm.api]
}

run "without_alarms_no_topic_is_needed" {
  command = plan

  variables {
    alarm_topic_arn = null
    create_alarms   = false
  }

  assert {
    condition     = length(aws_cloudwatch_metric_alarm.api) == 0
    error_message = "create_alarms = false leaves them out."
  }
}

run "an_authorizer_that_is_not_called_has_no_alarm" {
  command = plan

  variables {
    api_auth = "iam"
  }

  assert {
    condition     = !contains(keys(aws_cloudwatch_metric_alarm.api), "page-throttled-api-authorizer")
    error_message = "With IAM there is no authorizer."
  }
}

run "thresholds_of_the_api_are_variables" {
  command = plan

  variables {
    api_alarms = { errors = 0, latency_milliseconds = 100 }
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.api["page-api-errors"].threshold == 0 && aws_cloudwatch_metric_alarm.api["warning-api-latency"].threshold == 100 && aws_cloudwatch_metric_alarm.api["warning-api-latency"].extended_statistic == "p99"
    error_message = "Both thresholds must reach their alarms."
  }
}

run "impossible_thresholds_of_the_api" {
  command = plan

  variables {
    api_alarms = { errors = -1 }
  }

  expect_failures = [var.api_alarms]
}

run "without_origins_every_method_needs_credentials" {
  command = plan

  assert {
    condition     = length(aws_api_gateway_method.preflight) == 0 && !can(aws_lambda_function.api.environment[0].variables.CORS_ALLOWED_ORIGINS)
    error_message = "No page may call the API by default."
  }

  assert {
    condition     = alltrue([for response in aws_api_gateway_gateway_response.problem : !can(response.response_parameters["gatewayresponse.header.Access-Control-Allow-Origin"])])
    error_message = "API Gateway's responses name no origin by default."
  }
}

run "a_preflight_needs_no_credentials" {
  command = plan

  variables {
    cors_allowed_origins = ["https://shop.example.com"]
  }

  assert {
    condition     = keys(aws_api_gateway_method.preflight) == ["order", "orders"] && alltrue([for method in aws_api_gateway_method.preflight : method.http_method == "OPTIONS" && method.authorization == "NONE"])
    error_message = "A browser sends no credentials with OPTIONS."
  }

  assert {
    condition     = alltrue([for name, integration in aws_api_gateway_integration.preflight : integration.type == "AWS_PROXY" && integration.http_method == "OPTIONS" && integration.resource_id == aws_api_gateway_method.preflight[name].resource_id])
    error_message = "The function answers each path."
  }

  assert {
    condition     = alltrue([for method in aws_api_gateway_method.any : method.authorization == "CUSTOM"])
    error_message = "All other methods still need credentials."
  }

  assert {
    condition     = alltrue([for response in aws_api_gateway_gateway_response.problem : response.response_parameters["gatewayresponse.header.Access-Control-Allow-Origin"] == "'https://shop.example.com'"])
    error_message = "The page must be able to read API Gateway's own 401, 403, 429, 502 and 504."
  }

  assert {
    condition     = aws_lambda_function.api.environment[0].variables.CORS_ALLOWED_ORIGINS == "https://shop.example.com"
    error_message = "The function must know the origins."
  }
}

run "api_gateway_cannot_choose_among_origins" {
  command = plan

  variables {
    cors_allowed_origins = ["https://shop.example.com", "http://localhost:8080"]
  }

  assert {
    condition     = alltrue([for response in aws_api_gateway_gateway_response.problem : response.response_parameters["gatewayresponse.header.Access-Control-Allow-Origin"] == "'*'" && !can(response.response_parameters["gatewayresponse.header.Access-Control-Allow-Credentials"])])
    error_message = "With several origins its errors allow all of them, and no cookies."
  }

  assert {
    condition     = aws_lambda_function.api.environment[0].variables.CORS_ALLOWED_ORIGINS == "https://shop.example.com,http://localhost:8080"
    error_message = "The function must know the origins."
  }
}

run "without_a_web_acl_there_is_no_association" {
  command = plan

  assert {
    condition     = length(aws_wafv2_web_acl_association.api) == 0
    error_message = "The caller brings the web ACL."
  }
}

run "a_web_acl_protects_the_stage" {
  command = plan

  variables {
    web_acl_arn = "arn:aws:wafv2:eu-west-1:123456789012:regional/webacl/api/1"
  }

  assert {
    condition     = aws_wafv2_web_acl_association.api["api"].resource_arn == aws_api_gateway_stage.live.arn && aws_wafv2_web_acl_association.api["api"].web_acl_arn == "arn:aws:wafv2:eu-west-1:123456789012:regional/webacl/api/1"
    error_message = "The web ACL must protect the stage of the API."
  }
}

run "concurrency_is_reserved_where_it_is_asked_for" {
  command = plan

  variables {
    api_reserved_concurrency        = 50
    authorizer_reserved_concurrency = 20
  }

  assert {
    condition     = aws_lambda_function.api.reserved_concurrent_executions == 50 && aws_lambda_function.api_authorizer["api"].reserved_concurrent_executions == 20
    error_message = "Each function has its own reservation."
  }
}

run "a_protected_secret_can_be_restored" {
  command = plan

  assert {
    condition     = aws_secretsmanager_secret.api["api"].recovery_window_in_days == 30
    error_message = "A deleted secret can be restored for 30 days."
  }
}

run "an_unprotected_secret_frees_its_name" {
  command = plan

  variables {
    deletion_protection = false
  }

  assert {
    condition     = aws_secretsmanager_secret.api["api"].recovery_window_in_days == 0
    error_message = "The next apply needs the name."
  }
}

run "the_key_encrypts_environments_too" {
  command = plan

  variables {
    kms_key_arn = "arn:aws:kms:eu-west-1:123456789012:key/1"
  }

  assert {
    condition     = aws_lambda_function.api.kms_key_arn == "arn:aws:kms:eu-west-1:123456789012:key/1" && aws_lambda_function.api_authorizer["api"].kms_key_arn == "arn:aws:kms:eu-west-1:123456789012:key/1"
    error_message = "The key must encrypt the environments."
  }
}

run "an_acl_of_another_region_is_refused" {
  command = plan

  variables {
    web_acl_arn = "arn:aws:wafv2:us-east-1:123456789012:regional/webacl/api/1"
  }

  expect_failures = [aws_wafv2_web_acl_association.api]
}

run "an_api_key_of_another_region_is_refused" {
  command = plan

  variables {
    kms_key_arn = "arn:aws:kms:us-east-1:123456789012:key/own"
  }

  expect_failures = [aws_dynamodb_table.idempotency]
}

run "an_api_topic_of_another_region_is_refused" {
  command = plan

  variables {
    alarm_topic_arn = "arn:aws:sns:us-east-1:123456789012:alarms"
  }

  expect_failures = [aws_cloudwatch_metric_alarm.api]
}

run "an_api_boundary_of_another_partition_is_refused" {
  command = plan

  variables {
    permissions_boundary = "arn:aws-cn:iam::123456789012:policy/boundary"
  }

  expect_failures = [aws_iam_role.function]
}

# Another env has a new secret, whose ARN is not known at plan.
run "more_origins_than_lambda_takes_are_refused" {
  command = plan

  variables {
    env                  = "other"
    cors_allowed_origins = [for number in range(100) : "https://shop-${number}.department.example.com"]
  }

  expect_failures = [aws_lambda_function.api]
}

run "as_many_origins_as_lambda_takes_are_allowed" {
  command = plan

  variables {
    env                  = "other"
    cors_allowed_origins = [for number in range(80) : "https://shop-${number}.department.example.com"]
  }

  assert {
    condition     = aws_lambda_function.api.function_name == "backstream-other-api"
    error_message = "The environment must fit."
  }
}
