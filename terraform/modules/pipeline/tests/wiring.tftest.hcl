# The wiring of the live path, without an AWS account. A missing failure setting would show only in an outage.

mock_provider "aws" {
  source = "../../tests/mocks"
}

override_resource {
  target = aws_iam_role.function["stream_consumer"]
  values = { arn = "arn:aws:iam::123456789012:role/stream_consumer" }
}

override_resource {
  target = aws_iam_role.function["schema"]
  values = { arn = "arn:aws:iam::123456789012:role/schema" }
}

variables {
  # alarms.tftest.hcl tests these. Without them a run takes a quarter less time.
  create_alarms    = false
  create_dashboard = false

  env      = "test"
  pipeline = null
  vpc_id   = "vpc-1"
  table = {
    name          = "backstream-test-orders"
    partition_key = { name = "p_key" }
    sort_key      = { name = "s_key" }
    ttl_attribute = "record_ttl"
    attributes    = { merchant_id = "S", created_at = "N" }
    indexes       = { merchant_id-created_at-index = { partition_key = "merchant_id", sort_key = "created_at" } }
  }
  rds_sg_id                 = "sg-database"
  rds_secret_arn            = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:mysql-AbCdEf"
  rds_connection_param_name = "/test/mysql"
  lambda_zips               = { folder = "../../tests/fixture" }
}

# Applied once. The other runs plan changes to it where that shows all values, which is quicker.
run "failed_batches_go_to_the_bucket_by_default" {
  assert {
    condition     = aws_lambda_event_source_mapping.stream.destination_config[0].on_failure[0].destination_arn == aws_s3_bucket.failures.arn
    error_message = "The failure destination must be the failures bucket."
  }

  assert {
    condition     = length(aws_sqs_queue.failures) == 0 && output.failures_queue_url == ""
    error_message = "S3 mode has no queue."
  }

  assert {
    condition     = aws_lambda_function.stream_consumer.environment[0].variables.FAILURES_BUCKET == aws_s3_bucket.failures.bucket
    error_message = "The consumer parks poison records in the failures bucket."
  }
}

run "failed_batches_go_to_the_queue_in_sqs_mode" {
  variables {
    failure_destination = "sqs"
  }

  assert {
    condition     = aws_lambda_event_source_mapping.stream.destination_config[0].on_failure[0].destination_arn == aws_sqs_queue.failures["failures"].arn
    error_message = "The failure destination must be the failures queue."
  }

  assert {
    condition     = aws_sqs_queue.failures["failures"].message_retention_seconds == 1209600 && aws_sqs_queue.failures["failures"].sqs_managed_sse_enabled
    error_message = "Messages are encrypted, and kept as long as SQS allows."
  }

  assert {
    condition     = aws_lambda_function.stream_consumer.environment[0].variables.FAILURES_BUCKET == aws_s3_bucket.failures.bucket
    error_message = "Poison records go to the bucket in SQS mode too."
  }

  assert {
    condition     = contains(flatten(data.aws_iam_policy_document.stream_consumer.statement[*].resources), "arn:aws:sqs:eu-west-1:123456789012:backstream-test-failures")
    error_message = "The consumer's role needs the right to send: the mapping uses it."
  }

  assert {
    condition     = output.failures_queue_url == aws_sqs_queue.failures["failures"].url
    error_message = "The output must be the queue's URL."
  }
}

run "pointers_leave_time_to_replay_them" {
  command = plan

  variables {
    failure_destination               = "sqs"
    stream_maximum_record_age_seconds = 43201
  }

  expect_failures = [aws_lambda_event_source_mapping.stream]
}

run "half_a_day_is_the_most_for_pointers" {
  command = plan

  variables {
    failure_destination               = "sqs"
    stream_maximum_record_age_seconds = 43200
  }
}

run "whole_batches_may_wait_longer" {
  command = plan

  variables {
    stream_maximum_record_age_seconds = 82800
  }
}

