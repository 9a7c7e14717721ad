data "aws_iam_policy_document" "stream_consumer" {
  source_policy_documents = [
    data.aws_iam_policy_document.telemetry["stream_consumer"].json,
    data.aws_iam_policy_document.vpc_access["stream_consumer"].json,
    data.aws_iam_policy_document.database_access.json,
  ]

  statement {
    sid       = "ReadStream"
    actions   = ["dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator"]
    resources = [aws_dynamodb_table.orders.stream_arn]
  }

  statement {
    sid       = "ListStreams"
    actions   = ["dynamodb:ListStreams"]
    resources = ["${local.orders_arn}/stream/*"] # it names a table, and lists all streams the table has had
  }

  # The event source mapping writes failed batches with the function's role, under keys of its own making.
  statement {
    sid       = "WriteFailures"
    actions   = ["s3:PutObject"]
    resources = ["${local.failures_bucket_arn}/*"]

    # A bucket that was deleted can be made again by anybody: never write changes into another account's.
    condition {
      test     = "StringEquals"
      variable = "s3:ResourceAccount"
      values   = [local.account_id]
    }
  }

  # What an earlier invocation has parked of the same batch.
  statement {
    sid       = "ReadUnfinished"
    actions   = ["s3:GetObject"]
    resources = ["${local.failures_bucket_arn}/unfinished/*"]

    condition {
      test     = "StringEquals"
      variable = "s3:ResourceAccount"
      values   = [local.account_id]
    }
  }

  # Without it S3 would answer 403, not 404, where there is no such object yet.
  statement {
    sid       = "ListFailures"
    actions   = ["s3:ListBucket"]
    resources = [local.failures_bucket_arn]

    condition {
      test     = "StringEquals"
      variable = "s3:ResourceAccount"
      values   = [local.account_id]
    }
  }

  dynamic "statement" {
    for_each = local.failures_queues

    content {
      sid       = "SendFailures"
      actions   = ["sqs:SendMessage"]
      resources = [local.failures_queue_arn]
    }
  }
}

resource "aws_iam_role_policy" "stream_consumer" {
  name   = "stream-consumer"
  role   = aws_iam_role.function["stream_consumer"].name
  policy = data.aws_iam_policy_document.stream_consumer.json
}

locals {
  database_environment = merge(local.powertools, {
    RDS_CONNECTION_PARAM_NAME = var.rds_connection_param_name
    RDS_SECRET_ARN            = var.rds_secret_arn
    MYSQL_TLS                 = var.mysql_tls
    MYSQL_CONNECT_TIMEOUT     = tostring(var.mysql_connect_timeout_seconds)
    MYSQL_READ_TIMEOUT        = tostring(var.mysql_read_timeout_seconds)
    STREAM_ARN                = aws_dynamodb_table.orders.stream_arn
    STREAM_GENERATION         = tostring(var.stream_generation)
  }, var.mysql_ca_pem == null ? {} : { MYSQL_CA_PEM = var.mysql_ca_pem })
}

resource "aws_lambda_function" "stream_consumer" {
  function_name = local.function_names.stream_consumer
  description   = "Writes the orders table's changes to MySQL"
  role          = aws_iam_role.function["stream_consumer"].arn

  filename         = local.zips.stream_consumer.path
  source_code_hash = local.zips.stream_consumer.hash
  handler          = "stream_consumer.handler.handler"
  runtime          = local.runtime
  architectures    = [local.architecture]
  memory_size      = var.consumer_memory_mb
  timeout          = var.consumer_timeout_seconds
  publish          = true # each change is a version, which the alias below makes live

  reserved_concurrent_executions = var.consumer_reserved_concurrency

  environment {
    variables = merge(local.database_environment, {
      POWERTOOLS_SERVICE_NAME = local.function_names.stream_consumer
      FAILURES_BUCKET         = local.failures_bucket
      MAX_STATEMENT_BYTES     = tostring(var.max_statement_bytes)
      MIRROR_TTL_DELETES      = tostring(var.mirror_ttl_deletes)
      APPLY_EVERY_CHANGE      = tostring(var.apply_every_change)
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

    precondition {
      condition     = var.consumer_timeout_seconds > var.mysql_connect_timeout_seconds + var.mysql_read_timeout_seconds
      error_message = "consumer_timeout_seconds must be above mysql_connect_timeout_seconds plus mysql_read_timeout_seconds."
    }
  }

  depends_on = [aws_cloudwatch_log_group.function, aws_iam_role_policy.stream_consumer]
}

# What the mapping calls. It moves to a new version when the schema step of that version has succeeded: a step that fails
# leaves the old code in place, which fits the tables as they are.
resource "aws_lambda_alias" "stream_consumer" {
  name             = local.live
  description      = "The version whose schema step has succeeded"
  function_name    = aws_lambda_function.stream_consumer.function_name
  function_version = aws_lambda_function.stream_consumer.version

  depends_on = [aws_lambda_invocation.schema]
}

resource "aws_lambda_event_source_mapping" "orders" {
  event_source_arn = aws_dynamodb_table.orders.stream_arn
  function_name    = aws_lambda_alias.stream_consumer.arn

  # From the oldest change on: LATEST misses what is written while the mapping is being created or changed.
  starting_position = "TRIM_HORIZON"

  batch_size                         = var.stream_batch_size              # changes in one transaction
  maximum_batching_window_in_seconds = var.stream_batching_window_seconds # seconds to wait for a fuller batch
  parallelization_factor             = var.stream_parallelization_factor  # batches of a shard at a time; an item's changes stay in order
  maximum_retry_attempts             = var.stream_maximum_retry_attempts  # a failing batch waits for the database, and the shard with it
  # The real bound of the wait: ends well before the stream forgets, at 24 hours.
  maximum_record_age_in_seconds = var.stream_maximum_record_age_seconds
  # Off: the function parks a poison record itself, so an error means that the database is away, and half a
  # batch would fail as the whole does. The records of bisected batches are hard to tell from their messages.
  bisect_batch_on_function_error = false
  # No function_response_types: an error raises, and Lambda keeps the batch. A partial response fails open, as
  # an answer with a slip in it reads as success and loses the batch.

  # Polled, delivered to the destination, dropped: dropped less delivered above 0 is loss.
  metrics_config {
    metrics = ["EventCount"]
  }

  destination_config {
    on_failure {
      # Of the resources, not of their names: without its destination the mapping would lose what fails.
      destination_arn = var.failure_destination == "sqs" ? aws_sqs_queue.failures["failures"].arn : aws_s3_bucket.failures.arn
    }
  }

  lifecycle {
    precondition {
      condition     = var.failure_destination != "sqs" || var.stream_maximum_record_age_seconds <= 43200
      error_message = "stream_maximum_record_age_seconds must be at most 43200 (12 hours) with failure_destination = sqs: a pointer is void 24 hours after its change, and a replay needs the other half of that time."
    }
  }

  depends_on = [aws_iam_role_policy.stream_consumer]
}
