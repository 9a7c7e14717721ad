# The six that have no default, named as in the reference deployment.

variable "aws_region" {
  description = "Region that everything is created in."
  type        = string
}

variable "env" {
  description = "Name of this deployment, for instance dev or prod. Part of every name and stage of the API's URL. Two deployments in one account need two names."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,13}[a-z0-9]$", var.env))
    error_message = "env must be 2 to 15 lower-case letters, digits and hyphens, starting with a letter."
  }

  validation {
    condition     = !strcontains(var.env, "--")
    error_message = "env must not contain two hyphens in a row: RDS Proxy refuses such a name."
  }
}

variable "vpc_id" {
  description = "VPC of the database. Its subnets tagged Tier = Private take the stream consumer."
  type        = string
}

variable "rds_sg_id" {
  description = "Security group of the database, or of the RDS Proxy that you bring. A rule that lets the consumer in is added to it."
  type        = string
}

variable "rds_secret_arn" {
  description = "Secrets Manager secret {\"username\": ..., \"password\": ...} of the MySQL user."
  type        = string
}

variable "rds_connection_param_name" {
  description = "SSM parameter {\"hostname\": ..., \"port\": 3306, \"db\": ..., \"driver\": \"mysql\"}. Yours, unless Terraform creates the RDS Proxy: then Terraform writes it."
  type        = string

  validation {
    condition     = can(regex("^([A-Za-z0-9_.-]+|(/[A-Za-z0-9_.-]+){1,15})$", var.rds_connection_param_name))
    error_message = "rds_connection_param_name must be a parameter's name, not its ARN. A name with levels begins with a slash, as in /prod/mysql."
  }

  validation {
    condition     = !can(regex("(?i)^/?(aws|ssm)", var.rds_connection_param_name))
    error_message = "rds_connection_param_name must not begin with aws or ssm: SSM reserves these."
  }
}

# General

variable "name" {
  description = "First part of every name."
  type        = string
  default     = "backstream"

  validation {
    # The failures bucket's name also holds env, account and Region, and ends at 63 characters.
    condition     = can(regex("^[a-z][a-z0-9-]{0,8}[a-z0-9]$", var.name))
    error_message = "name must be 2 to 10 lower-case letters, digits and hyphens, starting with a letter."
  }

  validation {
    condition     = !strcontains(var.name, "--")
    error_message = "name must not contain two hyphens in a row: RDS Proxy refuses such a name."
  }

  validation {
    condition     = !can(regex("^(amzn|sg|sthree)(-|$)", var.name))
    error_message = "name must not be amzn, sg or sthree, nor begin with one of them and a hyphen: S3 and EC2 reserve these."
  }
}

variable "tags" {
  description = "Tags for everything, besides Project and Env."
  type        = map(string)
  default     = {}
}

variable "build_dir" {
  description = "Folder with the functions' zips and manifest.json, as `make build` writes it. Default: build, beside this directory."
  type        = string
  default     = null
}

variable "log_level" {
  description = "Least level that the functions log."
  type        = string
  default     = "INFO"

  validation {
    condition     = contains(["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], var.log_level)
    error_message = "log_level must be DEBUG, INFO, WARNING, ERROR or CRITICAL."
  }
}

variable "log_retention_days" {
  description = "Days that log groups keep their events."
  type        = number
  default     = 30

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "log_retention_days must be one of the retentions that CloudWatch Logs offers: 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, ..."
  }
}

variable "xray_tracing" {
  description = "Trace the API's stage and the functions with X-Ray."
  type        = bool
  default     = true
}

# Tables

variable "deletion_protection" {
  description = "Keep the DynamoDB tables from being deleted, and refuse to destroy anything else either. To destroy the deployment, apply with false first: docs/operations.md."
  type        = bool
  default     = true
}

variable "point_in_time_recovery" {
  description = "Let the orders table be restored to any second of the last 35 days."
  type        = bool
  default     = true
}

variable "order_ttl_days" {
  description = "Days after which DynamoDB expires an order. The MySQL row stays, unless mirror_ttl_deletes is set."
  type        = number
  default     = 3

  validation {
    condition     = var.order_ttl_days >= 1 && var.order_ttl_days <= 3650 && floor(var.order_ttl_days) == var.order_ttl_days
    error_message = "order_ttl_days must be a whole number from 1 to 3650."
  }
}

variable "idempotency_ttl_hours" {
  description = "Hours for which an Idempotency-Key is remembered."
  type        = number
  default     = 24

  validation {
    condition     = var.idempotency_ttl_hours >= 1 && var.idempotency_ttl_hours <= 8760 && floor(var.idempotency_ttl_hours) == var.idempotency_ttl_hours
    error_message = "idempotency_ttl_hours must be a whole number from 1 to 8760."
  }
}

# API

variable "api_auth" {
  description = "Who may call the API: basic (HTTP Basic with the API secret, checked by the function) or iam (SigV4-signed requests, checked by API Gateway)."
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
    error_message = "api_username must not be empty and cannot hold a colon, where HTTP Basic ends the username."
  }
}

