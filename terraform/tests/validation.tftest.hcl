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
    monitor_schedule_minutes          = 0
    mysql_connect_timeout_seconds     = 0
    mysql_port                        = 0
    mysql_read_timeout_seconds        = 0
    order_ttl_days                    = 0
    rds_proxy_max_connections_percent = 0
    replayed_retention_days           = -1
    load_concurrency                  = 0
    load_read_units_per_second        = 0
    reconciler_memory_mb              = 255
    seed_write_units_per_second       = 0
    verify_settle_seconds             = 0
    verify_slices                     = 0
    prune_horizon_days                = 36
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
    var.monitor_schedule_minutes,
    var.mysql_connect_timeout_seconds,
    var.mysql_port,
    var.mysql_read_timeout_seconds,
    var.order_ttl_days,
    var.rds_proxy_max_connections_percent,
    var.replayed_retention_days,
    var.load_concurrency,
    var.load_read_units_per_second,
    var.reconciler_memory_mb,
    var.seed_write_units_per_second,
    var.verify_settle_seconds,
    var.verify_slices,
    var.prune_horizon_days,
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
    monitor_schedule_minutes          = 6
    mysql_connect_timeout_seconds     = 16
    mysql_port                        = 65536
    mysql_read_timeout_seconds        = 41
    order_ttl_days                    = 3651
    rds_proxy_max_connections_percent = 101
    mysql_ca_pem                      = format("%2561s", "x")
    load_concurrency                  = 41
    load_read_units_per_second        = 1000001
    reconciler_memory_mb              = 10241
    seed_write_units_per_second       = 1000001
    verify_settle_seconds             = 3601
    verify_slices                     = 10000
    prune_horizon_days                = 36501
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
    var.monitor_schedule_minutes,
    var.mysql_connect_timeout_seconds,
    var.mysql_port,
    var.mysql_read_timeout_seconds,
    var.order_ttl_days,
    var.rds_proxy_max_connections_percent,
    var.mysql_ca_pem,
    var.load_concurrency,
    var.load_read_units_per_second,
    var.reconciler_memory_mb,
    var.seed_write_units_per_second,
    var.verify_settle_seconds,
    var.verify_slices,
    var.prune_horizon_days,
  ]
}

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

