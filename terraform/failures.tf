# What could not be written to MySQL: whole batches by the event source mapping (aws/lambda/...), single records by the
# consumer: poison (quarantine/...), and those that wait for another row (deferred/...). The consumer also notes there what
# it has parked of a batch that did not fit one invocation (unfinished/...).

locals {
  failures_bucket     = "${local.prefix}-failures-${local.account_id}-${var.aws_region}"
  failures_bucket_arn = "arn:${local.partition}:s3:::${local.failures_bucket}"
  # In S3 mode there is no queue.
  failures_queues    = var.failure_destination == "sqs" ? { failures = "${local.prefix}-failures" } : {}
  failures_queue_arn = "arn:${local.partition}:sqs:${var.aws_region}:${local.account_id}:${local.prefix}-failures"
  failures_queue_url = "https://sqs.${var.aws_region}.${data.aws_partition.current.dns_suffix}/${local.account_id}/${local.prefix}-failures"
}

resource "aws_s3_bucket" "failures" {
  bucket        = local.failures_bucket
  force_destroy = var.failures_bucket_force_destroy

  lifecycle {
    precondition {
      condition     = length(local.failures_bucket) <= 63
      error_message = "The failures bucket would be ${local.failures_bucket}, longer than the 63 characters that S3 takes: shorten name or env."
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
      sse_algorithm = "AES256"
    }
  }
}

# A failed batch may be the only place where a change still is: deleting it by mistake must not lose it.
resource "aws_s3_bucket_versioning" "failures" {
  bucket = aws_s3_bucket.failures.id

  versioning_configuration {
    status = "Enabled"
  }
}

# The provider waits a fixed 55 s for it to settle; a stack that lives for minutes does without.
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

  # What a replay works with, and its report.
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

  # What a batch that did not fit one invocation has parked; it is delivered again for a day at most.
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

    # What is left of a settled batch; each replay lists the folder that they lie in.
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
    actions   = ["s3:*"] # whatever it is
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

  # S3 refuses two of these at the same time.
  depends_on = [aws_s3_bucket_public_access_block.failures]
}

resource "aws_sqs_queue" "failures" {
  for_each = local.failures_queues

  name                      = each.value
  message_retention_seconds = 1209600 # 14 days, the most; a pointer is void sooner, but its range is still worth knowing
  sqs_managed_sse_enabled   = true
}