variable "api_password" {
  description = "Password in the API secret. Generated when not given; read it from the secret then."
  type        = string
  default     = null
  sensitive   = true
}

variable "api_throttle_rate" {
  description = "Requests a second that the API accepts; beyond them it answers 429."
  type        = number
  default     = 1000

  validation {
    condition     = var.api_throttle_rate > 0
    error_message = "api_throttle_rate must be above 0: at 0 every request is refused."
  }
}

variable "api_throttle_burst" {
  description = "Requests that the API accepts at once."
  type        = number
  default     = 500

  validation {
    condition     = var.api_throttle_burst > 0
    error_message = "api_throttle_burst must be above 0: at 0 every request is refused."
  }
}

variable "api_memory_mb" {
  description = "Memory of the API's function, which also decides its share of a CPU."
  type        = number
  default     = 512

  validation {
    condition     = var.api_memory_mb >= 128 && var.api_memory_mb <= 10240
    error_message = "api_memory_mb must be from 128 to 10240."
  }
}

variable "api_timeout_seconds" {
  description = "Seconds that a request may take; API Gateway itself waits no longer than 29."
  type        = number
  default     = 15

  validation {
    condition     = var.api_timeout_seconds >= 1 && var.api_timeout_seconds <= 29
    error_message = "api_timeout_seconds must be from 1 to 29, the longest that API Gateway waits."
  }
}

variable "api_access_logs" {
  description = "Write access logs of the API. API Gateway refuses them where the account has no role for logs in this Region. Default: as manage_api_gateway_account."
  type        = bool
  default     = null
}

variable "manage_api_gateway_account" {
  description = "Set the role with which API Gateway writes logs. It is one setting for the whole account and Region: it replaces what other APIs rely on, and destroy leaves them all without logs. Only for an account that nothing else shares."
  type        = bool
  default     = false
}

# Stream consumer

variable "stream_batch_size" {
  description = "Most changes in one invocation, and so in one MySQL transaction. More is faster, until a batch takes too long or reaches Lambda's 6 MB."
  type        = number
  default     = 1000

  validation {
    condition     = var.stream_batch_size >= 1 && var.stream_batch_size <= 10000 && floor(var.stream_batch_size) == var.stream_batch_size
    error_message = "stream_batch_size must be a whole number from 1 to 10000."
  }
}

variable "stream_batching_window_seconds" {
  description = "Seconds to wait for a fuller batch. Each is a second by which MySQL is behind."
  type        = number
  default     = 0

  validation {
    condition     = var.stream_batching_window_seconds >= 0 && var.stream_batching_window_seconds <= 300 && floor(var.stream_batching_window_seconds) == var.stream_batching_window_seconds
    error_message = "stream_batching_window_seconds must be a whole number from 0 to 300."
  }
}

variable "stream_parallelization_factor" {
  description = "Invocations at a time for each shard. Changes of one order stay in order; database connections are shards times this."
  type        = number
  default     = 1

  validation {
    condition     = var.stream_parallelization_factor >= 1 && var.stream_parallelization_factor <= 10 && floor(var.stream_parallelization_factor) == var.stream_parallelization_factor
    error_message = "stream_parallelization_factor must be a whole number from 1 to 10."
  }
}

