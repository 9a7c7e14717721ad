# Compares the DynamoDB table with MySQL: one function, and a state machine for each job. load brings the items of the
# table into MySQL. verify compares both sides, and repairs what differs if asked to. seed makes items of the rows of an
# existing database. prune deletes versions that the sidecar keeps of items that are long gone.

locals {
  # By job: what is started, and the label of the Map state of its definition statemachines/<job>.asl.json. The role of
  # the state machine names its lanes by the label. A check is Wait, Check and CheckOutcome, in events of the history.
  # A lane also waits for suspects to stand still, in events of the same number.
  reconciler_jobs = {
    load   = { map_label = "Walk", events_per_check = 9, settle_seconds = 0 }
    verify = { map_label = "Walk", events_per_check = 9, settle_seconds = var.verify_settle_seconds }
    seed   = { map_label = "Walk", events_per_check = 9, settle_seconds = 0 }
    prune  = { map_label = "Walk", events_per_check = 9, settle_seconds = 0 }
  }
  job_names          = { for job in keys(local.reconciler_jobs) : job => "${local.prefix}-${job}" }
  job_arns           = { for job, name in local.job_names : job => "arn:${local.partition}:states:${local.region}:${local.account_id}:stateMachine:${name}" }
  job_execution_arns = { for job, name in local.job_names : job => "arn:${local.partition}:states:${local.region}:${local.account_id}:execution:${name}" }
  reconciler_arn     = "arn:${local.partition}:lambda:${local.region}:${local.account_id}:function:${local.function_names.reconciler}:${local.live}"

  reconciler_environment = merge(local.pipeline_environment, {
    POWERTOOLS_SERVICE_NAME     = local.function_names.reconciler
    LOCK_TABLE_NAME             = aws_dynamodb_table.replay_lock.name
    CONSUMER_FUNCTION_NAME      = aws_lambda_function.stream_consumer.function_name
    CONSUMER_TIMEOUT_SECONDS    = tostring(var.consumer_timeout_seconds)
    EVENT_SOURCE_MAPPING_UUID   = aws_lambda_event_source_mapping.stream.uuid
    LOAD_CONCURRENCY            = tostring(var.load_concurrency)
    LOAD_READ_UNITS_PER_SECOND  = tostring(var.load_read_units_per_second)
    SEED_WRITE_UNITS_PER_SECOND = tostring(var.seed_write_units_per_second)
    VERIFY_SETTLE_SECONDS       = tostring(var.verify_settle_seconds)
    PRUNE_HORIZON_DAYS          = tostring(var.prune_horizon_days)
    DATABASE_WAIT_SECONDS       = tostring(local.replay_database_wait_seconds)
    }, { for queue in local.failures_queues : "FAILURES_QUEUE_URL" => local.failures_queue_url },
  var.kms_key_arn == null ? {} : { FAILURES_BUCKET_KEY_ARN = var.kms_key_arn })
  reconciler_environment_bytes = length(jsonencode(merge(local.reconciler_environment, {
    STREAM_ARN                = local.sample_stream_arn
    EVENT_SOURCE_MAPPING_UUID = local.sample_mapping_uuid
  })))
}

# The function

