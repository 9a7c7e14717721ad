# One map feeds these outputs and the parameter, so both always say the same.

locals {
  outputs_param_name = "/${join("/", compact(["${var.name}-${var.env}", var.pipeline, "outputs"]))}"

  outputs = {
    table_name                = local.table_name
    stream_arn                = local.stream_arn
    mapping                   = var.mapping
    consumer_function_name    = aws_lambda_function.stream_consumer.function_name
    schema_function_name      = aws_lambda_function.schema.function_name
    replayer_function_name    = aws_lambda_function.dlq_replayer.function_name
    event_source_mapping_uuid = aws_lambda_event_source_mapping.stream.uuid
    failures_bucket           = aws_s3_bucket.failures.bucket
    failures_queue_url        = join("", [for queue in aws_sqs_queue.failures : queue.url])
    replay_state_machine_arn  = aws_sfn_state_machine.replay.arn
    reconciler_function_name  = aws_lambda_function.reconciler.function_name
    monitor_function_name     = aws_lambda_function.monitor.function_name
    load_state_machine_arn    = aws_sfn_state_machine.job["load"].arn
    verify_state_machine_arn  = aws_sfn_state_machine.job["verify"].arn
    seed_state_machine_arn    = aws_sfn_state_machine.job["seed"].arn
    prune_state_machine_arn   = aws_sfn_state_machine.job["prune"].arn
    rds_connection_param_name = var.create_rds_proxy ? one([for parameter in aws_ssm_parameter.rds_connection : parameter.name]) : var.rds_connection_param_name
    rds_secret_arn            = var.rds_secret_arn
    dashboard_name            = join("", [for dashboard in aws_cloudwatch_dashboard.pipeline : dashboard.dashboard_name])
    alarm_topic_arn           = local.alarm_topic_arn == null ? "" : local.alarm_topic_arn
  }
}

# `backstream --name ... --env ... --pipeline ...` finds the pipeline here. It holds names and ARNs, no secret.
resource "aws_ssm_parameter" "outputs" {
  #checkov:skip=CKV2_AWS_34:It holds names and ARNs and no secret, and AWS refuses to turn a String into a SecureString

  for_each = var.create_outputs_param ? { outputs = local.outputs_param_name } : {}

  name           = each.value
  description    = "Terraform outputs of this Backstream pipeline"
  type           = "String"
  tier           = "Standard"
  insecure_value = jsonencode(merge(local.outputs, { outputs_param_name = each.value })) # shown in plans, unlike value

  tags = local.tags
}

output "table_name" {
  description = "DynamoDB table of the pipeline."
  value       = local.outputs.table_name
}

output "table_arn" {
  description = "ARN of the DynamoDB table."
  value       = local.table_arn
}

output "stream_arn" {
  description = "Stream of the table."
  value       = local.outputs.stream_arn
}

output "mapping" {
  description = "Name of the mapping."
  value       = local.outputs.mapping
}

output "consumer_function_name" {
  description = "Function that writes the stream to MySQL."
  value       = local.outputs.consumer_function_name
}

output "consumer_function_arn" {
  description = "ARN of that function, without a version."
  value       = aws_lambda_function.stream_consumer.arn
}

output "consumer_alias_arn" {
  description = "ARN of its alias, which the event source mapping calls."
  value       = aws_lambda_alias.stream_consumer.arn
}

output "schema_function_name" {
  description = "Function that creates or checks the tables in MySQL."
  value       = local.outputs.schema_function_name
}

output "schema_step_warnings" {
  description = "Settings of the database server with which a committed change may be lost, as the last schema step found them."
  value       = local.schema_step_warnings
}

output "schema_function_arn" {
  description = "ARN of that function."
  value       = aws_lambda_function.schema.arn
}

output "replayer_function_name" {
  description = "Function that runs the steps of a replay."
  value       = local.outputs.replayer_function_name
}

output "replayer_function_arn" {
  description = "ARN of that function, without a version."
  value       = aws_lambda_function.dlq_replayer.arn
}

