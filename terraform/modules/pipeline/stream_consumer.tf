data "aws_iam_policy_document" "stream_consumer" {
  source_policy_documents = [
    data.aws_iam_policy_document.telemetry["stream_consumer"].json,
    data.aws_iam_policy_document.vpc_access["stream_consumer"].json,
    data.aws_iam_policy_document.database_access.json,
    data.aws_iam_policy_document.keys["stream_consumer"].json,
  ]

  statement {
    sid       = "ReadStream"
    actions   = ["dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator"]
    resources = [local.stream_arn]
  }

  statement {
    sid       = "ListStreams"
    actions   = ["dynamodb:ListStreams"]
    resources = ["${local.table_arn}/stream/*"] # it lists all streams of a table
  }

  # The event source mapping writes failed batches with the role of the function, under keys that Lambda chooses.
  statement {
    sid       = "WriteFailures"
    actions   = ["s3:PutObject"]
    resources = ["${local.failures_bucket_arn}/*"]

    # Another account can take over the name of a deleted bucket. Never write changes there.
    condition {
      test     = "StringEquals"
      variable = "s3:ResourceAccount"
      values   = [local.account_id]
    }
  }

  # The notes of an earlier invocation for the same batch.
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

  # Without it S3 answers 403 instead of 404 for a missing object.
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

resource "aws_lambda_function" "stream_consumer" {
  #checkov:skip=CKV_AWS_116:Failed batches of a stream go to the destination of the event source mapping; a dead-letter queue serves asynchronous calls only
  #checkov:skip=CKV_AWS_272:Code signing needs a signing profile of the account; the build is reproducible, so the hash of the zip says what runs

  function_name = local.function_names.stream_consumer
  description   = "Writes the ${var.mapping} table's changes to MySQL"
  role          = aws_iam_role.function["stream_consumer"].arn

  filename         = local.zips.stream_consumer.path
  s3_bucket        = var.lambda_zips.bucket
  s3_key           = local.zips.stream_consumer.key
  source_code_hash = local.zips.stream_consumer.hash
  handler          = "stream_consumer.handler.handler"
  runtime          = local.runtime
  architectures    = [local.architecture]
  memory_size      = var.consumer_memory_mb
  timeout          = var.consumer_timeout_seconds
  publish          = true # each change creates a version; the alias below points to the live one

  reserved_concurrent_executions = var.consumer_reserved_concurrency

  kms_key_arn = var.kms_key_arn # of the environment

  environment {
    variables = merge(local.pipeline_environment, {
      POWERTOOLS_SERVICE_NAME = local.function_names.stream_consumer
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

    precondition {
      condition     = var.create_security_group || length(var.security_group_ids) > 0
      error_message = "Give security_group_ids with create_security_group = false. A function in a VPC needs a security group."
    }

    precondition {
      condition     = var.consumer_timeout_seconds > var.mysql_connect_timeout_seconds + var.mysql_read_timeout_seconds
      error_message = "consumer_timeout_seconds must exceed mysql_connect_timeout_seconds plus mysql_read_timeout_seconds."
    }
  }

  depends_on = [aws_cloudwatch_log_group.function, aws_iam_role_policy.stream_consumer]
}

# The mapping calls this alias. It moves to a new version after the schema step of that version has succeeded.
# When the step fails, the old code stays live, and it fits the tables.
resource "aws_lambda_alias" "stream_consumer" {
  name             = local.live
  description      = "Version whose schema step has succeeded"
  function_name    = aws_lambda_function.stream_consumer.function_name
  function_version = aws_lambda_function.stream_consumer.version

  depends_on = [aws_lambda_invocation.schema]
}

resource "aws_lambda_event_source_mapping" "stream" {
  event_source_arn = local.stream_arn
  function_name    = aws_lambda_alias.stream_consumer.arn

  # LATEST would miss changes written while the mapping is created or changed.
  starting_position = "TRIM_HORIZON"

  batch_size                         = var.stream_batch_size
  maximum_batching_window_in_seconds = var.stream_batching_window_seconds
  parallelization_factor             = var.stream_parallelization_factor # changes of one item stay in order
  maximum_retry_attempts             = var.stream_maximum_retry_attempts # a failing batch blocks its shard
  # The stream keeps changes for 24 hours. A failed batch must leave it well before.
  maximum_record_age_in_seconds = var.stream_maximum_record_age_seconds
  # The function parks poison records itself. An error means that the database is unavailable, so half a batch would
  # fail too.
  bisect_batch_on_function_error = false
  # No function_response_types: an error raises, and Lambda keeps the batch. With partial responses, Lambda reads a
  # malformed response as success and the batch is lost.

  # Counts polled, delivered and dropped events. More dropped than delivered to the destination means loss.
  metrics_config {
    metrics = ["EventCount"]
  }

  destination_config {
    on_failure {
      # References, so that the mapping is never created without its destination.
      destination_arn = var.failure_destination == "sqs" ? aws_sqs_queue.failures["failures"].arn : aws_s3_bucket.failures.arn
    }
  }

  tags = local.tags

  lifecycle {
    precondition {
      condition     = var.failure_destination != "sqs" || var.stream_maximum_record_age_seconds <= 43200
      error_message = "stream_maximum_record_age_seconds must be at most 43200 (12 hours) with failure_destination = sqs. A pointer expires 24 hours after its change, and the replay needs the remaining time."
    }
  }

  depends_on = [aws_iam_role_policy.stream_consumer]
}
