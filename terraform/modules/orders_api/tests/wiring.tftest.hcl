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
  env         = "test"
  table_name  = "backstream-test-orders"
  lambda_zips = { folder = "../../tests/fixture" }
}

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
  variables {
    manage_api_gateway_account = true
    api_access_logs            = false
  }

  assert {
    condition     = length(aws_api_gateway_account.logs) == 1 && length(aws_api_gateway_stage.live.access_log_settings) == 0
    error_message = "The role must be possible without access logs."
  }
}