variable "stream_maximum_retry_attempts" {
  description = "Retries of a failing batch before it goes to the failure destination; -1 for no limit but stream_maximum_record_age_seconds."
  type        = number
  default     = -1

  validation {
    condition     = var.stream_maximum_retry_attempts >= -1 && var.stream_maximum_retry_attempts <= 10000 && floor(var.stream_maximum_retry_attempts) == var.stream_maximum_retry_attempts
    error_message = "stream_maximum_retry_attempts must be a whole number from 0 to 10000, or -1 for no limit."
  }
}

variable "stream_maximum_record_age_seconds" {
  description = "Age at which changes that cannot be written go to the failure destination: how long an outage of MySQL is waited out in order. At most 43200 with failure_destination = sqs."
  type        = number
  default     = 21600

  validation {
    condition     = var.stream_maximum_record_age_seconds >= 60 && var.stream_maximum_record_age_seconds <= 82800 && floor(var.stream_maximum_record_age_seconds) == var.stream_maximum_record_age_seconds
    error_message = "stream_maximum_record_age_seconds must be a whole number from 60 (the least that Lambda takes) to 82800: the stream forgets after 24 hours, and the batch has to be out before."
  }
}

variable "stream_generation" {
  description = "Raise it by one when another table, or an older stream, takes over on the same database: another Region's replica, a restored table. See \"A new Region or a restored table\" in docs/runbook.md first."
  type        = number
  default     = 0

  validation {
    condition     = var.stream_generation >= 0 && var.stream_generation <= 9999 && floor(var.stream_generation) == var.stream_generation
    error_message = "stream_generation must be a whole number from 0 to 9999."
  }
}

variable "consumer_memory_mb" {
  description = "Memory of the stream consumer, which also decides its share of a CPU."
  type        = number
  default     = 512

  validation {
    condition     = var.consumer_memory_mb >= 128 && var.consumer_memory_mb <= 10240
    error_message = "consumer_memory_mb must be from 128 to 10240."
  }
}

variable "consumer_timeout_seconds" {
  description = "Seconds that a batch may take. Must be above mysql_connect_timeout_seconds plus mysql_read_timeout_seconds, so that a silent database is an error with a name and not a timeout."
  type        = number
  default     = 60

  validation {
    condition     = var.consumer_timeout_seconds >= 1 && var.consumer_timeout_seconds <= 900
    error_message = "consumer_timeout_seconds must be from 1 to 900."
  }
}

variable "consumer_reserved_concurrency" {
  description = "Reserved concurrency of the stream consumer: the most invocations, and so database connections, at a time; -1 for none. It comes out of the account's concurrency, of which AWS keeps 100 unreserved. The mapping has no cap of its own; with less than shards times stream_parallelization_factor shards take turns."
  type        = number
  default     = -1

  validation {
    condition     = var.consumer_reserved_concurrency == -1 || (var.consumer_reserved_concurrency >= 1 && floor(var.consumer_reserved_concurrency) == var.consumer_reserved_concurrency)
    error_message = "consumer_reserved_concurrency must be a whole number above 0, or -1 for none: 0 would stop the consumer until its changes are given up."
  }
}

variable "mirror_ttl_deletes" {
  description = "Delete the MySQL row when DynamoDB expires an order."
  type        = bool
  default     = false
}

variable "apply_every_change" {
  description = "Write each change of an order in a batch, not just its last: for triggers that count changes."
  type        = bool
  default     = false
}

variable "max_statement_bytes" {
  description = "Most bytes of one SQL statement. RDS Proxy pins a session at 16 KB, so a higher limit is for direct connections."
  type        = number
  default     = 15000

  validation {
    condition     = var.max_statement_bytes >= 1000 && var.max_statement_bytes <= 16000000 && floor(var.max_statement_bytes) == var.max_statement_bytes
    error_message = "max_statement_bytes must be a whole number from 1000 to 16000000."
  }
}

# Failures

variable "failure_destination" {
  description = "Where a batch goes that could not be written in time: s3 (the whole event) or sqs (only a pointer into the stream, void after 24 hours). Poison records go to the bucket in both cases."
  type        = string
  default     = "s3"

  validation {
    condition     = contains(["s3", "sqs"], var.failure_destination)
    error_message = "failure_destination must be s3 or sqs."
  }
}