run "the_mapping_waits_for_the_database_and_loses_nothing" {
  command = plan

  assert {
    condition     = aws_lambda_event_source_mapping.stream.starting_position == "TRIM_HORIZON"
    error_message = "LATEST misses changes while the mapping is created."
  }

  assert {
    condition     = aws_lambda_event_source_mapping.stream.maximum_retry_attempts == -1 && aws_lambda_event_source_mapping.stream.maximum_record_age_in_seconds == 21600
    error_message = "Only the record age limits the retries."
  }

  assert {
    condition     = length(coalesce(aws_lambda_event_source_mapping.stream.function_response_types, [])) == 0
    error_message = "The consumer raises. A malformed partial response would lose the batch."
  }

  assert {
    condition     = aws_lambda_event_source_mapping.stream.bisect_batch_on_function_error == false
    error_message = "The function isolates poison records, not bisection."
  }

  assert {
    condition     = aws_lambda_event_source_mapping.stream.event_source_arn == aws_dynamodb_table.source["table"].stream_arn && aws_lambda_event_source_mapping.stream.function_name == aws_lambda_alias.stream_consumer.arn
    error_message = "The mapping sends the stream of the orders table to the live version of the consumer."
  }
}

run "the_consumers_new_code_waits_for_the_alias" {
  command = plan

  assert {
    condition     = aws_lambda_function.stream_consumer.publish && aws_lambda_alias.stream_consumer.name == "live" && aws_lambda_alias.stream_consumer.function_name == aws_lambda_function.stream_consumer.function_name && aws_lambda_alias.stream_consumer.function_version == aws_lambda_function.stream_consumer.version
    error_message = "The alias names the published version, never $LATEST."
  }

  assert {
    condition     = !coalesce(aws_lambda_function.schema.publish, false)
    error_message = "The schema step runs unpublished, because it decides about the new version."
  }
}

run "the_code_may_not_use_the_services_rights" {
  command = plan

  assert {
    condition = alltrue([
      for name, document in data.aws_iam_policy_document.vpc_access :
      flatten([for statement in document.statement : [for condition in statement.condition : condition.values] if statement.effect == "Deny"]) == [for suffix in ["", ":*"] : "arn:aws:lambda:eu-west-1:123456789012:function:${local.function_names[name]}${suffix}"]
    ])
    error_message = "A call through an alias may carry a version."
  }
}

run "the_mapping_counts_what_it_drops" {
  command = plan

  assert {
    condition     = aws_lambda_event_source_mapping.stream.metrics_config[0].metrics == toset(["EventCount"])
    error_message = "Without it no metric shows a dropped batch."
  }
}

run "the_mapping_takes_its_settings_from_variables" {
  command = plan

  variables {
    stream_batch_size                 = 50
    stream_batching_window_seconds    = 2
    stream_parallelization_factor     = 4
    stream_maximum_retry_attempts     = 5
    stream_maximum_record_age_seconds = 60
  }

  assert {
    condition     = aws_lambda_event_source_mapping.stream.batch_size == 50
    error_message = "stream_batch_size must reach the mapping."
  }

  assert {
    condition     = aws_lambda_event_source_mapping.stream.maximum_batching_window_in_seconds == 2
    error_message = "stream_batching_window_seconds must reach the mapping."
  }

  assert {
    condition     = aws_lambda_event_source_mapping.stream.parallelization_factor == 4
    error_message = "stream_parallelization_factor must reach the mapping."
  }

  assert {
    condition     = aws_lambda_event_source_mapping.stream.maximum_retry_attempts == 5
    error_message = "stream_maximum_retry_attempts must reach the mapping."
  }

  assert {
    condition     = aws_lambda_event_source_mapping.stream.maximum_record_age_in_seconds == 60
    error_message = "stream_maximum_record_age_seconds must reach the mapping."
  }
}