data "aws_iam_policy_document" "reconciler" {
  source_policy_documents = [
    data.aws_iam_policy_document.telemetry["reconciler"].json,
    data.aws_iam_policy_document.vpc_access["reconciler"].json,
    data.aws_iam_policy_document.database_access.json,
    data.aws_iam_policy_document.keys["reconciler"].json,
  ]

  statement {
    sid       = "ReadTable"
    actions   = ["dynamodb:BatchGetItem", "dynamodb:DescribeTable", "dynamodb:Scan"]
    resources = [local.table_arn]
  }

  # What has changed in a window of time.
  statement {
    sid       = "ExportTable"
    actions   = ["dynamodb:DescribeContinuousBackups", "dynamodb:ExportTableToPointInTime"]
    resources = [local.table_arn]
  }

  statement {
    sid       = "FollowExports"
    actions   = ["dynamodb:DescribeExport"]
    resources = ["${local.table_arn}/export/*"] # DynamoDB names each export
  }

  # DynamoDB writes an export with the rights of the role that asks for it:
  # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/S3DataExport_Requesting.html
  statement {
    sid       = "KeepExports"
    actions   = ["s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject", "s3:PutObjectAcl"]
    resources = ["${local.failures_bucket_arn}/exports/*"]

    condition {
      test     = "StringEquals"
      variable = "s3:ResourceAccount"
      values   = [local.account_id]
    }
  }

  # A seed writes items on a condition, so that it overwrites no other writer.
  statement {
    sid       = "SeedTable"
    actions   = ["dynamodb:PutItem", "dynamodb:UpdateItem"]
    resources = [local.table_arn]
  }

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
    sid     = "KeepProgressAndReport"
    actions = ["s3:GetObject", "s3:PutObject"]
    resources = [
      "${local.failures_bucket_arn}/load/*",
      "${local.failures_bucket_arn}/prune/*",
      "${local.failures_bucket_arn}/repaired/*",
      "${local.failures_bucket_arn}/seed/*",
      "${local.failures_bucket_arn}/seeded/*",
      "${local.failures_bucket_arn}/verified/*",
      "${local.failures_bucket_arn}/verify/*",
    ]

    # Another account can take over the name of a deleted bucket. Never write keys of items there.
    condition {
      test     = "StringEquals"
      variable = "s3:ResourceAccount"
      values   = [local.account_id]
    }
  }

  # A retry brings the change of every entity of a parked record, so a prune keeps the rows of all of them.
  statement {
    sid     = "ReadParked"
    actions = ["s3:GetObject"]
    resources = [
      "${local.failures_bucket_arn}/deferred/*",
      "${local.failures_bucket_arn}/quarantine/*",
      "${local.failures_bucket_arn}/replayed/deferred/*",
      "${local.failures_bucket_arn}/replayed/discarded/*",
      "${local.failures_bucket_arn}/replayed/quarantine/*",
    ]

    condition {
      test     = "StringEquals"
      variable = "s3:ResourceAccount"
      values   = [local.account_id]
    }
  }

  # A range that the stream had forgotten leaves when a verification has found both sides equal.
  statement {
    sid       = "SettleExpired"
    actions   = ["s3:DeleteObject", "s3:GetObject"]
    resources = ["${local.failures_bucket_arn}/expired/*"]

    condition {
      test     = "StringEquals"
      variable = "s3:ResourceAccount"
      values   = [local.account_id]
    }
  }

  statement {
    sid       = "KeepSettled"
    actions   = ["s3:PutObject"]
    resources = ["${local.failures_bucket_arn}/replayed/expired/*"]

    condition {
      test     = "StringEquals"
      variable = "s3:ResourceAccount"
      values   = [local.account_id]
    }
  }

  # While messages wait, a difference may be a change that no replay has written yet.
  dynamic "statement" {
    for_each = local.failures_queues

    content {
      sid       = "CountPointers"
      actions   = ["sqs:GetQueueAttributes"]
      resources = [local.failures_queue_arn]
    }
  }

  # One item for all jobs: one of them runs at a time. The lock of the replay is another item.
  statement {
    sid       = "HoldLock"
    actions   = ["dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:PutItem"]
    resources = [local.replay_lock_arn]

    condition {
      test     = "ForAllValues:StringEquals"
      variable = "dynamodb:LeadingKeys"
      values   = ["reconciler"]
    }
  }

  statement {
    sid       = "AskWhetherHolderRuns"
    actions   = ["states:DescribeExecution"]
    resources = [for job, arn in local.job_execution_arns : "${arn}:*"] # any execution of these state machines
  }

  statement {
    sid       = "ReadLag"
    actions   = ["cloudwatch:GetMetricStatistics"]
    resources = ["*"] # metrics have no resources
  }
}

resource "aws_iam_role_policy" "reconciler" {
  name   = "reconciler"
  role   = aws_iam_role.function["reconciler"].name
  policy = data.aws_iam_policy_document.reconciler.json
}

# A policy of its own: the security group depends on the other one, and this mapping depends on the security group.
data "aws_iam_policy_document" "reconciler_mapping" {
  statement {
    sid       = "AskWhetherConsumerReads"
    actions   = ["lambda:GetEventSourceMapping"]
    resources = [aws_lambda_event_source_mapping.stream.arn]
  }
}

resource "aws_iam_role_policy" "reconciler_mapping" {
  name   = "event-source-mapping"
  role   = aws_iam_role.function["reconciler"].name
  policy = data.aws_iam_policy_document.reconciler_mapping.json
}

