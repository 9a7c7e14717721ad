variable "name" {
  description = "First part of every resource name."
  type        = string
  default     = "backstream"

  validation {
    # The name of the failures bucket also holds env, account and Region. S3 allows 63 characters.
    condition     = can(regex("^[a-z][a-z0-9-]{0,8}[a-z0-9]$", var.name))
    error_message = "name must be 2 to 10 lower-case letters, digits and hyphens, starting with a letter."
  }

  validation {
    condition     = !strcontains(var.name, "--")
    error_message = "name must not contain two hyphens in a row. RDS Proxy refuses them."
  }

  validation {
    condition     = !can(regex("^(amzn|sg|sthree)(-|$)", var.name))
    error_message = "name must not be amzn, sg or sthree, nor begin with one of them and a hyphen. S3 and EC2 reserve these prefixes."
  }

  validation {
    # The outputs parameter is /<name>-<env>/outputs.
    condition     = !can(regex("^(aws|ssm)", var.name))
    error_message = "name must not begin with aws or ssm. SSM reserves these prefixes."
  }
}

variable "env" {
  description = "Name of the deployment, such as dev or prod. It is part of every resource name."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,13}[a-z0-9]$", var.env))
    error_message = "env must be 2 to 15 lower-case letters, digits and hyphens, starting with a letter."
  }

  validation {
    condition     = !strcontains(var.env, "--")
    error_message = "env must not contain two hyphens in a row. RDS Proxy refuses them."
  }
}

variable "vpc_id" {
  description = "VPC of the functions."
  type        = string
}

variable "services" {
  description = "Services to create VPC endpoints for. Private subnets without a NAT gateway need dynamodb, s3, secretsmanager, ssm and states. With failure_destination = sqs they also need dynamodb-streams and sqs. A load also needs lambda, and monitoring to slow down while the consumer lags. A verification needs both. Leave out the endpoints that the VPC already has."
  type        = set(string)

  validation {
    condition     = length(setsubtract(var.services, ["dynamodb", "dynamodb-streams", "lambda", "monitoring", "s3", "secretsmanager", "sqs", "ssm", "states"])) == 0
    error_message = "services may contain only dynamodb, dynamodb-streams, lambda, monitoring, s3, secretsmanager, sqs, ssm and states. The functions call no other service."
  }
}

variable "subnet_ids" {
  description = "Subnets of the endpoints. Default: the subnets of the VPC that are tagged Tier = Private."
  type        = list(string)
  default     = null

  validation {
    condition     = try(length(var.subnet_ids) > 0, var.subnet_ids == null)
    error_message = "subnet_ids must name at least one subnet."
  }
}

variable "route_table_ids" {
  description = "Route tables that get the routes to dynamodb and s3. Default: those of the subnets. Give them when the subnets are created in the same apply."
  type        = list(string)
  default     = null
}

variable "vpc_cidr_blocks" {
  description = "IPv4 blocks that may use the endpoints. Default: all of the VPC. Give them when the VPC is created in the same apply."
  type        = list(string)
  default     = null
}

variable "tags" {
  description = "Tags of all resources of the module, in addition to the default tags of the provider."
  type        = map(string)
  default     = {}

  # Of the services here, IAM allows the least: https://docs.aws.amazon.com/IAM/latest/UserGuide/id_tags.html
  validation {
    condition     = alltrue([for key, value in var.tags : can(regex("^[\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]{1,128}$", key)) && can(regex("^[\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]{0,256}$", value))])
    error_message = "tags must have keys of 1 to 128 characters and values of at most 256. IAM allows letters, digits, spaces and _.:/=+-@ in both."
  }

  validation {
    condition     = alltrue([for text in concat(keys(var.tags), values(var.tags)) : !can(regex("(?i)^aws:", text))])
    error_message = "tags must not have keys or values that begin with aws:. AWS reserves this prefix."
  }

  validation {
    condition     = length(distinct([for key in keys(var.tags) : lower(key)])) == length(var.tags)
    error_message = "tags must not have keys that differ in case only. IAM takes them for duplicates."
  }

  validation {
    condition     = length(var.tags) <= 47
    error_message = "tags must have at most 47 keys. AWS allows 50 for a resource, and Terraform adds up to three."
  }
}
