# Deployments from before there were modules keep every resource. A test plans this from such a state.

moved {
  from = aws_api_gateway_account.logs
  to   = module.orders_api.aws_api_gateway_account.logs
}

moved {
  from = aws_api_gateway_authorizer.basic
  to   = module.orders_api.aws_api_gateway_authorizer.basic
}

moved {
  from = aws_api_gateway_deployment.orders
  to   = module.orders_api.aws_api_gateway_deployment.orders
}

moved {
  from = aws_api_gateway_gateway_response.problem
  to   = module.orders_api.aws_api_gateway_gateway_response.problem
}

moved {
  from = aws_api_gateway_integration.function
  to   = module.orders_api.aws_api_gateway_integration.function
}

moved {
  from = aws_api_gateway_method.any
  to   = module.orders_api.aws_api_gateway_method.any
}

moved {
  from = aws_api_gateway_method_settings.all
  to   = module.orders_api.aws_api_gateway_method_settings.all
}

moved {
  from = aws_api_gateway_resource.order
  to   = module.orders_api.aws_api_gateway_resource.order
}

moved {
  from = aws_api_gateway_resource.orders
  to   = module.orders_api.aws_api_gateway_resource.orders
}

moved {
  from = aws_api_gateway_resource.other
  to   = module.orders_api.aws_api_gateway_resource.other
}

moved {
  from = aws_api_gateway_resource.v1
  to   = module.orders_api.aws_api_gateway_resource.v1
}

moved {
  from = aws_api_gateway_rest_api.orders
  to   = module.orders_api.aws_api_gateway_rest_api.orders
}

moved {
  from = aws_api_gateway_stage.live
  to   = module.orders_api.aws_api_gateway_stage.live
}

moved {
  from = aws_cloudwatch_log_group.api_access
  to   = module.orders_api.aws_cloudwatch_log_group.api_access
}

moved {
  from = aws_cloudwatch_log_group.function["api"]
  to   = module.orders_api.aws_cloudwatch_log_group.function["api"]
}

moved {
  from = aws_cloudwatch_log_group.function["api_authorizer"]
  to   = module.orders_api.aws_cloudwatch_log_group.function["api_authorizer"]
}

moved {
  from = aws_dynamodb_table.idempotency
  to   = module.orders_api.aws_dynamodb_table.idempotency
}

moved {
  from = aws_iam_role.api_gateway_logs
  to   = module.orders_api.aws_iam_role.api_gateway_logs
}

moved {
  from = aws_iam_role.function["api"]
  to   = module.orders_api.aws_iam_role.function["api"]
}

moved {
  from = aws_iam_role.function["api_authorizer"]
  to   = module.orders_api.aws_iam_role.function["api_authorizer"]
}

moved {
  from = aws_iam_role_policy.api
  to   = module.orders_api.aws_iam_role_policy.api
}

moved {
  from = aws_iam_role_policy.api_authorizer
  to   = module.orders_api.aws_iam_role_policy.api_authorizer
}

moved {
  from = aws_iam_role_policy_attachment.api_gateway_logs
  to   = module.orders_api.aws_iam_role_policy_attachment.api_gateway_logs
}

moved {
  from = aws_lambda_function.api
  to   = module.orders_api.aws_lambda_function.api
}

moved {
  from = aws_lambda_function.api_authorizer
  to   = module.orders_api.aws_lambda_function.api_authorizer
}

moved {
  from = aws_lambda_permission.api
  to   = module.orders_api.aws_lambda_permission.api
}

moved {
  from = aws_lambda_permission.api_authorizer
  to   = module.orders_api.aws_lambda_permission.api_authorizer
}

moved {
  from = aws_secretsmanager_secret.api
  to   = module.orders_api.aws_secretsmanager_secret.api
}

moved {
  from = aws_secretsmanager_secret_version.api_generated
  to   = module.orders_api.aws_secretsmanager_secret_version.api_generated
}

