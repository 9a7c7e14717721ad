# The wiring of the load, without an AWS account. A missing right would show only in the first load.

mock_provider "aws" {
  source = "../../tests/mocks"
}

override_resource {
  target = aws_iam_role.function["reconciler"]
  values = { arn = "arn:aws:iam::123456789012:role/reconciler" }
}

override_resource {
  target = aws_iam_role.job["load"]
  values = { arn = "arn:aws:iam::123456789012:role/load" }
}

override_resource {
  target = aws_sfn_state_machine.job["load"]
  values = { arn = "arn:aws:states:eu-west-1:123456789012:stateMachine:backstream-test-load" }
}

override_resource {
  target = aws_sfn_state_machine.replay
  values = { arn = "arn:aws:states:eu-west-1:123456789012:stateMachine:backstream-test-replay" }
}

override_resource {
  target = aws_lambda_event_source_mapping.stream
  values = {
    arn  = "arn:aws:lambda:eu-west-1:123456789012:event-source-mapping:01234567-89ab-cdef-0123-456789abcdef"
    uuid = "01234567-89ab-cdef-0123-456789abcdef"
  }
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
  }
  rds_sg_id                 = "sg-database"
  rds_secret_arn            = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:mysql-AbCdEf"
  rds_connection_param_name = "/test/mysql"
  lambda_zips               = { folder = "../../tests/fixture" }
}

# Applied once. The other runs plan changes to it where that shows all values, which is quicker.
run "the_state_machine_calls_the_reconciler" {
  assert {
    condition     = jsondecode(aws_sfn_state_machine.job["load"].definition).States.Check.Resource == "arn:aws:lambda:eu-west-1:123456789012:function:backstream-test-reconciler:live"
    error_message = "The definition must name the function's alias."
  }

  assert {
    condition     = aws_lambda_function.reconciler.function_name == "backstream-test-reconciler" && aws_lambda_function.reconciler.handler == "reconciler.handler.handler"
    error_message = "The function must be the one that the definition names."
  }

  assert {
    condition     = flatten([for statement in data.aws_iam_policy_document.job["load"].statement : statement.resources if contains(statement.actions, "lambda:InvokeFunction")]) == ["arn:aws:lambda:eu-west-1:123456789012:function:backstream-test-reconciler:live"]
    error_message = "The state machine may call this function and no other."
  }

  assert {
    condition     = jsondecode(aws_sfn_state_machine.job["load"].definition).States.WaitForDatabase.Seconds == 15
    error_message = "By default the database is checked every 15 seconds."
  }

  assert {
    condition     = aws_sfn_state_machine.job["load"].name == "backstream-test-load" && aws_sfn_state_machine.job["load"].type == "STANDARD" && aws_sfn_state_machine.job["load"].role_arn == aws_iam_role.job["load"].arn
    error_message = "Only a standard workflow supports a Distributed Map and runs for days."
  }

  assert {
    condition     = output.load_state_machine_arn == aws_sfn_state_machine.job["load"].arn && output.reconciler_function_name == "backstream-test-reconciler"
    error_message = "The outputs must name state machine and function."
  }

  assert {
    condition     = output.role_names.load == "backstream-test-load-eu-west-1" && output.log_group_names.load == "/aws/vendedlogs/states/backstream-test-load"
    error_message = "The maps of roles and log groups have the state machine under the name of its job."
  }
}

run "the_reconcilers_new_code_waits_for_the_alias" {
  command = plan

  assert {
    condition     = aws_lambda_function.reconciler.publish && aws_lambda_alias.reconciler.name == "live" && aws_lambda_alias.reconciler.function_name == aws_lambda_function.reconciler.function_name && aws_lambda_alias.reconciler.function_version == aws_lambda_function.reconciler.version
    error_message = "The alias names the published version, never $LATEST."
  }
}

