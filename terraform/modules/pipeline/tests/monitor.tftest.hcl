# The wiring of the monitor, without an AWS account. A missing right would show as an alarm that never ends.

mock_provider "aws" {
  source = "../../tests/mocks"
}

override_resource {
  target = aws_iam_role.function["monitor"]
  values = { arn = "arn:aws:iam::123456789012:role/monitor" }
}

override_resource {
  target = aws_cloudwatch_event_rule.monitor
  values = { arn = "arn:aws:events:eu-west-1:123456789012:rule/backstream-test-monitor" }
}

override_resource {
  target = aws_sfn_state_machine.job["verify"]
  values = { arn = "arn:aws:states:eu-west-1:123456789012:stateMachine:backstream-test-verify" }
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
run "a_schedule_calls_the_monitor_each_minute" {
  assert {
    condition     = aws_lambda_function.monitor.function_name == "backstream-test-monitor" && aws_lambda_function.monitor.handler == "monitor.handler.handler" && output.monitor_function_name == "backstream-test-monitor"
    error_message = "The output must name the function."
  }

  assert {
    condition     = aws_cloudwatch_event_rule.monitor.schedule_expression == "rate(1 minute)" && aws_cloudwatch_event_target.monitor.arn == aws_lambda_function.monitor.arn
    error_message = "The rule calls the function once a minute."
  }

  assert {
    condition     = aws_lambda_permission.monitor.source_arn == aws_cloudwatch_event_rule.monitor.arn && aws_lambda_permission.monitor.source_account == null && aws_lambda_permission.monitor.function_name == "backstream-test-monitor"
    error_message = "This rule and no other may call the function. With source_account EventBridge could not call it."
  }

  assert {
    condition     = aws_lambda_function_event_invoke_config.monitor.maximum_retry_attempts == 0
    error_message = "A call that failed is not repeated, so one failure counts once."
  }

  assert {
    condition     = length(aws_lambda_function.monitor.vpc_config) == 0 && aws_lambda_function.monitor.role == aws_iam_role.function["monitor"].arn
    error_message = "It is outside the VPC, with its own role."
  }
}

run "a_longer_schedule_is_possible" {
  command = plan

  variables {
    monitor_schedule_minutes = 5
  }

  assert {
    condition     = aws_cloudwatch_event_rule.monitor.schedule_expression == "rate(5 minutes)"
    error_message = "EventBridge wants the plural."
  }
}

run "the_monitor_knows_the_pipeline" {
  command = plan

  assert {
    condition = { for name, value in aws_lambda_function.monitor.environment[0].variables : name => value if !startswith(name, "POWERTOOLS_") } == {
      STREAM_ARN                        = "arn:aws:dynamodb:eu-west-1:123456789012:table/orders/stream/2026-01-01T00:00:00.000"
      STREAM_GENERATION                 = "0"
      MAPPING                           = "orders"
      MIRROR_TTL_DELETES                = "false"
      FAILURES_BUCKET                   = "backstream-test-failures-123456789012-eu-west-1"
      CONSUMER_FUNCTION_NAME            = "backstream-test-stream-consumer"
      CONSUMER_TIMEOUT_SECONDS          = "60"
      EVENT_SOURCE_MAPPING_UUID         = "01234567-89ab-cdef-0123-456789abcdef"
      STREAM_MAXIMUM_RECORD_AGE_SECONDS = "21600"
      REPLAY_STATE_MACHINE_ARN          = "arn:aws:states:eu-west-1:123456789012:stateMachine:backstream-test-replay"
      VERIFIES_ON_SCHEDULE              = "false"
      HEARTBEAT                         = "false"
    }
    error_message = "By default there is no queue, no schedule of verifications and no heartbeat."
  }
}

run "the_monitor_has_the_rights_to_look_and_no_other" {
  command = plan

  assert {
    condition = { for statement in data.aws_iam_policy_document.monitor.statement : statement.sid => {
      actions    = sort(statement.actions)
      resources  = sort(statement.resources)
      conditions = { for condition in statement.condition : "${condition.test} ${condition.variable}" => condition.values }
      } } == {
      CountFailures = {
        actions    = tolist(["s3:ListBucket"])
        resources  = tolist(["arn:aws:s3:::backstream-test-failures-123456789012-eu-west-1"])
        conditions = { "StringEquals s3:ResourceAccount" = tolist(["123456789012"]) }
      }
      ReadProof = {
        actions    = tolist(["s3:GetObject"])
        resources  = tolist(["arn:aws:s3:::backstream-test-failures-123456789012-eu-west-1/verified/*"])
        conditions = { "StringEquals s3:ResourceAccount" = tolist(["123456789012"]) }
      }
      AskWhetherConsumerReads = {
        actions    = tolist(["lambda:GetEventSourceMapping"])
        resources  = tolist(["arn:aws:lambda:eu-west-1:123456789012:event-source-mapping:01234567-89ab-cdef-0123-456789abcdef"])
        conditions = {}
      }
      ReadLag = {
        actions    = tolist(["cloudwatch:GetMetricStatistics"])
        resources  = tolist(["*"])
        conditions = {}
      }
      ListReplays = {
        actions    = tolist(["states:ListExecutions"])
        resources  = tolist(["arn:aws:states:eu-west-1:123456789012:stateMachine:backstream-test-replay"])
        conditions = {}
      }
      AskHowReplaysEnded = {
        actions    = tolist(["states:DescribeExecution"])
        resources  = tolist(["arn:aws:states:eu-west-1:123456789012:execution:backstream-test-replay:*"])
        conditions = {}
      }
    }
    error_message = "The monitor reads what it measures."
  }
}

run "with_a_key_it_reads_how_replays_ended" {
  command = plan

  variables {
    kms_key_arn = "arn:aws:kms:eu-west-1:123456789012:key/own"
  }

  assert {
    condition = [for statement in data.aws_iam_policy_document.monitor.statement : {
      actions    = statement.actions
      resources  = statement.resources
      conditions = { for condition in statement.condition : "${condition.test} ${condition.variable}" => condition.values }
      } if statement.sid == "ReadReplays"] == [{
      actions    = toset(["kms:Decrypt"])
      resources  = toset(["arn:aws:kms:eu-west-1:123456789012:key/own"])
      conditions = { "StringEquals kms:EncryptionContext:aws:states:stateMachineArn" = tolist(["arn:aws:states:eu-west-1:123456789012:stateMachine:backstream-test-replay"]) }
    }]
    error_message = "The key decrypts the executions of the replay, and of no other state machine."
  }
}

run "with_a_queue_it_looks_at_the_pointers" {
  command = plan

  variables {
    failure_destination        = "sqs"
    verify_schedule_expression = "rate(1 day)"
  }

  assert {
    condition     = aws_lambda_function.monitor.environment[0].variables.FAILURES_QUEUE_URL == "https://sqs.eu-west-1.amazonaws.com/123456789012/backstream-test-failures" && aws_lambda_function.monitor.environment[0].variables.VERIFIES_ON_SCHEDULE == "true"
    error_message = "It knows the queue and the schedule of verifications."
  }

  assert {
    condition     = [for statement in data.aws_iam_policy_document.monitor.statement : sort(statement.actions) if statement.sid == "LookAtPointers"] == [tolist(["sqs:GetQueueAttributes", "sqs:ReceiveMessage"])]
    error_message = "It must not be able to delete a message, nor to hide one for longer."
  }
}

run "a_heartbeat_may_write_its_own_item_only" {
  command = plan

  variables {
    heartbeat = true
  }

  assert {
    condition     = aws_lambda_function.monitor.environment[0].variables.HEARTBEAT == "true"
    error_message = "The variable must reach the function."
  }

  assert {
    condition = [for statement in data.aws_iam_policy_document.monitor.statement : {
      actions    = statement.actions
      resources  = statement.resources
      conditions = { for condition in statement.condition : "${condition.test} ${condition.variable}" => sort(condition.values) }
      } if statement.sid == "WriteHeartbeat"] == [{
      actions   = toset(["dynamodb:PutItem"])
      resources = toset(["arn:aws:dynamodb:eu-west-1:123456789012:table/backstream-test-orders"])
      conditions = {
        "ForAllValues:StringEquals dynamodb:Attributes"  = tolist(["backstream_heartbeat", "p_key", "s_key"])
        "ForAllValues:StringEquals dynamodb:LeadingKeys" = tolist(["backstream#heartbeat"])
      }
    }]
    error_message = "It may put one item, of its own attributes."
  }
}

run "a_key_that_is_no_text_limits_the_attributes" {
  command = plan

  variables {
    heartbeat = true
    table     = { partition_key = { name = "device", type = "B" }, sort_key = { name = "taken", type = "N" } }
  }

  assert {
    condition     = one([for statement in data.aws_iam_policy_document.monitor.statement : { for condition in statement.condition : condition.variable => sort(condition.values) } if statement.sid == "WriteHeartbeat"]) == { "dynamodb:Attributes" = tolist(["backstream_heartbeat", "device", "taken"]) }
    error_message = "AWS documents leading keys of text only."
  }
}

run "the_key_of_an_existing_table_is_read" {
  command = plan

  variables {
    heartbeat  = true
    table      = null
    table_name = "customers"
  }

  override_data {
    target = data.aws_dynamodb_table.source["table"]
    values = {
      hash_key               = "id"
      range_key              = ""
      attribute              = [{ name = "other", type = "N" }, { name = "id", type = "S" }]
      stream_arn             = "arn:aws:dynamodb:eu-west-1:123456789012:table/customers/stream/2026-01-01T00:00:00.000"
      stream_enabled         = true
      stream_view_type       = "NEW_AND_OLD_IMAGES"
      server_side_encryption = []
    }
  }

  assert {
    condition     = one([for statement in data.aws_iam_policy_document.monitor.statement : { for condition in statement.condition : condition.variable => sort(condition.values) } if statement.sid == "WriteHeartbeat"]) == { "dynamodb:Attributes" = tolist(["backstream_heartbeat", "id"]), "dynamodb:LeadingKeys" = tolist(["backstream#heartbeat"]) }
    error_message = "The schema of the table says what its key is."
  }
}

run "a_key_that_the_heartbeat_needs_is_refused" {
  command = plan

  variables {
    heartbeat = true
    table     = { partition_key = { name = "id" }, sort_key = { name = "backstream_heartbeat" } }
  }

  expect_failures = [aws_iam_role_policy.monitor]
}
