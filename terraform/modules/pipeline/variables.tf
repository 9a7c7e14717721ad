# Required

variable "env" {
  description = "Name of this deployment, such as dev or prod. It is part of every resource name."
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

variable "pipeline" {
  description = "Name of the pipeline, such as customers. It is part of every resource name after env, so pipelines of one env need different names. null leaves it out."
  type        = string

  validation {
    condition     = can(regex("^[a-z]([a-z0-9-]{0,28}[a-z0-9])?$", coalesce(var.pipeline, "none")))
    error_message = "pipeline must be 1 to 30 lower-case letters, digits and hyphens, starting with a letter."
  }

  validation {
    condition     = !strcontains(coalesce(var.pipeline, "none"), "--")
    error_message = "pipeline must not contain two hyphens in a row. RDS Proxy refuses them."
  }
}

variable "vpc_id" {
  description = "VPC of the database."
  type        = string
}

variable "rds_secret_arn" {
  description = "ARN of the Secrets Manager secret {\"username\": ..., \"password\": ...} of the MySQL user."
  type        = string

  validation {
    # A name or a part of an ARN would be in the policies of the roles. IAM matches the whole ARN.
    condition     = can(regex("^arn:[a-z-]+:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:[A-Za-z0-9/_+=.@!-]+-[A-Za-z0-9]{6}$", var.rds_secret_arn))
    error_message = "rds_secret_arn must be the ARN of a secret (arn:aws:secretsmanager:...:secret:...), with the hyphen and six characters that Secrets Manager adds to the name."
  }
}

variable "rds_connection_param_name" {
  description = "Name of the SSM parameter {\"hostname\": ..., \"port\": 3306, \"db\": ..., \"driver\": \"mysql\"}. You create it. With create_rds_proxy the module writes it."
  type        = string

  validation {
    condition     = can(regex("^([A-Za-z0-9_.-]+|(/[A-Za-z0-9_.-]+){1,15})$", var.rds_connection_param_name))
    error_message = "rds_connection_param_name must be a parameter name, not an ARN. A name with slashes must begin with one, such as /prod/mysql."
  }

  validation {
    condition     = !can(regex("(?i)^/?(aws|ssm)", var.rds_connection_param_name))
    error_message = "rds_connection_param_name must not begin with aws or ssm. SSM reserves these prefixes."
  }
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

variable "mapping" {
  description = "Name of the mapping: the file mappings/<name>.json that is in the zips, without .json."
  type        = string
  default     = "orders"

  validation {
    condition     = can(regex("^[a-z][a-z0-9_-]{0,30}$", var.mapping))
    error_message = "mapping must be the name of a file in mappings/, without folder and without .json: at most 31 lower-case letters, digits, hyphens and underscores, starting with a letter."
  }
}

variable "lambda_zips" {
  description = "Where the zips of the functions are: folder, which `make build` or a release has filled with zips and manifest.json, or bucket with keys of stream_consumer, dlq_replayer, monitor and reconciler. With a bucket, give runtime and architecture as the manifest of the build has them. Terraform sees a new build by its key, so do not overwrite one. Default: the folder build of this repository."
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
  description = "KMS key of the bucket, the queue, the topic of the alarms, the log groups, the tables, the environments of the functions and the executions of the state machines that the module creates. The roles get what they need of it. The policy of the key must be as the section Customer keys of docs/operations.md shows. Default: keys that AWS owns. An existing table keeps its own key."
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
  description = "Trace the functions and the state machine with X-Ray."
  type        = bool
  default     = true
}

variable "create_outputs_param" {
  description = "Write the SSM parameter /<name>-<env>/<pipeline>/outputs, where `backstream --env ... --pipeline ...` finds the pipeline."
  type        = bool
  default     = true
}

# Table

variable "table" {
  description = "DynamoDB table to create. Key attributes have the type S, N or B. attributes are the types of those attributes that only an index has as a key. indexes are global secondary indexes by name. Default of table.name: the names of deployment and pipeline, joined. To end the expiry of items, also turn it off at DynamoDB (aws dynamodb update-time-to-live), because Terraform leaves it on when ttl_attribute is taken away. Give table_name or stream_arn instead for an existing table."
  type = object({
    name          = optional(string)
    partition_key = object({ name = string, type = optional(string, "S") })
    sort_key      = optional(object({ name = string, type = optional(string, "S") }))
    ttl_attribute = optional(string)
    attributes    = optional(map(string), {})
    indexes = optional(map(object({
      partition_key      = string
      sort_key           = optional(string)
      projection         = optional(string, "ALL")
      non_key_attributes = optional(list(string))
    })), {})
  })
  default = null

  validation {
    condition = alltrue([
      for type in concat([try(var.table.partition_key.type, "S"), try(var.table.sort_key.type, "S")], try(values(var.table.attributes), [])) : contains(["S", "N", "B"], type)
    ])
    error_message = "table may have key attributes of the types S, N and B only."
  }

  validation {
    condition     = can(regex("^[a-zA-Z0-9_.-]{3,255}$", coalesce(try(var.table.name, null), "none")))
    error_message = "table.name must be 3 to 255 letters, digits, underscores, dots and hyphens."
  }
}

variable "table_name" {
  description = "Existing DynamoDB table. Its stream must be on, with NEW_AND_OLD_IMAGES or NEW_IMAGE. Without old images, an expired item of a global table's other Region cannot be told from a deleted one."
  type        = string
  default     = null

  validation {
    condition     = can(regex("^[a-zA-Z0-9_.-]{3,255}$", coalesce(var.table_name, "none")))
    error_message = "table_name must be the name of a table, not its ARN."
  }
}

variable "stream_arn" {
  description = "Stream of an existing DynamoDB table, instead of table_name. A plan is refused when the table has another stream by then."
  type        = string
  default     = null

  validation {
    condition     = can(regex("^arn:[a-z-]+:dynamodb:[a-z0-9-]+:[0-9]{12}:table/[a-zA-Z0-9_.-]{3,255}/stream/[0-9T:.-]+$", coalesce(var.stream_arn, "arn:aws:dynamodb:none:000000000000:table/none/stream/0")))
    error_message = "stream_arn must be the ARN of a stream (arn:aws:dynamodb:...:table/.../stream/...)."
  }
}

variable "deletion_protection" {
  description = "Protect the table that the module creates from deletion. To destroy the pipeline, apply with false first. See docs/operations.md."
  type        = bool
  default     = true
}

variable "create_deletion_guard" {
  description = "Create an empty table that depends on all resources of the module. With deletion_protection a destroy fails at this table, before it deletes anything."
  type        = bool
  default     = true
}

variable "point_in_time_recovery" {
  description = "Keep backups of the table that the module creates. It can then be restored to any second of the last 35 days, and a verification can read what has changed in a window of them."
  type        = bool
  default     = true
}

# Stream consumer

variable "stream_batch_size" {
  description = "Most changes in one invocation, which are one MySQL transaction. A larger batch is faster, until it takes too long or reaches the 6 MB limit of Lambda."
  type        = number
  default     = 1000

  validation {
    condition     = var.stream_batch_size >= 1 && var.stream_batch_size <= 10000 && floor(var.stream_batch_size) == var.stream_batch_size
    error_message = "stream_batch_size must be a whole number from 1 to 10000."
  }
}

variable "stream_batching_window_seconds" {
  description = "Seconds to wait for a fuller batch. MySQL lags by as much."
  type        = number
  default     = 0

  validation {
    condition     = var.stream_batching_window_seconds >= 0 && var.stream_batching_window_seconds <= 300 && floor(var.stream_batching_window_seconds) == var.stream_batching_window_seconds
    error_message = "stream_batching_window_seconds must be a whole number from 0 to 300."
  }
}

variable "stream_parallelization_factor" {
  description = "Concurrent invocations per shard. Changes of one item stay in order. The consumer opens up to this many database connections per shard."
  type        = number
  default     = 1

  validation {
    condition     = var.stream_parallelization_factor >= 1 && var.stream_parallelization_factor <= 10 && floor(var.stream_parallelization_factor) == var.stream_parallelization_factor
    error_message = "stream_parallelization_factor must be a whole number from 1 to 10."
  }
}

variable "stream_maximum_retry_attempts" {
  description = "Retries of a failing batch before it goes to the failure destination. With -1 only stream_maximum_record_age_seconds limits the retries."
  type        = number
  default     = -1

  validation {
    condition     = var.stream_maximum_retry_attempts >= -1 && var.stream_maximum_retry_attempts <= 10000 && floor(var.stream_maximum_retry_attempts) == var.stream_maximum_retry_attempts
    error_message = "stream_maximum_retry_attempts must be a whole number from 0 to 10000, or -1 for no limit."
  }
}

variable "stream_maximum_record_age_seconds" {
  description = "Age in seconds at which a change that MySQL has not accepted goes to the failure destination. In-order delivery survives a MySQL outage of this length. At most 43200 with failure_destination = sqs."
  type        = number
  default     = 21600

  validation {
    condition     = var.stream_maximum_record_age_seconds >= 60 && var.stream_maximum_record_age_seconds <= 82800 && floor(var.stream_maximum_record_age_seconds) == var.stream_maximum_record_age_seconds
    error_message = "stream_maximum_record_age_seconds must be a whole number from 60 to 82800. Lambda accepts no less than 60. The stream keeps changes for 24 hours, and a failed batch must leave it before then."
  }
}

variable "stream_generation" {
  description = "Number of the source of changes. Raise it by one when another table or an older stream takes over the same database. Examples are a replica in another Region and a restored table. Read \"A new Region or a restored table\" in docs/runbook.md first."
  type        = number
  default     = 0

  validation {
    condition     = var.stream_generation >= 0 && var.stream_generation <= 9999 && floor(var.stream_generation) == var.stream_generation
    error_message = "stream_generation must be a whole number from 0 to 9999."
  }
}

variable "consumer_memory_mb" {
  description = "Memory of the stream consumer, in MB. Lambda scales the CPU with it."
  type        = number
  default     = 512

  validation {
    condition     = var.consumer_memory_mb >= 128 && var.consumer_memory_mb <= 10240
    error_message = "consumer_memory_mb must be from 128 to 10240."
  }
}

variable "consumer_timeout_seconds" {
  description = "Seconds that a batch may take. It must exceed mysql_connect_timeout_seconds plus mysql_read_timeout_seconds. Otherwise a database that does not answer is reported as a Lambda timeout."
  type        = number
  default     = 60

  validation {
    condition     = var.consumer_timeout_seconds >= 1 && var.consumer_timeout_seconds <= 900
    error_message = "consumer_timeout_seconds must be from 1 to 900."
  }
}

variable "schema_reserved_concurrency" {
  description = "Invocations of the schema step at the same time. Lambda reserves them, and takes them from those of the account. -1: no limit of its own."
  type        = number
  default     = -1

  validation {
    condition     = var.schema_reserved_concurrency == -1 || (var.schema_reserved_concurrency >= 1 && floor(var.schema_reserved_concurrency) == var.schema_reserved_concurrency)
    error_message = "schema_reserved_concurrency must be a whole number above 0, or -1 for none. With 0 no apply succeeds."
  }
}

variable "consumer_reserved_concurrency" {
  description = "Reserved concurrency of the stream consumer, which limits its invocations and database connections. -1 reserves none. It is taken from the concurrency of the account, of which AWS keeps 100 unreserved. Below shards times stream_parallelization_factor, shards wait for each other."
  type        = number
  default     = -1

  validation {
    condition     = var.consumer_reserved_concurrency == -1 || (var.consumer_reserved_concurrency >= 1 && floor(var.consumer_reserved_concurrency) == var.consumer_reserved_concurrency)
    error_message = "consumer_reserved_concurrency must be a whole number above 0, or -1 for none. With 0 the consumer never runs, and its changes go to the failure destination."
  }
}

variable "mirror_ttl_deletes" {
  description = "Delete the MySQL row when DynamoDB expires an item."
  type        = bool
  default     = false
}

variable "apply_every_change" {
  description = "Write every change of an item in a batch, not only its last one. Use it when triggers in MySQL count changes."
  type        = bool
  default     = false
}

variable "max_statement_bytes" {
  description = "Most bytes of one SQL statement. Default: 15000 behind an RDS Proxy, which pins a session at 16 KB, else up to a quarter of max_allowed_packet. An RDS Proxy is recognised by its own hostname: set 15000 if you reach it by another one."
  type        = number
  default     = null

  validation {
    condition     = try(var.max_statement_bytes >= 1000 && var.max_statement_bytes <= 16000000 && floor(var.max_statement_bytes) == var.max_statement_bytes, var.max_statement_bytes == null)
    error_message = "max_statement_bytes must be a whole number from 1000 to 16000000."
  }
}

# Failures

variable "failure_destination" {
  description = "Where Lambda sends a batch that it could not deliver: s3 (the whole event) or sqs (a pointer into the stream, which expires with its records after 24 hours). Quarantined records always go to the bucket. A change from sqs to s3 deletes the queue with the pointers that wait in it: replay first."
  type        = string
  default     = "s3"

  validation {
    condition     = contains(["s3", "sqs"], var.failure_destination)
    error_message = "failure_destination must be s3 or sqs."
  }
}

variable "failures_bucket_force_destroy" {
  description = "Let destroy delete the failures bucket with its objects. They may be changes that MySQL does not have."
  type        = bool
  default     = false
}

variable "replayed_retention_days" {
  description = "Days that the bucket keeps a failed batch after a replay has settled it, and the files of a replay. The files of a load or a verification stay for at least 30 days. 0 keeps all of them forever."
  type        = number
  default     = 30

  validation {
    condition     = var.replayed_retention_days >= 0 && floor(var.replayed_retention_days) == var.replayed_retention_days
    error_message = "replayed_retention_days must be a whole number of at least 0."
  }
}

# Replay

variable "replay_concurrency" {
  description = "Workers of a replay. Each opens one database connection, in addition to those of the consumer."
  type        = number
  default     = 4

  validation {
    condition     = var.replay_concurrency >= 1 && var.replay_concurrency <= 40 && floor(var.replay_concurrency) == var.replay_concurrency
    error_message = "replay_concurrency must be a whole number from 1 to 40."
  }
}

variable "replay_database_wait_seconds" {
  description = "Seconds that a replay, a load or a verification waits for a database that does not answer, before it fails. Default: 3600, or 21600 with auto_replay."
  type        = number
  default     = null

  validation {
    condition     = try(var.replay_database_wait_seconds >= 0 && var.replay_database_wait_seconds <= 86400 && floor(var.replay_database_wait_seconds) == var.replay_database_wait_seconds, var.replay_database_wait_seconds == null)
    error_message = "replay_database_wait_seconds must be a whole number from 0 to 86400."
  }
}

variable "replay_check_interval_seconds" {
  description = "Seconds between two checks of a database that does not answer. A waiting replay, load or verification continues within this time."
  type        = number
  default     = 15

  validation {
    condition     = var.replay_check_interval_seconds >= 1 && var.replay_check_interval_seconds <= 3600 && floor(var.replay_check_interval_seconds) == var.replay_check_interval_seconds
    error_message = "replay_check_interval_seconds must be a whole number from 1 to 3600."
  }
}

variable "replayer_memory_mb" {
  description = "Memory of the replayer, in MB. Lambda scales the CPU with it. A call holds up to 60,000 changes in memory."
  type        = number
  default     = 1024

  validation {
    condition     = var.replayer_memory_mb >= 512 && var.replayer_memory_mb <= 10240
    error_message = "replayer_memory_mb must be from 512 to 10240."
  }
}

variable "replayer_reserved_concurrency" {
  description = "Reserved concurrency of the replayer. -1 reserves none. It must exceed replay_concurrency: a second replay needs an invocation to find that the lock is taken."
  type        = number
  default     = -1

  validation {
    condition     = var.replayer_reserved_concurrency == -1 || (var.replayer_reserved_concurrency >= 1 && floor(var.replayer_reserved_concurrency) == var.replayer_reserved_concurrency)
    error_message = "replayer_reserved_concurrency must be a whole number above 0, or -1 for none. With 0 no replay runs."
  }
}

variable "auto_replay" {
  description = "Start a replay when a batch has failed, and on a schedule, which also retries deferred records. The replay waits for the database to return."
  type        = bool
  default     = false
}

variable "auto_replay_schedule_minutes" {
  description = "Minutes between two scheduled replays, with auto_replay. A batch that fails during a replay, or that is in the queue, waits for the next one."
  type        = number
  default     = 5

  validation {
    condition     = var.auto_replay_schedule_minutes >= 1 && var.auto_replay_schedule_minutes <= 1440 && floor(var.auto_replay_schedule_minutes) == var.auto_replay_schedule_minutes
    error_message = "auto_replay_schedule_minutes must be a whole number from 1 to 1440."
  }
}

# Load

variable "load_concurrency" {
  description = "Workers of a load or a verification. Each opens one database connection, in addition to those of the consumer."
  type        = number
  default     = 4

  validation {
    condition     = var.load_concurrency >= 1 && var.load_concurrency <= 40 && floor(var.load_concurrency) == var.load_concurrency
    error_message = "load_concurrency must be a whole number from 1 to 40."
  }
}

variable "load_read_units_per_second" {
  description = "Read units that a load or a verification consumes in a second, of a table with on-demand capacity. Of a provisioned table it takes a quarter of the read capacity. The input of an execution can set another rate."
  type        = number
  default     = 1000

  validation {
    condition     = var.load_read_units_per_second >= 1 && var.load_read_units_per_second <= 1000000 && floor(var.load_read_units_per_second) == var.load_read_units_per_second
    error_message = "load_read_units_per_second must be a whole number from 1 to 1000000."
  }
}

variable "reconciler_memory_mb" {
  description = "Memory of the reconciler, in MB. Lambda scales the CPU with it."
  type        = number
  default     = 512

  validation {
    condition     = var.reconciler_memory_mb >= 256 && var.reconciler_memory_mb <= 10240
    error_message = "reconciler_memory_mb must be from 256 to 10240."
  }
}

variable "reconciler_reserved_concurrency" {
  description = "Reserved concurrency of the reconciler. -1 reserves none. It must exceed load_concurrency: a second load needs an invocation to find that the lock is taken."
  type        = number
  default     = -1

  validation {
    condition     = var.reconciler_reserved_concurrency == -1 || (var.reconciler_reserved_concurrency >= 1 && floor(var.reconciler_reserved_concurrency) == var.reconciler_reserved_concurrency)
    error_message = "reconciler_reserved_concurrency must be a whole number above 0, or -1 for none. With 0 no load and no verification runs."
  }
}

# Seed

variable "seed_write_units_per_second" {
  description = "Units that a seed consumes in a second, of a table with on-demand capacity. Of a provisioned table it takes a quarter of the write capacity. The input of an execution can set another rate."
  type        = number
  default     = 500

  validation {
    condition     = var.seed_write_units_per_second >= 1 && var.seed_write_units_per_second <= 1000000 && floor(var.seed_write_units_per_second) == var.seed_write_units_per_second
    error_message = "seed_write_units_per_second must be a whole number from 1 to 1000000."
  }
}

# Verification

variable "verify_settle_seconds" {
  description = "Seconds that a change may take to reach MySQL, in addition to the consumer's lag. A verification reports a difference only after it has stood still for longer. It must not be below stream_batching_window_seconds."
  type        = number
  default     = 300

  validation {
    condition     = var.verify_settle_seconds >= 1 && var.verify_settle_seconds <= 3600 && floor(var.verify_settle_seconds) == var.verify_settle_seconds
    error_message = "verify_settle_seconds must be a whole number from 1 to 3600."
  }
}

variable "verify_schedule_expression" {
  description = "EventBridge schedule of the verification, such as rate(1 day) or cron(0 3 * * ? *). Default: no schedule."
  type        = string
  default     = null

  validation {
    condition     = var.verify_schedule_expression == null || can(regex("^(rate\\((1 (minute|hour|day)|([2-9]|[1-9][0-9]+) (minutes|hours|days))\\)|cron\\([^ ()]+ [^ ()]+ ([^ ()?]+ [^ ()]+ \\?|\\? [^ ()]+ [^ ()?]+) [^ ()]+\\))$", var.verify_schedule_expression))
    error_message = "verify_schedule_expression must be rate(value unit), such as rate(1 day) or rate(12 hours), or cron(...) with six fields, of which the third or the fifth is a question mark."
  }
}

variable "verify_slices" {
  description = "Slices of the table. Each scheduled verification takes the slice that was tried longest ago. With rate(1 day) and 30 slices, the whole table is verified in 30 days."
  type        = number
  default     = 1

  validation {
    condition     = var.verify_slices >= 1 && var.verify_slices <= 9999 && floor(var.verify_slices) == var.verify_slices
    error_message = "verify_slices must be a whole number from 1 to 9999."
  }
}

variable "verify_repair" {
  description = "Let scheduled verifications repair what differs. Otherwise they only report it."
  type        = bool
  default     = false
}

variable "verify_after_cutover" {
  description = "The table is the truth for verifications on the schedule or after a replay, also for rows whose items are exactly as a seed wrote them. Set it after the cutover, and unset it before a legacy application writes the rows again."
  type        = bool
  default     = false
}

# Prune

variable "prune_schedule_expression" {
  description = "EventBridge schedule of the prune, such as rate(7 days) or cron(0 5 ? * SUN *). Default: no schedule. Choose another time than that of verify_schedule_expression, because one job runs at a time."
  type        = string
  default     = null

  validation {
    condition     = var.prune_schedule_expression == null || can(regex("^(rate\\((1 (minute|hour|day)|([2-9]|[1-9][0-9]+) (minutes|hours|days))\\)|cron\\([^ ()]+ [^ ()]+ ([^ ()?]+ [^ ()]+ \\?|\\? [^ ()]+ [^ ()?]+) [^ ()]+\\))$", var.prune_schedule_expression))
    error_message = "prune_schedule_expression must be rate(value unit), such as rate(7 days) or rate(12 hours), or cron(...) with six fields, of which the third or the fifth is a question mark."
  }
}

variable "prune_horizon_days" {
  description = "Days for which the sidecar keeps the version of an item that is gone. A prune deletes older ones. The input of an execution can set another number. DynamoDB restores a table to a time up to 35 days back, so less than 37 is refused."
  type        = number
  default     = 40

  validation {
    condition     = var.prune_horizon_days >= 37 && var.prune_horizon_days <= 36500 && floor(var.prune_horizon_days) == var.prune_horizon_days
    error_message = "prune_horizon_days must be a whole number from 37 to 36500. A load of a table that was restored to a time within the last 35 days would bring deleted items back."
  }
}

# Monitor

variable "monitor_schedule_minutes" {
  description = "Minutes between two calls of the monitor. The alarms look at five minutes at a time, so it may be at most 5."
  type        = number
  default     = 1

  validation {
    condition     = var.monitor_schedule_minutes >= 1 && var.monitor_schedule_minutes <= 5 && floor(var.monitor_schedule_minutes) == var.monitor_schedule_minutes
    error_message = "monitor_schedule_minutes must be a whole number from 1 to 5."
  }
}

variable "heartbeat" {
  description = "Let the monitor write one item of the table each time. The consumer makes no row of it, and emits how long it took to arrive (heartbeat_seconds)."
  type        = bool
  default     = false
}

# Alarms and dashboard

variable "create_alarms" {
  description = "Create the CloudWatch alarms. docs/runbook.md lists them, with what they cost."
  type        = bool
  default     = true
}

variable "alarm_topic_arn" {
  description = "SNS topic of your own that the alarms notify. Its policy must let cloudwatch.amazonaws.com publish. Default: the topic that is created."
  type        = string
  default     = null

  validation {
    condition     = can(regex("^arn:[a-z-]+:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]{1,256}$", coalesce(var.alarm_topic_arn, "arn:aws:sns:none:000000000000:none")))
    error_message = "alarm_topic_arn must be the ARN of a standard topic (arn:aws:sns:...). CloudWatch alarms do not publish to FIFO topics."
  }
}

variable "create_alarm_topic" {
  description = "Create the SNS topic of the alarms. Set it to false when alarm_topic_arn is created in the same apply, because its ARN is not known at plan. Default: whether alarm_topic_arn is null."
  type        = bool
  default     = null
}

variable "alarm_email_addresses" {
  description = "Addresses that get a mail for each alarm of the created topic. Each must confirm a first mail of AWS."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for address in var.alarm_email_addresses : can(regex("^[^@ ]+@[^@ ]+$", address))])
    error_message = "alarm_email_addresses must be mail addresses, such as oncall@example.com."
  }
}