run "no_such_choice" {
  command = plan

  variables {
    env                       = "Prod_1"
    name                      = "a-name-too-long-for-a-bucket"
    rds_connection_param_name = "arn:aws:ssm:eu-west-1:123456789012:parameter/mysql"
    rds_secret_arn            = "prod/mysql"
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
    var.rds_secret_arn,
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

run "bad_settings_are_refused" {
  command = plan

  variables {
    replay_concurrency              = 41
    replay_database_wait_seconds    = -1
    replay_check_interval_seconds   = 0
    replayer_memory_mb              = 256
    auto_replay_schedule_minutes    = 0
    replayer_reserved_concurrency   = 0
    consumer_reserved_concurrency   = 1.5
    api_reserved_concurrency        = 0
    authorizer_reserved_concurrency = 1.5
    schema_reserved_concurrency     = 0
    load_concurrency                = 1.5
    seed_write_units_per_second     = 1.5
    reconciler_reserved_concurrency = 0
    verify_settle_seconds           = 1.5
    verify_slices                   = 1.5
    verify_schedule_expression      = "rate(1 days)"
    prune_horizon_days              = 40.5
    prune_schedule_expression       = "cron(0 5 * * * *)"
  }

  expect_failures = [
    var.replay_concurrency,
    var.replay_database_wait_seconds,
    var.replay_check_interval_seconds,
    var.replayer_memory_mb,
    var.auto_replay_schedule_minutes,
    var.replayer_reserved_concurrency,
    var.consumer_reserved_concurrency,
    var.api_reserved_concurrency,
    var.authorizer_reserved_concurrency,
    var.schema_reserved_concurrency,
    var.load_concurrency,
    var.reconciler_reserved_concurrency,
    var.seed_write_units_per_second,
    var.verify_settle_seconds,
    var.verify_slices,
    var.prune_horizon_days,
    var.verify_schedule_expression,
    var.prune_schedule_expression,
  ]
}

run "names_that_only_look_so" {
  command = plan

  variables {
    name                      = "sgate"
    rds_connection_param_name = "/my/aws/mysql"
  }

  assert {
    condition     = output.table_name == "sgate-test-orders"
    error_message = "Only a whole word before a hyphen is reserved."
  }
}

run "new_inputs_are_checked" {
  command = plan

  variables {
    kms_key_arn          = "alias/own"
    web_acl_arn          = "arn:aws:wafv2:us-east-1:123456789012:global/webacl/api/1"
    role_path            = "platform"
    permissions_boundary = "boundary"
    subnet_ids           = []
    lambda_zips          = { bucket = "releases" }
  }

  expect_failures = [var.kms_key_arn, var.web_acl_arn, var.role_path, var.permissions_boundary, var.subnet_ids, var.lambda_zips]
}

run "no_origin_wildcard" {
  command = plan

  variables {
    cors_allowed_origins = ["https://shop.example.com:8443", "*"]
  }

  expect_failures = [var.cors_allowed_origins]
}

run "no_origin_wildcard_host" {
  command = plan

  variables {
    cors_allowed_origins = ["https://shop.example.com:8443", "https://*.example.com"]
  }

  expect_failures = [var.cors_allowed_origins]
}

run "no_origin_path" {
  command = plan

  variables {
    cors_allowed_origins = ["https://shop.example.com:8443", "https://shop.example.com/"]
  }

  expect_failures = [var.cors_allowed_origins]
}

run "no_origin_no_tls" {
  command = plan

  variables {
    cors_allowed_origins = ["https://shop.example.com:8443", "http://shop.example.com"]
  }

  expect_failures = [var.cors_allowed_origins]
}

run "no_origin_upper_case" {
  command = plan

  variables {
    cors_allowed_origins = ["https://shop.example.com:8443", "https://Shop.example.com"]
  }

  expect_failures = [var.cors_allowed_origins]
}

run "no_origin_default_port" {
  command = plan

  variables {
    cors_allowed_origins = ["https://shop.example.com:8443", "https://shop.example.com:443"]
  }

  expect_failures = [var.cors_allowed_origins]
}

run "no_origin_no_scheme" {
  command = plan

  variables {
    cors_allowed_origins = ["https://shop.example.com:8443", "shop.example.com"]
  }

  expect_failures = [var.cors_allowed_origins]
}

run "no_origin_default_port_of_localhost" {
  command = plan

  variables {
    cors_allowed_origins = ["https://shop.example.com:8443", "http://localhost:80"]
  }

  expect_failures = [var.cors_allowed_origins]
}

run "tags_take_what_iam_allows" {
  command = plan

  variables {
    tags = { Env = "prod", "cost:centre/1" = "Bücher_.:/=+-@ 2", Empty = "" }
  }

  assert {
    condition     = output.table_name == "backstream-test-orders"
    error_message = "Env may have another value."
  }
}

run "no_tag_key_of_project_or_env_in_another_case" {
  command = plan

  variables {
    tags = { env = "prod" }
  }

  expect_failures = [var.tags]
}

run "no_tag_keys_that_differ_in_case_only" {
  command = plan

  variables {
    tags = { Team = "orders", team = "payments" }
  }

  expect_failures = [var.tags]
}

run "no_tag_key_with_a_character_that_iam_refuses" {
  command = plan

  variables {
    tags = { "team!" = "orders" }
  }

  expect_failures = [var.tags]
}

run "no_tag_value_with_a_character_that_iam_refuses" {
  command = plan

  variables {
    tags = { Team = "A,B (x)" }
  }

  expect_failures = [var.tags]
}

run "no_tag_value_that_is_too_long" {
  command = plan

  variables {
    tags = { Team = format("%0257d", 0) }
  }

  expect_failures = [var.tags]
}

run "no_tag_value_with_a_prefix_of_aws" {
  command = plan

  variables {
    tags = { Team = "aws:orders" }
  }

  expect_failures = [var.tags]
}

run "no_tag_key_with_a_prefix_of_aws" {
  command = plan

  variables {
    tags = { "AWS:team" = "orders" }
  }

  expect_failures = [var.tags]
}

run "no_more_tags_than_aws_allows" {
  command = plan

  variables {
    tags = { for number in range(48) : "tag-${number}" => "x" }
  }

  expect_failures = [var.tags]
}
