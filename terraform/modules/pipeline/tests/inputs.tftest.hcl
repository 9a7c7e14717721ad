# What callers of the module choose: the table, names, keys, networks and zips.

mock_provider "aws" {
  source = "../../tests/mocks"
}

override_resource {
  target = aws_sfn_state_machine.job["prune"]
  values = { arn = "arn:aws:states:eu-west-1:123456789012:stateMachine:backstream-test-customers-prune" }
}

override_resource {
  target = aws_sfn_state_machine.job["seed"]
  values = { arn = "arn:aws:states:eu-west-1:123456789012:stateMachine:backstream-test-customers-seed" }
}

override_resource {
  target = aws_sfn_state_machine.job["verify"]
  values = { arn = "arn:aws:states:eu-west-1:123456789012:stateMachine:backstream-test-customers-verify" }
}

override_resource {
  target = aws_sfn_state_machine.replay
  values = { arn = "arn:aws:states:eu-west-1:123456789012:stateMachine:backstream-test-customers-replay" }
}

variables {
  # alarms.tftest.hcl tests these. Without them a run takes a quarter less time.
  create_alarms    = false
  create_dashboard = false

  env      = "test"
  pipeline = "customers"
  mapping  = "customers"
  vpc_id   = "vpc-1"
  table = {
    partition_key = { name = "id", type = "B" }
    sort_key      = { name = "version", type = "N" }
  }
  rds_sg_id                 = "sg-database"
  rds_secret_arn            = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:mysql-AbCdEf"
  rds_connection_param_name = "/test/mysql"
  lambda_zips               = { folder = "../../tests/fixture" }
}

# Applied once. The other runs plan changes to it where that shows all values, which is quicker.
run "the_table_has_the_keys_that_are_named" {
  assert {
    condition     = aws_dynamodb_table.source["table"].hash_key == "id" && aws_dynamodb_table.source["table"].range_key == "version" && { for attribute in aws_dynamodb_table.source["table"].attribute : attribute.name => attribute.type } == { id = "B", version = "N" }
    error_message = "Keys of any type are possible."
  }

  assert {
    condition     = aws_dynamodb_table.source["table"].name == "backstream-test-customers" && length(aws_dynamodb_table.source["table"].ttl) == 0
    error_message = "The table has the name of the pipeline, and expires nothing unless asked to."
  }
}

run "every_name_has_the_name_of_the_pipeline" {
  command = plan

  variables {
    auto_replay                = true
    create_rds_proxy           = true
    rds_instance_identifier    = "legacy"
    rds_database               = "shop"
    verify_schedule_expression = "rate(1 day)"
    prune_schedule_expression  = "rate(7 days)"
  }

  assert {
    condition = alltrue([
      for name in concat(
        values(output.role_names), values(output.log_group_names), [for rule in aws_cloudwatch_event_rule.auto_replay : rule.name], [for rule in aws_cloudwatch_event_rule.verify : rule.name], [for rule in aws_cloudwatch_event_rule.prune : rule.name],
        [output.consumer_function_name, output.schema_function_name, output.replayer_function_name, output.reconciler_function_name, output.monitor_function_name, aws_cloudwatch_event_rule.monitor.name, output.failures_bucket, output.table_name, output.replay_lock_table_name],
        [aws_sfn_state_machine.replay.name, aws_sfn_state_machine.job["load"].name, aws_sfn_state_machine.job["verify"].name, aws_sfn_state_machine.job["seed"].name, aws_sfn_state_machine.job["prune"].name, aws_security_group.consumer["consumer"].name, aws_security_group.proxy["proxy"].name, aws_db_proxy.mysql["proxy"].name, aws_dynamodb_table.guard["guard"].name],
      ) : strcontains(name, "backstream-test-customers")
    ])
    error_message = "Two pipelines of one env must not have a name in common."
  }

  assert {
    condition     = output.outputs_param_name == "/backstream-test/customers/outputs" && jsondecode(aws_ssm_parameter.outputs["outputs"].insecure_value).replay_state_machine_arn == output.replay_state_machine_arn
    error_message = "The CLI finds the pipeline in its own parameter."
  }
}

