data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

locals {
  prefix     = "${var.name}-${var.env}"
  account_id = data.aws_caller_identity.current.account_id
  partition  = data.aws_partition.current.partition

  # Policies use ARNs built from names, which creates no dependency and no cycle.
  rds_connection_param_arn = "arn:${local.partition}:ssm:${var.aws_region}:${local.account_id}:parameter/${trimprefix(var.rds_connection_param_name, "/")}"

  # `make build` writes zips and manifest together, so the runtime always matches the zip.
  build_dir = coalesce(var.build_dir, "${path.module}/../build")
  manifest  = try(jsondecode(file("${local.build_dir}/manifest.json")), null)
  zips = {
    for package in ["api", "stream_consumer", "dlq_replayer"] : package => {
      path  = "${local.build_dir}/${package}.zip"
      hash  = try(filebase64sha256("${local.build_dir}/${package}.zip"), null)
      built = try(filesha256("${local.build_dir}/${package}.zip") == local.manifest.zips["${package}.zip"], false)
    }
  }
  runtime       = try(local.manifest.runtime, null)
  architecture  = try(local.manifest.architecture, null)
  build_missing = "${local.build_dir} has no zip that matches its manifest.json. Run `make build`, or set build_dir to its output folder."

  powertools = {
    POWERTOOLS_METRICS_NAMESPACE = "Backstream"
    POWERTOOLS_LOG_LEVEL         = var.log_level
  }
}
