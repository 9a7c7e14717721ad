output "api_url" {
  description = "URL of the API stage. The path of the orders is /v1/orders."
  value       = aws_api_gateway_stage.live.invoke_url
}

output "api_secret_arn" {
  description = "Secret with the username and password of the API. Empty with api_auth = iam."
  value       = join("", [for secret in aws_secretsmanager_secret.api : secret.arn])
}

output "api_function_name" {
  description = "Function behind the API."
  value       = aws_lambda_function.api.function_name
}

output "api_function_arn" {
  description = "ARN of that function."
  value       = aws_lambda_function.api.arn
}

output "authorizer_function_arn" {
  description = "ARN of the authorizer function. Null with api_auth = iam."
  value       = one([for function in aws_lambda_function.api_authorizer : function.arn])
}

output "idempotency_table_name" {
  description = "DynamoDB table of the idempotency keys."
  value       = aws_dynamodb_table.idempotency.name
}

output "idempotency_table_arn" {
  description = "ARN of that table."
  value       = aws_dynamodb_table.idempotency.arn
}

output "rest_api_id" {
  description = "Id of the REST API."
  value       = aws_api_gateway_rest_api.orders.id
}

output "rest_api_execution_arn" {
  description = "ARN for policies that let somebody call the API."
  value       = aws_api_gateway_rest_api.orders.execution_arn
}

output "stage_name" {
  description = "Stage of the API."
  value       = aws_api_gateway_stage.live.stage_name
}

output "stage_arn" {
  description = "ARN of the stage, such as for a web ACL of AWS WAF."
  value       = aws_api_gateway_stage.live.arn
}

output "role_arns" {
  description = "Roles by function (api, api_authorizer), and api_gateway_logs (of the account) where it exists."
  value = merge(
    { for function, role in aws_iam_role.function : function => role.arn },
    { for role in aws_iam_role.api_gateway_logs : "api_gateway_logs" => role.arn },
  )
}

output "role_names" {
  description = "Names of the same roles."
  value = merge(
    { for function, role in aws_iam_role.function : function => role.name },
    { for role in aws_iam_role.api_gateway_logs : "api_gateway_logs" => role.name },
  )
}

output "log_group_names" {
  description = "Log groups by function, and access (the access logs) where it exists."
  value = merge(
    { for function, group in aws_cloudwatch_log_group.function : function => group.name },
    { for group in aws_cloudwatch_log_group.api_access : "access" => group.name },
  )
}

output "log_group_arns" {
  description = "ARNs of the same log groups."
  value = merge(
    { for function, group in aws_cloudwatch_log_group.function : function => group.arn },
    { for group in aws_cloudwatch_log_group.api_access : "access" => group.arn },
  )
}

output "alarm_arns" {
  description = "ARNs of the alarms by name."
  value       = { for name, alarm in aws_cloudwatch_metric_alarm.api : name => alarm.arn }
}
