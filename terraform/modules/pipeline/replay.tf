# Replays failed batches: a state machine and one function that runs its steps. docs/runbook.md says how to start it.

locals {
  replay_name           = "${local.prefix}-replay"
  replay_arn            = "arn:${local.partition}:states:${local.region}:${local.account_id}:stateMachine:${local.replay_name}"
  replay_executions_arn = "arn:${local.partition}:states:${local.region}:${local.account_id}:execution:${local.replay_name}"
  replay_lock_arn       = "arn:${local.partition}:dynamodb:${local.region}:${local.account_id}:table/${local.prefix}-replay-lock"
  replayer_arn          = "arn:${local.partition}:lambda:${local.region}:${local.account_id}:function:${local.function_names.dlq_replayer}:${local.live}"
  # An automatic replay waits through a long outage. A replay that an operator started reports it sooner.
  replay_database_wait_seconds = coalesce(var.replay_database_wait_seconds, var.auto_replay ? 21600 : 3600)

  replayer_environment = merge(local.pipeline_environment, {
    POWERTOOLS_SERVICE_NAME      = local.function_names.dlq_replayer
    LOCK_TABLE_NAME              = aws_dynamodb_table.replay_lock.name
    VERIFY_STATE_MACHINE_ARN     = local.job_arns.verify
    REPLAY_CONCURRENCY           = tostring(var.replay_concurrency)
    REPLAY_DATABASE_WAIT_SECONDS = tostring(local.replay_database_wait_seconds)
    }, { for queue in local.failures_queues : "FAILURES_QUEUE_URL" => local.failures_queue_url
    }, var.verify_after_cutover ? { VERIFY_AFTER_CUTOVER = "true" } : {},
  var.streams_endpoint_url == null ? {} : { AWS_ENDPOINT_URL_DYNAMODB_STREAMS = var.streams_endpoint_url })
  replayer_environment_bytes = length(jsonencode(merge(local.replayer_environment, { STREAM_ARN = local.sample_stream_arn })))
}

# One item for the replay that is running, and one for the load or verification. The lock ends with its execution, so it
# needs no TTL.
resource "aws_dynamodb_table" "replay_lock" {
  #checkov:skip=CKV_AWS_119:kms_key_arn encrypts it with a key of yours; without it DynamoDB encrypts with a key that it owns
  #checkov:skip=CKV_AWS_28:It holds a lock while an execution runs; a restored lock would name an execution that has ended

  name         = "${local.prefix}-replay-lock"
  billing_mode = "PAY_PER_REQUEST"

  hash_key = "p_key"

  attribute {
    name = "p_key"
    type = "S"
  }

  # Always given, because the provider keeps the key of an earlier apply when the block is left out:
  # https://github.com/hashicorp/terraform-provider-aws/issues/29811
  server_side_encryption {
    enabled     = local.uses_kms_key
    kms_key_arn = var.kms_key_arn
  }

  tags = local.tags

  lifecycle {
    precondition {
      condition     = var.kms_key_arn == null ? true : startswith(var.kms_key_arn, "arn:${local.partition}:kms:${local.region}:")
      error_message = "kms_key_arn must be in ${local.region}, the Region of the provider (arn:${local.partition}:kms:${local.region}:...). No service encrypts with a key of another Region."
    }
  }
}

# The function

