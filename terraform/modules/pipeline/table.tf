# The DynamoDB table: one that the module creates (table), or an existing one (table_name or stream_arn).

locals {
  created_tables  = var.table == null ? {} : { table = coalesce(var.table.name, local.prefix) }
  existing_tables = var.table == null ? { table = coalesce(var.table_name, try(regex("^arn:[^/]+:table/([^/]+)/stream/", var.stream_arn)[0], "none")) } : {}

  table_name = one(concat(values(local.created_tables), values(local.existing_tables)))
  table_arn  = "arn:${local.partition}:dynamodb:${local.region}:${local.account_id}:table/${local.table_name}"
  stream_arn = one(concat(
    [for table in aws_dynamodb_table.source : table.stream_arn],
    [for table in data.aws_dynamodb_table.source : coalesce(var.stream_arn, table.stream_arn)],
  ))

  # Of the created table: each key attribute, and the types of the others.
  key_attributes   = var.table == null ? [] : compact([var.table.partition_key.name, try(var.table.sort_key.name, null)])
  index_attributes = var.table == null ? [] : flatten([for index in values(var.table.indexes) : compact([index.partition_key, index.sort_key])])
  attributes = var.table == null ? {} : merge(
    var.table.attributes,
    { for key in [var.table.partition_key, var.table.sort_key] : key.name => key.type if key != null },
  )
}

resource "aws_dynamodb_table" "source" {
  #checkov:skip=CKV_AWS_119:kms_key_arn encrypts it with a key of yours; without it DynamoDB encrypts with a key that it owns
  for_each = local.created_tables

  name                        = each.value
  billing_mode                = "PAY_PER_REQUEST"
  deletion_protection_enabled = var.deletion_protection

  hash_key  = var.table.partition_key.name
  range_key = try(var.table.sort_key.name, null)

  stream_enabled   = true
  stream_view_type = "NEW_AND_OLD_IMAGES" # a record with both images describes its change completely

  dynamic "attribute" {
    for_each = local.attributes

    content {
      name = attribute.key
      type = attribute.value
    }
  }

  dynamic "global_secondary_index" {
    for_each = var.table.indexes

    content {
      name               = global_secondary_index.key
      hash_key           = global_secondary_index.value.partition_key
      range_key          = global_secondary_index.value.sort_key
      projection_type    = global_secondary_index.value.projection
      non_key_attributes = global_secondary_index.value.non_key_attributes
    }
  }

  # Without the block an expiry stays on. To turn it off, DynamoDB wants the name that is no longer given:
  # https://github.com/aws/aws-cdk/issues/25655
  dynamic "ttl" {
    for_each = var.table.ttl_attribute[*]

    content {
      enabled        = true
      attribute_name = ttl.value
    }
  }

  point_in_time_recovery {
    enabled = var.point_in_time_recovery
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
      condition     = var.table_name == null && var.stream_arn == null
      error_message = "Give one of table (to create it), table_name and stream_arn (of an existing table)."
    }

    precondition {
      condition     = toset(keys(local.attributes)) == toset(concat(local.key_attributes, local.index_attributes))
      error_message = "table.attributes must name the key attributes of table.indexes, and no other. DynamoDB refuses an attribute that is in no key, and a key attribute without a type."
    }
  }
}

data "aws_dynamodb_table" "source" {
  for_each = local.existing_tables

  name = each.value

  lifecycle {
    precondition {
      condition     = (var.table_name == null) != (var.stream_arn == null)
      error_message = "Give one of table (to create it), table_name and stream_arn (of an existing table)."
    }

    # The table that is read here is of this account. One of another account may have the same name.
    precondition {
      condition     = var.stream_arn == null ? true : try(split(":", var.stream_arn)[4] == local.account_id, false)
      error_message = "stream_arn must be in ${local.account_id}, the account of the provider. Apply the pipeline in the account of the table."
    }

    precondition {
      condition     = var.stream_arn == null ? true : try(split(":", var.stream_arn)[3] == local.region, false)
      error_message = "stream_arn must be in ${local.region}, the Region of the provider. Lambda reads no stream of another Region."
    }

    postcondition {
      condition     = self.stream_enabled
      error_message = "${each.value} has no stream. Turn it on: aws dynamodb update-table --table-name ${each.value} --stream-specification StreamEnabled=true,StreamViewType=NEW_AND_OLD_IMAGES"
    }

    # The view of a stream cannot be changed: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.html
    postcondition {
      condition     = !self.stream_enabled || contains(["NEW_IMAGE", "NEW_AND_OLD_IMAGES"], self.stream_view_type)
      error_message = "The stream of ${each.value} carries no new images (${self.stream_view_type}). Replace it, after its other readers have stopped: aws dynamodb update-table --table-name ${each.value} --stream-specification StreamEnabled=false && aws dynamodb wait table-exists --table-name ${each.value} && aws dynamodb update-table --table-name ${each.value} --stream-specification StreamEnabled=true,StreamViewType=NEW_AND_OLD_IMAGES"
    }

    postcondition {
      condition     = var.stream_arn == null ? true : self.stream_arn == var.stream_arn
      error_message = "The stream of ${each.value} is ${self.stream_arn}, not stream_arn. Give the new one, after reading \"A new Region or a restored table\" in docs/runbook.md."
    }
  }
}