output "replayer_alias_arn" {
  description = "ARN of its alias, which the state machine calls."
  value       = aws_lambda_alias.dlq_replayer.arn
}

output "reconciler_function_name" {
  description = "Function that runs the steps of loads, verifications and seeds."
  value       = local.outputs.reconciler_function_name
}

output "reconciler_function_arn" {
  description = "ARN of that function, without a version."
  value       = aws_lambda_function.reconciler.arn
}

output "reconciler_alias_arn" {
  description = "ARN of its alias, which the state machine calls."
  value       = aws_lambda_alias.reconciler.arn
}

output "monitor_function_name" {
  description = "Function that emits what waits, and how long it takes until a change is lost."
  value       = local.outputs.monitor_function_name
}

output "monitor_function_arn" {
  description = "ARN of that function."
  value       = aws_lambda_function.monitor.arn
}

output "monitor_rule_arn" {
  description = "ARN of the EventBridge rule that calls it."
  value       = aws_cloudwatch_event_rule.monitor.arn
}

output "event_source_mapping_uuid" {
  description = "Event source mapping from the stream to the consumer."
  value       = local.outputs.event_source_mapping_uuid
}

output "event_source_mapping_arn" {
  description = "ARN of the event source mapping."
  value       = aws_lambda_event_source_mapping.stream.arn
}

output "failures_bucket" {
  description = "Bucket of the quarantined records and, with failure_destination = s3, of the failed batches."
  value       = local.outputs.failures_bucket
}

output "failures_bucket_arn" {
  description = "ARN of that bucket."
  value       = aws_s3_bucket.failures.arn
}

output "failures_queue_url" {
  description = "Queue of the pointers to failed batches. Empty with failure_destination = s3."
  value       = local.outputs.failures_queue_url
}

output "failures_queue_arn" {
  description = "ARN of that queue. Empty with failure_destination = s3."
  value       = join("", [for queue in aws_sqs_queue.failures : queue.arn])
}

output "replay_state_machine_arn" {
  description = "State machine that replays failed batches. Start it with {}."
  value       = local.outputs.replay_state_machine_arn
}

output "load_state_machine_arn" {
  description = "State machine that brings the items of the table into MySQL. Start it with {}."
  value       = local.outputs.load_state_machine_arn
}

output "verify_state_machine_arn" {
  description = "State machine that compares MySQL with the table. Start it with {}."
  value       = local.outputs.verify_state_machine_arn
}

output "seed_state_machine_arn" {
  description = "State machine that makes items of the rows of an existing database. Start it with {}."
  value       = local.outputs.seed_state_machine_arn
}

output "prune_state_machine_arn" {
  description = "State machine that deletes the versions of items that are long gone. Start it with {}."
  value       = local.outputs.prune_state_machine_arn
}

output "replay_lock_table_name" {
  description = "DynamoDB table of the locks: one replay at a time, and one load or verification."
  value       = aws_dynamodb_table.replay_lock.name
}

output "replay_lock_table_arn" {
  description = "ARN of that table."
  value       = aws_dynamodb_table.replay_lock.arn
}

output "auto_replay_rule_arns" {
  description = "ARNs of the EventBridge rules that start a replay (schedule, failed-batch). Empty without auto_replay."
  value       = { for name, rule in aws_cloudwatch_event_rule.auto_replay : name => rule.arn }
}

output "verify_rule_arn" {
  description = "ARN of the EventBridge rule that starts verifications. Null without verify_schedule_expression."
  value       = one([for rule in aws_cloudwatch_event_rule.verify : rule.arn])
}

output "prune_rule_arn" {
  description = "ARN of the EventBridge rule that starts prunes. Null without prune_schedule_expression."
  value       = one([for rule in aws_cloudwatch_event_rule.prune : rule.arn])
}