resource "aws_lambda_function" "reconciler" {
  #checkov:skip=CKV_AWS_116:Step Functions calls it synchronously, and Lambda sends only asynchronous calls to a dead-letter queue
  #checkov:skip=CKV_AWS_272:Code signing needs a signing profile of the account; the build is reproducible, so the hash of the zip says what runs

  function_name = local.function_names.reconciler
  description   = "Runs the steps of loads, verifications, seeds and prunes"
  role          = aws_iam_role.function["reconciler"].arn

  filename         = local.zips.reconciler.path
  s3_bucket        = var.lambda_zips.bucket
  s3_key           = local.zips.reconciler.key
  source_code_hash = local.zips.reconciler.hash
  handler          = "reconciler.handler.handler"
  runtime          = local.runtime
  architectures    = [local.architecture]
  memory_size      = var.reconciler_memory_mb
  timeout          = 300 # a step ends a minute earlier and is called again; the state machine waits 30 s longer
  publish          = true

  reserved_concurrent_executions = var.reconciler_reserved_concurrency

  kms_key_arn = var.kms_key_arn # of the environment

  environment {
    variables = local.reconciler_environment
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
      condition     = local.zips.reconciler.found
      error_message = local.zip_missing
    }

    precondition {
      condition     = var.reconciler_reserved_concurrency == -1 || var.reconciler_reserved_concurrency > var.load_concurrency
      error_message = "reconciler_reserved_concurrency must exceed load_concurrency. A worker that gets no invocation fails its lane."
    }

    # Lambda holds a change back for the window, and reports no age of it meanwhile.
    precondition {
      condition     = var.verify_settle_seconds >= var.stream_batching_window_seconds
      error_message = "verify_settle_seconds must not be below stream_batching_window_seconds. A verification would report changes that still wait in a batch."
    }

    precondition {
      condition     = local.reconciler_environment_bytes <= 4096
      error_message = "The environment of the reconciler has ${local.reconciler_environment_bytes} bytes, and Lambda allows 4096. Shorten mysql_ca_pem, rds_connection_param_name or the name of the secret in rds_secret_arn."
    }
  }

  depends_on = [
    aws_cloudwatch_log_group.function,
    aws_iam_role_policy.reconciler,
    aws_iam_role_policy.reconciler_mapping,
  ]
}

# The state machines call this alias. It moves to new code only after the schema step, as the consumer's does.
resource "aws_lambda_alias" "reconciler" {
  name             = local.live
  description      = "Version whose schema step has succeeded"
  function_name    = aws_lambda_function.reconciler.function_name
  function_version = aws_lambda_function.reconciler.version

  depends_on = [aws_lambda_invocation.schema]
}

# The state machines

resource "aws_iam_role" "job" {
  for_each = local.job_names

  name                 = "${each.value}-${local.region}"
  path                 = var.role_path
  permissions_boundary = var.permissions_boundary
  assume_role_policy   = data.aws_iam_policy_document.states_trust.json

  tags = local.tags
}

data "aws_iam_policy_document" "job" {
  for_each = local.reconciler_jobs

  source_policy_documents = [data.aws_iam_policy_document.state_machine_keys[each.key].json]

  statement {
    sid       = "CallSteps"
    actions   = ["lambda:InvokeFunction"]
    resources = [local.reconciler_arn]
  }

  # A Distributed Map runs its lanes as executions of the same state machine, as that of the replay does.
  statement {
    sid       = "StartLanes"
    actions   = ["states:StartExecution"]
    resources = [local.job_arns[each.key]]
  }

  statement {
    sid       = "FollowLanes"
    actions   = ["states:DescribeExecution", "states:StopExecution"]
    resources = ["${local.job_execution_arns[each.key]}:*", "${local.job_execution_arns[each.key]}/${each.value.map_label}:*"]
  }

  statement {
    sid       = "RedriveLanes"
    actions   = ["states:RedriveExecution"]
    resources = ["${local.job_execution_arns[each.key]}/${each.value.map_label}:*"] # the label of the Map state
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

resource "aws_iam_role_policy" "job" {
  for_each = aws_iam_role.job

  name   = each.key
  role   = each.value.name
  policy = data.aws_iam_policy_document.job[each.key].json
}

resource "aws_cloudwatch_log_group" "job" {
  #checkov:skip=CKV_AWS_338:log_retention_days chooses the retention; what failed is kept in the failures bucket, not in a log

  for_each = local.job_names

  name              = "/aws/vendedlogs/states/${each.value}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn

  tags = local.tags
}

resource "aws_sfn_state_machine" "job" {
  #checkov:skip=CKV_AWS_285:Step Functions itself keeps each history for 90 days, and a log of it would hold keys of items

  for_each = local.job_names

  name     = each.value
  type     = "STANDARD" # runs each step exactly once, and for days
  role_arn = aws_iam_role.job[each.key].arn

  definition = templatefile("${path.module}/../../../statemachines/${each.key}.asl.json", {
    reconciler_arn = local.reconciler_arn
    wait_seconds   = var.replay_check_interval_seconds
  })

  logging_configuration {
    level                  = "ERROR"
    include_execution_data = false # the output of a step may contain keys of items
    log_destination        = "${aws_cloudwatch_log_group.job[each.key].arn}:*"
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
      # The history of an execution is limited to 25,000 events.
      condition     = (local.replay_database_wait_seconds + local.reconciler_jobs[each.key].settle_seconds) * local.reconciler_jobs[each.key].events_per_check <= 24000 * var.replay_check_interval_seconds
      error_message = "${local.reconciler_jobs[each.key].settle_seconds > 0 ? "replay_database_wait_seconds and verify_settle_seconds are" : "replay_database_wait_seconds is"} too long for replay_check_interval_seconds. Step Functions limits the history of an execution to 25,000 events, of which each check of the job ${each.key} takes ${local.reconciler_jobs[each.key].events_per_check}."
    }
  }

  depends_on = [aws_iam_role_policy.job, aws_lambda_alias.reconciler]
}
