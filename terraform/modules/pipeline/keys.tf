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
  }
  # An existing table keeps its own key, which also encrypts its stream. The replayer reads streams for a queue only.
  table_keys = {
    stream_consumer = compact([for table in data.aws_dynamodb_table.source : try(table.server_side_encryption[0].kms_key_arn, null)])
    dlq_replayer    = compact([for table in data.aws_dynamodb_table.source : try(table.server_side_encryption[0].kms_key_arn, null) if length(local.failures_queues) > 0])
  }
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
      sid       = "ReadEncryptedStream"
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