run "the_state_machine_may_run_its_lanes" {
  command = plan

  assert {
    condition     = flatten([for statement in data.aws_iam_policy_document.job["load"].statement : statement.resources if contains(statement.actions, "states:StartExecution")]) == ["arn:aws:states:eu-west-1:123456789012:stateMachine:backstream-test-load"]
    error_message = "A Distributed Map starts executions of its own state machine."
  }

  assert {
    condition     = flatten([for statement in data.aws_iam_policy_document.job["load"].statement : statement.resources if contains(statement.actions, "states:RedriveExecution")]) == ["arn:aws:states:eu-west-1:123456789012:execution:backstream-test-load/${jsondecode(aws_sfn_state_machine.job["load"].definition).States.Walk.Label}:*"]
    error_message = "Lanes are executions under the map's label."
  }
}

run "logs_hold_errors_and_no_data" {
  command = plan

  assert {
    condition     = aws_sfn_state_machine.job["load"].logging_configuration[0].level == "ERROR" && !aws_sfn_state_machine.job["load"].logging_configuration[0].include_execution_data
    error_message = "The output of a step may contain keys of items, which must not be logged."
  }

  assert {
    condition     = endswith(aws_sfn_state_machine.job["load"].logging_configuration[0].log_destination, ":*") && aws_cloudwatch_log_group.job["load"].retention_in_days == 30
    error_message = "Step Functions accepts the ARN of a log group only with :* at the end."
  }
}

run "the_reconciler_writes_as_the_consumer_does" {
  command = plan

  assert {
    condition     = aws_lambda_function.reconciler.role == aws_iam_role.function["reconciler"].arn && aws_lambda_function.reconciler.vpc_config[0].subnet_ids == toset(["subnet-1", "subnet-2"]) && contains(aws_lambda_function.reconciler.vpc_config[0].security_group_ids, aws_security_group.consumer["consumer"].id)
    error_message = "The reconciler runs in the network of the consumer, with its own role."
  }

  assert {
    condition     = { for name, value in aws_lambda_function.stream_consumer.environment[0].variables : name => aws_lambda_function.reconciler.environment[0].variables[name] if name != "POWERTOOLS_SERVICE_NAME" } == { for name, value in aws_lambda_function.stream_consumer.environment[0].variables : name => value if name != "POWERTOOLS_SERVICE_NAME" }
    error_message = "Consumer and reconciler must write a change in the same way."
  }

  assert {
    condition = {
      for name, value in aws_lambda_function.reconciler.environment[0].variables :
      name => value if !contains(keys(aws_lambda_function.stream_consumer.environment[0].variables), name)
      } == {
      CONSUMER_FUNCTION_NAME      = "backstream-test-stream-consumer"
      CONSUMER_TIMEOUT_SECONDS    = "60"
      DATABASE_WAIT_SECONDS       = "3600"
      EVENT_SOURCE_MAPPING_UUID   = "01234567-89ab-cdef-0123-456789abcdef"
      LOAD_CONCURRENCY            = "4"
      LOAD_READ_UNITS_PER_SECOND  = "1000"
      LOCK_TABLE_NAME             = "backstream-test-replay-lock"
      PRUNE_HORIZON_DAYS          = "40"
      SEED_WRITE_UNITS_PER_SECOND = "500"
      VERIFY_SETTLE_SECONDS       = "300"
    }
    error_message = "The reconciler knows the consumer, its mapping and the lock. The defaults are four lanes, 1000 read units and 500 write units a second, one hour and five minutes."
  }
}

