# Changes that are not in MySQL. The event source mapping writes failed batches (aws/lambda/...). The consumer writes
# poison records (quarantine/...), records that wait for another row (deferred/...), and its notes about a batch that
# did not fit into one invocation (unfinished/...). Replays, loads, verifications and seeds keep their working files
# here, too (replay/..., load/..., verify/..., seed/..., prune/...), and DynamoDB what it exports for a verification (exports/...).
# verified/... says when each slice of the table was last verified, and seeded/... when each entity was last seeded.
# repaired/... has the keys of the items whose rows a verification has repaired.

locals {
  failures_bucket     = "${local.prefix}-failures-${local.account_id}-${local.region}"
  failures_bucket_arn = "arn:${local.partition}:s3:::${local.failures_bucket}"
  # S3 mode has no queue.
  failures_queues    = var.failure_destination == "sqs" ? { failures = "${local.prefix}-failures" } : {}
  failures_queue_arn = "arn:${local.partition}:sqs:${local.region}:${local.account_id}:${local.prefix}-failures"
  failures_queue_url = "https://sqs.${local.region}.${data.aws_partition.current.dns_suffix}/${local.account_id}/${local.prefix}-failures"
}

resource "aws_s3_bucket" "failures" {
  #checkov:skip=CKV_AWS_144:A failed batch is replayed in this Region, where its table and its database are; it is of no use in another one
  #checkov:skip=CKV_AWS_145:kms_key_arn encrypts it with a key of yours; without it S3 encrypts with its own keys
  #checkov:skip=CKV_AWS_18:The bucket for access logs belongs to the account; CloudTrail data events record access without one
  #checkov:skip=CKV_AWS_19:The bucket is always encrypted; checkov does not resolve the choice of the algorithm

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

  # Progress and report of a load. A load of a large table takes days, and reads at its end what it wrote at its start.
  rule {
    id     = "load"
    status = "Enabled"

    filter {
      prefix = "load/"
    }

    expiration {
      days = max(30, var.replayed_retention_days)
    }

    # Each page writes the progress of its lane anew.
    noncurrent_version_expiration {
      noncurrent_days = 1
    }
  }

  # The same of a verification. What is under verified/ stays: a slice may wait for its turn for longer.
  rule {
    id     = "verify"
    status = "Enabled"

    filter {
      prefix = "verify/"
    }

    expiration {
      days = max(30, var.replayed_retention_days)
    }

    # Each page writes the progress of its lane anew.
    noncurrent_version_expiration {
      noncurrent_days = 1
    }
  }

  # The keys of items whose rows a verification has repaired, for the verifications of later windows. These go back 35
  # days, as point-in-time recovery does.
  rule {
    id     = "repaired"
    status = "Enabled"

    filter {
      prefix = "repaired/"
    }

    expiration {
      days = 36
    }

    noncurrent_version_expiration {
      noncurrent_days = 1
    }
  }

  # What DynamoDB exports for a verification of a window. The files hold items, and the verification reads them at once.
  rule {
    id     = "exports"
    status = "Enabled"

    filter {
      prefix = "exports/"
    }

    expiration {
      days = 7
    }

    noncurrent_version_expiration {
      noncurrent_days = 1
    }
  }

  # Progress and report of a seed. What is under seeded/ stays: a seed of changed rows begins with it.
  rule {
    id     = "seed"
    status = "Enabled"

    filter {
      prefix = "seed/"
    }

    expiration {
      days = max(30, var.replayed_retention_days)
    }

    # Each page writes the progress of its lane anew.
    noncurrent_version_expiration {
      noncurrent_days = 1
    }
  }

  # Progress and report of a prune.
  rule {
    id     = "prune"
    status = "Enabled"

    filter {
      prefix = "prune/"
    }

    expiration {
      days = max(30, var.replayed_retention_days)
    }

    # Each part writes the progress anew.
    noncurrent_version_expiration {
      noncurrent_days = 1
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

data "aws_iam_policy_document" "failures_queue" {
  for_each = local.failures_queues

  statement {
    sid       = "OnlyEncryptedConnections"
    effect    = "Deny"
    actions   = ["sqs:*"] # every action
    resources = [local.failures_queue_arn]

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

resource "aws_sqs_queue" "failures" {
  for_each = local.failures_queues

  name                      = each.value
  message_retention_seconds = 1209600 # 14 days, the maximum; an expired pointer still tells which range is missing
  sqs_managed_sse_enabled   = local.uses_kms_key ? null : true
  kms_master_key_id         = var.kms_key_arn
  policy                    = data.aws_iam_policy_document.failures_queue[each.key].json

  tags = local.tags
}