run "each_function_has_a_role_and_a_log_group_of_its_own" {
  command = plan

  assert {
    condition     = length(distinct([for role in aws_iam_role.function : role.name])) == 5
    error_message = "One role for each function."
  }

  assert {
    condition = (
      aws_lambda_function.stream_consumer.role == aws_iam_role.function["stream_consumer"].arn &&
      aws_lambda_function.schema.role == aws_iam_role.function["schema"].arn
    )
    error_message = "Each function must have its own role."
  }

  assert {
    condition = toset([for group in aws_cloudwatch_log_group.function : group.name]) == toset([
      for name in [aws_lambda_function.stream_consumer.function_name, aws_lambda_function.schema.function_name, aws_lambda_function.dlq_replayer.function_name, aws_lambda_function.reconciler.function_name, aws_lambda_function.monitor.function_name] : "/aws/lambda/${name}"
    ])
    error_message = "Terraform must create the log group of each function."
  }

  assert {
    condition     = alltrue([for group in aws_cloudwatch_log_group.function : group.retention_in_days == 30])
    error_message = "Log groups must have a retention."
  }
}

run "the_functions_at_the_database_are_in_the_vpc" {
  command = plan

  assert {
    condition = alltrue([
      for function in [aws_lambda_function.stream_consumer, aws_lambda_function.schema] :
      function.vpc_config[0].subnet_ids == toset(["subnet-1", "subnet-2"]) && contains(function.vpc_config[0].security_group_ids, aws_security_group.consumer["consumer"].id)
    ])
    error_message = "Consumer and schema step run in the private subnets, with the consumer's security group."
  }

  assert {
    condition     = aws_vpc_security_group_ingress_rule.mysql_consumer["database"].security_group_id == "sg-database" && aws_vpc_security_group_ingress_rule.mysql_consumer["database"].from_port == 3306
    error_message = "The database's group must let the consumer in."
  }
}

run "the_group_waits_for_the_functions_interfaces" {
  command = plan

  assert {
    condition     = aws_security_group.consumer["consumer"].timeouts.delete == "45m"
    error_message = "Lambda may take 20 minutes to delete the network interfaces."
  }
}

run "runtime_and_architecture_come_with_the_zips" {
  command = plan

  assert {
    condition     = alltrue([for function in [aws_lambda_function.stream_consumer, aws_lambda_function.schema, aws_lambda_function.dlq_replayer, aws_lambda_function.reconciler, aws_lambda_function.monitor] : function.runtime == "python3.13" && function.architectures == tolist(["arm64"])])
    error_message = "The manifest decides on runtime and architecture."
  }
}

run "a_missing_build_says_what_to_run" {
  command = plan

  variables {
    lambda_zips = { folder = "./tests" }
  }

  # Reconciler and monitor come after the consumer, so they are not reached.
  expect_failures = [aws_lambda_function.stream_consumer, aws_lambda_function.schema, aws_lambda_function.dlq_replayer]
}

run "tables_are_protected" {
  command = plan

  assert {
    condition     = aws_dynamodb_table.source["table"].deletion_protection_enabled && aws_dynamodb_table.guard["guard"].deletion_protection_enabled
    error_message = "Tables are protected from deletion by default."
  }

  assert {
    condition     = aws_dynamodb_table.source["table"].point_in_time_recovery[0].enabled && aws_dynamodb_table.source["table"].billing_mode == "PAY_PER_REQUEST"
    error_message = "Point-in-time recovery is on, and the table is billed on demand."
  }

  assert {
    condition     = aws_dynamodb_table.source["table"].stream_enabled && aws_dynamodb_table.source["table"].stream_view_type == "NEW_AND_OLD_IMAGES"
    error_message = "The stream carries both images."
  }

  assert {
    condition     = alltrue([for table in [aws_dynamodb_table.source["table"]] : table.ttl[0].enabled && table.ttl[0].attribute_name == "record_ttl"])
    error_message = "Items expire by record_ttl."
  }
}