run "the_reconciler_has_the_rights_of_its_jobs_and_no_other" {
  command = plan

  assert {
    condition = { for statement in data.aws_iam_policy_document.reconciler.statement : statement.sid => {
      actions    = sort(statement.actions)
      resources  = sort(statement.resources)
      conditions = { for condition in statement.condition : "${condition.test} ${condition.variable}" => sort(condition.values) }
      } } == {
      ReadTable = {
        actions    = tolist(["dynamodb:BatchGetItem", "dynamodb:DescribeTable", "dynamodb:Scan"])
        resources  = tolist(["arn:aws:dynamodb:eu-west-1:123456789012:table/backstream-test-orders"])
        conditions = {}
      }
      ExportTable = {
        actions    = tolist(["dynamodb:DescribeContinuousBackups", "dynamodb:ExportTableToPointInTime"])
        resources  = tolist(["arn:aws:dynamodb:eu-west-1:123456789012:table/backstream-test-orders"])
        conditions = {}
      }
      FollowExports = {
        actions    = tolist(["dynamodb:DescribeExport"])
        resources  = tolist(["arn:aws:dynamodb:eu-west-1:123456789012:table/backstream-test-orders/export/*"])
        conditions = {}
      }
      KeepExports = {
        actions    = tolist(["s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject", "s3:PutObjectAcl"])
        resources  = tolist(["arn:aws:s3:::backstream-test-failures-123456789012-eu-west-1/exports/*"])
        conditions = { "StringEquals s3:ResourceAccount" = tolist(["123456789012"]) }
      }
      SeedTable = {
        actions    = tolist(["dynamodb:PutItem", "dynamodb:UpdateItem"])
        resources  = tolist(["arn:aws:dynamodb:eu-west-1:123456789012:table/backstream-test-orders"])
        conditions = {}
      }
      ListFailures = {
        actions    = tolist(["s3:ListBucket"])
        resources  = tolist(["arn:aws:s3:::backstream-test-failures-123456789012-eu-west-1"])
        conditions = { "StringEquals s3:ResourceAccount" = tolist(["123456789012"]) }
      }
      KeepProgressAndReport = {
        actions    = tolist(["s3:GetObject", "s3:PutObject"])
        resources  = tolist([for folder in ["load", "prune", "repaired", "seed", "seeded", "verified", "verify"] : "arn:aws:s3:::backstream-test-failures-123456789012-eu-west-1/${folder}/*"])
        conditions = { "StringEquals s3:ResourceAccount" = tolist(["123456789012"]) }
      }
      ReadParked = {
        actions    = tolist(["s3:GetObject"])
        resources  = tolist([for folder in ["deferred", "quarantine", "replayed/deferred", "replayed/discarded", "replayed/quarantine"] : "arn:aws:s3:::backstream-test-failures-123456789012-eu-west-1/${folder}/*"])
        conditions = { "StringEquals s3:ResourceAccount" = tolist(["123456789012"]) }
      }
      SettleExpired = {
        actions    = tolist(["s3:DeleteObject", "s3:GetObject"])
        resources  = tolist(["arn:aws:s3:::backstream-test-failures-123456789012-eu-west-1/expired/*"])
        conditions = { "StringEquals s3:ResourceAccount" = tolist(["123456789012"]) }
      }
      KeepSettled = {
        actions    = tolist(["s3:PutObject"])
        resources  = tolist(["arn:aws:s3:::backstream-test-failures-123456789012-eu-west-1/replayed/expired/*"])
        conditions = { "StringEquals s3:ResourceAccount" = tolist(["123456789012"]) }
      }
      HoldLock = {
        actions    = tolist(["dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:PutItem"])
        resources  = tolist(["arn:aws:dynamodb:eu-west-1:123456789012:table/backstream-test-replay-lock"])
        conditions = { "ForAllValues:StringEquals dynamodb:LeadingKeys" = tolist(["reconciler"]) }
      }
      AskWhetherHolderRuns = {
        actions    = tolist(["states:DescribeExecution"])
        resources  = tolist([for job in ["load", "prune", "seed", "verify"] : "arn:aws:states:eu-west-1:123456789012:execution:backstream-test-${job}:*"])
        conditions = {}
      }
      ReadLag = {
        actions    = tolist(["cloudwatch:GetMetricStatistics"])
        resources  = tolist(["*"])
        conditions = {}
      }
    }
    error_message = "A job reads or exports the table, keeps its files under its own prefix, and holds the lock of all jobs."
  }

  assert {
    condition     = one(data.aws_iam_policy_document.reconciler_mapping.statement).actions == toset(["lambda:GetEventSourceMapping"]) && one(data.aws_iam_policy_document.reconciler_mapping.statement).resources == toset([aws_lambda_event_source_mapping.stream.arn])
    error_message = "The reconciler may look at this mapping, and change none."
  }

  assert {
    condition     = aws_iam_role_policy.reconciler.role == aws_iam_role.function["reconciler"].name && aws_iam_role_policy.reconciler_mapping.role == aws_iam_role.function["reconciler"].name
    error_message = "Both policies are those of the reconciler's role."
  }
}

