# Required

variable "env" {
  description = "Name of this deployment, such as dev or prod. It is part of every resource name and of the API URL. Two deployments in one account need two names."
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

variable "table_name" {
  description = "DynamoDB table of the orders."
  type        = string
}

# General

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

variable "merchant_index_name" {
  description = "Index of the orders table with the partition key merchant_id and the sort key created_at."
  type        = string
  default     = "merchant_id-created_at-index"
}

variable "lambda_zips" {
  description = "Where the zips of the functions are: folder, which `make build` or a release has filled with zips and manifest.json, or bucket with keys of api. With a bucket, give runtime and architecture as the manifest of the build has them. Terraform sees a new build by its key, so do not overwrite one. Default: the folder build of this repository."
  type = object({
    folder       = optional(string)
    bucket       = optional(string)
    keys         = optional(map(string), {})
    runtime      = optional(string)
    architecture = optional(string)
  })
  default = {}

  validation {
    condition     = var.lambda_zips.bucket == null || (var.lambda_zips.folder == null && var.lambda_zips.runtime != null && var.lambda_zips.architecture != null)
    error_message = "lambda_zips must have either a folder, or a bucket with keys, runtime and architecture. The manifest.json of the build names the last two."
  }
}

variable "kms_key_arn" {
  description = "KMS key of the orders table, and of the log groups, the secret, the table and the environments of the functions that the module creates. The roles get what they need of it. The policy of the key must be as the section Customer keys of docs/operations.md shows. Default: keys that AWS owns or manages."
  type        = string
  default     = null

  validation {
    condition     = can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/.+$", coalesce(var.kms_key_arn, "arn:aws:kms:none:000000000000:key/none")))
    error_message = "kms_key_arn must be the ARN of a key (arn:aws:kms:...:key/...). IAM grants nothing on an alias."
  }
}

variable "use_kms_key" {
  description = "Whether kms_key_arn is given. Set it to true when the key is created in the same apply, because its ARN is not known at plan. Default: whether kms_key_arn is null."
  type        = bool
  default     = null
}

variable "permissions_boundary" {
  description = "ARN of a policy that limits the rights of every role of the module."
  type        = string
  default     = null

  validation {
    condition     = can(regex("^arn:[a-z-]+:iam::([0-9]{12}|aws):policy/.+$", coalesce(var.permissions_boundary, "arn:aws:iam::aws:policy/none")))
    error_message = "permissions_boundary must be the ARN of a policy (arn:aws:iam::<account>:policy/...)."
  }
}

variable "role_path" {
  description = "Path of every role of the module."
  type        = string
  default     = "/"

  validation {
    condition     = can(regex("^/([!-.0-~]+/)*$", var.role_path)) && length(var.role_path) <= 512
    error_message = "role_path must begin and end with a slash, such as /platform/."
  }
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

variable "log_level" {
  description = "Lowest level that the functions log."
  type        = string
  default     = "INFO"

  validation {
    condition     = contains(["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], var.log_level)
    error_message = "log_level must be DEBUG, INFO, WARNING, ERROR or CRITICAL."
  }
}

variable "log_retention_days" {
  description = "Days that CloudWatch Logs keeps log events."
  type        = number
  default     = 30

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "log_retention_days must be a retention that CloudWatch Logs offers: 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, ..."
  }
}

variable "xray_tracing" {
  description = "Trace the API stage and the functions with X-Ray."
  type        = bool
  default     = true
}

variable "deletion_protection" {
  description = "Protect the table of the idempotency keys from deletion."
  type        = bool
  default     = true
}

# API

variable "order_ttl_days" {
  description = "Days until DynamoDB expires an order."
  type        = number
  default     = 3

  validation {
    condition     = var.order_ttl_days >= 1 && var.order_ttl_days <= 3650 && floor(var.order_ttl_days) == var.order_ttl_days
    error_message = "order_ttl_days must be a whole number from 1 to 3650."
  }
}

variable "idempotency_ttl_hours" {
  description = "Hours that the API remembers an Idempotency-Key."
  type        = number
  default     = 24

  validation {
    condition     = var.idempotency_ttl_hours >= 1 && var.idempotency_ttl_hours <= 8760 && floor(var.idempotency_ttl_hours) == var.idempotency_ttl_hours
    error_message = "idempotency_ttl_hours must be a whole number from 1 to 8760."
  }
}

variable "api_auth" {
  description = "How clients authenticate: basic (HTTP Basic with the API secret, checked by the function) or iam (requests signed with SigV4, checked by API Gateway)."
  type        = string
  default     = "basic"

  validation {
    condition     = contains(["basic", "iam"], var.api_auth)
    error_message = "api_auth must be basic or iam."
  }
}

variable "api_username" {
  description = "Username in the API secret."
  type        = string
  default     = "backstream"

  validation {
    condition     = can(regex("^[^:[:cntrl:]]+$", var.api_username))
    error_message = "api_username must not be empty and must not contain a colon. HTTP Basic ends the username at the first colon."
  }
}

variable "api_password" {
  description = "Password in the API secret. Default: Terraform generates one, which you read from the secret."
  type        = string
  default     = null
  sensitive   = true
}

variable "api_throttle_rate" {
  description = "Requests per second that the API accepts. The API answers 429 to more."
  type        = number
  default     = 1000

  validation {
    condition     = var.api_throttle_rate > 0
    error_message = "api_throttle_rate must be above 0. With 0, API Gateway refuses every request."
  }
}

variable "api_throttle_burst" {
  description = "Requests that the API accepts at the same moment."
  type        = number
  default     = 500

  validation {
    condition     = var.api_throttle_burst > 0
    error_message = "api_throttle_burst must be above 0. With 0, API Gateway refuses every request."
  }
}

variable "api_memory_mb" {
  description = "Memory of the API function, in MB. Lambda scales the CPU with it."
  type        = number
  default     = 512

  validation {
    condition     = var.api_memory_mb >= 128 && var.api_memory_mb <= 10240
    error_message = "api_memory_mb must be from 128 to 10240."
  }
}

variable "api_timeout_seconds" {
  description = "Seconds that a request may take."
  type        = number
  default     = 15

  validation {
    condition     = var.api_timeout_seconds >= 1 && var.api_timeout_seconds <= 29
    error_message = "api_timeout_seconds must be from 1 to 29. API Gateway waits no longer."
  }
}

variable "api_reserved_concurrency" {
  description = "Invocations of the API function at the same time. Lambda reserves them, and takes them from those of the account. -1: no limit of its own."
  type        = number
  default     = -1

  validation {
    condition     = var.api_reserved_concurrency == -1 || (var.api_reserved_concurrency >= 1 && floor(var.api_reserved_concurrency) == var.api_reserved_concurrency)
    error_message = "api_reserved_concurrency must be a whole number above 0, or -1 for none. With 0 the API answers every request with an error."
  }
}

variable "authorizer_reserved_concurrency" {
  description = "Invocations of the authorizer function at the same time. Lambda reserves them, and takes them from those of the account. -1: no limit of its own."
  type        = number
  default     = -1

  validation {
    condition     = var.authorizer_reserved_concurrency == -1 || (var.authorizer_reserved_concurrency >= 1 && floor(var.authorizer_reserved_concurrency) == var.authorizer_reserved_concurrency)
    error_message = "authorizer_reserved_concurrency must be a whole number above 0, or -1 for none. With 0 the API refuses every request."
  }
}

variable "cors_allowed_origins" {
  description = "Origins of the web pages that may call the API, such as https://shop.example.com. Pages of other origins cannot. The responses allow no cookies, so a page needs credentials of its own."
  type        = list(string)
  default     = []

  validation {
    # A browser sends its origin in lower case, without the default port and without a path.
    condition     = alltrue([for origin in var.cors_allowed_origins : can(regex("^(https://[a-z0-9]([a-z0-9.-]*[a-z0-9])?|http://(localhost|127\\.0\\.0\\.1))(:[1-9][0-9]{0,4})?$", origin)) && !can(regex("^(https:.*:443|http:.*:80)$", origin))])
    error_message = "cors_allowed_origins must be origins: https://, a host in lower case, and a port if it is not 443. No path, no slash at the end and no wildcard. http:// is for localhost only."
  }
}

variable "web_acl_arn" {
  description = "Web ACL of AWS WAF that protects the API stage. You create it, with the rules that you need. It must be a regional one. Default: none."
  type        = string
  default     = null

  validation {
    condition     = can(regex("^arn:[a-z-]+:wafv2:[a-z0-9-]+:[0-9]{12}:regional/webacl/.+$", coalesce(var.web_acl_arn, "arn:aws:wafv2:none:000000000000:regional/webacl/none")))
    error_message = "web_acl_arn must be the ARN of a regional web ACL (arn:aws:wafv2:...:regional/webacl/...). API Gateway takes no global one."
  }
}

variable "use_web_acl" {
  description = "Whether web_acl_arn is given. Set it to true when the web ACL is created in the same apply, because its ARN is not known at plan. Default: whether web_acl_arn is null."
  type        = bool
  default     = null
}

variable "api_access_logs" {
  description = "Write access logs of the API. API Gateway refuses them when the account has no role for logs in this Region. Default: the value of manage_api_gateway_account."
  type        = bool
  default     = null
}

variable "manage_api_gateway_account" {
  description = "Set the role with which API Gateway writes logs. It is one setting for the account and Region. It replaces the role of other APIs, and destroy leaves them without logs. Use it only in an account that no other API shares."
  type        = bool
  default     = false
}

# Alarms

variable "create_alarms" {
  description = "Create the CloudWatch alarms of the API. Give alarm_topic_arn with it."
  type        = bool
  default     = true
}

variable "alarm_topic_arn" {
  description = "SNS topic that the alarms notify, such as the output alarm_topic_arn of the pipeline module."
  type        = string
  default     = null

  validation {
    condition     = can(regex("^arn:[a-z-]+:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]{1,256}$", coalesce(var.alarm_topic_arn, "arn:aws:sns:none:000000000000:none")))
    error_message = "alarm_topic_arn must be the ARN of a standard topic (arn:aws:sns:...). CloudWatch alarms do not publish to FIFO topics."
  }
}

variable "api_alarms" {
  description = "Thresholds of the alarms of the API: responses with a 5xx error in 5 minutes, and the 99th percentile of the latency."
  type = object({
    errors               = optional(number, 5)
    latency_milliseconds = optional(number, 3000)
  })
  default = {}

  validation {
    condition     = var.api_alarms.errors >= 0 && var.api_alarms.latency_milliseconds > 0
    error_message = "api_alarms must have errors of at least 0 and latency_milliseconds above 0."
  }
}

variable "runbook_url" {
  description = "URL of the runbook that the alarms link to, without #. Default: the file in this repository."
  type        = string
  default     = "docs/runbook.md"

  validation {
    # A description of an alarm has at most 1024 characters, the link included.
    condition     = length(var.runbook_url) <= 500 && !strcontains(var.runbook_url, "#") && !strcontains(var.runbook_url, " ")
    error_message = "runbook_url must be at most 500 characters, without # and without spaces."
  }
}