run "protection_can_be_lifted" {
  command = plan

  variables {
    deletion_protection = false
  }

  assert {
    condition     = !aws_dynamodb_table.source["table"].deletion_protection_enabled && !aws_dynamodb_table.guard["guard"].deletion_protection_enabled
    error_message = "deletion_protection must reach the tables."
  }
}

run "the_failures_bucket_is_private_and_encrypted" {
  command = plan

  assert {
    condition = alltrue([
      aws_s3_bucket_public_access_block.failures.block_public_acls,
      aws_s3_bucket_public_access_block.failures.block_public_policy,
      aws_s3_bucket_public_access_block.failures.ignore_public_acls,
      aws_s3_bucket_public_access_block.failures.restrict_public_buckets,
    ])
    error_message = "No object of the failures bucket may be public."
  }

  assert {
    condition     = aws_s3_bucket_versioning.failures.versioning_configuration[0].status == "Enabled" && !aws_s3_bucket.failures.force_destroy
    error_message = "An object of the bucket may be the only copy of a change."
  }

  assert {
    condition     = { for rule in aws_s3_bucket_lifecycle_configuration.failures["failures"].rule : rule.filter[0].prefix => rule.expiration[0].days if rule.id != "leftovers" } == merge({ for folder in ["load/", "prune/", "replay/", "replayed/", "seed/", "unfinished/", "verify/"] : folder => 30 }, { "exports/" = 7, "repaired/" = 36 })
    error_message = "Replayed batches, working files of replays, loads, verifications, seeds and prunes, and notes about unfinished batches expire after 30 days. All other objects stay."
  }

  assert {
    condition     = alltrue([for statement in data.aws_iam_policy_document.stream_consumer.statement : anytrue([for condition in statement.condition : condition.variable == "s3:ResourceAccount"]) if anytrue([for action in statement.actions : startswith(action, "s3:")])])
    error_message = "The consumer must never write to the bucket of another account."
  }
}

run "the_consumer_reads_back_its_notes_and_nothing_else" {
  command = plan

  assert {
    condition     = flatten([for statement in data.aws_iam_policy_document.stream_consumer.statement : statement.resources if contains(statement.actions, "s3:GetObject")]) == ["arn:aws:s3:::backstream-test-failures-123456789012-eu-west-1/unfinished/*"]
    error_message = "The consumer reads its notes about unfinished batches, and no failed batch."
  }

  assert {
    condition     = flatten([for statement in data.aws_iam_policy_document.stream_consumer.statement : statement.resources if contains(statement.actions, "s3:PutObject")]) == ["arn:aws:s3:::backstream-test-failures-123456789012-eu-west-1/*"]
    error_message = "The consumer writes parked records and notes, and the mapping writes failed batches with the same role."
  }

  assert {
    condition     = flatten([for statement in data.aws_iam_policy_document.stream_consumer.statement : statement.resources if contains(statement.actions, "s3:ListBucket")]) == ["arn:aws:s3:::backstream-test-failures-123456789012-eu-west-1"]
    error_message = "Without s3:ListBucket S3 answers 403 for a missing note, which blocks the shard."
  }
}

run "the_database_is_what_you_bring_by_default" {
  command = plan

  assert {
    condition     = length(aws_db_proxy.mysql) == 0 && length(aws_ssm_parameter.rds_connection) == 0
    error_message = "Without an instance or cluster Terraform creates neither proxy nor connection parameter."
  }

  assert {
    condition     = aws_lambda_function.stream_consumer.environment[0].variables.RDS_CONNECTION_PARAM_NAME == "/test/mysql"
    error_message = "The consumer reads the given connection parameter."
  }
}