variable "failures_bucket_force_destroy" {
  description = "Let destroy delete the failures bucket with what is in it: changes that MySQL does not have."
  type        = bool
  default     = false
}

variable "replayed_retention_days" {
  description = "Days that failed batches are kept in the bucket after a replay has settled them; 0 keeps everything for good."
  type        = number
  default     = 30

  validation {
    condition     = var.replayed_retention_days >= 0 && floor(var.replayed_retention_days) == var.replayed_retention_days
    error_message = "replayed_retention_days must be a whole number, at least 0."
  }
}

# Replay

variable "replay_concurrency" {
  description = "Workers of a replay, each with one database connection: what the database bears beside the live changes."
  type        = number
  default     = 4

  validation {
    condition     = var.replay_concurrency >= 1 && var.replay_concurrency <= 40 && floor(var.replay_concurrency) == var.replay_concurrency
    error_message = "replay_concurrency must be a whole number from 1 to 40."
  }
}

variable "replay_database_wait_seconds" {
  description = "Seconds that a replay waits for a database that does not answer, before it fails and says so. Default: 3600, or 21600 with auto_replay."
  type        = number
  default     = null

  validation {
    condition     = try(var.replay_database_wait_seconds >= 0 && var.replay_database_wait_seconds <= 86400 && floor(var.replay_database_wait_seconds) == var.replay_database_wait_seconds, var.replay_database_wait_seconds == null)
    error_message = "replay_database_wait_seconds must be a whole number from 0 to 86400."
  }
}

variable "replay_check_interval_seconds" {
  description = "Seconds between two looks at a database that does not answer: how soon after its return a waiting replay goes on."
  type        = number
  default     = 15

  validation {
    condition     = var.replay_check_interval_seconds >= 1 && var.replay_check_interval_seconds <= 3600 && floor(var.replay_check_interval_seconds) == var.replay_check_interval_seconds
    error_message = "replay_check_interval_seconds must be a whole number from 1 to 3600."
  }
}

variable "replayer_memory_mb" {
  description = "Memory of the replay's function, which also decides its share of a CPU. A call holds up to 60,000 changes at once."
  type        = number
  default     = 1024

  validation {
    condition     = var.replayer_memory_mb >= 512 && var.replayer_memory_mb <= 10240
    error_message = "replayer_memory_mb must be from 512 to 10240."
  }
}

variable "replayer_reserved_concurrency" {
  description = "Reserved concurrency of the replay's function; -1 for none. Must be above replay_concurrency: a call beside the workers' is the second replay that finds the lock taken."
  type        = number
  default     = -1

  validation {
    condition     = var.replayer_reserved_concurrency == -1 || (var.replayer_reserved_concurrency >= 1 && floor(var.replayer_reserved_concurrency) == var.replayer_reserved_concurrency)
    error_message = "replayer_reserved_concurrency must be a whole number above 0, or -1 for none: 0 would stop every replay."
  }
}

variable "auto_replay" {
  description = "Start a replay by itself when batches have failed, and on a schedule, which also tries deferred records again. It waits for the database to come back."
  type        = bool
  default     = false
}

variable "auto_replay_schedule_minutes" {
  description = "Minutes between two looks for failed batches, with auto_replay: how long one can wait that failed while a replay was running, or that is in the queue."
  type        = number
  default     = 5

  validation {
    condition     = var.auto_replay_schedule_minutes >= 1 && var.auto_replay_schedule_minutes <= 1440 && floor(var.auto_replay_schedule_minutes) == var.auto_replay_schedule_minutes
    error_message = "auto_replay_schedule_minutes must be a whole number from 1 to 1440."
  }
}

# Database

variable "mysql_port" {
  description = "Port of the database, for the security group rules."
  type        = number
  default     = 3306

  validation {
    condition     = var.mysql_port >= 1 && var.mysql_port <= 65535
    error_message = "mysql_port must be from 1 to 65535."
  }
}

variable "mysql_tls" {
  description = "TLS to the database: verify, require (encrypted, certificate not checked) or off, which needs an account of mysql_native_password."
  type        = string
  default     = "verify"

  validation {
    condition     = contains(["verify", "require", "off"], var.mysql_tls)
    error_message = "mysql_tls must be verify, require or off."
  }
}