data "aws_iam_policy_document" "dlq_replayer" {
  source_policy_documents = [
    data.aws_iam_policy_document.telemetry["dlq_replayer"].json,
    data.aws_iam_policy_document.vpc_access["dlq_replayer"].json,
    data.aws_iam_policy_document.database_access.json,
    data.aws_iam_policy_document.keys["dlq_replayer"].json,
  ]

  # Without a condition on the prefix: with one, S3 answers 403 instead of 404 for a missing object.
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

  statement {
    sid     = "ReadFailures"
    actions = ["s3:GetObject"]
    resources = [
      "${local.failures_bucket_arn}/aws/lambda/*",
      "${local.failures_bucket_arn}/deferred/*",
      "${local.failures_bucket_arn}/expired/*",
      "${local.failures_bucket_arn}/quarantine/*",
      "${local.failures_bucket_arn}/replay/*",
      "${local.failures_bucket_arn}/replayed/*", # another replay may have moved an object there
    ]

    condition {
      test     = "StringEquals"
      variable = "s3:ResourceAccount"
      values   = [local.account_id]
    }
  }

  statement {
    sid     = "WriteWorkAndOutcome"
    actions = ["s3:PutObject"]
    resources = [
      "${local.failures_bucket_arn}/deferred/*",
      "${local.failures_bucket_arn}/quarantine/*",
      "${local.failures_bucket_arn}/replay/*",
      "${local.failures_bucket_arn}/replayed/*",
    ]

    # Another account can take over the name of a deleted bucket. Never write changes there.
    condition {
      test     = "StringEquals"
      variable = "s3:ResourceAccount"
      values   = [local.account_id]
    }
  }

  # An object is deleted after its copy in replayed/ is written. The bucket also keeps its versions.
  statement {
    sid     = "MoveSettled"
    actions = ["s3:DeleteObject"]
    resources = [
      "${local.failures_bucket_arn}/aws/lambda/*",
      "${local.failures_bucket_arn}/deferred/*",
      "${local.failures_bucket_arn}/quarantine/*",
    ]

    condition {
      test     = "StringEquals"
      variable = "s3:ResourceAccount"
      values   = [local.account_id]
    }
  }

  dynamic "statement" {
    for_each = local.failures_queues

    content {
      sid     = "KeepWhatPointersStoodFor"
      actions = ["s3:PutObject"]
      resources = [
        "${local.failures_bucket_arn}/aws/lambda/hydrated/*",
        "${local.failures_bucket_arn}/expired/*",
      ]

      condition {
        test     = "StringEquals"
        variable = "s3:ResourceAccount"
        values   = [local.account_id]
      }
    }
  }

  dynamic "statement" {
    for_each = local.failures_queues

    content {
      sid = "TakePointers"
      actions = [
        "sqs:ChangeMessageVisibility",
        "sqs:DeleteMessage",
        "sqs:GetQueueAttributes",
        "sqs:ReceiveMessage",
      ]
      resources = [local.failures_queue_arn]
    }
  }

  dynamic "statement" {
    for_each = local.failures_queues

    content {
      sid       = "ReadStream"
      actions   = ["dynamodb:GetRecords", "dynamodb:GetShardIterator"]
      resources = ["${local.table_arn}/stream/*"] # a pointer may refer to an earlier stream of the table
    }
  }

  # The lock of loads, verifications, seeds and prunes is another item.
  statement {
    sid       = "HoldLock"
    actions   = ["dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:PutItem"]
    resources = [local.replay_lock_arn]

    condition {
      test     = "ForAllValues:StringEquals"
      variable = "dynamodb:LeadingKeys"
      values   = ["replay"]
    }
  }

  # A range that the stream has forgotten is healed by a verification.
  statement {
    sid       = "StartVerification"
    actions   = ["states:StartExecution"]
    resources = [local.job_arns.verify]
  }

  statement {
    sid       = "AskWhetherHolderRuns"
    actions   = ["states:DescribeExecution"]
    resources = ["${local.replay_executions_arn}:*"] # any execution of this one state machine
  }
}

resource "aws_iam_role_policy" "dlq_replayer" {
  name   = "dlq-replayer"
  role   = aws_iam_role.function["dlq_replayer"].name
  policy = data.aws_iam_policy_document.dlq_replayer.json
}

resource "aws_lambda_function" "dlq_replayer" {
  #checkov:skip=CKV_AWS_116:Step Functions calls it synchronously, and Lambda sends only asynchronous calls to a dead-letter queue
  #checkov:skip=CKV_AWS_272:Code signing needs a signing profile of the account; the build is reproducible, so the hash of the zip says what runs

  function_name = local.function_names.dlq_replayer
  description   = "Runs the steps of a replay"
  role          = aws_iam_role.function["dlq_replayer"].arn

  filename         = local.zips.dlq_replayer.path
  s3_bucket        = var.lambda_zips.bucket
  s3_key           = local.zips.dlq_replayer.key
  source_code_hash = local.zips.dlq_replayer.hash
  handler          = "dlq_replayer.handler.handler"
  runtime          = local.runtime
  architectures    = [local.architecture]
  memory_size      = var.replayer_memory_mb
  timeout          = 300 # a step ends a minute earlier and is called again; the state machine waits 30 s longer
  publish          = true

  reserved_concurrent_executions = var.replayer_reserved_concurrency

  kms_key_arn = var.kms_key_arn # of the environment

  environment {
    variables = local.replayer_environment
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
      condition     = local.zips.dlq_replayer.found
      error_message = local.zip_missing
    }

    precondition {
      condition     = var.replayer_reserved_concurrency == -1 || var.replayer_reserved_concurrency > var.replay_concurrency
      error_message = "replayer_reserved_concurrency must exceed replay_concurrency. A worker that gets no invocation fails its lane."
    }

    precondition {
      condition     = local.replayer_environment_bytes <= 4096
      error_message = "The environment of the replayer has ${local.replayer_environment_bytes} bytes, and Lambda allows 4096. Shorten mysql_ca_pem, rds_connection_param_name or the name of the secret in rds_secret_arn."
    }
  }

  depends_on = [aws_cloudwatch_log_group.function, aws_iam_role_policy.dlq_replayer]
}

# The state machine calls this alias. It moves to new code only after the schema step, as the consumer's does.
resource "aws_lambda_alias" "dlq_replayer" {
  name             = local.live
  description      = "Version whose schema step has succeeded"
  function_name    = aws_lambda_function.dlq_replayer.function_name
  function_version = aws_lambda_function.dlq_replayer.version

  depends_on = [aws_lambda_invocation.schema]
}

