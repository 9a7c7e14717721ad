resource "aws_dynamodb_table" "orders" {
  name                        = "${local.prefix}-orders"
  billing_mode                = "PAY_PER_REQUEST"
  deletion_protection_enabled = var.deletion_protection

  hash_key  = "p_key"
  range_key = "s_key"

  stream_enabled   = true
  stream_view_type = "NEW_AND_OLD_IMAGES" # a record with both images describes its change completely

  attribute {
    name = "p_key"
    type = "S"
  }

  attribute {
    name = "s_key"
    type = "S"
  }

  attribute {
    name = "merchant_id"
    type = "S"
  }

  attribute {
    name = "created_at"
    type = "N"
  }

  global_secondary_index {
    name            = local.merchant_index
    hash_key        = "merchant_id"
    range_key       = "created_at"
    projection_type = "ALL"
  }

  ttl {
    enabled        = true
    attribute_name = "record_ttl"
  }

  point_in_time_recovery {
    enabled = var.point_in_time_recovery
  }
}

# A separate table, so that the stream carries only orders.
resource "aws_dynamodb_table" "idempotency" {
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
}

locals {
  merchant_index  = "merchant_id-created_at-index"
  table_arns      = "arn:${local.partition}:dynamodb:${var.aws_region}:${local.account_id}:table"
  orders_arn      = "${local.table_arns}/${local.prefix}-orders"
  idempotency_arn = "${local.table_arns}/${local.prefix}-idempotency"
}
