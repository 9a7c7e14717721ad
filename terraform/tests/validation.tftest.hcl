# A plan refuses invalid values, and names the variable.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  aws_region                = "eu-west-1"
  env                       = "test"
  vpc_id                    = "vpc-1"
  rds_sg_id                 = "sg-database"
  rds_secret_arn            = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:mysql-AbCdEf"
  rds_connection_param_name = "/test/mysql"
  build_dir                 = "./tests/fixture"
}

run "too_small" {
  command = plan

  variables {
    stream_batch_size                 = 0
    stream_batching_window_seconds    = -1
    stream_parallelization_factor     = 0
    stream_maximum_retry_attempts     = -2
    stream_maximum_record_age_seconds = 59
    stream_generation                 = -1
    api_throttle_rate                 = 0
    api_throttle_burst                = 0
    api_memory_mb                     = 127
    api_timeout_seconds               = 0
    consumer_memory_mb                = 127
    consumer_timeout_seconds          = 0
    idempotency_ttl_hours             = 0
    max_statement_bytes               = 999
    mysql_connect_timeout_seconds     = 0
    mysql_port                        = 0
    mysql_read_timeout_seconds        = 0
    order_ttl_days                    = 0
    rds_proxy_max_connections_percent = 0
    replayed_retention_days           = -1
  }

  expect_failures = [
    var.stream_batch_size,
    var.stream_batching_window_seconds,
    var.stream_parallelization_factor,
    var.stream_maximum_retry_attempts,
    var.stream_maximum_record_age_seconds,
    var.stream_generation,
    var.api_throttle_rate,
    var.api_throttle_burst,
    var.api_memory_mb,
    var.api_timeout_seconds,
    var.consumer_memory_mb,
    var.consumer_timeout_seconds,
    var.idempotency_ttl_hours,
    var.max_statement_bytes,
    var.mysql_connect_timeout_seconds,
    var.mysql_port,
    var.mysql_read_timeout_seconds,
    var.order_ttl_days,
    var.rds_proxy_max_connections_percent,
    var.replayed_retention_days,
  ]
}

run "too_large" {
  command = plan

  variables {
    stream_batch_size                 = 10001
    stream_batching_window_seconds    = 301
    stream_parallelization_factor     = 11
    stream_maximum_retry_attempts     = 10001
    stream_generation                 = 10000
    stream_maximum_record_age_seconds = 82801 # the stream's 24 hours, less one for the last retry
    api_memory_mb                     = 10241
    api_timeout_seconds               = 30
    consumer_memory_mb                = 10241
    consumer_timeout_seconds          = 901
    idempotency_ttl_hours             = 8761
    max_statement_bytes               = 16000001
    mysql_connect_timeout_seconds     = 16
    mysql_port                        = 65536
    mysql_read_timeout_seconds        = 41
    order_ttl_days                    = 3651
    rds_proxy_max_connections_percent = 101
    mysql_ca_pem                      = format("%2561s", "x")
  }

  expect_failures = [
    var.stream_batch_size,
    var.stream_batching_window_seconds,
    var.stream_parallelization_factor,
    var.stream_maximum_retry_attempts,
    var.stream_maximum_record_age_seconds,
    var.stream_generation,
    var.api_memory_mb,
    var.api_timeout_seconds,
    var.consumer_memory_mb,
    var.consumer_timeout_seconds,
    var.idempotency_ttl_hours,
    var.max_statement_bytes,
    var.mysql_connect_timeout_seconds,
    var.mysql_port,
    var.mysql_read_timeout_seconds,
    var.order_ttl_days,
    var.rds_proxy_max_connections_percent,
    var.mysql_ca_pem,
  ]
}

# AWS would refuse each of these at apply.

run "names_that_aws_keeps_for_itself" {
  command = plan

  variables {
    env                       = "qa--2"
    name                      = "sg"
    rds_connection_param_name = "/aws/mysql"
  }

  expect_failures = [
    var.env,
    var.name,
    var.rds_connection_param_name,
  ]
}

run "a_prefix_that_s3_keeps_for_itself" {
  command = plan

  variables {
    name                      = "sthree-a"
    rds_connection_param_name = "test/mysql" # not a full path
  }

  expect_failures = [
    var.name,
    var.rds_connection_param_name,
  ]
}

run "another_prefix_that_s3_keeps_for_itself" {
  command = plan

  variables {
    name                      = "amzn" # with env = s3-demo
    rds_connection_param_name = "SSM-mysql"
  }

  expect_failures = [
    var.name,
    var.rds_connection_param_name,
  ]
}

