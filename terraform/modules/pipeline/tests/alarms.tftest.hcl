# The alarms, their topic and their limits. tests/wiring/test_alarms.py checks each alarm of a plan.

mock_provider "aws" {
  source = "../../tests/mocks"
}

override_resource {
  target = aws_iam_role.verify_schedule
  values = { arn = "arn:aws:iam::123456789012:role/verify-schedule" }
}

override_resource {
  target = aws_sfn_state_machine.job["verify"]
  values = { arn = "arn:aws:states:eu-west-1:123456789012:stateMachine:backstream-test-verify" }
}

variables {
  env      = "test"
  pipeline = null
  vpc_id   = "vpc-1"
  table = {
    name          = "backstream-test-orders"
    partition_key = { name = "p_key" }
  }
  rds_sg_id                 = "sg-database"
  rds_secret_arn            = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:mysql-AbCdEf"
  rds_connection_param_name = "/test/mysql"
  lambda_zips               = { folder = "../../tests/fixture" }
}

# Applied once. The other runs plan changes to it where that shows all values, which is quicker.
run "every_alarm_notifies_the_topic" {
  assert {
    condition = length(aws_cloudwatch_metric_alarm.pipeline) > 30 && alltrue([
      for alarm in concat(values(aws_cloudwatch_metric_alarm.pipeline), values(aws_cloudwatch_composite_alarm.replication_at_risk)) :
      alarm.alarm_actions == toset([aws_sns_topic.alarms["alarms"].arn]) && alarm.ok_actions == alarm.alarm_actions
    ])
    error_message = "Somebody must be told that an alarm rings, and that it is over."
  }

  assert {
    condition     = output.alarm_topic_arn == "arn:aws:sns:eu-west-1:123456789012:backstream-test-alarms" && aws_sns_topic.alarms["alarms"].name == "backstream-test-alarms"
    error_message = "The output is made of the topic's name."
  }

  assert {
    condition     = join(" OR ", [for name in terraform_data.risk_alarms["alarm"].input : "ALARM(\"backstream-test-${name}\")"]) == aws_cloudwatch_composite_alarm.replication_at_risk["alarm"].alarm_rule
    error_message = "A change of the alarms that the composite alarm names must replace it: CloudWatch deletes none of them before."
  }

  assert {
    condition     = output.dashboard_name == "backstream-test" && length(output.alarm_arns) == length(aws_cloudwatch_metric_alarm.pipeline) + 1
    error_message = "Dashboard and alarms are outputs."
  }
}

run "only_cloudwatch_of_this_account_publishes" {
  command = plan

  assert {
    condition = [
      for statement in data.aws_iam_policy_document.alarm_topic["alarms"].statement : join(" ", concat(
        [coalesce(statement.effect, "Allow")], tolist(statement.actions), [one(statement.principals).type], tolist(one(statement.principals).identifiers),
        [one(statement.condition).test, one(statement.condition).variable], one(statement.condition).values,
      ))
      ] == [
      "Allow sns:Publish Service cloudwatch.amazonaws.com StringEquals aws:SourceAccount 123456789012",
      "Deny sns:Publish * * Bool aws:SecureTransport false",
    ]
    error_message = "The topic takes messages from the alarms of this account, through TLS."
  }

  assert {
    condition     = flatten(data.aws_iam_policy_document.alarm_topic["alarms"].statement[*].resources) == [for number in [1, 2] : aws_sns_topic.alarms["alarms"].arn]
    error_message = "The policy is of this topic."
  }
}

run "without_a_key_the_topic_has_none" {
  command = plan

  assert {
    condition     = aws_sns_topic.alarms["alarms"].kms_master_key_id == null
    error_message = "CloudWatch may not use the key that AWS manages for SNS."
  }
}

run "a_key_of_your_own_encrypts_the_topic" {
  command = plan

  variables {
    kms_key_arn = "arn:aws:kms:eu-west-1:123456789012:key/own"
  }

  assert {
    condition     = aws_sns_topic.alarms["alarms"].kms_master_key_id == var.kms_key_arn
    error_message = "The key must reach the topic."
  }
}

run "mails_go_to_each_address" {
  command = plan

  variables {
    alarm_email_addresses = ["a@example.com", "b@example.com"]
  }

  assert {
    condition     = { for address, subscription in aws_sns_topic_subscription.alarms : address => "${subscription.protocol} ${subscription.endpoint}" } == { "a@example.com" = "email a@example.com", "b@example.com" = "email b@example.com" }
    error_message = "Each address has a subscription."
  }
}

run "a_topic_that_is_created_in_the_same_apply" {
  command = plan

  variables {
    alarm_topic_arn       = "arn:aws:sns:eu-west-1:123456789012:own"
    create_alarm_topic    = false
    alarm_email_addresses = ["a@example.com"]
  }

  assert {
    condition     = length(aws_sns_topic.alarms) + length(aws_sns_topic_subscription.alarms) == 0 && output.alarm_topic_arn == var.alarm_topic_arn
    error_message = "The topic and its subscriptions are the caller's."
  }
}

run "alarms_need_a_topic" {
  command = plan

  variables {
    create_alarm_topic = false
  }

  expect_failures = [aws_cloudwatch_metric_alarm.pipeline]
}

run "a_topic_of_another_region_is_refused" {
  command = plan

  variables {
    alarm_topic_arn = "arn:aws:sns:us-east-1:123456789012:own"
  }

  expect_failures = [aws_cloudwatch_metric_alarm.pipeline]
}

