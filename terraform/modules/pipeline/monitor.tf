# Looks each minute at what waits, and emits how long it takes until a change is lost. docs/monitor.md says more.
# It runs outside the VPC: it asks AWS only, and it must speak when the path to the database is cut.

locals {
  # With heartbeat, it writes one item of the table each time. AWS documents dynamodb:LeadingKeys for keys that are text;
  # the other types are held to the attributes of the item.
  heartbeats = var.heartbeat ? ["heartbeat"] : []
  heartbeat = {
    attribute = "backstream_heartbeat"
    key       = "backstream#heartbeat"
  }
  # Of the table: its key attributes, and the type of the first.
  source_key = compact(var.table == null ? flatten([
    for table in data.aws_dynamodb_table.source : [table.hash_key, table.range_key]
  ]) : [var.table.partition_key.name, try(var.table.sort_key.name, null)])
  source_key_type = one(concat(
    [for key in var.table[*].partition_key : key.type],
    [for table in data.aws_dynamodb_table.source : one([for attribute in table.attribute : attribute.type if attribute.name == table.hash_key])],
  ))
}

data "aws_iam_policy_document" "monitor" {
  source_policy_documents = [
    data.aws_iam_policy_document.telemetry["monitor"].json,
    data.aws_iam_policy_document.keys["monitor"].json,
  ]

  # Without a condition on the prefix: with one, S3 answers 403 instead of 404 for a missing object.
  statement {
    sid       = "CountFailures"
    actions   = ["s3:ListBucket"]
    resources = [local.failures_bucket_arn]

    condition {
      test     = "StringEquals"
      variable = "s3:ResourceAccount"
      values   = [local.account_id]
    }
  }

  statement {
    sid       = "ReadProof"
    actions   = ["s3:GetObject"]
    resources = ["${local.failures_bucket_arn}/verified/*"]

    condition {
      test     = "StringEquals"
      variable = "s3:ResourceAccount"
      values   = [local.account_id]
    }
  }

  # It receives messages without hiding them, and deletes none.
  dynamic "statement" {
    for_each = local.failures_queues

    content {
      sid       = "LookAtPointers"
      actions   = ["sqs:GetQueueAttributes", "sqs:ReceiveMessage"]
      resources = [local.failures_queue_arn]
    }
  }

  statement {
    sid       = "AskWhetherConsumerReads"
    actions   = ["lambda:GetEventSourceMapping"]
    resources = [aws_lambda_event_source_mapping.stream.arn]
  }

  statement {
    sid       = "ReadLag"
    actions   = ["cloudwatch:GetMetricStatistics"]
    resources = ["*"] # metrics have no resources
  }

  statement {
    sid       = "ListReplays"
    actions   = ["states:ListExecutions"]
    resources = [local.replay_arn]
  }

  statement {
    sid       = "AskHowReplaysEnded"
    actions   = ["states:DescribeExecution"]
    resources = ["${local.replay_executions_arn}:*"] # any execution of the state machine
  }

  # Input and output of an execution are encrypted with the key of its state machine.
  # https://docs.aws.amazon.com/step-functions/latest/apireference/API_DescribeExecution.html
  dynamic "statement" {
    for_each = local.uses_kms_key ? ["on"] : []

    content {
      sid       = "ReadReplays"
      actions   = ["kms:Decrypt"]
      resources = [var.kms_key_arn]

      condition {
        test     = "StringEquals"
        variable = "kms:EncryptionContext:aws:states:stateMachineArn"
        values   = [local.replay_arn]
      }
    }
  }

  dynamic "statement" {
    for_each = local.heartbeats

    content {
      sid       = "WriteHeartbeat"
      actions   = ["dynamodb:PutItem"]
      resources = [local.table_arn]

      condition {
        test     = "ForAllValues:StringEquals"
        variable = "dynamodb:Attributes"
        values   = concat(local.source_key, [local.heartbeat.attribute])
      }

      dynamic "condition" {
        for_each = local.source_key_type == "S" ? [local.heartbeat.key] : []

        content {
          test     = "ForAllValues:StringEquals"
          variable = "dynamodb:LeadingKeys"
          values   = [condition.value]
        }
      }
    }
  }
}