run "the_mapping_reaches_all_functions_and_runs_the_schema_step" {
  command = plan

  assert {
    condition     = alltrue([for function in [aws_lambda_function.stream_consumer, aws_lambda_function.schema, aws_lambda_function.dlq_replayer, aws_lambda_function.reconciler, aws_lambda_function.monitor] : function.environment[0].variables.MAPPING == "customers"])
    error_message = "All functions must use the same mapping."
  }

  assert {
    condition     = aws_lambda_invocation.schema.triggers.mapping == "customers"
    error_message = "Another mapping may need other tables."
  }
}

run "an_existing_table_is_read_and_not_changed" {
  command = plan

  variables {
    table      = null
    table_name = "customers"
  }

  assert {
    condition     = length(aws_dynamodb_table.source) == 0 && aws_lambda_event_source_mapping.stream.event_source_arn == "arn:aws:dynamodb:eu-west-1:123456789012:table/customers/stream/2026-01-01T00:00:00.000"
    error_message = "The stream of the table feeds the consumer."
  }

  assert {
    condition     = output.table_arn == "arn:aws:dynamodb:eu-west-1:123456789012:table/customers" && contains(flatten(data.aws_iam_policy_document.stream_consumer.statement[*].resources), "arn:aws:dynamodb:eu-west-1:123456789012:table/customers/stream/*")
    error_message = "The roles may read this table's streams."
  }
}

run "a_stream_names_its_table" {
  command = plan

  variables {
    table      = null
    stream_arn = "arn:aws:dynamodb:eu-west-1:123456789012:table/customers/stream/2026-01-01T00:00:00.000"
  }

  assert {
    condition     = output.table_name == "customers" && aws_lambda_function.stream_consumer.environment[0].variables.STREAM_ARN == var.stream_arn
    error_message = "The table is part of the ARN of its stream."
  }

  assert {
    condition     = local.replayer_environment_bytes == length(jsonencode(aws_lambda_function.dlq_replayer.environment[0].variables))
    error_message = "The ARN that is measured must be as long as a real one."
  }
}

run "a_table_without_a_stream_is_refused" {
  command = plan

  variables {
    table      = null
    table_name = "customers"
  }

  override_data {
    target = data.aws_dynamodb_table.source["table"]
    values = { stream_enabled = false, stream_arn = "", stream_view_type = "" }
  }

  expect_failures = [data.aws_dynamodb_table.source["table"]]
}

run "a_stream_of_keys_is_refused" {
  command = plan

  variables {
    table      = null
    table_name = "customers"
  }

  override_data {
    target = data.aws_dynamodb_table.source["table"]
    values = { stream_enabled = true, stream_view_type = "KEYS_ONLY" }
  }

  expect_failures = [data.aws_dynamodb_table.source["table"]]
}

run "a_stream_of_new_images_is_enough" {
  command = plan

  variables {
    table      = null
    table_name = "customers"
  }

  override_data {
    target = data.aws_dynamodb_table.source["table"]
    values = {
      stream_enabled   = true
      stream_view_type = "NEW_IMAGE"
      stream_arn       = "arn:aws:dynamodb:eu-west-1:123456789012:table/customers/stream/2026-01-01T00:00:00.000"
    }
  }
}

run "a_stream_that_was_replaced_is_refused" {
  command = plan

  variables {
    table      = null
    stream_arn = "arn:aws:dynamodb:eu-west-1:123456789012:table/customers/stream/2025-01-01T00:00:00.000"
  }

  expect_failures = [data.aws_dynamodb_table.source["table"]]
}

run "a_stream_of_another_region_is_refused" {
  command = plan

  variables {
    table      = null
    stream_arn = "arn:aws:dynamodb:us-east-1:123456789012:table/customers/stream/2026-01-01T00:00:00.000"
  }

  expect_failures = [data.aws_dynamodb_table.source["table"]]
}

run "a_stream_of_another_account_is_refused" {
  command = plan

  variables {
    table      = null
    stream_arn = "arn:aws:dynamodb:eu-west-1:210987654321:table/customers/stream/2026-01-01T00:00:00.000"
  }

  # Even if it were the stream that the data source finds.
  override_data {
    target = data.aws_dynamodb_table.source["table"]
    values = {
      stream_enabled   = true
      stream_view_type = "NEW_AND_OLD_IMAGES"
      stream_arn       = "arn:aws:dynamodb:eu-west-1:210987654321:table/customers/stream/2026-01-01T00:00:00.000"
    }
  }

  expect_failures = [data.aws_dynamodb_table.source["table"]]
}

