data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

data "aws_region" "current" {}

locals {
  prefix     = "${var.name}-${var.env}"
  account_id = data.aws_caller_identity.current.account_id
  partition  = data.aws_partition.current.partition
  region     = data.aws_region.current.id # provider 6 deprecates name

  # Policies use ARNs built from names, which creates no dependency and no cycle.
  table_arns      = "arn:${local.partition}:dynamodb:${local.region}:${local.account_id}:table"
  orders_arn      = "${local.table_arns}/${var.table_name}"
  idempotency_arn = "${local.table_arns}/${local.prefix}-idempotency"

  # A bool, because the ARN of a key that is created in the same apply is not known at plan.
  uses_kms_key = var.use_kms_key == null ? var.kms_key_arn != null : var.use_kms_key

  # The provider takes an empty map of tags for a change of the resources that have none.
  tags = length(var.tags) > 0 ? var.tags : null

  tracing_mode = var.xray_tracing ? "Active" : "PassThrough"

  powertools = {
    POWERTOOLS_METRICS_NAMESPACE = "Backstream"
    POWERTOOLS_LOG_LEVEL         = var.log_level
  }
}
