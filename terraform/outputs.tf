output "api_url" {
  description = "URL of the API's stage: orders are at <api_url>/v1/orders."
  value       = aws_api_gateway_stage.live.invoke_url
}

output "api_secret_arn" {
  description = "Secret with the API's username and password; empty with api_auth = iam."
  value       = join("", [for secret in aws_secretsmanager_secret.api : secret.arn])
}

output "api_function_name" {
  description = "Function behind the API."
  value       = aws_lambda_function.api.function_name
}

output "table_name" {
  description = "Orders table in DynamoDB."
  value       = aws_dynamodb_table.orders.name
}

output "idempotency_table_name" {
  description = "Table of idempotency keys in DynamoDB."
  value       = aws_dynamodb_table.idempotency.name
}

output "stream_arn" {
  description = "Stream of the orders table."
  value       = aws_dynamodb_table.orders.stream_arn
}

output "consumer_function_name" {
  description = "Function that writes the stream to MySQL."
  value       = aws_lambda_function.stream_consumer.function_name
}

output "schema_function_name" {
  description = "Function that creates or checks the tables in MySQL."
  value       = aws_lambda_function.schema.function_name
}

output "event_source_mapping_uuid" {
  description = "Event source mapping between stream and consumer."
  value       = aws_lambda_event_source_mapping.orders.uuid
}

output "failures_bucket" {
  description = "Bucket for failed batches (S3 mode) and poison records."
  value       = aws_s3_bucket.failures.bucket
}

output "failures_queue_url" {
  description = "Queue for failed batches' pointers; empty in S3 mode."
  value       = join("", [for queue in aws_sqs_queue.failures : queue.url])
}

output "replay_state_machine_arn" {
  description = "State machine that drains what failed; start it with {}."
  value       = aws_sfn_state_machine.replay.arn
}

output "replayer_function_name" {
  description = "Function that does the steps of a replay."
  value       = aws_lambda_function.dlq_replayer.function_name
}

output "rds_connection_param_name" {
  description = "SSM parameter that says where MySQL is."
  value       = var.rds_connection_param_name
}

output "rds_secret_arn" {
  description = "Secret with the MySQL user."
  value       = var.rds_secret_arn
}
