terraform {
  required_version = ">= 1.5"

  required_providers {
    aws = {
      source = "hashicorp/aws"
      # Exact, as no lock file is committed: it cannot hold the hashes of a provider taken from a local mirror.
      version = "5.100.0"
    }
  }

  # Bucket, key and region come with `terraform init -backend-config=...`.
  backend "s3" {}
}

# AWS_ENDPOINT_URL, where it is set, sends everything to an emulator: nothing about one is written here.
provider "aws" {
  region = var.aws_region

  default_tags {
    tags = merge({ Project = var.name, Env = var.env }, var.tags)
  }
}
