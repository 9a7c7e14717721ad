# The wiring of the prune, without an AWS account. Its rights are those of the reconciler: see load.tftest.hcl.

mock_provider "aws" {
  source = "../../tests/mocks"
}

override_resource {
  target = aws_sfn_state_machine.job["prune"]
  values = { arn = "arn:aws:states:eu-west-1:123456789012:stateMachine:backstream-test-prune" }
}

override_resource {
  target = aws_iam_role.prune_schedule
  values = { arn = "arn:aws:iam::123456789012:role/prune-schedule" }
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

run "nothing_starts_a_prune_by_default" {
  assert {
    condition     = length(aws_cloudwatch_event_rule.prune) == 0 && length(aws_cloudwatch_event_target.prune) == 0 && length(aws_iam_role.prune_schedule) == 0 && output.prune_rule_arn == null
    error_message = "A prune deletes, so a schedule must be asked for."
  }

  assert {
    condition     = aws_lambda_function.reconciler.environment[0].variables.PRUNE_HORIZON_DAYS == "40" && jsondecode(aws_sfn_state_machine.job["prune"].definition).States.Walk.ItemProcessor.States.WalkLane.Parameters.job == "prune"
    error_message = "A prune that is started with {} takes the horizon of the deployment."
  }

  assert {
    condition     = output.prune_state_machine_arn == "arn:aws:states:eu-west-1:123456789012:stateMachine:backstream-test-prune"
    error_message = "The tool finds the state machine in the outputs."
  }
}

run "a_schedule_starts_prunes" {
  variables {
    prune_schedule_expression = "cron(0 5 ? * SUN *)"
    prune_horizon_days        = 90
  }

  assert {
    condition     = aws_cloudwatch_event_rule.prune["schedule"].name == "backstream-test-prune-schedule" && aws_cloudwatch_event_rule.prune["schedule"].schedule_expression == "cron(0 5 ? * SUN *)"
    error_message = "The rule has the given schedule."
  }

  assert {
    condition     = aws_cloudwatch_event_target.prune["schedule"].input == "{}" && aws_lambda_function.reconciler.environment[0].variables.PRUNE_HORIZON_DAYS == "90"
    error_message = "The horizon is that of the deployment."
  }

  assert {
    condition     = aws_cloudwatch_event_target.prune["schedule"].arn == "arn:aws:states:eu-west-1:123456789012:stateMachine:backstream-test-prune" && aws_cloudwatch_event_target.prune["schedule"].role_arn == "arn:aws:iam::123456789012:role/prune-schedule"
    error_message = "The rule starts the prune with its own role."
  }

  assert {
    condition     = flatten(data.aws_iam_policy_document.prune_schedule.statement[*].resources) == ["arn:aws:states:eu-west-1:123456789012:stateMachine:backstream-test-prune"] && flatten(data.aws_iam_policy_document.prune_schedule.statement[*].actions) == ["states:StartExecution"]
    error_message = "EventBridge may start this state machine, and nothing else."
  }

  assert {
    condition     = output.role_names.prune_schedule == "backstream-test-prune-schedule-eu-west-1"
    error_message = "The map of roles has that of the schedule."
  }
}
