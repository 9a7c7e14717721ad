# A separate table, so that the stream carries only orders.
resource "aws_dynamodb_table" "idempotency" {
  #checkov:skip=CKV_AWS_119:kms_key_arn encrypts it with a key of yours; without it DynamoDB encrypts with a key that it owns
  #checkov:skip=CKV_AWS_28:It remembers requests for hours; a restored table would refuse or repeat requests by outdated keys

  name                        = "${local.prefix}-idempotency"
  billing_mode                = "PAY_PER_REQUEST"
  deletion_protection_enabled = var.deletion_protection

  hash_key = "p_key"

  attribute {
    name = "p_key"
    type = "S"
  }

  ttl {
    enabled        = true
    attribute_name = "record_ttl"
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