variable "alarms" {
  description = "Thresholds of the alarms. The iterator ages default to an eighth (at most 300 s), a quarter and three quarters (at most 43200 s) of stream_maximum_record_age_seconds. unverified_hours defaults to the time of two rounds of verify_schedule_expression, with a week for a cron expression. heartbeat_seconds must be at least stream_batching_window_seconds and 30 s more."
  type = object({
    iterator_age_warning_seconds  = optional(number)
    iterator_age_page_seconds     = optional(number)
    iterator_age_critical_seconds = optional(number)
    batches_waiting               = optional(number, 0)
    oldest_batch_seconds          = optional(number, 3600)
    oldest_deferred_seconds       = optional(number, 86400)
    pointer_hours_left            = optional(number, 6)
    hours_until_loss              = optional(number, 6)
    unverified_hours              = optional(number)
    heartbeat_seconds             = optional(number, 300)
    proxy_connections_percent     = optional(number, 80)
    proxy_borrow_milliseconds     = optional(number, 1000)
  })
  default = {}

  validation {
    condition     = alltrue([for name, value in var.alarms : value == null ? true : value >= 0 && (value > 0 || name == "batches_waiting")])
    error_message = "alarms must have thresholds above 0. batches_waiting may be 0."
  }

  validation {
    condition     = var.alarms.pointer_hours_left < 24 && var.alarms.hours_until_loss < 24
    error_message = "alarms must have pointer_hours_left and hours_until_loss below 24. The stream forgets a change after 24 hours, so another alarm would always ring."
  }

  validation {
    condition     = var.alarms.proxy_connections_percent <= 100
    error_message = "alarms must have a proxy_connections_percent of at most 100."
  }
}