resource "aws_iam_role_policy" "monitor" {
  name   = "monitor"
  role   = aws_iam_role.function["monitor"].name
  policy = data.aws_iam_policy_document.monitor.json

  lifecycle {
    precondition {
      condition     = !var.heartbeat || !contains(local.source_key, local.heartbeat.attribute)
      error_message = "heartbeat must be false for this table. Its key has the attribute ${local.heartbeat.attribute}, which the heartbeat needs for itself."
    }
  }
}

resource "aws_lambda_function" "monitor" {
  #checkov:skip=CKV_AWS_115:A schedule calls it once a minute, and a reservation would take invocations from the account
  #checkov:skip=CKV_AWS_116:The next minute calls it again, and its errors ring
  #checkov:skip=CKV_AWS_117:It asks AWS only, and works while the path to the database is cut
  #checkov:skip=CKV_AWS_272:Code signing needs a signing profile of the account; the build is reproducible, so the hash of the zip says what runs

  function_name = local.function_names.monitor
  description   = "Emits what waits, and how long it takes until a change is lost"
  role          = aws_iam_role.function["monitor"].arn

  filename         = local.zips.monitor.path
  s3_bucket        = var.lambda_zips.bucket
  s3_key           = local.zips.monitor.key
  source_code_hash = local.zips.monitor.hash
  handler          = "monitor.handler.handler"
  runtime          = local.runtime
  architectures    = [local.architecture]
  memory_size      = 256
  timeout          = 120 # several sources that do not answer, and a long listing

  kms_key_arn = var.kms_key_arn # of the environment

  environment {
    variables = merge(local.powertools, {
      POWERTOOLS_SERVICE_NAME           = local.function_names.monitor
      STREAM_ARN                        = local.stream_arn
      STREAM_GENERATION                 = tostring(var.stream_generation)
      MAPPING                           = var.mapping
      MIRROR_TTL_DELETES                = tostring(var.mirror_ttl_deletes)
      FAILURES_BUCKET                   = local.failures_bucket
      CONSUMER_FUNCTION_NAME            = aws_lambda_function.stream_consumer.function_name
      CONSUMER_TIMEOUT_SECONDS          = tostring(var.consumer_timeout_seconds)
      EVENT_SOURCE_MAPPING_UUID         = aws_lambda_event_source_mapping.stream.uuid
      STREAM_MAXIMUM_RECORD_AGE_SECONDS = tostring(var.stream_maximum_record_age_seconds)
      REPLAY_STATE_MACHINE_ARN          = local.replay_arn
      VERIFIES_ON_SCHEDULE              = tostring(var.verify_schedule_expression != null)
      HEARTBEAT                         = tostring(var.heartbeat)
    }, { for queue in local.failures_queues : "FAILURES_QUEUE_URL" => local.failures_queue_url })
  }

  tracing_config {
    mode = local.tracing_mode
  }

  tags = local.tags

  lifecycle {
    precondition {
      condition     = local.zips.monitor.found
      error_message = local.zip_missing
    }
  }

  depends_on = [aws_cloudwatch_log_group.function, aws_iam_role_policy.monitor]
}

# The next minute calls it again, so a call that failed is not repeated.
resource "aws_lambda_function_event_invoke_config" "monitor" {
  function_name                = aws_lambda_function.monitor.function_name
  maximum_retry_attempts       = 0
  maximum_event_age_in_seconds = 60
}

resource "aws_cloudwatch_event_rule" "monitor" {
  name                = local.function_names.monitor # shorter than the name of its role
  description         = "Calls the monitor"
  schedule_expression = "rate(${var.monitor_schedule_minutes} ${var.monitor_schedule_minutes == 1 ? "minute" : "minutes"})"

  tags = local.tags
}

resource "aws_lambda_permission" "monitor" {
  statement_id  = "schedule"
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_function.monitor.function_name
  principal     = "events.amazonaws.com"
  # It names the account, too. With source_account EventBridge could not call the function:
  # https://github.com/hashicorp/terraform-provider-aws/pull/4116
  source_arn = aws_cloudwatch_event_rule.monitor.arn
}

resource "aws_cloudwatch_event_target" "monitor" {
  rule = aws_cloudwatch_event_rule.monitor.name
  arn  = aws_lambda_function.monitor.arn

  depends_on = [aws_lambda_permission.monitor, aws_lambda_function_event_invoke_config.monitor]
}