moved {
  from = aws_secretsmanager_secret_version.api_given
  to   = module.orders_api.aws_secretsmanager_secret_version.api_given
}

moved {
  from = aws_cloudwatch_event_rule.auto_replay
  to   = module.pipeline.aws_cloudwatch_event_rule.auto_replay
}

moved {
  from = aws_cloudwatch_event_target.auto_replay
  to   = module.pipeline.aws_cloudwatch_event_target.auto_replay
}

moved {
  from = aws_cloudwatch_log_group.function["dlq_replayer"]
  to   = module.pipeline.aws_cloudwatch_log_group.function["dlq_replayer"]
}

moved {
  from = aws_cloudwatch_log_group.function["schema"]
  to   = module.pipeline.aws_cloudwatch_log_group.function["schema"]
}

moved {
  from = aws_cloudwatch_log_group.function["stream_consumer"]
  to   = module.pipeline.aws_cloudwatch_log_group.function["stream_consumer"]
}

moved {
  from = aws_cloudwatch_log_group.replay
  to   = module.pipeline.aws_cloudwatch_log_group.replay
}

moved {
  from = aws_db_proxy.mysql
  to   = module.pipeline.aws_db_proxy.mysql
}

moved {
  from = aws_db_proxy_default_target_group.mysql
  to   = module.pipeline.aws_db_proxy_default_target_group.mysql
}

moved {
  from = aws_db_proxy_target.mysql
  to   = module.pipeline.aws_db_proxy_target.mysql
}

moved {
  from = aws_dynamodb_table.orders
  to   = module.pipeline.aws_dynamodb_table.source["table"]
}

moved {
  from = aws_dynamodb_table.replay_lock
  to   = module.pipeline.aws_dynamodb_table.replay_lock
}

moved {
  from = aws_iam_role.auto_replay
  to   = module.pipeline.aws_iam_role.auto_replay
}

moved {
  from = aws_iam_role.function["dlq_replayer"]
  to   = module.pipeline.aws_iam_role.function["dlq_replayer"]
}

moved {
  from = aws_iam_role.function["schema"]
  to   = module.pipeline.aws_iam_role.function["schema"]
}

moved {
  from = aws_iam_role.function["stream_consumer"]
  to   = module.pipeline.aws_iam_role.function["stream_consumer"]
}

moved {
  from = aws_iam_role.proxy
  to   = module.pipeline.aws_iam_role.proxy
}

moved {
  from = aws_iam_role.replay
  to   = module.pipeline.aws_iam_role.replay
}

moved {
  from = aws_iam_role_policy.auto_replay
  to   = module.pipeline.aws_iam_role_policy.auto_replay
}

moved {
  from = aws_iam_role_policy.dlq_replayer
  to   = module.pipeline.aws_iam_role_policy.dlq_replayer
}

moved {
  from = aws_iam_role_policy.proxy
  to   = module.pipeline.aws_iam_role_policy.proxy
}

moved {
  from = aws_iam_role_policy.replay
  to   = module.pipeline.aws_iam_role_policy.replay
}

moved {
  from = aws_iam_role_policy.schema
  to   = module.pipeline.aws_iam_role_policy.schema
}

moved {
  from = aws_iam_role_policy.stream_consumer
  to   = module.pipeline.aws_iam_role_policy.stream_consumer
}

moved {
  from = aws_lambda_alias.dlq_replayer
  to   = module.pipeline.aws_lambda_alias.dlq_replayer
}

moved {
  from = aws_lambda_alias.stream_consumer
  to   = module.pipeline.aws_lambda_alias.stream_consumer
}

moved {
  from = aws_lambda_event_source_mapping.orders
  to   = module.pipeline.aws_lambda_event_source_mapping.stream
}

moved {
  from = aws_lambda_function.dlq_replayer
  to   = module.pipeline.aws_lambda_function.dlq_replayer
}