variable "runbook_url" {
  description = "URL of the runbook that alarms and dashboard link to, without #. Default: the file in this repository."
  type        = string
  default     = "docs/runbook.md"

  validation {
    # A description of an alarm has at most 1024 characters, the link included.
    condition     = length(var.runbook_url) <= 500 && !strcontains(var.runbook_url, "#") && !strcontains(var.runbook_url, " ")
    error_message = "runbook_url must be at most 500 characters, without # and without spaces."
  }
}

variable "create_dashboard" {
  description = "Create a CloudWatch dashboard of the pipeline."
  type        = bool
  default     = true
}

# Database

variable "mysql_port" {
  description = "Port of the database, used in the security group rules."
  type        = number
  default     = 3306

  validation {
    condition     = var.mysql_port >= 1 && var.mysql_port <= 65535
    error_message = "mysql_port must be from 1 to 65535."
  }
}

variable "mysql_tls" {
  description = "TLS to the database: verify, require (encrypted, but the certificate is not checked) or off (needs an account that uses mysql_native_password)."
  type        = string
  default     = "verify"

  validation {
    condition     = contains(["verify", "require", "off"], var.mysql_tls)
    error_message = "mysql_tls must be verify, require or off."
  }
}

variable "mysql_ca_pem" {
  description = "PEM certificate of a private certificate authority. It replaces the public ones."
  type        = string
  default     = null

  validation {
    # Lambda allows 4 KB for a whole environment. The replayer needs up to 1.1 KB of it for the rest, and the names of
    # secret and parameter may be long.
    condition     = length(coalesce(var.mysql_ca_pem, " ")) <= 2560
    error_message = "mysql_ca_pem must not be longer than 2560 bytes. Lambda allows 4 KB for a whole environment. Give one certificate, not a bundle."
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
    # A call of the replayer leaves 60 s for its last batch: connect and one statement must fit.
    condition     = var.mysql_read_timeout_seconds >= 1 && var.mysql_read_timeout_seconds <= 40
    error_message = "mysql_read_timeout_seconds must be from 1 to 40."
  }
}