# The state machine

data "aws_iam_policy_document" "states_trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["states.amazonaws.com"]
    }

    # Only for state machines of this account.
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account_id]
    }
  }
}

resource "aws_iam_role" "replay" {
  name                 = "${local.replay_name}-${local.region}"
  path                 = var.role_path
  permissions_boundary = var.permissions_boundary
  assume_role_policy   = data.aws_iam_policy_document.states_trust.json

  tags = local.tags
}

data "aws_iam_policy_document" "replay" {
  source_policy_documents = [data.aws_iam_policy_document.state_machine_keys["replay"].json]

  statement {
    sid       = "CallSteps"
    actions   = ["lambda:InvokeFunction"]
    resources = [local.replayer_arn]
  }

  # A Distributed Map runs its lanes as executions of the same state machine:
  # https://docs.aws.amazon.com/step-functions/latest/dg/iam-policies-eg-dist-map.html
  statement {
    sid       = "StartLanes"
    actions   = ["states:StartExecution"]
    resources = [local.replay_arn]
  }

  statement {
    sid       = "FollowLanes"
    actions   = ["states:DescribeExecution", "states:StopExecution"]
    resources = ["${local.replay_executions_arn}:*", "${local.replay_executions_arn}/Drain:*"]
  }

  statement {
    sid       = "RedriveLanes"
    actions   = ["states:RedriveExecution"]
    resources = ["${local.replay_executions_arn}/Drain:*"] # the label of the Map state
  }

  statement {
    sid = "WriteLogs"
    actions = [
      "logs:CreateLogDelivery",
      "logs:DeleteLogDelivery",
      "logs:DescribeLogGroups",
      "logs:DescribeResourcePolicies",
      "logs:GetLogDelivery",
      "logs:ListLogDeliveries",
      "logs:PutResourcePolicy",
      "logs:UpdateLogDelivery",
    ]
    resources = ["*"] # log deliveries have no resources
  }

  dynamic "statement" {
    for_each = var.xray_tracing ? ["on"] : []

    content {
      sid = "SendTraces"
      actions = [
        "xray:GetSamplingRules",
        "xray:GetSamplingTargets",
        "xray:PutTelemetryRecords",
        "xray:PutTraceSegments",
      ]
      resources = ["*"] # X-Ray has no resources
    }
  }
}

resource "aws_iam_role_policy" "replay" {
  name   = "replay"
  role   = aws_iam_role.replay.name
  policy = data.aws_iam_policy_document.replay.json
}

# One resource policy covers all groups under vendedlogs. The length of such policies is limited.
resource "aws_cloudwatch_log_group" "replay" {
  #checkov:skip=CKV_AWS_338:log_retention_days chooses the retention; what failed is kept in the failures bucket, not in a log

  name              = "/aws/vendedlogs/states/${local.replay_name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn

  tags = local.tags
}

resource "aws_sfn_state_machine" "replay" {
  #checkov:skip=CKV_AWS_285:Step Functions itself keeps each history for 90 days, and a log of it would hold keys of items

  name     = local.replay_name
  type     = "STANDARD" # runs each step exactly once, and for days
  role_arn = aws_iam_role.replay.arn

  definition = templatefile("${path.module}/../../../statemachines/replay.asl.json", {
    replayer_arn = local.replayer_arn
    wait_seconds = var.replay_check_interval_seconds
  })

  logging_configuration {
    level                  = "ERROR"
    include_execution_data = false # an input may contain keys of orders
    log_destination        = "${aws_cloudwatch_log_group.replay.arn}:*"
  }

  tracing_configuration {
    enabled = var.xray_tracing
  }

  # Always given, because the provider keeps the key of an earlier apply when the block is left out:
  # https://github.com/hashicorp/terraform-provider-aws/blob/main/internal/service/sfn/state_machine.go
  # 300 is the default. Step Functions returns it, and without it here every plan would remove it.
  encryption_configuration {
    type                              = local.uses_kms_key ? "CUSTOMER_MANAGED_KMS_KEY" : "AWS_OWNED_KEY"
    kms_key_id                        = var.kms_key_arn
    kms_data_key_reuse_period_seconds = local.uses_kms_key ? 300 : null
  }

  tags = local.tags

  lifecycle {
    precondition {
      # The history of an execution is limited to 25,000 events. Each check of queue and database takes 16.
      condition     = local.replay_database_wait_seconds <= 1500 * var.replay_check_interval_seconds
      error_message = "replay_database_wait_seconds must be at most 1500 times replay_check_interval_seconds. Step Functions limits the history of an execution to 25,000 events."
    }
  }

  depends_on = [aws_iam_role_policy.replay, aws_lambda_alias.dlq_replayer]
}
