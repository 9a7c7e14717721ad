# Grants for KMS keys. A service calls KMS with the rights of the role that called the service:
# https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-errors.html (failure destinations)
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-key-management.html
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/encryption.usagenotes.html

locals {
  # With kms_key_arn, by function and service. Lambda writes failed batches with the role of the consumer.
  key_actions = {
    stream_consumer = merge(
      { s3 = ["kms:Decrypt", "kms:GenerateDataKey"] },
      { for name in keys(local.created_tables) : "dynamodb" => ["kms:Decrypt"] },
      { for name in keys(local.failures_queues) : "sqs" => ["kms:Decrypt", "kms:GenerateDataKey"] },
    )
    dlq_replayer = merge(
      { s3 = ["kms:Decrypt", "kms:GenerateDataKey"] },
      { dynamodb = ["kms:Decrypt"] }, # the table of the lock
      { for name in keys(local.failures_queues) : "sqs" => ["kms:Decrypt"] },
    )
    reconciler = {
      s3       = ["kms:Decrypt", "kms:GenerateDataKey"]
      dynamodb = ["kms:Decrypt"] # the table that the module creates, and that of the lock
    }
    monitor = merge(
      { s3 = ["kms:Decrypt"] },
      { for name in local.heartbeats : "dynamodb" => ["kms:Decrypt"] if length(local.created_tables) > 0 },
      { for name in keys(local.failures_queues) : "sqs" => ["kms:Decrypt"] },
    )
  }
  # An existing table keeps its own key, which also encrypts its stream. The replayer reads streams for a queue only.
  table_keys = {
    stream_consumer = compact([for table in data.aws_dynamodb_table.source : try(table.server_side_encryption[0].kms_key_arn, null)])
    dlq_replayer    = compact([for table in data.aws_dynamodb_table.source : try(table.server_side_encryption[0].kms_key_arn, null) if length(local.failures_queues) > 0])
    reconciler      = compact([for table in data.aws_dynamodb_table.source : try(table.server_side_encryption[0].kms_key_arn, null)])
    monitor         = compact([for table in data.aws_dynamodb_table.source : try(table.server_side_encryption[0].kms_key_arn, null) if var.heartbeat])
  }
  # Of the Map state of each state machine.
  map_labels = merge({ replay = "Drain" }, { for job, settings in local.reconciler_jobs : job => settings.map_label })
}

data "aws_iam_policy_document" "keys" {
  for_each = local.key_actions

  dynamic "statement" {
    for_each = local.uses_kms_key ? each.value : {}

    content {
      sid       = "UseKeyIn${title(statement.key)}"
      actions   = statement.value
      resources = [var.kms_key_arn]

      condition {
        test     = "StringEquals"
        variable = "kms:ViaService"
        values   = ["${statement.key}.${local.region}.amazonaws.com"]
      }
    }
  }

  dynamic "statement" {
    for_each = local.table_keys[each.key]

    content {
      sid       = "ReadEncryptedTable"
      actions   = ["kms:Decrypt"]
      resources = [statement.value]

      condition {
        test     = "StringEquals"
        variable = "kms:ViaService"
        values   = ["dynamodb.${local.region}.amazonaws.com"]
      }
    }
  }
}

# A state machine calls KMS itself, so these grants name no service. The context names the state machine, or a log group.
# https://docs.aws.amazon.com/step-functions/latest/dg/encryption-at-rest.html
data "aws_iam_policy_document" "state_machine_keys" {
  for_each = merge({ replay = local.replay_arn }, local.job_arns)

  dynamic "statement" {
    for_each = local.uses_kms_key ? ["on"] : []

    content {
      sid       = "EncryptExecutions"
      actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
      resources = [var.kms_key_arn]

      condition {
        test     = "StringEquals"
        variable = "kms:EncryptionContext:aws:states:stateMachineArn"
        # AWS does not document which of the two the lanes of a Distributed Map have.
        values = [each.value, "${each.value}/${local.map_labels[each.key]}"]
      }
    }
  }

  dynamic "statement" {
    for_each = local.uses_kms_key ? ["on"] : []

    content {
      sid       = "EncryptLogs"
      actions   = ["kms:GenerateDataKey"]
      resources = [var.kms_key_arn]

      # The source of a log delivery.
      condition {
        test     = "StringEquals"
        variable = "kms:EncryptionContext:SourceArn"
        values   = ["arn:${local.partition}:logs:${local.region}:${local.account_id}:*"]
      }
    }
  }
}