variable "mysql_ca_pem" {
  description = "PEM of a private certificate authority to trust instead of the public ones, at most 2560 bytes."
  type        = string
  default     = null

  validation {
    # All of a function's environment together may have 4 KB. The replayer's needs up to 1.1 KB besides, and the names of
    # secret and parameter may be long.
    condition     = length(coalesce(var.mysql_ca_pem, " ")) <= 2560
    error_message = "mysql_ca_pem must not be longer than 2560 bytes: a function's whole environment holds 4 KB. Give one certificate, not a bundle."
  }
}

variable "mysql_connect_timeout_seconds" {
  description = "Seconds to wait for a connection to the database."
  type        = number
  default     = 5

  validation {
    condition     = var.mysql_connect_timeout_seconds >= 1 && var.mysql_connect_timeout_seconds <= 15
    error_message = "mysql_connect_timeout_seconds must be from 1 to 15."
  }
}

variable "mysql_read_timeout_seconds" {
  description = "Seconds that a statement may take."
  type        = number
  default     = 20

  validation {
    # With a connection before it, within the minute that a call of the replay leaves for its last batch.
    condition     = var.mysql_read_timeout_seconds >= 1 && var.mysql_read_timeout_seconds <= 40
    error_message = "mysql_read_timeout_seconds must be from 1 to 40."
  }
}

variable "rds_secret_kms_key_arn" {
  description = "KMS key of the database secret, when it is not the account's default key for Secrets Manager (aws/secretsmanager)."
  type        = string
  default     = null

  validation {
    condition     = can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/.+$", coalesce(var.rds_secret_kms_key_arn, "arn:aws:kms:none:000000000000:key/none")))
    error_message = "rds_secret_kms_key_arn must be a key's ARN (arn:aws:kms:...:key/...): IAM grants nothing on an alias."
  }
}

variable "rds_connection_param_kms_key_arn" {
  description = "KMS key of the connection parameter, when it is a SecureString under a key of yours. Neither a String nor the account's default key for SSM (aws/ssm) needs it."
  type        = string
  default     = null

  validation {
    condition     = can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/.+$", coalesce(var.rds_connection_param_kms_key_arn, "arn:aws:kms:none:000000000000:key/none")))
    error_message = "rds_connection_param_kms_key_arn must be a key's ARN (arn:aws:kms:...:key/...): IAM grants nothing on an alias."
  }
}

# RDS Proxy

variable "rds_instance_identifier" {
  description = "DB instance to create an RDS Proxy for. With neither this nor rds_cluster_identifier, rds_connection_param_name points at what you bring."
  type        = string
  default     = null
}

variable "rds_cluster_identifier" {
  description = "Aurora or Multi-AZ DB cluster to create an RDS Proxy for; not together with rds_instance_identifier."
  type        = string
  default     = null
}

variable "rds_database" {
  description = "Database (schema) that Backstream writes to; needed when Terraform creates the RDS Proxy, as it writes the connection parameter then."
  type        = string
  default     = null
}

variable "rds_proxy_max_connections_percent" {
  description = "Share of the database's max_connections that the RDS Proxy may take. It keeps half of that open when idle."
  type        = number
  default     = 50

  validation {
    condition     = var.rds_proxy_max_connections_percent >= 1 && var.rds_proxy_max_connections_percent <= 100 && floor(var.rds_proxy_max_connections_percent) == var.rds_proxy_max_connections_percent
    error_message = "rds_proxy_max_connections_percent must be a whole number from 1 to 100."
  }
}

# Network

variable "create_vpc_endpoints" {
  description = "Services to create VPC endpoints for, where private subnets have neither a NAT gateway nor endpoints of their own: dynamodb, s3, secretsmanager, ssm and states; with failure_destination = sqs also dynamodb-streams and sqs. Leave out those that the VPC has."
  type        = set(string)
  default     = []

  validation {
    condition     = length(setsubtract(var.create_vpc_endpoints, ["dynamodb", "dynamodb-streams", "s3", "secretsmanager", "sqs", "ssm", "states"])) == 0
    error_message = "create_vpc_endpoints may hold dynamodb, dynamodb-streams, s3, secretsmanager, sqs, ssm and states: the functions call no other service."
  }
}