run "a_pipeline_has_one_table" {
  command = plan

  variables {
    table_name = "customers"
  }

  expect_failures = [aws_dynamodb_table.source["table"]]
}

run "a_pipeline_has_a_table" {
  command = plan

  variables {
    table = null
  }

  expect_failures = [data.aws_dynamodb_table.source["table"]]
}

run "an_index_needs_the_types_of_its_keys" {
  command = plan

  variables {
    table = { partition_key = { name = "id" }, indexes = { by_name = { partition_key = "name" } } }
  }

  expect_failures = [aws_dynamodb_table.source["table"]]
}

run "bad_names_are_refused" {
  command = plan

  variables {
    pipeline             = "Customers"
    mapping              = "mappings/customers.json"
    table                = { partition_key = { name = "id", type = "BOOL" } }
    stream_arn           = "arn:aws:dynamodb:eu-west-1:123456789012:table/customers"
    table_name           = "arn:aws:dynamodb:eu-west-1:123456789012:table/customers"
    kms_key_arn          = "alias/own"
    rds_secret_arn       = "prod/mysql"
    role_path            = "platform"
    permissions_boundary = "boundary"
    subnet_ids           = []
    streams_endpoint_url = "vpce-1"
    lambda_zips          = { bucket = "releases" }
    tags                 = { Team = "customers", team = "payments" }
  }

  expect_failures = [
    var.pipeline, var.mapping, var.table, var.stream_arn, var.table_name, var.kms_key_arn, var.rds_secret_arn,
    var.role_path, var.permissions_boundary, var.subnet_ids, var.streams_endpoint_url, var.lambda_zips, var.tags,
  ]
}

# IAM matches the whole ARN. Secrets Manager adds six characters to the name.
run "a_secret_without_its_suffix_is_refused" {
  command = plan

  variables {
    rds_secret_arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod/mysql"
  }

  expect_failures = [var.rds_secret_arn]
}

run "a_secret_of_another_region_is_refused" {
  command = plan

  variables {
    rds_secret_arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:mysql-AbCdEf"
  }

  expect_failures = [aws_lambda_function.schema]
}

run "a_key_of_another_regions_secret_is_refused" {
  command = plan

  variables {
    rds_secret_kms_key_arn = "arn:aws:kms:us-east-1:123456789012:key/secret"
  }

  expect_failures = [aws_lambda_function.schema]
}

run "a_key_of_another_regions_parameter_is_refused" {
  command = plan

  variables {
    rds_connection_param_kms_key_arn = "arn:aws:kms:us-east-1:123456789012:key/parameter"
  }

  expect_failures = [aws_lambda_function.schema]
}

run "a_key_of_another_region_is_refused" {
  command = plan

  variables {
    kms_key_arn = "arn:aws:kms:us-east-1:123456789012:key/own"
  }

  expect_failures = [aws_dynamodb_table.replay_lock]
}

run "a_key_of_another_partition_is_refused" {
  command = plan

  variables {
    kms_key_arn = "arn:aws-cn:kms:eu-west-1:123456789012:key/own"
  }

  expect_failures = [aws_dynamodb_table.replay_lock]
}

run "a_boundary_of_another_partition_is_refused" {
  command = plan

  variables {
    permissions_boundary = "arn:aws-cn:iam::123456789012:policy/boundary"
  }

  expect_failures = [aws_iam_role.function]
}

run "another_partition_takes_its_own_arns" {
  command = plan

  variables {
    create_alarms                    = true
    alarm_topic_arn                  = "arn:aws-cn:sns:cn-north-1:123456789012:own"
    kms_key_arn                      = "arn:aws-cn:kms:cn-north-1:123456789012:key/own"
    permissions_boundary             = "arn:aws-cn:iam::aws:policy/boundary"
    rds_secret_arn                   = "arn:aws-cn:secretsmanager:cn-north-1:123456789012:secret:rds!db-01234567-AbCdEf"
    rds_secret_kms_key_arn           = "arn:aws-cn:kms:cn-north-1:123456789012:key/secret"
    rds_connection_param_kms_key_arn = "arn:aws-cn:kms:cn-north-1:123456789012:key/parameter"
  }

  override_data {
    target = data.aws_region.current
    values = { id = "cn-north-1" }
  }

  override_data {
    target = data.aws_partition.current
    values = { partition = "aws-cn", dns_suffix = "amazonaws.com.cn" }
  }

  assert {
    condition     = local.failures_queue_url == "https://sqs.cn-north-1.amazonaws.com.cn/123456789012/backstream-test-customers-failures"
    error_message = "The queue must be in the partition, too."
  }
}