run "the_reconciler_reads_an_existing_table" {
  command = plan

  variables {
    table      = null
    table_name = "customers"
  }

  assert {
    condition     = flatten([for statement in data.aws_iam_policy_document.reconciler.statement : statement.resources if contains(statement.actions, "dynamodb:Scan")]) == ["arn:aws:dynamodb:eu-west-1:123456789012:table/customers"]
    error_message = "A load reads the table whose stream feeds the consumer."
  }

  assert {
    condition     = flatten([for statement in data.aws_iam_policy_document.reconciler.statement : statement.resources if contains(["ExportTable", "FollowExports"], statement.sid)]) == ["arn:aws:dynamodb:eu-west-1:123456789012:table/customers", "arn:aws:dynamodb:eu-west-1:123456789012:table/customers/export/*"]
    error_message = "The exports are those of the table that the pipeline reads."
  }
}

run "settings_take_effect" {
  command = plan

  variables {
    load_concurrency              = 8
    load_read_units_per_second    = 50
    seed_write_units_per_second   = 60
    reconciler_memory_mb          = 2048
    replay_database_wait_seconds  = 60
    replay_check_interval_seconds = 5
    max_statement_bytes           = 20000
    xray_tracing                  = false
  }

  assert {
    condition     = aws_lambda_function.reconciler.environment[0].variables.LOAD_CONCURRENCY == "8" && aws_lambda_function.reconciler.environment[0].variables.LOAD_READ_UNITS_PER_SECOND == "50" && aws_lambda_function.reconciler.environment[0].variables.SEED_WRITE_UNITS_PER_SECOND == "60" && aws_lambda_function.reconciler.environment[0].variables.DATABASE_WAIT_SECONDS == "60" && aws_lambda_function.reconciler.environment[0].variables.MAX_STATEMENT_BYTES == "20000" && aws_lambda_function.reconciler.memory_size == 2048
    error_message = "Settings must reach the function."
  }

  assert {
    condition     = jsondecode(aws_sfn_state_machine.job["load"].definition).States.Walk.ItemProcessor.States.WaitInLane.Seconds == 5 && !aws_sfn_state_machine.job["load"].tracing_configuration[0].enabled
    error_message = "Settings must reach the state machine."
  }
}

run "an_automatic_replay_lets_a_load_wait_as_long" {
  command = plan

  variables {
    auto_replay = true
  }

  assert {
    condition     = aws_lambda_function.reconciler.environment[0].variables.DATABASE_WAIT_SECONDS == aws_lambda_function.dlq_replayer.environment[0].variables.REPLAY_DATABASE_WAIT_SECONDS
    error_message = "One setting says how long both wait for the database."
  }
}

run "concurrency_is_reserved_where_asked_for" {
  command = plan

  variables {
    reconciler_reserved_concurrency = 5
  }

  assert {
    condition     = aws_lambda_function.reconciler.reserved_concurrent_executions == 5 && aws_lambda_function.dlq_replayer.reserved_concurrent_executions == -1
    error_message = "Each function has its own reservation."
  }
}

run "no_concurrency_is_reserved_by_default" {
  command = plan

  assert {
    condition     = aws_lambda_function.reconciler.reserved_concurrent_executions == -1
    error_message = "A reservation reduces the concurrency of the rest of the account."
  }
}

run "every_worker_needs_an_invocation" {
  command = plan

  variables {
    reconciler_reserved_concurrency = 4
  }

  expect_failures = [aws_lambda_function.reconciler]
}

run "files_of_a_load_outlive_it" {
  command = plan

  variables {
    replayed_retention_days = 1
  }

  assert {
    condition     = [for rule in aws_s3_bucket_lifecycle_configuration.failures["failures"].rule : one(rule.expiration).days if rule.id == "load"] == [30]
    error_message = "A load of a large table takes days. It reads at its end what it wrote at its start."
  }
}

run "files_of_a_load_are_kept_as_long_as_those_of_a_replay" {
  command = plan

  variables {
    replayed_retention_days = 365
  }

  assert {
    condition     = [for rule in aws_s3_bucket_lifecycle_configuration.failures["failures"].rule : one(rule.expiration).days if contains(["load", "replay"], rule.id)] == [365, 365]
    error_message = "One setting says how long reports are kept."
  }
}
