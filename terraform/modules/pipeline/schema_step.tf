# Creates the target table and the sidecar, or checks that they fit. It runs in the VPC, because the database is private.

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
  #checkov:skip=CKV_AWS_116:Terraform calls it synchronously and shows its error; a dead-letter queue serves asynchronous calls only
  #checkov:skip=CKV_AWS_272:Code signing needs a signing profile of the account; the build is reproducible, so the hash of the zip says what runs

  function_name = local.function_names.schema
  description   = "Creates the tables in MySQL, or checks that they fit"
  role          = aws_iam_role.function["schema"].arn

  filename         = local.zips.stream_consumer.path
  s3_bucket        = var.lambda_zips.bucket
  s3_key           = local.zips.stream_consumer.key
  source_code_hash = local.zips.stream_consumer.hash
  handler          = "stream_consumer.schema_step.handler"
  runtime          = local.runtime
  architectures    = [local.architecture]
  memory_size      = var.consumer_memory_mb
  timeout          = 300 # a new proxy needs minutes to connect, and creating tables waits for locks

  reserved_concurrent_executions = var.schema_reserved_concurrency

  kms_key_arn = var.kms_key_arn # of the environment

  environment {
    variables = merge(local.mysql_environment, {
      POWERTOOLS_SERVICE_NAME = local.function_names.schema
    })
  }

  vpc_config {
    subnet_ids         = local.database_network.subnet_ids
    security_group_ids = local.database_network.security_group_ids
  }

  tracing_config {
    mode = local.tracing_mode
  }

  tags = local.tags

  lifecycle {
    precondition {
      condition     = local.zips.stream_consumer.found
      error_message = local.zip_missing
    }

    # This function is the first that reads them.
    precondition {
      condition     = startswith(var.rds_secret_arn, "arn:${local.partition}:secretsmanager:${local.region}:")
      error_message = "rds_secret_arn must be in ${local.region}, the Region of the provider (arn:${local.partition}:secretsmanager:${local.region}:...). Secrets Manager reads no secret of another Region."
    }

    precondition {
      condition     = alltrue([for arn in [var.rds_secret_kms_key_arn, var.rds_connection_param_kms_key_arn] : arn == null ? true : startswith(arn, "arn:${local.partition}:kms:${local.region}:")])
      error_message = "rds_secret_kms_key_arn and rds_connection_param_kms_key_arn must be in ${local.region}, the Region of the provider (arn:${local.partition}:kms:${local.region}:...)."
    }
  }

  depends_on = [aws_cloudwatch_log_group.function, aws_iam_role_policy.schema]
}

locals {
  # Code of an earlier version gives no warnings.
  schema_step_warnings = try(tolist(jsondecode(aws_lambda_invocation.schema.result).warnings), [])
}

# Runs on the first apply, and when the code, the mapping, the connection or the stream changes. It fails the apply when a table does
# not fit or the stream may not write there. The aliases then keep pointing at the old code.
resource "aws_lambda_invocation" "schema" {
  function_name = aws_lambda_function.schema.function_name
  input         = jsonencode({})

  triggers = merge({
    code       = local.zips.stream_consumer.build
    connection = try(aws_ssm_parameter.rds_connection["proxy"].version, var.rds_connection_param_name)
    secret     = var.rds_secret_arn
    stream     = local.stream_arn
    generation = tostring(var.stream_generation)
    # Deployments from before there were mappings have no such trigger, and orders.
  }, var.mapping == "orders" ? {} : { mapping = var.mapping })

  # The database is reachable only after these.
  depends_on = [
    aws_db_proxy_target.mysql,
    aws_ssm_parameter.rds_connection,
    aws_vpc_security_group_egress_rule.consumer_https,
    aws_vpc_security_group_egress_rule.consumer_mysql,
    aws_vpc_security_group_egress_rule.consumer_proxy,
    aws_vpc_security_group_egress_rule.proxy_database,
    aws_vpc_security_group_ingress_rule.database_proxy,
    aws_vpc_security_group_ingress_rule.mysql_consumer,
    aws_vpc_security_group_ingress_rule.proxy_consumer,
    var.schema_step_waits_for,
  ]
}