variable "rds_secret_kms_key_arn" {
  description = "ARN of the KMS key of the database secret. Default: aws/secretsmanager, the default key of the account."
  type        = string
  default     = null

  validation {
    condition     = can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/.+$", coalesce(var.rds_secret_kms_key_arn, "arn:aws:kms:none:000000000000:key/none")))
    error_message = "rds_secret_kms_key_arn must be the ARN of a key (arn:aws:kms:...:key/...). IAM grants nothing on an alias."
  }
}

variable "rds_connection_param_kms_key_arn" {
  description = "ARN of the KMS key of the connection parameter. Needed for a SecureString under your own key. A String, or a SecureString under aws/ssm, does not need it."
  type        = string
  default     = null

  validation {
    condition     = can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/.+$", coalesce(var.rds_connection_param_kms_key_arn, "arn:aws:kms:none:000000000000:key/none")))
    error_message = "rds_connection_param_kms_key_arn must be the ARN of a key (arn:aws:kms:...:key/...). IAM grants nothing on an alias."
  }
}

# Network

variable "subnet_ids" {
  description = "Subnets of the functions and of an RDS Proxy. An RDS Proxy needs two in different Availability Zones. Default: the subnets of the VPC that are tagged Tier = Private."
  type        = list(string)
  default     = null

  validation {
    condition     = try(length(var.subnet_ids) > 0, var.subnet_ids == null)
    error_message = "subnet_ids must name at least one subnet."
  }
}

