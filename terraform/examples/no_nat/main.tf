# A VPC without internet access, made in the same apply: nothing of it is known at plan.

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

resource "aws_vpc" "main" {
  #checkov:skip=CKV2_AWS_11:Flow logs belong to the owner of the network, who chooses their destination

  cidr_block           = "10.0.0.0/16"
  enable_dns_hostnames = true
  enable_dns_support   = true
}

resource "aws_subnet" "private" {
  for_each = { eu-west-1a = "10.0.1.0/24", eu-west-1b = "10.0.2.0/24" }

  vpc_id            = aws_vpc.main.id
  availability_zone = each.key
  cidr_block        = each.value
}

# Nothing uses the default group, which lets its members reach each other.
resource "aws_default_security_group" "main" {
  vpc_id = aws_vpc.main.id
}

resource "aws_security_group" "database" {
  #checkov:skip=CKV2_AWS_5:The database that it protects is not part of the example

  name        = "database"
  description = "MySQL"
  vpc_id      = aws_vpc.main.id
}

resource "aws_kms_key" "own" {
  description         = "Backstream"
  enable_key_rotation = true
  policy              = data.aws_iam_policy_document.key.json
}

data "aws_caller_identity" "current" {}

data "aws_iam_policy_document" "key" {
  #checkov:skip=CKV_AWS_109:A key policy lets IAM policies of the account decide, as AWS recommends; without that nobody could manage the key
  #checkov:skip=CKV_AWS_111:The resource of a key policy is the key that it belongs to
  #checkov:skip=CKV_AWS_356:The resource of a key policy is the key that it belongs to

  statement {
    sid       = "LetIamDecide"
    actions   = ["kms:*"]
    resources = ["*"] # this key

    principals {
      type        = "AWS"
      identifiers = ["arn:aws:iam::${data.aws_caller_identity.current.account_id}:root"]
    }
  }

  # CloudWatch Logs encrypts the log groups. Its delivery service encrypts the logs of the state machines on their way.
  statement {
    sid       = "EncryptLogs"
    actions   = ["kms:Encrypt*", "kms:Decrypt*", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:Describe*"]
    resources = ["*"] # this key

    principals {
      type        = "Service"
      identifiers = ["logs.eu-west-1.amazonaws.com"]
    }

    condition {
      test     = "ArnLike"
      variable = "kms:EncryptionContext:aws:logs:arn"
      values   = ["arn:aws:logs:eu-west-1:${data.aws_caller_identity.current.account_id}:log-group:*"]
    }
  }

  statement {
    sid       = "DeliverLogs"
    actions   = ["kms:Decrypt"]
    resources = ["*"] # this key

    principals {
      type        = "Service"
      identifiers = ["delivery.logs.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "kms:EncryptionContext:SourceArn"
      values   = ["arn:aws:logs:eu-west-1:${data.aws_caller_identity.current.account_id}:*"]
    }
  }

  # The alarms publish to a topic that is encrypted with the key.
  statement {
    sid       = "PublishAlarms"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey*"]
    resources = ["*"] # this key

    principals {
      type        = "Service"
      identifiers = ["cloudwatch.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.current.account_id]
    }
  }
}

module "vpc_endpoints" {
  source = "../../modules/vpc_endpoints"

  env             = "prod"
  vpc_id          = aws_vpc.main.id
  services        = ["dynamodb", "lambda", "monitoring", "s3", "secretsmanager", "ssm", "states"]
  subnet_ids      = values(aws_subnet.private)[*].id
  route_table_ids = [aws_vpc.main.main_route_table_id]
  vpc_cidr_blocks = [aws_vpc.main.cidr_block]
}

module "orders" {
  source = "../../modules/pipeline"

  env      = "prod"
  pipeline = "orders"
  table    = { partition_key = { name = "p_key" }, sort_key = { name = "s_key" }, ttl_attribute = "record_ttl" }

  vpc_id                    = aws_vpc.main.id
  subnet_ids                = values(aws_subnet.private)[*].id
  rds_sg_id                 = aws_security_group.database.id
  rds_secret_arn            = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:mysql-AbCdEf"
  rds_connection_param_name = "/prod/mysql"
  schema_step_waits_for     = module.vpc_endpoints.endpoint_ids

  kms_key_arn = aws_kms_key.own.arn
  use_kms_key = true # the key is made in the same apply
}
