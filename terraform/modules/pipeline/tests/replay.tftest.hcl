# The wiring of the replay, without an AWS account. A mistake here would show only after an outage.

mock_provider "aws" {
  source = "../../tests/mocks"
}

override_resource {
  target = aws_iam_role.function["dlq_replayer"]
  values = { arn = "arn:aws:iam::123456789012:role/dlq_replayer" }
}

override_resource {
  target = aws_iam_role.replay
  values = { arn = "arn:aws:iam::123456789012:role/replay" }
}

override_resource {
  target = aws_sfn_state_machine.replay
  values = { arn = "arn:aws:states:eu-west-1:123456789012:stateMachine:backstream-test-replay" }
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
run "the_state_machine_calls_the_replayer" {
  assert {
    condition     = jsondecode(aws_sfn_state_machine.replay.definition).States.Check.Resource == "arn:aws:lambda:eu-west-1:123456789012:function:backstream-test-dlq-replayer:live"
    error_message = "The definition must name the function's alias."
  }

  assert {
    condition     = aws_lambda_function.dlq_replayer.function_name == "backstream-test-dlq-replayer" && aws_lambda_function.dlq_replayer.handler == "dlq_replayer.handler.handler"
    error_message = "The function must be the one that the definition names."
  }

  assert {
    condition     = flatten([for statement in data.aws_iam_policy_document.replay.statement : statement.resources if contains(statement.actions, "lambda:InvokeFunction")]) == ["arn:aws:lambda:eu-west-1:123456789012:function:backstream-test-dlq-replayer:live"]
    error_message = "The state machine may call this function and no other."
  }

  assert {
    condition     = jsondecode(aws_sfn_state_machine.replay.definition).States.WaitForDatabase.Seconds == 15
    error_message = "By default the database is checked every 15 seconds."
  }

  assert {
    condition     = aws_sfn_state_machine.replay.type == "STANDARD" && aws_sfn_state_machine.replay.role_arn == aws_iam_role.replay.arn
    error_message = "Only a standard workflow supports a Distributed Map and runs for days."
  }

  assert {
    condition     = output.replay_state_machine_arn == aws_sfn_state_machine.replay.arn
    error_message = "The output must be the state machine's ARN."
  }
}

run "the_replayers_new_code_waits_for_the_alias" {
  command = plan

  assert {
    condition     = aws_lambda_function.dlq_replayer.publish && aws_lambda_alias.dlq_replayer.name == "live" && aws_lambda_alias.dlq_replayer.function_name == aws_lambda_function.dlq_replayer.function_name && aws_lambda_alias.dlq_replayer.function_version == aws_lambda_function.dlq_replayer.version
    error_message = "The alias names the published version, never $LATEST."
  }
}

run "the_state_machine_may_run_its_lanes" {
  command = plan

  assert {
    condition     = flatten([for statement in data.aws_iam_policy_document.replay.statement : statement.resources if contains(statement.actions, "states:StartExecution")]) == ["arn:aws:states:eu-west-1:123456789012:stateMachine:backstream-test-replay"]
    error_message = "A Distributed Map starts executions of its own state machine."
  }

  assert {
    condition     = flatten([for statement in data.aws_iam_policy_document.replay.statement : statement.resources if contains(statement.actions, "states:RedriveExecution")]) == ["arn:aws:states:eu-west-1:123456789012:execution:backstream-test-replay/${jsondecode(aws_sfn_state_machine.replay.definition).States.Drain.Label}:*"]
    error_message = "Lanes are executions under the map's label."
  }
}

run "logs_hold_errors_and_no_data" {
  command = plan

  assert {
    condition     = aws_sfn_state_machine.replay.logging_configuration[0].level == "ERROR" && !aws_sfn_state_machine.replay.logging_configuration[0].include_execution_data
    error_message = "An input may contain keys of orders, which must not be logged."
  }

  assert {
    condition     = endswith(aws_sfn_state_machine.replay.logging_configuration[0].log_destination, ":*") && aws_cloudwatch_log_group.replay.retention_in_days == 30
    error_message = "Step Functions accepts the ARN of a log group only with :* at the end."
  }
}

run "the_replayer_reaches_what_the_consumer_reaches" {
  command = plan

  assert {
    condition     = aws_lambda_function.dlq_replayer.role == aws_iam_role.function["dlq_replayer"].arn && aws_lambda_function.dlq_replayer.vpc_config[0].subnet_ids == toset(["subnet-1", "subnet-2"]) && contains(aws_lambda_function.dlq_replayer.vpc_config[0].security_group_ids, aws_security_group.consumer["consumer"].id)
    error_message = "The replayer runs in the network of the consumer, with its own role."
  }

  assert {
    condition = alltrue([
      for name in ["RDS_CONNECTION_PARAM_NAME", "RDS_SECRET_ARN", "MYSQL_TLS", "MYSQL_CONNECT_TIMEOUT", "MYSQL_READ_TIMEOUT", "STREAM_ARN", "STREAM_GENERATION", "FAILURES_BUCKET", "MIRROR_TTL_DELETES", "APPLY_EVERY_CHANGE"] :
      aws_lambda_function.dlq_replayer.environment[0].variables[name] == aws_lambda_function.stream_consumer.environment[0].variables[name]
    ])
    error_message = "Consumer and replayer must write a change in the same way."
  }

  assert {
    condition     = aws_lambda_function.dlq_replayer.environment[0].variables.STREAM_ARN == aws_dynamodb_table.source["table"].stream_arn && aws_lambda_function.dlq_replayer.environment[0].variables.LOCK_TABLE_NAME == aws_dynamodb_table.replay_lock.name
    error_message = "The replayer must know the table whose changes it replays, and its lock."
  }

  assert {
    condition     = aws_lambda_function.dlq_replayer.environment[0].variables.VERIFY_STATE_MACHINE_ARN == "arn:aws:states:eu-west-1:123456789012:stateMachine:backstream-test-verify" && flatten([for statement in data.aws_iam_policy_document.dlq_replayer.statement : statement.resources if contains(statement.actions, "states:StartExecution")]) == ["arn:aws:states:eu-west-1:123456789012:stateMachine:backstream-test-verify"]
    error_message = "The replayer starts the verification of this pipeline, and no other state machine."
  }

  assert {
    condition     = aws_lambda_function.dlq_replayer.environment[0].variables.REPLAY_CONCURRENCY == "4" && aws_lambda_function.dlq_replayer.environment[0].variables.REPLAY_DATABASE_WAIT_SECONDS == "3600"
    error_message = "The defaults are four lanes and one hour."
  }

  assert {
    condition     = alltrue([for statement in data.aws_iam_policy_document.dlq_replayer.statement : anytrue([for condition in statement.condition : condition.variable == "s3:ResourceAccount"]) if anytrue([for action in statement.actions : startswith(action, "s3:")])])
    error_message = "The replayer must never use another account's bucket."
  }

  assert {
    condition     = flatten([for statement in data.aws_iam_policy_document.dlq_replayer.statement : statement.resources if contains(statement.actions, "dynamodb:PutItem")]) == ["arn:aws:dynamodb:eu-west-1:123456789012:table/backstream-test-replay-lock"] && aws_dynamodb_table.replay_lock.name == "backstream-test-replay-lock"
    error_message = "The lock is the only DynamoDB table that the replayer writes to."
  }
}

run "the_replayer_takes_up_what_is_parked_and_parks_again" {
  command = plan

  assert {
    condition = alltrue(flatten([
      for folder in ["deferred", "quarantine"] : [
        for action in ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"] :
        contains(flatten([for statement in data.aws_iam_policy_document.dlq_replayer.statement : statement.resources if contains(statement.actions, action)]), "arn:aws:s3:::backstream-test-failures-123456789012-eu-west-1/${folder}/*")
      ]
    ]))
    error_message = "The replayer reads parked records, writes them with a new reason, and moves settled ones."
  }
}

run "the_statement_size_is_left_to_the_functions" {
  command = plan

  assert {
    condition     = !contains(keys(aws_lambda_function.stream_consumer.environment[0].variables), "MAX_STATEMENT_BYTES") && !contains(keys(aws_lambda_function.dlq_replayer.environment[0].variables), "MAX_STATEMENT_BYTES")
    error_message = "Without max_statement_bytes the functions choose the size."
  }
}

run "a_given_statement_size_reaches_both_functions" {
  command = plan

  variables {
    max_statement_bytes = 20000
  }

  assert {
    condition     = aws_lambda_function.stream_consumer.environment[0].variables.MAX_STATEMENT_BYTES == "20000" && aws_lambda_function.dlq_replayer.environment[0].variables.MAX_STATEMENT_BYTES == "20000"
    error_message = "Consumer and replayer must use the same statement size."
  }
}

run "in_s3_mode_the_replayer_knows_no_queue" {
  command = plan

  assert {
    condition     = !can(aws_lambda_function.dlq_replayer.environment[0].variables.FAILURES_QUEUE_URL)
    error_message = "There is no queue in S3 mode."
  }

  assert {
    condition     = !anytrue([for action in flatten(data.aws_iam_policy_document.dlq_replayer.statement[*].actions) : startswith(action, "sqs:") || action == "dynamodb:GetRecords"])
    error_message = "In S3 mode the replayer needs neither queue nor stream."
  }
}

run "in_sqs_mode_the_replayer_turns_pointers_into_batches" {
  command = plan

  variables {
    failure_destination = "sqs"
  }

  assert {
    condition     = aws_lambda_function.dlq_replayer.environment[0].variables.FAILURES_QUEUE_URL == "https://sqs.eu-west-1.amazonaws.com/123456789012/backstream-test-failures"
    error_message = "The replayer must know the queue."
  }

  assert {
    condition     = flatten([for statement in data.aws_iam_policy_document.dlq_replayer.statement : statement.resources if contains(statement.actions, "sqs:ReceiveMessage") && contains(statement.actions, "sqs:DeleteMessage")]) == ["arn:aws:sqs:eu-west-1:123456789012:backstream-test-failures"]
    error_message = "The replayer may receive messages from this queue only."
  }

  assert {
    condition     = flatten([for statement in data.aws_iam_policy_document.dlq_replayer.statement : statement.resources if contains(statement.actions, "dynamodb:GetRecords")]) == ["arn:aws:dynamodb:eu-west-1:123456789012:table/backstream-test-orders/stream/*"]
    error_message = "The replayer reads the streams of the orders table."
  }

  assert {
    condition = alltrue([
      for folder in ["aws/lambda/hydrated", "expired"] :
      contains(flatten([for statement in data.aws_iam_policy_document.dlq_replayer.statement : statement.resources if contains(statement.actions, "s3:PutObject")]), "arn:aws:s3:::backstream-test-failures-123456789012-eu-west-1/${folder}/*")
    ])
    error_message = "The replayer turns a pointer into a batch or an expired range."
  }
}

run "settings_take_effect" {
  command = plan

  variables {
    replay_concurrency            = 8
    replay_database_wait_seconds  = 60
    replay_check_interval_seconds = 5
    replayer_memory_mb            = 2048
    xray_tracing                  = false
  }

  assert {
    condition     = aws_lambda_function.dlq_replayer.environment[0].variables.REPLAY_CONCURRENCY == "8" && aws_lambda_function.dlq_replayer.environment[0].variables.REPLAY_DATABASE_WAIT_SECONDS == "60" && aws_lambda_function.dlq_replayer.memory_size == 2048
    error_message = "Settings must reach the function."
  }

  assert {
    condition     = jsondecode(aws_sfn_state_machine.replay.definition).States.Drain.ItemProcessor.States.WaitInLane.Seconds == 5 && !aws_sfn_state_machine.replay.tracing_configuration[0].enabled
    error_message = "Settings must reach the state machine."
  }
}

run "concurrency_is_reserved_where_asked_for" {
  command = plan

  variables {
    consumer_reserved_concurrency = 8
    replayer_reserved_concurrency = 5
  }

  assert {
    condition     = aws_lambda_function.stream_consumer.reserved_concurrent_executions == 8 && aws_lambda_function.dlq_replayer.reserved_concurrent_executions == 5
    error_message = "Each function has its own reservation."
  }
}

run "no_concurrency_is_reserved_by_default" {
  command = plan

  assert {
    condition     = aws_lambda_function.stream_consumer.reserved_concurrent_executions == -1 && aws_lambda_function.dlq_replayer.reserved_concurrent_executions == -1
    error_message = "A reservation reduces the concurrency of the rest of the account."
  }
}

run "every_worker_needs_an_invocation" {
  command = plan

  variables {
    replayer_reserved_concurrency = 4
  }

  expect_failures = [aws_lambda_function.dlq_replayer]
}

run "a_wait_does_not_outgrow_an_executions_history" {
  command = plan

  variables {
    replay_database_wait_seconds  = 86400
    replay_check_interval_seconds = 10
  }

  expect_failures = [aws_sfn_state_machine.job["load"], aws_sfn_state_machine.job["prune"], aws_sfn_state_machine.job["seed"], aws_sfn_state_machine.job["verify"], aws_sfn_state_machine.replay]
}

run "nothing_starts_a_replay_by_default" {
  command = plan

  assert {
    condition     = length(aws_cloudwatch_event_rule.auto_replay) == 0 && length(aws_s3_bucket_notification.failures) == 0 && length(aws_iam_role.auto_replay) == 0
    error_message = "auto_replay is off by default."
  }
}

run "auto_replay_starts_by_event_and_by_schedule" {
  variables {
    auto_replay = true
  }

  assert {
    condition     = aws_s3_bucket_notification.failures["failures"].eventbridge && aws_s3_bucket_notification.failures["failures"].bucket == aws_s3_bucket.failures.id
    error_message = "Without it the bucket sends no events to EventBridge."
  }

  assert {
    condition = jsondecode(aws_cloudwatch_event_rule.auto_replay["failed-batch"].event_pattern) == {
      source      = ["aws.s3"]
      detail-type = ["Object Created"]
      detail = {
        bucket = { name = [aws_s3_bucket.failures.bucket] }
        object = { key = [{ prefix = "aws/lambda/" }] }
      }
    }
    error_message = "Only failed batches start a replay, not the objects that a replay writes."
  }

  assert {
    condition     = aws_cloudwatch_event_rule.auto_replay["schedule"].schedule_expression == "rate(5 minutes)"
    error_message = "The schedule handles batches that failed during a replay."
  }

  assert {
    condition     = alltrue([for target in aws_cloudwatch_event_target.auto_replay : target.arn == aws_sfn_state_machine.replay.arn && target.role_arn == aws_iam_role.auto_replay["events"].arn && target.input_transformer[0].input_paths == tomap({ id = "$.id" })])
    error_message = "Both rules start the state machine, with only the id of the event as input."
  }

  assert {
    condition     = flatten(data.aws_iam_policy_document.auto_replay.statement[*].resources) == ["arn:aws:states:eu-west-1:123456789012:stateMachine:backstream-test-replay"] && flatten(data.aws_iam_policy_document.auto_replay.statement[*].actions) == ["states:StartExecution"]
    error_message = "EventBridge may start this state machine, and nothing else."
  }

  assert {
    condition     = aws_lambda_function.dlq_replayer.environment[0].variables.REPLAY_DATABASE_WAIT_SECONDS == "21600"
    error_message = "An automatic replay waits through a long outage."
  }
}

run "auto_replay_of_a_queue_is_the_schedule" {
  command = plan

  variables {
    auto_replay                  = true
    auto_replay_schedule_minutes = 1
    failure_destination          = "sqs"
  }

  assert {
    condition     = keys(aws_cloudwatch_event_rule.auto_replay) == ["schedule"] && length(aws_s3_bucket_notification.failures) == 0
    error_message = "In SQS mode only a replay writes objects under aws/lambda/."
  }

  assert {
    condition     = aws_cloudwatch_event_rule.auto_replay["schedule"].schedule_expression == "rate(1 minute)"
    error_message = "EventBridge refuses rate(1 minutes)."
  }
}
