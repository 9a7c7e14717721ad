# The wiring of the verification, where it differs from that of the load, and its schedule.

mock_provider "aws" {
  source = "../../tests/mocks"
}

override_resource {
  target = aws_iam_role.job["verify"]
  values = { arn = "arn:aws:iam::123456789012:role/verify" }
}

override_resource {
  target = aws_iam_role.verify_schedule
  values = { arn = "arn:aws:iam::123456789012:role/verify-schedule" }
}

override_resource {
  target = aws_sfn_state_machine.job["load"]
  values = { arn = "arn:aws:states:eu-west-1:123456789012:stateMachine:backstream-test-load" }
}

override_resource {
  target = aws_sfn_state_machine.job["verify"]
  values = { arn = "arn:aws:states:eu-west-1:123456789012:stateMachine:backstream-test-verify" }
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
  }
  rds_sg_id                 = "sg-database"
  rds_secret_arn            = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:mysql-AbCdEf"
  rds_connection_param_name = "/test/mysql"
  lambda_zips               = { folder = "../../tests/fixture" }
}

# Applied once. The other runs plan changes to it where that shows all values, which is quicker.
run "the_state_machine_runs_the_reconciler_and_its_lanes" {
  assert {
    condition     = jsondecode(aws_sfn_state_machine.job["verify"].definition).States.Check.Resource == "arn:aws:lambda:eu-west-1:123456789012:function:backstream-test-reconciler:live"
    error_message = "The definition must name the function's alias."
  }

  assert {
    condition     = jsondecode(aws_sfn_state_machine.job["verify"].definition).States.Check.Parameters.job == "verify" && aws_sfn_state_machine.job["verify"].name == "backstream-test-verify" && aws_sfn_state_machine.job["verify"].role_arn == aws_iam_role.job["verify"].arn
    error_message = "Each job has its own definition, name and role."
  }

  assert {
    condition     = flatten([for statement in data.aws_iam_policy_document.job["verify"].statement : statement.resources if contains(statement.actions, "states:StartExecution")]) == ["arn:aws:states:eu-west-1:123456789012:stateMachine:backstream-test-verify"]
    error_message = "A Distributed Map starts executions of its own state machine."
  }

  assert {
    condition     = flatten([for statement in data.aws_iam_policy_document.job["verify"].statement : statement.resources if contains(statement.actions, "states:RedriveExecution")]) == ["arn:aws:states:eu-west-1:123456789012:execution:backstream-test-verify/${jsondecode(aws_sfn_state_machine.job["verify"].definition).States.Walk.Label}:*"]
    error_message = "Lanes are executions under the map's label."
  }

  assert {
    condition     = !aws_sfn_state_machine.job["verify"].logging_configuration[0].include_execution_data
    error_message = "The report names keys of items, which must not be logged."
  }

  assert {
    condition     = output.verify_state_machine_arn == aws_sfn_state_machine.job["verify"].arn && output.role_names.verify == "backstream-test-verify-eu-west-1" && output.log_group_names.verify == "/aws/vendedlogs/states/backstream-test-verify"
    error_message = "The outputs name the state machine, its role and its log group."
  }
}

run "how_long_a_change_may_take_reaches_the_function" {
  command = plan

  variables {
    verify_settle_seconds = 60
  }

  assert {
    condition     = aws_lambda_function.reconciler.environment[0].variables.VERIFY_SETTLE_SECONDS == "60"
    error_message = "Settings must reach the function."
  }
}

run "a_wait_shorter_than_the_window_is_refused" {
  command = plan

  variables {
    stream_batching_window_seconds = 61
    verify_settle_seconds          = 60
  }

  expect_failures = [aws_lambda_function.reconciler]
}

run "a_wait_as_long_as_the_window_is_taken" {
  command = plan

  variables {
    stream_batching_window_seconds = 60
    verify_settle_seconds          = 60
  }

  assert {
    condition     = aws_lambda_function.reconciler.environment[0].variables.VERIFY_SETTLE_SECONDS == "60"
    error_message = "Lambda waits for the window, and then calls the consumer."
  }
}

run "what_is_exported_leaves_soon" {
  command = plan

  assert {
    condition     = [for rule in aws_s3_bucket_lifecycle_configuration.failures["failures"].rule : [one(rule.expiration).days, one(rule.noncurrent_version_expiration).noncurrent_days] if rule.id == "exports"] == [[7, 1]]
    error_message = "The files of an export hold items. The bucket is versioned: an expired file must not stay as an old version."
  }

  assert {
    condition     = !contains(keys(aws_lambda_function.reconciler.environment[0].variables), "FAILURES_BUCKET_KEY_ARN")
    error_message = "Without a key of your own, exports are encrypted with that of S3."
  }
}

