# Bad values are refused at plan, by name.

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
    mysql_ca_pem                      = format("%3073s", "x")
  }

  expect_failures = [
    var.stream_batch_size,
    var.stream_batching_window_seconds,
    var.stream_parallelization_factor,
    var.stream_maximum_retry_attempts,
    var.stream_maximum_record_age_seconds,
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
  ]
}

# Each of these plans, and is refused by AWS at apply.

run "a_bucket_name_that_s3_reserves" {
  command = plan

  variables {
    name = "sthree"
  }

  expect_failures = [var.name]
}

run "a_name_with_two_hyphens_in_a_row" {
  command = plan

  variables {
    name = "xn--a"
    env  = "a--b"
  }

  expect_failures = [var.name, var.env]
}

run "a_hierarchy_without_its_first_slash" {
  command = plan

  variables {
    rds_connection_param_name = "test/mysql"
  }

  expect_failures = [var.rds_connection_param_name]
}

run "a_parameter_name_that_ssm_reserves" {
  command = plan

  variables {
    rds_connection_param_name = "/SSM/mysql"
  }

  expect_failures = [var.rds_connection_param_name]
}