run "no_kms_key_is_granted_unless_it_is_named" {
  command = plan

  assert {
    condition     = !contains(flatten(data.aws_iam_policy_document.database_access.statement[*].actions), "kms:Decrypt")
    error_message = "Keys that AWS manages need no grant."
  }
}

run "a_customers_keys_are_granted_for_one_service_each" {
  command = plan

  variables {
    rds_secret_kms_key_arn           = "arn:aws:kms:eu-west-1:123456789012:key/secret"
    rds_connection_param_kms_key_arn = "arn:aws:kms:eu-west-1:123456789012:key/parameter"
    create_rds_proxy                 = true
    rds_instance_identifier          = "legacy"
    rds_database                     = "shop"
  }

  assert {
    condition = {
      for statement in data.aws_iam_policy_document.database_access.statement :
      one(statement.resources) => [statement.actions, [for condition in statement.condition : [condition.test, condition.variable, condition.values]]] if contains(statement.actions, "kms:Decrypt")
      } == {
      "arn:aws:kms:eu-west-1:123456789012:key/secret"    = [toset(["kms:Decrypt"]), [["StringEquals", "kms:ViaService", tolist(["secretsmanager.eu-west-1.amazonaws.com"])]]]
      "arn:aws:kms:eu-west-1:123456789012:key/parameter" = [toset(["kms:Decrypt"]), [["StringEquals", "kms:ViaService", tolist(["ssm.eu-west-1.amazonaws.com"])]]]
    }
    error_message = "Each key may only decrypt, and only for its service."
  }

  assert {
    condition     = flatten([for statement in data.aws_iam_policy_document.proxy.statement : statement.resources if contains(statement.actions, "kms:Decrypt")]) == ["arn:aws:kms:eu-west-1:123456789012:key/secret"]
    error_message = "The proxy reads only the secret."
  }
}

run "a_named_instance_gets_a_proxy" {
  variables {
    create_rds_proxy        = true
    rds_instance_identifier = "legacy"
    rds_database            = "shop"
    mysql_port              = 3307
  }

  assert {
    condition     = aws_db_proxy.mysql["proxy"].require_tls && aws_db_proxy_target.mysql["proxy"].db_instance_identifier == "legacy"
    error_message = "The proxy requires TLS and points at the instance."
  }

  assert {
    condition     = aws_ssm_parameter.rds_connection["proxy"].name == "/test/mysql" && jsondecode(aws_ssm_parameter.rds_connection["proxy"].value) == { hostname = "proxy.example", port = 3306, db = "shop", driver = "mysql" }
    error_message = "The connection parameter must point at the proxy."
  }

  assert {
    condition     = length(aws_vpc_security_group_ingress_rule.mysql_consumer) == 0
    error_message = "With a proxy, the consumer must not reach the database directly."
  }

  assert {
    condition = (
      aws_vpc_security_group_ingress_rule.proxy_consumer["proxy"].security_group_id == aws_security_group.proxy["proxy"].id &&
      aws_vpc_security_group_ingress_rule.proxy_consumer["proxy"].from_port == 3306 &&
      aws_vpc_security_group_ingress_rule.database_proxy["proxy"].security_group_id == "sg-database" &&
      aws_vpc_security_group_ingress_rule.database_proxy["proxy"].referenced_security_group_id == aws_security_group.proxy["proxy"].id &&
      aws_vpc_security_group_ingress_rule.database_proxy["proxy"].from_port == 3307
    )
    error_message = "Traffic goes from consumer to proxy to database."
  }
}

run "a_named_cluster_gets_a_proxy" {
  command = plan

  variables {
    create_rds_proxy       = true
    rds_cluster_identifier = "legacy"
    rds_database           = "shop"
  }

  assert {
    condition     = aws_db_proxy_target.mysql["proxy"].db_cluster_identifier == "legacy"
    error_message = "The proxy points at the cluster."
  }
}

