# Creates the target table and the sidecar, or checks that they fit. The database is private, so this runs where
# the consumer does.

data "aws_iam_policy_document" "schema" {
  source_policy_documents = [
    data.aws_iam_policy_document.telemetry["schema"].json,
    data.aws_iam_policy_document.vpc_access["schema"].json,
    data.aws_iam_policy_document.database_access.json,
  ]
}

resource "aws_iam_role_policy" "schema" {
  name   = "schema"
  role   = aws_iam_role.function["schema"].name
  policy = data.aws_iam_policy_document.schema.json
}

resource "aws_lambda_function" "schema" {
  function_name = local.function_names.schema
  description   = "Creates the tables in MySQL, or checks that they fit"
  role          = aws_iam_role.function["schema"].arn

  filename         = local.zips.stream_consumer.path
  source_code_hash = local.zips.stream_consumer.hash
  handler          = "stream_consumer.schema_step.handler"
  runtime          = local.runtime
  architectures    = [local.architecture]
  memory_size      = var.consumer_memory_mb
  timeout          = 300 # a new proxy takes minutes to reach its database, and creating tables waits for locks

  environment {
    variables = merge(local.database_environment, {
      POWERTOOLS_SERVICE_NAME = local.function_names.schema
    })
  }

  vpc_config {
    subnet_ids         = data.aws_subnets.private.ids
    security_group_ids = [aws_security_group.consumer.id]
  }

  tracing_config {
    mode = var.xray_tracing ? "Active" : "PassThrough"
  }

  lifecycle {
    precondition {
      condition     = local.zips.stream_consumer.built
      error_message = local.build_missing
    }
  }

  depends_on = [aws_cloudwatch_log_group.function, aws_iam_role_policy.schema]
}

# Once for a deployment, and again when the code, the way to the database or the source of the changes is another one.
# A table that does not fit, or a source that may not write there, fails the apply with a message that says why; the
# aliases then stay where they are, and with them the old code.
resource "aws_lambda_invocation" "schema" {
  function_name = aws_lambda_function.schema.function_name
  input         = jsonencode({})

  triggers = {
    code       = local.zips.stream_consumer.hash
    connection = try(aws_ssm_parameter.rds_connection["proxy"].version, var.rds_connection_param_name)
    secret     = var.rds_secret_arn
    stream     = aws_dynamodb_table.orders.stream_arn
    generation = tostring(var.stream_generation)
  }

  # Without these the database cannot be reached yet.
  depends_on = [
    aws_db_proxy_target.mysql,
    aws_ssm_parameter.rds_connection,
    aws_vpc_endpoint.gateway,
    aws_vpc_endpoint.interface,
    aws_vpc_security_group_egress_rule.consumer_https,
    aws_vpc_security_group_egress_rule.consumer_mysql,
    aws_vpc_security_group_egress_rule.consumer_proxy,
    aws_vpc_security_group_egress_rule.proxy_database,
    aws_vpc_security_group_ingress_rule.database_proxy,
    aws_vpc_security_group_ingress_rule.endpoints,
    aws_vpc_security_group_ingress_rule.mysql_consumer,
    aws_vpc_security_group_ingress_rule.proxy_consumer,
  ]
}