run "a_prefix_that_ssm_keeps_for_itself" {
  command = plan

  variables {
    name = "ssmorders" # the outputs parameter would be /ssmorders-test/outputs
  }

  expect_failures = [var.name]
}

run "names_that_only_look_so" {
  command = plan

  variables {
    name                      = "sgate"
    rds_connection_param_name = "/my/aws/mysql"
  }

  assert {
    condition     = aws_dynamodb_table.orders.name == "sgate-test-orders"
    error_message = "Only a whole word before a hyphen is reserved."
  }
}

run "two_hyphens_in_a_row" {
  command = plan

  variables {
    name                              = "back--s"
    rds_proxy_max_connections_percent = 2.5
  }

  expect_failures = [
    var.name,
    var.rds_proxy_max_connections_percent,
  ]
}

run "a_bucket_name_that_is_too_long" {
  command = plan

  variables {
    name       = "backstream"
    env        = "production-ohio"
    aws_region = "us-isof-south-1"
  }

  expect_failures = [aws_s3_bucket.failures]
}

run "the_longest_names_are_legal" {
  command = plan

  variables {
    name                    = "backstream"
    env                     = "production-ohio"
    aws_region              = "ap-southeast-2"
    auto_replay             = true
    failure_destination     = "sqs"
    create_vpc_endpoints    = ["ssm"]
    rds_instance_identifier = "legacy"
    rds_database            = "shop"

    manage_api_gateway_account = true
  }

  assert {
    condition = alltrue([
      for name in concat([for role in aws_iam_role.function : role.name], [for role in aws_iam_role.proxy : role.name], [for role in aws_iam_role.auto_replay : role.name], [for role in aws_iam_role.api_gateway_logs : role.name], [aws_iam_role.replay.name]) :
      length(name) <= 64 && endswith(name, "-ap-southeast-2") && can(regex("^[a-z0-9-]+$", name))
    ])
    error_message = "IAM allows 64 characters. Its names are global, so they contain the Region."
  }

  assert {
    condition     = alltrue([for name in values(local.function_names) : length(name) <= 64]) && length(aws_sfn_state_machine.replay.name) <= 80 && alltrue([for rule in aws_cloudwatch_event_rule.auto_replay : length(rule.name) <= 64])
    error_message = "Functions and rules allow 64 characters, state machines 80."
  }

  assert {
    condition     = length(aws_s3_bucket.failures.bucket) <= 63 && alltrue([for proxy in aws_db_proxy.mysql : length(proxy.name) <= 63 && can(regex("^[a-z](-?[a-z0-9]+)*$", proxy.name))])
    error_message = "Buckets and proxies allow 63 characters."
  }
}

run "the_longest_regions_roles_are_legal" {
  command = plan

  variables {
    name                       = "backstream"
    env                        = "production-oh" # the bucket's name has the account and the Region, too
    aws_region                 = "us-isof-south-1"
    auto_replay                = true
    rds_instance_identifier    = "legacy"
    rds_database               = "shop"
    manage_api_gateway_account = true
  }

  assert {
    condition = alltrue([
      for name in concat([for role in aws_iam_role.function : role.name], [for role in aws_iam_role.proxy : role.name], [for role in aws_iam_role.auto_replay : role.name], [for role in aws_iam_role.api_gateway_logs : role.name], [aws_iam_role.replay.name]) :
      length(name) <= 64 && endswith(name, "-us-isof-south-1")
    ])
    error_message = "IAM allows 64 characters."
  }
}

run "no_such_choice" {
  command = plan

  variables {
    env                       = "Prod_1"
    name                      = "a-name-too-long-for-a-bucket"
    rds_connection_param_name = "arn:aws:ssm:eu-west-1:123456789012:parameter/mysql"
    api_auth                  = "none"
    api_username              = "a:b"
    failure_destination       = "sns"
    log_level                 = "LOUD"
    log_retention_days        = 31
    mysql_tls                 = "maybe"
    create_vpc_endpoints      = ["ssm", "logs"]

    rds_secret_kms_key_arn           = "arn:aws:kms:eu-west-1:123456789012:alias/mysql"
    rds_connection_param_kms_key_arn = "alias/aws/ssm"
  }

  expect_failures = [
    var.env,
    var.name,
    var.rds_connection_param_name,
    var.api_auth,
    var.api_username,
    var.failure_destination,
    var.log_level,
    var.log_retention_days,
    var.mysql_tls,
    var.create_vpc_endpoints,
    var.rds_secret_kms_key_arn,
    var.rds_connection_param_kms_key_arn,
  ]
}