variable "rds_sg_id" {
  description = "Security group of the database, or of your own RDS Proxy. The module adds a rule that lets the functions in. Needed unless create_security_group is false and the module creates no proxy."
  type        = string
  default     = null
}

variable "create_security_group" {
  description = "Create a security group for the functions, with rules to the database (rds_sg_id) or to the RDS Proxy that the module creates. With false the functions have security_group_ids only. Those must reach the database and HTTPS. Lambda then may keep network interfaces in them for 20 minutes after a destroy."
  type        = bool
  default     = true
}

variable "security_group_ids" {
  description = "Security groups of the functions, in addition to the one that the module creates."
  type        = list(string)
  default     = []
}

variable "streams_endpoint_url" {
  description = "URL of a VPC endpoint of DynamoDB Streams, for the replayer with failure_destination = sqs in subnets without internet access."
  type        = string
  default     = null

  validation {
    condition     = can(regex("^https://[a-z0-9.-]+$", coalesce(var.streams_endpoint_url, "https://none")))
    error_message = "streams_endpoint_url must be an https URL without path."
  }
}

variable "schema_step_waits_for" {
  description = "Anything that must exist before the schema step runs, such as the ids of VPC endpoints. The values do not matter."
  type        = list(string)
  default     = []
}

# RDS Proxy

