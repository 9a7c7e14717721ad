# The orders deployment: the API, and the pipeline that writes its table to MySQL. modules/ has the parts, for tables of
# your own. examples/ shows how to put them together.

locals {
  prefix = "${var.name}-${var.env}"

  lambda_zips = merge(var.lambda_zips, var.lambda_zips.bucket == null ? { folder = coalesce(var.lambda_zips.folder, var.build_dir, "${path.module}/../build") } : {})

  # The alarms of the API use the topic of the pipeline.
  alarm_topic_arn = module.pipeline.alarm_topic_arn

  creates_proxy = var.create_rds_proxy == null ? length(compact([var.rds_instance_identifier, var.rds_cluster_identifier])) > 0 : var.create_rds_proxy
}

module "orders_api" {
  source = "./modules/orders_api"

  name       = var.name
  env        = var.env
  table_name = module.pipeline.table_name

  api_auth                        = var.api_auth
  api_username                    = var.api_username
  api_password                    = var.api_password
  api_throttle_rate               = var.api_throttle_rate
  api_throttle_burst              = var.api_throttle_burst
  api_memory_mb                   = var.api_memory_mb
  api_timeout_seconds             = var.api_timeout_seconds
  api_access_logs                 = var.api_access_logs
  api_reserved_concurrency        = var.api_reserved_concurrency
  authorizer_reserved_concurrency = var.authorizer_reserved_concurrency
  cors_allowed_origins            = var.cors_allowed_origins
  web_acl_arn                     = var.web_acl_arn
  manage_api_gateway_account      = var.manage_api_gateway_account
  order_ttl_days                  = var.order_ttl_days
  idempotency_ttl_hours           = var.idempotency_ttl_hours
  deletion_protection             = var.deletion_protection

  create_alarms   = var.create_alarms
  alarm_topic_arn = local.alarm_topic_arn
  api_alarms      = var.api_alarms
  runbook_url     = var.runbook_url

  lambda_zips          = local.lambda_zips
  kms_key_arn          = var.kms_key_arn
  permissions_boundary = var.permissions_boundary
  role_path            = var.role_path
  log_level            = var.log_level
  log_retention_days   = var.log_retention_days
  xray_tracing         = var.xray_tracing
}

module "pipeline" {
  source = "./modules/pipeline"

  name     = var.name
  env      = var.env
  pipeline = null # the names of deployments from before there were several pipelines

  table = {
    name          = "${local.prefix}-orders"
    partition_key = { name = "p_key" }
    sort_key      = { name = "s_key" }
    ttl_attribute = "record_ttl"
    attributes    = { merchant_id = "S", created_at = "N" }
    indexes       = { merchant_id-created_at-index = { partition_key = "merchant_id", sort_key = "created_at" } }
  }
  deletion_protection    = var.deletion_protection
  create_deletion_guard  = false # deletion_protection.tf has one for the API, too
  point_in_time_recovery = var.point_in_time_recovery
  create_outputs_param   = false # outputs.tf writes one for the API, too

  stream_batch_size                 = var.stream_batch_size
  stream_batching_window_seconds    = var.stream_batching_window_seconds
  stream_parallelization_factor     = var.stream_parallelization_factor
  stream_maximum_retry_attempts     = var.stream_maximum_retry_attempts
  stream_maximum_record_age_seconds = var.stream_maximum_record_age_seconds
  stream_generation                 = var.stream_generation
  consumer_memory_mb                = var.consumer_memory_mb
  consumer_timeout_seconds          = var.consumer_timeout_seconds
  consumer_reserved_concurrency     = var.consumer_reserved_concurrency
  schema_reserved_concurrency       = var.schema_reserved_concurrency
  mirror_ttl_deletes                = var.mirror_ttl_deletes
  apply_every_change                = var.apply_every_change
  max_statement_bytes               = var.max_statement_bytes

  failure_destination           = var.failure_destination
  failures_bucket_force_destroy = var.failures_bucket_force_destroy
  replayed_retention_days       = var.replayed_retention_days

  replay_concurrency            = var.replay_concurrency
  replay_database_wait_seconds  = var.replay_database_wait_seconds
  replay_check_interval_seconds = var.replay_check_interval_seconds
  replayer_memory_mb            = var.replayer_memory_mb
  replayer_reserved_concurrency = var.replayer_reserved_concurrency
  auto_replay                   = var.auto_replay
  auto_replay_schedule_minutes  = var.auto_replay_schedule_minutes

  load_concurrency                = var.load_concurrency
  load_read_units_per_second      = var.load_read_units_per_second
  reconciler_memory_mb            = var.reconciler_memory_mb
  reconciler_reserved_concurrency = var.reconciler_reserved_concurrency
  seed_write_units_per_second     = var.seed_write_units_per_second
  verify_settle_seconds           = var.verify_settle_seconds
  verify_schedule_expression      = var.verify_schedule_expression
  verify_slices                   = var.verify_slices
  verify_repair                   = var.verify_repair
  verify_after_cutover            = var.verify_after_cutover
  prune_schedule_expression       = var.prune_schedule_expression
  prune_horizon_days              = var.prune_horizon_days

  monitor_schedule_minutes = var.monitor_schedule_minutes
  heartbeat                = var.heartbeat

  create_alarms         = var.create_alarms
  alarm_topic_arn       = var.alarm_topic_arn
  create_alarm_topic    = var.create_alarm_topic
  alarm_email_addresses = var.alarm_email_addresses
  alarms                = var.alarms
  runbook_url           = var.runbook_url
  create_dashboard      = var.create_dashboard

  rds_connection_param_name        = var.rds_connection_param_name
  rds_connection_param_kms_key_arn = var.rds_connection_param_kms_key_arn
  rds_secret_arn                   = var.rds_secret_arn
  rds_secret_kms_key_arn           = var.rds_secret_kms_key_arn
  mysql_port                       = var.mysql_port
  mysql_tls                        = var.mysql_tls
  mysql_ca_pem                     = var.mysql_ca_pem
  mysql_connect_timeout_seconds    = var.mysql_connect_timeout_seconds
  mysql_read_timeout_seconds       = var.mysql_read_timeout_seconds

  vpc_id                = var.vpc_id
  subnet_ids            = var.subnet_ids
  rds_sg_id             = var.rds_sg_id
  security_group_ids    = var.security_group_ids
  streams_endpoint_url  = module.vpc_endpoints.streams_endpoint_url
  schema_step_waits_for = module.vpc_endpoints.endpoint_ids

  create_rds_proxy                  = local.creates_proxy
  rds_instance_identifier           = var.rds_instance_identifier
  rds_cluster_identifier            = var.rds_cluster_identifier
  rds_database                      = var.rds_database
  rds_proxy_max_connections_percent = var.rds_proxy_max_connections_percent
  rds_proxy_name                    = var.rds_proxy_name

  lambda_zips          = local.lambda_zips
  kms_key_arn          = var.kms_key_arn
  permissions_boundary = var.permissions_boundary
  role_path            = var.role_path
  log_level            = var.log_level
  log_retention_days   = var.log_retention_days
  xray_tracing         = var.xray_tracing
}

module "vpc_endpoints" {
  source = "./modules/vpc_endpoints"

  name       = var.name
  env        = var.env
  vpc_id     = var.vpc_id
  subnet_ids = var.subnet_ids
  services   = var.create_vpc_endpoints
}