# Another table is a new one, whose stream is not known at plan.
run "a_large_environment_is_refused_at_plan" {
  command = plan

  variables {
    table                     = { name = "other", partition_key = { name = "id" } }
    mysql_ca_pem              = join("\n", [for line in range(40) : format("%063d", line)])
    rds_connection_param_name = "/test/${format("%0700d", 0)}"
  }

  expect_failures = [aws_lambda_function.dlq_replayer, aws_lambda_function.reconciler]
}

run "a_large_certificate_alone_is_taken" {
  command = plan

  variables {
    table        = { name = "other", partition_key = { name = "id" } }
    mysql_ca_pem = join("\n", [for line in range(40) : format("%063d", line)])
  }

  assert {
    condition     = min(local.replayer_environment_bytes, local.reconciler_environment_bytes) > 3000
    error_message = "A certificate of the greatest length must leave room for names of usual lengths."
  }
}

run "a_role_name_that_is_too_long" {
  command = plan

  variables {
    name     = "backstream"
    env      = "production-ohio"
    pipeline = "orders-of-the-eu"
  }

  expect_failures = [aws_iam_role.function, aws_s3_bucket.failures]
}

run "a_key_of_your_own_encrypts_all_that_holds_data" {
  command = plan

  variables {
    kms_key_arn         = "arn:aws:kms:eu-west-1:123456789012:key/own"
    failure_destination = "sqs"
    heartbeat           = true
  }

  assert {
    condition = alltrue([
      for key in concat(
        [for table in [aws_dynamodb_table.source["table"], aws_dynamodb_table.replay_lock, aws_dynamodb_table.guard["guard"]] : table.server_side_encryption[0].kms_key_arn],
        [for group in concat(values(aws_cloudwatch_log_group.function), values(aws_cloudwatch_log_group.job), [aws_cloudwatch_log_group.replay]) : group.kms_key_id],
        [for rule in aws_s3_bucket_server_side_encryption_configuration.failures.rule : one(rule.apply_server_side_encryption_by_default).kms_master_key_id],
        [aws_sqs_queue.failures["failures"].kms_master_key_id],
        [aws_lambda_function.reconciler.environment[0].variables.FAILURES_BUCKET_KEY_ARN],
      ) : key == var.kms_key_arn
    ])
    error_message = "The key must reach all that holds data."
  }

  assert {
    condition     = toset([for machine in concat([aws_sfn_state_machine.replay], values(aws_sfn_state_machine.job)) : machine.encryption_configuration[0]]) == toset([{ type = "CUSTOMER_MANAGED_KMS_KEY", kms_key_id = var.kms_key_arn, kms_data_key_reuse_period_seconds = 300 }])
    error_message = "Executions must use the key, with the period that Step Functions describes."
  }

  assert {
    condition = {
      for function, document in data.aws_iam_policy_document.keys :
      function => join(", ", sort([for statement in document.statement : "${one(one(statement.condition).values)} ${join(" ", sort(statement.actions))}"]))
      } == {
      dlq_replayer    = "dynamodb.eu-west-1.amazonaws.com kms:Decrypt, s3.eu-west-1.amazonaws.com kms:Decrypt kms:GenerateDataKey, sqs.eu-west-1.amazonaws.com kms:Decrypt"
      monitor         = "dynamodb.eu-west-1.amazonaws.com kms:Decrypt, s3.eu-west-1.amazonaws.com kms:Decrypt, sqs.eu-west-1.amazonaws.com kms:Decrypt"
      reconciler      = "dynamodb.eu-west-1.amazonaws.com kms:Decrypt, s3.eu-west-1.amazonaws.com kms:Decrypt kms:GenerateDataKey"
      stream_consumer = "dynamodb.eu-west-1.amazonaws.com kms:Decrypt, s3.eu-west-1.amazonaws.com kms:Decrypt kms:GenerateDataKey, sqs.eu-west-1.amazonaws.com kms:Decrypt kms:GenerateDataKey"
    }
    error_message = "Each role may use the key for what it does, through one service each."
  }
}