output "role_arns" {
  description = "Roles by function (stream_consumer, schema, dlq_replayer, reconciler, monitor), replay, load, verify, seed and prune (the state machines), and auto_replay, verify_schedule, prune_schedule and proxy where they exist."
  value = merge(
    { for function, role in aws_iam_role.function : function => role.arn },
    { replay = aws_iam_role.replay.arn },
    { for job, role in aws_iam_role.job : job => role.arn },
    { for role in aws_iam_role.auto_replay : "auto_replay" => role.arn },
    { for role in aws_iam_role.verify_schedule : "verify_schedule" => role.arn },
    { for role in aws_iam_role.prune_schedule : "prune_schedule" => role.arn },
    { for role in aws_iam_role.proxy : "proxy" => role.arn },
  )
}

output "role_names" {
  description = "Names of the same roles."
  value = merge(
    { for function, role in aws_iam_role.function : function => role.name },
    { replay = aws_iam_role.replay.name },
    { for job, role in aws_iam_role.job : job => role.name },
    { for role in aws_iam_role.auto_replay : "auto_replay" => role.name },
    { for role in aws_iam_role.verify_schedule : "verify_schedule" => role.name },
    { for role in aws_iam_role.prune_schedule : "prune_schedule" => role.name },
    { for role in aws_iam_role.proxy : "proxy" => role.name },
  )
}

output "log_group_names" {
  description = "Log groups by function, and replay, load, verify, seed and prune (the state machines)."
  value = merge(
    { for function, group in aws_cloudwatch_log_group.function : function => group.name },
    { replay = aws_cloudwatch_log_group.replay.name },
    { for job, group in aws_cloudwatch_log_group.job : job => group.name },
  )
}

output "log_group_arns" {
  description = "ARNs of the same log groups."
  value = merge(
    { for function, group in aws_cloudwatch_log_group.function : function => group.arn },
    { replay = aws_cloudwatch_log_group.replay.arn },
    { for job, group in aws_cloudwatch_log_group.job : job => group.arn },
  )
}

output "security_group_id" {
  description = "Security group of the functions that the module created. Null with create_security_group = false."
  value       = one([for group in aws_security_group.consumer : group.id])
}

output "proxy_security_group_id" {
  description = "Security group of the RDS Proxy: rds_sg_id of the other pipelines that use it. Null without one."
  value       = one([for group in aws_security_group.proxy : group.id])
}

output "proxy_arn" {
  description = "ARN of the RDS Proxy. Null without one."
  value       = one([for proxy in aws_db_proxy.mysql : proxy.arn])
}

output "proxy_endpoint" {
  description = "Hostname of the RDS Proxy. Null without one."
  value       = one([for proxy in aws_db_proxy.mysql : proxy.endpoint])
}

output "rds_connection_param_name" {
  description = "SSM parameter with the host, port and database of MySQL. It is known when the parameter that the module writes exists."
  value       = local.outputs.rds_connection_param_name
}

output "rds_secret_arn" {
  description = "Secret with the username and password of the MySQL user."
  value       = local.outputs.rds_secret_arn
}

output "outputs_param_name" {
  description = "SSM parameter that holds names and ARNs of the pipeline as one JSON object. Empty with create_outputs_param = false."
  value       = var.create_outputs_param ? local.outputs_param_name : ""
}

output "dashboard_name" {
  description = "CloudWatch dashboard. Empty with create_dashboard = false."
  value       = local.outputs.dashboard_name
}

output "alarm_topic_arn" {
  description = "SNS topic that the alarms notify. Empty without one."
  value       = local.outputs.alarm_topic_arn

  depends_on = [aws_sns_topic_policy.alarms] # an alarm of somebody else may publish from its first moment
}

output "alarm_arns" {
  description = "ARNs of the alarms by name. replication_at_risk is the composite alarm."
  value = merge(
    { for name, alarm in aws_cloudwatch_metric_alarm.pipeline : name => alarm.arn },
    { for alarm in aws_cloudwatch_composite_alarm.replication_at_risk : "replication_at_risk" => alarm.arn },
  )
}
