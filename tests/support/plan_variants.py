"""Variants of the variables. Together they plan every resource, and every number at its minimum and maximum."""

from __future__ import annotations

from tests.support.plans import Variables

SMALLEST: Variables = {
    "api_memory_mb": 128,
    "api_reserved_concurrency": 1,  # -1 is not sent
    "api_throttle_burst": 1,
    "api_throttle_rate": 0.1,
    "api_timeout_seconds": 1,
    "authorizer_reserved_concurrency": 1,
    "auto_replay_schedule_minutes": 1,
    "consumer_memory_mb": 128,
    "consumer_reserved_concurrency": 1,
    "consumer_timeout_seconds": 3,  # above the two timeouts of MySQL
    "idempotency_ttl_hours": 1,
    "load_concurrency": 1,
    "load_read_units_per_second": 1,
    "log_retention_days": 1,
    "max_statement_bytes": 1000,
    "monitor_schedule_minutes": 1,
    "mysql_connect_timeout_seconds": 1,
    "mysql_port": 1,
    "mysql_read_timeout_seconds": 1,
    "order_ttl_days": 1,
    "prune_horizon_days": 37,
    "rds_proxy_max_connections_percent": 1,
    "reconciler_memory_mb": 256,
    "reconciler_reserved_concurrency": 2,  # above load_concurrency
    "replay_check_interval_seconds": 1,
    "replay_concurrency": 1,
    "replay_database_wait_seconds": 0,
    "replayed_retention_days": 1,  # 0 leaves the rules out
    "replayer_memory_mb": 512,
    "replayer_reserved_concurrency": 2,  # above replay_concurrency
    "schema_reserved_concurrency": 1,
    "stream_batch_size": 1,
    "stream_batching_window_seconds": 0,
    "stream_generation": 0,
    "stream_maximum_record_age_seconds": 60,
    "stream_maximum_retry_attempts": -1,
    "stream_parallelization_factor": 1,
    "seed_write_units_per_second": 1,
    "verify_settle_seconds": 1,
    "verify_slices": 1,
}
LARGEST: Variables = {
    "api_memory_mb": 10240,
    "api_reserved_concurrency": 900,
    "api_throttle_burst": 5000,
    "api_throttle_rate": 10000,
    "api_timeout_seconds": 29,
    "authorizer_reserved_concurrency": 900,
    "auto_replay_schedule_minutes": 1440,
    "consumer_memory_mb": 10240,
    "consumer_reserved_concurrency": 900,  # of an account's usual 1000, of which AWS keeps 100
    "consumer_timeout_seconds": 900,
    "idempotency_ttl_hours": 8760,
    "load_concurrency": 40,
    "load_read_units_per_second": 1000000,
    "log_retention_days": 3653,
    "max_statement_bytes": 16000000,
    "monitor_schedule_minutes": 5,
    "mysql_connect_timeout_seconds": 15,
    "mysql_port": 65535,
    "mysql_read_timeout_seconds": 40,
    "order_ttl_days": 3650,
    "prune_horizon_days": 36500,
    "rds_proxy_max_connections_percent": 100,
    "reconciler_memory_mb": 10240,
    "reconciler_reserved_concurrency": 900,
    "replay_check_interval_seconds": 3600,
    "replay_concurrency": 40,
    "replay_database_wait_seconds": 86400,
    "replayed_retention_days": 36500,
    "replayer_memory_mb": 10240,
    "replayer_reserved_concurrency": 900,
    "schema_reserved_concurrency": 900,
    "stream_batch_size": 10000,
    "stream_batching_window_seconds": 300,
    "stream_generation": 9999,
    "stream_maximum_record_age_seconds": 82800,
    "stream_maximum_retry_attempts": 10000,
    "stream_parallelization_factor": 10,
    "seed_write_units_per_second": 1000000,
    "verify_settle_seconds": 3600,
    "verify_slices": 9999,
}
# As many as the variable allows, with each kind of character that it allows. CloudFormation's schema of an RDS Proxy
# allows values of 128 characters. RDS itself documents 256.
TAGS = {f"{number:0128}": "v" * 128 for number in range(46)} | {"cost:centre/1": "Bücher_.:/=+-@ 2"}
OWN_KEY = "arn:aws:kms:eu-west-1:123456789012:key/01234567-89ab-cdef-0123-456789abcdef"
PROXY: Variables = {"rds_instance_identifier": "orders", "rds_database": "legacy"}
LONGEST: Variables = LARGEST | {
    "name": "abcdefghij",
    "env": "abcdefghijklmno",
    "aws_region": "ap-southeast-2",  # no Region's name is longer
    "mysql_ca_pem": ("x" * 63 + "\n") * 40,  # lines as a certificate has them
    "rds_cluster_identifier": "orders",
    "rds_database": "legacy",
    "rds_secret_arn": "arn:aws:secretsmanager:ap-southeast-2:123456789012:secret:mysql-AbCdEf",
}
VARIANTS: dict[str, Variables] = {
    "defaults": {},
    "smallest": SMALLEST
    | PROXY
    | {
        "name": "ab",
        "env": "ab",
        "alarm_email_addresses": ["oncall@example.com"],
        "api_auth": "iam",
        "auto_replay": True,
        "create_vpc_endpoints": [
            "dynamodb",
            "dynamodb-streams",
            "lambda",
            "monitoring",
            "s3",
            "secretsmanager",
            "sqs",
            "ssm",
            "states",
        ],
        "failure_destination": "sqs",
        "heartbeat": True,
        "manage_api_gateway_account": True,
        "prune_schedule_expression": "rate(7 days)",
        "verify_schedule_expression": "rate(1 day)",
        "xray_tracing": False,
    },
    "largest": LONGEST
    | {
        # The longest descriptions that the variables allow.
        "alarms": dict.fromkeys(("oldest_batch_seconds", "proxy_borrow_milliseconds"), 1_000_000_000)
        | {"pointer_hours_left": 0.123456789, "hours_until_loss": 0.123456789},
        "api_password": "given",
        "auto_replay": True,
        "manage_api_gateway_account": True,
        "prune_schedule_expression": "cron(0 5 ? * SUN *)",
        "runbook_url": f"https://{'r' * 492}",
        "rds_secret_kms_key_arn": OWN_KEY.replace("eu-west-1", "ap-southeast-2"),
        "tags": TAGS,
        "verify_after_cutover": True,
        "verify_repair": True,
        "verify_schedule_expression": "cron(0 3 ? * MON-FRI *)",
    },
    # The environment of the replayer has both.
    "largest_with_queue_and_endpoint": LONGEST
    | {
        "create_vpc_endpoints": ["dynamodb-streams"],
        "failure_destination": "sqs",
        "stream_maximum_record_age_seconds": 43200,
    },
    # The longest names that AWS allows: 512 characters and a suffix for a secret, 1011 for a parameter.
    "longest_outputs": {name: value for name, value in LONGEST.items() if name != "mysql_ca_pem"}
    | {
        "failure_destination": "sqs",
        "rds_connection_param_name": f"/test/{'p' * 1005}",
        "rds_secret_arn": f"arn:aws:secretsmanager:ap-southeast-2:123456789012:secret:{'s' * 512}-AbCdEf",
        "stream_maximum_record_age_seconds": 43200,
    },
    "odd_percent": PROXY | {"rds_proxy_max_connections_percent": 49},
    # Everything that can be encrypted and protected.
    "own_key": {
        "auto_replay": True,
        "cors_allowed_origins": ["https://shop.example.com", "http://localhost:8080"],
        "kms_key_arn": OWN_KEY,
        "manage_api_gateway_account": True,
        "rds_connection_param_kms_key_arn": OWN_KEY,
        "rds_secret_kms_key_arn": OWN_KEY,
        "verify_schedule_expression": "rate(1 day)",
        "web_acl_arn": "arn:aws:wafv2:eu-west-1:123456789012:regional/webacl/api/01234567-89ab-cdef-0123-456789abcdef",
    },
    "own_key_and_queue": PROXY | {"failure_destination": "sqs", "kms_key_arn": OWN_KEY},
}
EXAMPLES: dict[str, dict[str, Variables]] = {
    "existing_table": {"defaults": {}},
    "no_nat": {"defaults": {}},
    "orders_with_own_proxy": {"defaults": {}},
    "queue_mode": {"defaults": {}},
    "several_tables": {
        "two": {
            "vpc_id": "vpc-0123456789abcdef0",
            "rds_sg_id": "sg-0123456789abcdef0",
            "rds_secret_arn": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:mysql-AbCdEf",
            "rds_connection_param_name": "/test/mysql",
        }
    },
}
