# One map feeds the outputs and the parameter, so both always say the same.

locals {
  outputs_param_name = "/${local.prefix}/outputs"

  outputs = {
    api_url                   = module.orders_api.api_url
    api_secret_arn            = module.orders_api.api_secret_arn
    api_function_name         = module.orders_api.api_function_name
    table_name                = module.pipeline.table_name
    idempotency_table_name    = module.orders_api.idempotency_table_name
    stream_arn                = module.pipeline.stream_arn
    consumer_function_name    = module.pipeline.consumer_function_name
    schema_function_name      = module.pipeline.schema_function_name
    event_source_mapping_uuid = module.pipeline.event_source_mapping_uuid
    failures_bucket           = module.pipeline.failures_bucket
    failures_queue_url        = module.pipeline.failures_queue_url
    replay_state_machine_arn  = module.pipeline.replay_state_machine_arn
    replayer_function_name    = module.pipeline.replayer_function_name
    load_state_machine_arn    = module.pipeline.load_state_machine_arn
    verify_state_machine_arn  = module.pipeline.verify_state_machine_arn
    seed_state_machine_arn    = module.pipeline.seed_state_machine_arn
    prune_state_machine_arn   = module.pipeline.prune_state_machine_arn
    reconciler_function_name  = module.pipeline.reconciler_function_name
    monitor_function_name     = module.pipeline.monitor_function_name
    rds_connection_param_name = var.rds_connection_param_name
    rds_secret_arn            = var.rds_secret_arn
    dashboard_name            = module.pipeline.dashboard_name
    alarm_topic_arn           = module.pipeline.alarm_topic_arn
    outputs_param_name        = local.outputs_param_name
  }
}

# `backstream --name ... --env ...` finds the deployment here. It holds names and ARNs, no secret.
resource "aws_ssm_parameter" "outputs" {
  #checkov:skip=CKV2_AWS_34:It holds names and ARNs and no secret, and AWS refuses to turn a String into a SecureString

  name           = local.outputs_param_name
  description    = "Terraform outputs of this Backstream deployment"
  type           = "String"
  tier           = "Standard"
  insecure_value = jsonencode(local.outputs) # shown in plans, unlike value
}

output "api_url" {
  description = "URL of the API stage. The path of the orders is /v1/orders."
  value       = local.outputs.api_url
}

output "api_secret_arn" {
  description = "Secret with the username and password of the API. Empty with api_auth = iam."
  value       = local.outputs.api_secret_arn
}

output "api_function_name" {
  description = "Function behind the API."
  value       = local.outputs.api_function_name
}

output "table_name" {
  description = "DynamoDB table of the orders."
  value       = local.outputs.table_name
}

output "idempotency_table_name" {
  description = "DynamoDB table of the idempotency keys."
  value       = local.outputs.idempotency_table_name
}

output "stream_arn" {
  description = "Stream of the orders table."
  value       = local.outputs.stream_arn
}

output "consumer_function_name" {
  description = "Function that writes the stream to MySQL."
  value       = local.outputs.consumer_function_name
}

# Not in the parameter, which has 4 KB: nobody looks for it there.
output "schema_step_warnings" {
  description = "Settings of the database server with which a committed change may be lost, as the last schema step found them. Empty where there are none."
  value       = join("; ", module.pipeline.schema_step_warnings)
}

output "schema_function_name" {
  description = "Function that creates or checks the tables in MySQL."
  value       = local.outputs.schema_function_name
}

output "event_source_mapping_uuid" {
  description = "Event source mapping from the stream to the consumer."
  value       = local.outputs.event_source_mapping_uuid
}

output "failures_bucket" {
  description = "Bucket of the quarantined records and, with failure_destination = s3, of the failed batches."
  value       = local.outputs.failures_bucket
}

output "failures_queue_url" {
  description = "Queue of the pointers to failed batches. Empty with failure_destination = s3."
  value       = local.outputs.failures_queue_url
}

output "replay_state_machine_arn" {
  description = "State machine that replays failed batches. Start it with {}."
  value       = local.outputs.replay_state_machine_arn
}

output "replayer_function_name" {
  description = "Function that runs the steps of a replay."
  value       = local.outputs.replayer_function_name
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

output "reconciler_function_name" {
  description = "Function that runs the steps of loads, verifications and seeds."
  value       = local.outputs.reconciler_function_name
}

output "monitor_function_name" {
  description = "Function that emits what waits, and how long it takes until a change is lost."
  value       = local.outputs.monitor_function_name
}

output "rds_connection_param_name" {
  description = "SSM parameter with the host, port and database of MySQL."
  value       = local.outputs.rds_connection_param_name
}

output "rds_secret_arn" {
  description = "Secret with the username and password of the MySQL user."
  value       = local.outputs.rds_secret_arn
}

output "dashboard_name" {
  description = "CloudWatch dashboard of the pipeline. Empty with create_dashboard = false."
  value       = local.outputs.dashboard_name
}

output "alarm_topic_arn" {
  description = "SNS topic that the alarms notify. Empty without one."
  value       = local.outputs.alarm_topic_arn
}

output "outputs_param_name" {
  description = "SSM parameter that holds all of these outputs as one JSON object."
  value       = local.outputs.outputs_param_name
}
