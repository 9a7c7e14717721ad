# A table that exists, with its stream turned on. Backstream changes nothing of it.

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

module "customers" {
  source = "../../modules/pipeline"

  env        = "prod"
  pipeline   = "customers"
  mapping    = "customers" # mappings/customers.json in the zips
  table_name = "customers"

  vpc_id                    = "vpc-0123456789abcdef0"
  rds_sg_id                 = "sg-0123456789abcdef0"
  rds_secret_arn            = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:mysql-AbCdEf"
  rds_connection_param_name = "/prod/mysql"
}
