# Failed batches go to a queue, as pointers into the stream. A schedule replays them.

terraform {
  required_version = ">= 1.5"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100"
    }
  }
}

provider "aws" {
  region = "eu-west-1"
}

module "orders" {
  source = "../../modules/pipeline"

  env      = "prod"
  pipeline = "orders"
  table    = { partition_key = { name = "p_key" }, sort_key = { name = "s_key" }, ttl_attribute = "record_ttl" }

  failure_destination               = "sqs"
  stream_maximum_record_age_seconds = 14400 # a pointer is void after 24 hours
  auto_replay                       = true

  vpc_id                    = "vpc-0123456789abcdef0"
  rds_sg_id                 = "sg-0123456789abcdef0"
  rds_secret_arn            = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:mysql-AbCdEf"
  rds_connection_param_name = "/prod/mysql"

  # The module creates the RDS Proxy of this DB instance, and writes the connection parameter.
  create_rds_proxy        = true
  rds_instance_identifier = "legacy"
  rds_database            = "shop"
}