run "a_topic_is_not_needed_without_alarms" {
  command = plan

  variables {
    create_alarms = false
  }

  assert {
    condition     = length(aws_cloudwatch_metric_alarm.pipeline) + length(aws_cloudwatch_composite_alarm.replication_at_risk) + length(aws_sns_topic.alarms) == 0 && output.alarm_topic_arn == ""
    error_message = "create_alarms = false leaves all of them out."
  }

  assert {
    condition     = !contains([for widget in jsondecode(aws_cloudwatch_dashboard.pipeline["pipeline"].dashboard_body).widgets : widget.type], "alarm")
    error_message = "The dashboard then has no widget of alarms."
  }
}

run "an_age_above_the_record_age_is_refused" {
  command = plan

  variables {
    alarms = { iterator_age_critical_seconds = 21600 }
  }

  expect_failures = [aws_cloudwatch_metric_alarm.pipeline]
}

run "ages_out_of_order_are_refused" {
  command = plan

  variables {
    alarms = { iterator_age_warning_seconds = 6000 }
  }

  expect_failures = [aws_cloudwatch_metric_alarm.pipeline]
}

run "a_page_after_the_critical_age_is_refused" {
  command = plan

  variables {
    alarms = { iterator_age_page_seconds = 20000 }
  }

  expect_failures = [aws_cloudwatch_metric_alarm.pipeline]
}

run "ages_of_ones_own_are_taken" {
  command = plan

  variables {
    alarms = { iterator_age_warning_seconds = 60, iterator_age_page_seconds = 600, iterator_age_critical_seconds = 21599 }
  }

  assert {
    condition     = [for tier in ["warning", "page", "critical"] : aws_cloudwatch_metric_alarm.pipeline["${tier}-iterator-age"].threshold] == [60000, 600000, 21599000]
    error_message = "IteratorAge is in milliseconds."
  }
}

run "a_pointer_that_rings_on_arrival_is_refused" {
  command = plan

  variables {
    failure_destination               = "sqs"
    stream_maximum_record_age_seconds = 43200
    alarms                            = { pointer_hours_left = 12 }
  }

  expect_failures = [aws_cloudwatch_metric_alarm.pipeline]
}

run "a_loss_that_rings_as_a_pointer_arrives_is_refused" {
  command = plan

  variables {
    failure_destination               = "sqs"
    stream_maximum_record_age_seconds = 43200
    alarms                            = { hours_until_loss = 12 }
  }

  expect_failures = [aws_cloudwatch_metric_alarm.pipeline]
}

run "pointers_do_not_matter_in_the_bucket" {
  command = plan

  variables {
    stream_maximum_record_age_seconds = 82800
    alarms                            = { pointer_hours_left = 12, hours_until_loss = 12 }
  }

  assert {
    condition     = !contains(keys(aws_cloudwatch_metric_alarm.pipeline), "critical-pointers")
    error_message = "Only a queue has pointers."
  }
}

run "a_heartbeat_alarm_within_the_window_is_refused" {
  command = plan

  variables {
    heartbeat                      = true
    stream_batching_window_seconds = 271
  }

  expect_failures = [aws_cloudwatch_metric_alarm.pipeline]
}

run "a_heartbeat_alarm_beyond_the_window_is_taken" {
  command = plan

  variables {
    heartbeat                      = true
    stream_batching_window_seconds = 271
    alarms                         = { heartbeat_seconds = 301 }
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.pipeline["page-heartbeat-late"].threshold == 301
    error_message = "A heartbeat waits in its batch for the window."
  }
}

run "without_a_heartbeat_its_alarm_does_not_matter" {
  command = plan

  variables {
    stream_batching_window_seconds = 300
  }

  assert {
    condition     = !contains(keys(aws_cloudwatch_metric_alarm.pipeline), "page-heartbeat-late")
    error_message = "No heartbeat, no alarm."
  }
}

run "a_schedule_slower_than_its_alarm_is_refused" {
  command = plan

  variables {
    verify_schedule_expression = "rate(1 day)"
    verify_slices              = 30
    alarms                     = { unverified_hours = 720 }
  }

  expect_failures = [aws_cloudwatch_metric_alarm.pipeline]
}

run "an_alarm_slower_than_its_schedule_is_taken" {
  command = plan

  variables {
    verify_schedule_expression = "rate(30 minutes)"
    verify_slices              = 4
    alarms                     = { unverified_hours = 3 }
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.pipeline["warning-unverified"].threshold == 10800
    error_message = "The variable is in hours, and the metric in seconds."
  }
}

run "impossible_thresholds_are_refused" {
  command = plan

  variables {
    alarms                = { oldest_batch_seconds = 0, hours_until_loss = 24, proxy_connections_percent = 101 }
    alarm_topic_arn       = "arn:aws:sns:eu-west-1:123456789012:own.fifo"
    alarm_email_addresses = ["oncall"]
    runbook_url           = "https://wiki.example/runbook#top"
  }

  expect_failures = [var.alarms, var.alarm_topic_arn, var.alarm_email_addresses, var.runbook_url]
}

run "no_batch_at_all_may_wait" {
  command = plan

  variables {
    alarms = { batches_waiting = 0 }
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.pipeline["warning-batches-waiting"].threshold == 0
    error_message = "0 is a threshold of its own."
  }
}

run "alarms_have_the_tags_and_a_severity" {
  command = plan

  variables {
    tags = { Team = "orders" }
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.pipeline["page-mapping-disabled"].tags == tomap({ Team = "orders", Severity = "page" }) && aws_cloudwatch_composite_alarm.replication_at_risk["alarm"].tags == tomap({ Team = "orders", Severity = "critical" })
    error_message = "The first word of the name is the severity."
  }
}
