# `make build` writes zips and manifest together, so the runtime always matches the zip.
# In a bucket, the caller names the runtime, and a key names one build.

locals {
  zip_folder   = coalesce(var.lambda_zips.folder, "${path.module}/../../../build")
  zip_manifest = try(jsondecode(file("${local.zip_folder}/manifest.json")), null)
  zips_in_s3   = var.lambda_zips.bucket != null
  zips = {
    for package in ["stream_consumer", "dlq_replayer", "monitor", "reconciler"] : package => local.zips_in_s3 ? {
      path  = null
      key   = lookup(var.lambda_zips.keys, package, null)
      hash  = null
      build = "${var.lambda_zips.bucket}/${lookup(var.lambda_zips.keys, package, "")}"
      found = contains(keys(var.lambda_zips.keys), package)
      } : {
      path  = "${local.zip_folder}/${package}.zip"
      key   = null
      hash  = try(filebase64sha256("${local.zip_folder}/${package}.zip"), null)
      build = try(filebase64sha256("${local.zip_folder}/${package}.zip"), null)
      found = try(filesha256("${local.zip_folder}/${package}.zip") == local.zip_manifest.zips["${package}.zip"], false)
    }
  }
  runtime      = local.zips_in_s3 ? var.lambda_zips.runtime : try(local.zip_manifest.runtime, null)
  architecture = local.zips_in_s3 ? var.lambda_zips.architecture : try(local.zip_manifest.architecture, null)
  zip_missing  = local.zips_in_s3 ? "lambda_zips.keys has no key for every function. Name stream_consumer, dlq_replayer, monitor and reconciler." : "${local.zip_folder} has no zip that matches its manifest.json. Run `make build`, or set lambda_zips.folder to its output folder."
}