run "pointers_in_the_queue_are_counted_and_not_taken" {
  command = plan

  variables {
    failure_destination = "sqs"
  }

  assert {
    condition     = aws_lambda_function.reconciler.environment[0].variables.FAILURES_QUEUE_URL == "https://sqs.eu-west-1.amazonaws.com/123456789012/backstream-test-failures"
    error_message = "Without the queue, changes that wait for a replay would count as lost."
  }

  assert {
    condition = { for statement in data.aws_iam_policy_document.reconciler.statement : statement.sid => {
      actions   = sort(statement.actions)
      resources = sort(statement.resources)
      } if anytrue([for action in statement.actions : startswith(action, "sqs:")]) } == {
      CountPointers = {
        actions   = tolist(["sqs:GetQueueAttributes"])
        resources = tolist(["arn:aws:sqs:eu-west-1:123456789012:backstream-test-failures"])
      }
    }
    error_message = "The messages belong to the replay."
  }
}

run "a_wait_for_settling_does_not_outgrow_a_history" {
  command = plan

  variables {
    replay_database_wait_seconds  = 0
    replay_check_interval_seconds = 1
    verify_settle_seconds         = 3600
  }

  expect_failures = [aws_sfn_state_machine.job["verify"]]
}

run "nothing_starts_a_verification_by_default" {
  command = plan

  assert {
    condition     = length(aws_cloudwatch_event_rule.verify) == 0 && length(aws_cloudwatch_event_target.verify) == 0 && length(aws_iam_role.verify_schedule) == 0 && output.verify_rule_arn == null
    error_message = "A schedule costs read capacity, so it must be asked for."
  }
}

run "a_schedule_takes_the_slices_in_turn" {
  variables {
    verify_schedule_expression = "rate(1 day)"
    verify_slices              = 30
    verify_repair              = true
    verify_after_cutover       = true
  }

  assert {
    condition     = aws_cloudwatch_event_rule.verify["schedule"].name == "backstream-test-verify-schedule" && aws_cloudwatch_event_rule.verify["schedule"].schedule_expression == "rate(1 day)"
    error_message = "The rule has the given schedule."
  }

  assert {
    condition     = jsondecode(aws_cloudwatch_event_target.verify["schedule"].input) == { slice = "next/30", repair = true, after_cutover = true }
    error_message = "A constant input: the job chooses the slice."
  }

  assert {
    condition     = aws_lambda_function.dlq_replayer.environment[0].variables.VERIFY_AFTER_CUTOVER == "true"
    error_message = "A verification that a replay starts takes the table for the truth, too."
  }

  assert {
    condition     = aws_cloudwatch_event_target.verify["schedule"].arn == "arn:aws:states:eu-west-1:123456789012:stateMachine:backstream-test-verify" && aws_cloudwatch_event_target.verify["schedule"].role_arn == "arn:aws:iam::123456789012:role/verify-schedule"
    error_message = "The rule starts the verification with its own role."
  }

  assert {
    condition     = flatten(data.aws_iam_policy_document.verify_schedule.statement[*].resources) == ["arn:aws:states:eu-west-1:123456789012:stateMachine:backstream-test-verify"] && flatten(data.aws_iam_policy_document.verify_schedule.statement[*].actions) == ["states:StartExecution"]
    error_message = "EventBridge may start this state machine, and nothing else."
  }

  assert {
    condition     = output.role_names.verify_schedule == "backstream-test-verify-schedule-eu-west-1"
    error_message = "The map of roles has that of the schedule."
  }
}

run "a_schedule_reports_the_whole_table_unless_told_otherwise" {
  command = plan

  variables {
    verify_schedule_expression = "cron(0 3 * * ? *)"
  }

  assert {
    condition     = jsondecode(aws_cloudwatch_event_target.verify["schedule"].input) == { slice = "next/1", repair = false, after_cutover = false }
    error_message = "One slice is the whole table, nothing is repaired, and the rows of seeded items are the legacy application's, unless told otherwise."
  }
}

run "a_weekday_of_a_cron_schedule_is_accepted" {
  command = plan

  variables {
    verify_schedule_expression = "cron(0/15 8-17 ? * MON-FRI *)"
  }

  assert {
    condition     = aws_cloudwatch_event_rule.verify["schedule"].schedule_expression == "cron(0/15 8-17 ? * MON-FRI *)"
    error_message = "The question mark may be in the third or the fifth field."
  }
}

run "a_cron_schedule_without_question_mark_is_refused" {
  command = plan

  variables {
    verify_schedule_expression = "cron(0 3 * * * *)"
  }

  expect_failures = [var.verify_schedule_expression]
}

run "a_cron_schedule_of_five_fields_is_refused" {
  command = plan

  variables {
    verify_schedule_expression = "cron(0 3 * * ?)"
  }

  expect_failures = [var.verify_schedule_expression]
}

run "files_of_a_verification_outlive_it" {
  command = plan

  variables {
    replayed_retention_days = 1
  }

  assert {
    condition     = [for rule in aws_s3_bucket_lifecycle_configuration.failures["failures"].rule : one(rule.expiration).days if rule.id == "verify"] == [30] && [for rule in aws_s3_bucket_lifecycle_configuration.failures["failures"].rule : rule.id if startswith("verified/0030.json", try(rule.filter[0].prefix, "-"))] == []
    error_message = "A verification of a large table takes days. When a slice was last verified must be known at its next turn."
  }
}