run "without_a_key_no_role_may_use_one" {
  command = plan

  assert {
    condition     = flatten([for document in data.aws_iam_policy_document.keys : document.statement]) == []
    error_message = "Keys that AWS owns need no grant."
  }

  # Terraform leaves the key of an earlier apply where no other is planned, and the roles lose it.
  assert {
    condition     = !anytrue([for table in [aws_dynamodb_table.source["table"], aws_dynamodb_table.replay_lock, aws_dynamodb_table.guard["guard"]] : table.server_side_encryption[0].enabled])
    error_message = "A table must be planned without a key, so that it gives up one of before."
  }

  assert {
    condition     = toset([for machine in concat([aws_sfn_state_machine.replay], values(aws_sfn_state_machine.job)) : machine.encryption_configuration[0].type]) == toset(["AWS_OWNED_KEY"])
    error_message = "A state machine must be planned without a key, so that it gives up one of before."
  }
}

run "groups_of_your_own_get_no_rules" {
  command = plan

  variables {
    create_security_group = false
    security_group_ids    = ["sg-own"]
    rds_sg_id             = null
    subnet_ids            = ["subnet-9"]
  }

  assert {
    condition     = length(aws_security_group.consumer) + length(aws_vpc_security_group_egress_rule.consumer_https) + length(aws_vpc_security_group_egress_rule.consumer_mysql) + length(aws_vpc_security_group_ingress_rule.mysql_consumer) == 0
    error_message = "The caller's groups have the rules."
  }

  assert {
    condition     = aws_lambda_function.stream_consumer.vpc_config[0].security_group_ids == toset(["sg-own"]) && aws_lambda_function.stream_consumer.vpc_config[0].subnet_ids == toset(["subnet-9"])
    error_message = "The functions run in the caller's network."
  }
}

run "a_new_proxy_lets_groups_of_your_own_in" {
  command = plan

  variables {
    create_security_group   = false
    security_group_ids      = ["sg-own", "sg-other"]
    create_rds_proxy        = true
    rds_instance_identifier = "legacy"
    rds_database            = "shop"
  }

  assert {
    condition     = [for rule in aws_vpc_security_group_ingress_rule.proxy_consumer : rule.referenced_security_group_id] == ["sg-own", "sg-other"] && length(aws_vpc_security_group_egress_rule.consumer_proxy) == 0
    error_message = "Each group of the functions may connect to the proxy."
  }
}

run "no_group_at_all_is_an_error" {
  command = plan

  variables {
    create_security_group = false
  }

  expect_failures = [aws_lambda_function.stream_consumer]
}

run "a_group_needs_the_group_of_the_database" {
  command = plan

  variables {
    rds_sg_id = null
  }

  expect_failures = [aws_security_group.consumer["consumer"]]
}

run "roles_have_path_boundary_and_tags" {
  command = plan

  variables {
    auto_replay             = true
    create_rds_proxy        = true
    rds_instance_identifier = "legacy"
    rds_database            = "shop"
    permissions_boundary    = "arn:aws:iam::123456789012:policy/boundary"
    role_path               = "/platform/"
    tags                    = { Team = "customers" }
  }

  assert {
    condition     = alltrue([for role in concat(values(aws_iam_role.function), values(aws_iam_role.auto_replay), values(aws_iam_role.proxy), values(aws_iam_role.job), [aws_iam_role.replay]) : role.path == "/platform/" && role.permissions_boundary == var.permissions_boundary && role.tags == tomap({ Team = "customers" })])
    error_message = "Path, boundary and tags must reach every role."
  }
}

