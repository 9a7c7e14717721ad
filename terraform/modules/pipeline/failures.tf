# Changes that are not in MySQL. The event source mapping writes failed batches (aws/lambda/...). The consumer writes
# poison records (quarantine/...), records that wait for another row (deferred/...), and its notes about a batch that
# did not fit into one invocation (unfinished/...).

locals {
  failures_bucket     = "${local.prefix}-failures-${local.account_id}-${local.region}"
  failures_bucket_arn = "arn:${local.partition}:s3:::${local.failures_bucket}"
  # S3 mode has no queue.
  failures_queues    = var.failure_destination == "sqs" ? { failures = "${local.prefix}-failures" } : {}
  failures_queue_arn = "arn:${local.partition}:sqs:${local.region}:${local.account_id}:${local.prefix}-failures"
  failures_queue_url = "https://sqs.${local.region}.${data.aws_partition.current.dns_suffix}/${local.account_id}/${local.prefix}-failures"
}

resource "aws_s3_bucket" "failures" {
  bucket        = local.failures_bucket
  force_destroy = var.failures_bucket_force_destroy

  tags = local.tags

  lifecycle {
    precondition {
      condition     = length(local.failures_bucket) <= 63
      error_message = "The name of the failures bucket, ${local.failures_bucket}, exceeds the 63 characters that S3 allows. Shorten name, env or pipeline."
    }
  }
}

resource "aws_s3_bucket_public_access_block" "failures" {
  bucket = aws_s3_bucket.failures.id

  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_server_side_encryption_configuration" "failures" {
  bucket = aws_s3_bucket.failures.id

  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm     = local.uses_kms_key ? "aws:kms" : "AES256"
      kms_master_key_id = var.kms_key_arn
    }

    bucket_key_enabled = local.uses_kms_key ? true : null # one call to KMS for many objects
  }
}

# A failed batch may be the only copy of a change. Versioning keeps it when someone deletes it by mistake.
resource "aws_s3_bucket_versioning" "failures" {
  bucket = aws_s3_bucket.failures.id

  versioning_configuration {
    status = "Enabled"
  }
}

# The provider waits a fixed 55 s after it creates this. A short-lived stack sets replayed_retention_days = 0 to skip it.
resource "aws_s3_bucket_lifecycle_configuration" "failures" {
  for_each = var.replayed_retention_days > 0 ? { failures = aws_s3_bucket.failures.id } : {}

  bucket = each.value

  rule {
    id     = "replayed"
    status = "Enabled"

    filter {
      prefix = "replayed/"
    }

    expiration {
      days = var.replayed_retention_days
    }
  }

  # Working files and report of a replay.
  rule {
    id     = "replay"
    status = "Enabled"

    filter {
      prefix = "replay/"
    }

    expiration {
      days = var.replayed_retention_days
    }
  }

  # Notes about a batch that did not fit into one invocation. Lambda redelivers it for at most a day.
  rule {
    id     = "unfinished"
    status = "Enabled"

    filter {
      prefix = "unfinished/"
    }

    expiration {
      days = var.replayed_retention_days
    }
  }

  rule {
    id     = "leftovers"
    status = "Enabled"

    filter {}

    abort_incomplete_multipart_upload {
      days_after_initiation = 1
    }

    noncurrent_version_expiration {
      noncurrent_days = var.replayed_retention_days
    }

    # Settled batches leave delete markers, which slow down the listing of each replay.
    expiration {
      expired_object_delete_marker = true
    }
  }

  depends_on = [aws_s3_bucket_versioning.failures]
}

data "aws_iam_policy_document" "failures_bucket" {
  statement {
    sid       = "OnlyEncryptedConnections"
    effect    = "Deny"
    actions   = ["s3:*"] # every action
    resources = [local.failures_bucket_arn, "${local.failures_bucket_arn}/*"]

    principals {
      type        = "*"
      identifiers = ["*"]
    }

    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}

resource "aws_s3_bucket_policy" "failures" {
  bucket = aws_s3_bucket.failures.id
  policy = data.aws_iam_policy_document.failures_bucket.json

  # S3 refuses concurrent changes of these two.
  depends_on = [aws_s3_bucket_public_access_block.failures]
}

resource "aws_sqs_queue" "failures" {
  for_each = local.failures_queues

  name                      = each.value
  message_retention_seconds = 1209600 # 14 days, the maximum; an expired pointer still tells which range is missing
  sqs_managed_sse_enabled   = local.uses_kms_key ? null : true
  kms_master_key_id         = var.kms_key_arn

  tags = local.tags
}