variable "create_rds_proxy" {
  description = "Create an RDS Proxy for rds_instance_identifier or rds_cluster_identifier, and write the connection parameter. Pipelines of one database share one proxy: create it in one of them, and give the others its security group as rds_sg_id."
  type        = bool
  default     = false
}

variable "rds_instance_identifier" {
  description = "DB instance of the RDS Proxy."
  type        = string
  default     = null
}

variable "rds_cluster_identifier" {
  description = "Aurora or Multi-AZ DB cluster of the RDS Proxy. Give this or rds_instance_identifier, not both."
  type        = string
  default     = null
}

variable "rds_database" {
  description = "MySQL database (schema) that Backstream writes to. Needed with create_rds_proxy, because the module then writes the connection parameter."
  type        = string
  default     = null
}

variable "rds_proxy_max_connections_percent" {
  description = "Percentage of max_connections of the database that the RDS Proxy may use. It keeps half of them open when idle."
  type        = number
  default     = 50

  validation {
    condition     = var.rds_proxy_max_connections_percent >= 1 && var.rds_proxy_max_connections_percent <= 100 && floor(var.rds_proxy_max_connections_percent) == var.rds_proxy_max_connections_percent
    error_message = "rds_proxy_max_connections_percent must be a whole number from 1 to 100."
  }
}

variable "rds_proxy_name" {
  description = "RDS Proxy of your own, for its alarms and the dashboard. Default: the one that Terraform creates, if any."
  type        = string
  default     = null
}
