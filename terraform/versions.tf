terraform {
  required_version = ">= 1.5"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100"
    }
  }

  # `terraform init -backend-config=...` gives bucket, key and region.
  backend "s3" {}
}

# The provider reads AWS_ENDPOINT_URL. The local stack points it at an emulator.
provider "aws" {
  region = var.aws_region

  default_tags {
    tags = merge({ Project = var.name, Env = var.env }, var.tags)
  }
}
