data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

data "aws_region" "current" {}

locals {
  prefix     = join("-", compact([var.name, var.env, var.pipeline]))
  account_id = data.aws_caller_identity.current.account_id
  partition  = data.aws_partition.current.partition
  region     = data.aws_region.current.id # provider 6 deprecates name

  # Policies use ARNs built from names, which creates no dependency and no cycle.
  rds_connection_param_arn = "arn:${local.partition}:ssm:${local.region}:${local.account_id}:parameter/${trimprefix(var.rds_connection_param_name, "/")}"

  # A bool, because the ARN of a key that is created in the same apply is not known at plan.
  uses_kms_key = var.use_kms_key == null ? var.kms_key_arn != null : var.use_kms_key

  # The provider takes an empty map of tags for a change of the resources that have none.
  tags = length(var.tags) > 0 ? var.tags : null

  powertools = {
    POWERTOOLS_METRICS_NAMESPACE = "Backstream"
    POWERTOOLS_LOG_LEVEL         = var.log_level
  }
}