moved {
  from = aws_lambda_function.schema
  to   = module.pipeline.aws_lambda_function.schema
}

moved {
  from = aws_lambda_function.stream_consumer
  to   = module.pipeline.aws_lambda_function.stream_consumer
}

moved {
  from = aws_lambda_invocation.schema
  to   = module.pipeline.aws_lambda_invocation.schema
}

moved {
  from = aws_s3_bucket.failures
  to   = module.pipeline.aws_s3_bucket.failures
}

moved {
  from = aws_s3_bucket_lifecycle_configuration.failures
  to   = module.pipeline.aws_s3_bucket_lifecycle_configuration.failures
}

moved {
  from = aws_s3_bucket_notification.failures
  to   = module.pipeline.aws_s3_bucket_notification.failures
}

moved {
  from = aws_s3_bucket_policy.failures
  to   = module.pipeline.aws_s3_bucket_policy.failures
}

moved {
  from = aws_s3_bucket_public_access_block.failures
  to   = module.pipeline.aws_s3_bucket_public_access_block.failures
}

moved {
  from = aws_s3_bucket_server_side_encryption_configuration.failures
  to   = module.pipeline.aws_s3_bucket_server_side_encryption_configuration.failures
}

moved {
  from = aws_s3_bucket_versioning.failures
  to   = module.pipeline.aws_s3_bucket_versioning.failures
}

moved {
  from = aws_security_group.consumer
  to   = module.pipeline.aws_security_group.consumer["consumer"]
}

moved {
  from = aws_security_group.proxy
  to   = module.pipeline.aws_security_group.proxy
}

moved {
  from = aws_sfn_state_machine.replay
  to   = module.pipeline.aws_sfn_state_machine.replay
}

moved {
  from = aws_sqs_queue.failures
  to   = module.pipeline.aws_sqs_queue.failures
}

moved {
  from = aws_ssm_parameter.rds_connection
  to   = module.pipeline.aws_ssm_parameter.rds_connection
}

moved {
  from = aws_vpc_security_group_egress_rule.consumer_https
  to   = module.pipeline.aws_vpc_security_group_egress_rule.consumer_https["consumer"]
}

moved {
  from = aws_vpc_security_group_egress_rule.consumer_mysql
  to   = module.pipeline.aws_vpc_security_group_egress_rule.consumer_mysql
}

moved {
  from = aws_vpc_security_group_egress_rule.consumer_proxy
  to   = module.pipeline.aws_vpc_security_group_egress_rule.consumer_proxy
}

moved {
  from = aws_vpc_security_group_egress_rule.proxy_database
  to   = module.pipeline.aws_vpc_security_group_egress_rule.proxy_database
}

moved {
  from = aws_vpc_security_group_ingress_rule.database_proxy
  to   = module.pipeline.aws_vpc_security_group_ingress_rule.database_proxy
}

moved {
  from = aws_vpc_security_group_ingress_rule.mysql_consumer
  to   = module.pipeline.aws_vpc_security_group_ingress_rule.mysql_consumer
}

moved {
  from = aws_vpc_security_group_ingress_rule.proxy_consumer
  to   = module.pipeline.aws_vpc_security_group_ingress_rule.proxy_consumer
}

moved {
  from = aws_security_group.endpoints
  to   = module.vpc_endpoints.aws_security_group.endpoints
}

moved {
  from = aws_vpc_endpoint.gateway
  to   = module.vpc_endpoints.aws_vpc_endpoint.gateway
}

moved {
  from = aws_vpc_endpoint.interface
  to   = module.vpc_endpoints.aws_vpc_endpoint.interface
}

moved {
  from = aws_vpc_endpoint.streams
  to   = module.vpc_endpoints.aws_vpc_endpoint.streams
}

moved {
  from = aws_vpc_security_group_ingress_rule.endpoints
  to   = module.vpc_endpoints.aws_vpc_security_group_ingress_rule.endpoints
}
