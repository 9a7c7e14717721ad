# Several tables, each with a pipeline of its own, to one database.

terraform {
  required_version = ">= 1.5"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100"
    }
  }
}

variable "aws_region" {
  type    = string
  default = "eu-west-1"
}

variable "vpc_id" {
  type = string
}

variable "rds_sg_id" {
  description = "Security group of the database."
  type        = string
}

variable "rds_secret_arn" {
  type = string
}

variable "rds_connection_param_name" {
  type = string
}

variable "pipelines" {
  description = "Mapping and keys of each table, by the name of the pipeline. Pipelines of one database need different mappings, which are all in the zips."
  type = map(object({
    mapping       = string
    partition_key = object({ name = string, type = optional(string, "S") })
    sort_key      = optional(object({ name = string, type = optional(string, "S") }))
    ttl_attribute = optional(string)
  }))
  default = {
    orders = { mapping = "orders", partition_key = { name = "p_key" }, sort_key = { name = "s_key" }, ttl_attribute = "record_ttl" }
    shop   = { mapping = "shop", partition_key = { name = "pk" }, sort_key = { name = "sk" } }
  }
}

variable "options" {
  description = "Settings of all pipelines that differ from the defaults."
  type = object({
    build_dir                         = optional(string)
    mysql_port                        = optional(number)
    mysql_tls                         = optional(string)
    mysql_ca_pem                      = optional(string)
    deletion_protection               = optional(bool, true)
    failures_bucket_force_destroy     = optional(bool, false)
    failure_destination               = optional(string, "s3")
    replayed_retention_days           = optional(number, 30)
    stream_maximum_record_age_seconds = optional(number, 21600)
  })
  default = {}
}

provider "aws" {
  region = var.aws_region
}

module "pipeline" {
  source   = "../../modules/pipeline"
  for_each = var.pipelines

  env      = "prod"
  pipeline = each.key
  mapping  = each.value.mapping
  table = {
    partition_key = each.value.partition_key
    sort_key      = each.value.sort_key
    ttl_attribute = each.value.ttl_attribute
  }

  vpc_id                    = var.vpc_id
  rds_sg_id                 = var.rds_sg_id
  rds_secret_arn            = var.rds_secret_arn
  rds_connection_param_name = var.rds_connection_param_name

  lambda_zips                       = { folder = var.options.build_dir }
  mysql_port                        = coalesce(var.options.mysql_port, 3306)
  mysql_tls                         = coalesce(var.options.mysql_tls, "verify")
  mysql_ca_pem                      = var.options.mysql_ca_pem
  deletion_protection               = var.options.deletion_protection
  failures_bucket_force_destroy     = var.options.failures_bucket_force_destroy
  failure_destination               = var.options.failure_destination
  replayed_retention_days           = var.options.replayed_retention_days
  stream_maximum_record_age_seconds = var.options.stream_maximum_record_age_seconds

  tags = { Pipeline = each.key }
}

output "replays" {
  description = "State machine that replays failed batches, by pipeline."
  value       = { for name, pipeline in module.pipeline : name => pipeline.replay_state_machine_arn }
}
