# Orders behind an RDS Proxy that you run: its connection parameter and its security group are given.

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
  table = {
    partition_key = { name = "p_key" }
    sort_key      = { name = "s_key" }
    ttl_attribute = "record_ttl"
    attributes    = { merchant_id = "S", created_at = "N" }
    indexes       = { merchant_id-created_at-index = { partition_key = "merchant_id", sort_key = "created_at" } }
  }

  vpc_id                    = "vpc-0123456789abcdef0"
  rds_sg_id                 = "sg-0123456789abcdef0" # of the proxy
  rds_secret_arn            = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:mysql-AbCdEf"
  rds_connection_param_name = "/prod/mysql-proxy" # with the hostname of the proxy
}

module "orders_api" {
  source = "../../modules/orders_api"

  env             = "prod"
  table_name      = module.orders.table_name
  alarm_topic_arn = module.orders.alarm_topic_arn
}

output "api_url" {
  value = module.orders_api.api_url
}