run "a_proxy_with_few_connections_keeps_fewer_of_them_idle" {
  command = plan

  variables {
    create_rds_proxy                  = true
    rds_instance_identifier           = "legacy"
    rds_database                      = "shop"
    rds_proxy_max_connections_percent = 25
  }

  assert {
    condition     = aws_db_proxy_default_target_group.mysql["proxy"].connection_pool_config[0].max_connections_percent == 25 && aws_db_proxy_default_target_group.mysql["proxy"].connection_pool_config[0].max_idle_connections_percent == 12
    error_message = "RDS refuses more idle connections than connections."
  }
}

run "rds_may_take_on_the_proxys_role" {
  command = plan

  assert {
    condition     = flatten(data.aws_iam_policy_document.proxy_trust.statement[*].condition) == []
    error_message = "AWS documents no condition key that RDS Proxy sends."
  }
}

run "a_proxy_has_one_target" {
  command = plan

  variables {
    create_rds_proxy        = true
    rds_instance_identifier = "legacy"
    rds_cluster_identifier  = "legacy"
    rds_database            = "shop"
  }

  expect_failures = [aws_db_proxy.mysql]
}

run "a_proxy_needs_two_subnets" {
  command = plan

  variables {
    create_rds_proxy        = true
    rds_instance_identifier = "legacy"
    rds_database            = "shop"
    subnet_ids              = ["subnet-1"]
  }

  expect_failures = [aws_db_proxy.mysql]
}

run "a_proxy_needs_a_database" {
  command = plan

  variables {
    create_rds_proxy        = true
    rds_instance_identifier = "legacy"
  }

  expect_failures = [aws_db_proxy.mysql]
}

run "the_schema_step_runs_again_for_new_code" {
  command = plan

  assert {
    condition     = aws_lambda_invocation.schema.triggers.code == filebase64sha256("../../tests/fixture/stream_consumer.zip")
    error_message = "New code may need a new schema."
  }

  assert {
    condition     = aws_lambda_invocation.schema.function_name == aws_lambda_function.schema.function_name && aws_lambda_function.schema.handler == "stream_consumer.schema_step.handler"
    error_message = "The schema step is a separate function."
  }
}

run "the_schema_step_runs_again_for_another_source" {
  command = plan

  variables {
    stream_generation = 3
  }

  assert {
    condition     = aws_lambda_invocation.schema.triggers.stream == aws_dynamodb_table.source["table"].stream_arn && aws_lambda_invocation.schema.triggers.generation == "3"
    error_message = "A new stream or generation must be registered before its changes arrive."
  }

  assert {
    condition = alltrue([
      for function in [aws_lambda_function.schema, aws_lambda_function.stream_consumer, aws_lambda_function.dlq_replayer] :
      function.environment[0].variables.STREAM_ARN == aws_dynamodb_table.source["table"].stream_arn && function.environment[0].variables.STREAM_GENERATION == "3"
    ])
    error_message = "All three functions must agree on the source."
  }
}

run "a_vpc_without_private_subnets_is_an_error" {
  command = plan

  override_data {
    target = data.aws_subnets.private["vpc"]
    values = { ids = [] }
  }

  expect_failures = [data.aws_subnets.private["vpc"]]
}

run "a_statement_must_end_before_the_function_does" {
  command = plan

  variables {
    consumer_timeout_seconds = 25
  }

  expect_failures = [aws_lambda_function.stream_consumer]
}

run "tracing_can_be_turned_off" {
  command = plan

  variables {
    xray_tracing = false
  }

  assert {
    condition     = alltrue([for function in [aws_lambda_function.stream_consumer, aws_lambda_function.schema, aws_lambda_function.dlq_replayer] : function.tracing_config[0].mode == "PassThrough"])
    error_message = "xray_tracing must reach every function."
  }

  assert {
    condition     = !contains(flatten([for document in data.aws_iam_policy_document.telemetry : document.statement[*].sid]), "SendTraces")
    error_message = "Without tracing no function may send traces."
  }
}