run "a_released_zip_is_taken_from_its_bucket" {
  command = plan

  variables {
    lambda_zips = {
      bucket       = "releases"
      keys         = { stream_consumer = "2.0/stream_consumer.zip", dlq_replayer = "2.0/dlq_replayer.zip", monitor = "2.0/monitor.zip", reconciler = "2.0/reconciler.zip" }
      runtime      = "python3.12"
      architecture = "x86_64"
    }
  }

  assert {
    condition     = aws_lambda_function.stream_consumer.s3_bucket == "releases" && aws_lambda_function.schema.s3_key == "2.0/stream_consumer.zip" && aws_lambda_function.dlq_replayer.s3_key == "2.0/dlq_replayer.zip" && aws_lambda_function.reconciler.s3_key == "2.0/reconciler.zip" && aws_lambda_function.monitor.s3_key == "2.0/monitor.zip" && aws_lambda_function.dlq_replayer.architectures == tolist(["x86_64"])
    error_message = "With a bucket no file is read."
  }

  assert {
    condition     = aws_lambda_invocation.schema.triggers.code == "releases/2.0/stream_consumer.zip"
    error_message = "A new key is new code."
  }
}

run "a_bucket_has_a_key_for_each_function" {
  command = plan

  variables {
    lambda_zips = { bucket = "releases", keys = { stream_consumer = "a.zip" }, runtime = "python3.12", architecture = "x86_64" }
  }

  expect_failures = [aws_lambda_function.dlq_replayer, aws_lambda_function.monitor, aws_lambda_function.reconciler]
}

run "a_bucket_name_that_is_too_long" {
  command = plan

  variables {
    rds_secret_arn = "arn:aws:secretsmanager:us-isof-south-1:123456789012:secret:mysql-AbCdEf"

    name     = "backstream"
    env      = "production-ohio"
    pipeline = null
  }

  override_data {
    target = data.aws_region.current
    values = { id = "us-isof-south-1" }
  }

  expect_failures = [aws_s3_bucket.failures]
}

run "the_longest_names_are_legal" {
  command = plan

  variables {
    rds_secret_arn = "arn:aws:secretsmanager:ap-southeast-2:123456789012:secret:mysql-AbCdEf"

    name                    = "backstream"
    env                     = "production-ohio"
    pipeline                = null
    auto_replay             = true
    failure_destination     = "sqs"
    create_rds_proxy        = true
    rds_instance_identifier = "legacy"
    rds_database            = "shop"

    stream_maximum_record_age_seconds = 43200
  }

  override_data {
    target = data.aws_region.current
    values = { id = "ap-southeast-2" }
  }

  assert {
    condition     = alltrue([for name in values(output.role_names) : length(name) <= 64 && endswith(name, "-ap-southeast-2") && can(regex("^[a-z0-9-]+$", name))])
    error_message = "IAM allows 64 characters. Its names are global, so they contain the Region."
  }

  assert {
    condition     = alltrue([for name in values(local.function_names) : length(name) <= 64]) && alltrue([for machine in concat(values(aws_sfn_state_machine.job), [aws_sfn_state_machine.replay]) : length(machine.name) <= 80]) && alltrue([for rule in aws_cloudwatch_event_rule.auto_replay : length(rule.name) <= 64])
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
    rds_secret_arn = "arn:aws:secretsmanager:us-isof-south-1:123456789012:secret:mysql-AbCdEf"

    name                    = "backstream"
    env                     = "production-oh"
    pipeline                = null
    auto_replay             = true
    failure_destination     = "sqs"
    create_rds_proxy        = true
    rds_instance_identifier = "legacy"
    rds_database            = "shop"

    stream_maximum_record_age_seconds = 43200
  }

  override_data {
    target = data.aws_region.current
    values = { id = "us-isof-south-1" }
  }

  assert {
    condition     = alltrue([for name in values(output.role_names) : length(name) <= 64 && endswith(name, "-us-isof-south-1") && can(regex("^[a-z0-9-]+$", name))])
    error_message = "IAM allows 64 characters. Its names are global, so they contain the Region."
  }

  assert {
    condition     = alltrue([for name in values(local.function_names) : length(name) <= 64]) && alltrue([for machine in concat(values(aws_sfn_state_machine.job), [aws_sfn_state_machine.replay]) : length(machine.name) <= 80]) && alltrue([for rule in aws_cloudwatch_event_rule.auto_replay : length(rule.name) <= 64])
    error_message = "Functions and rules allow 64 characters, state machines 80."
  }

  assert {
    condition     = length(aws_s3_bucket.failures.bucket) <= 63 && alltrue([for proxy in aws_db_proxy.mysql : length(proxy.name) <= 63 && can(regex("^[a-z](-?[a-z0-9]+)*$", proxy.name))])
    error_message = "Buckets and proxies allow 63 characters."
  }
}
