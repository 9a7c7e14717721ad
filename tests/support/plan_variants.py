"""Variants of the variables. Together they plan every resource, and every number at its minimum and maximum."""

from __future__ import annotations

from tests.support.plans import Variables

SMALLEST: Variables = {
    "api_memory_mb": 128,
    "api_throttle_burst": 1,
    "api_throttle_rate": 0.1,
    "api_timeout_seconds": 1,
    "auto_replay_schedule_minutes": 1,
    "consumer_memory_mb": 128,
    "consumer_reserved_concurrency": 1,  # -1 is not sent
    "consumer_timeout_seconds": 3,  # above the two timeouts of MySQL
    "idempotency_ttl_hours": 1,
    "log_retention_days": 1,
    "max_statement_bytes": 1000,
    "mysql_connect_timeout_seconds": 1,
    "mysql_port": 1,
    "mysql_read_timeout_seconds": 1,
    "order_ttl_days": 1,
    "rds_proxy_max_connections_percent": 1,
    "replay_check_interval_seconds": 1,
    "replay_concurrency": 1,
    "replay_database_wait_seconds": 0,
    "replayed_retention_days": 1,  # 0 leaves the rules out
    "replayer_memory_mb": 512,
    "replayer_reserved_concurrency": 2,  # above replay_concurrency
    "stream_batch_size": 1,
    "stream_batching_window_seconds": 0,
    "stream_generation": 0,
    "stream_maximum_record_age_seconds": 60,
    "stream_maximum_retry_attempts": -1,
    "stream_parallelization_factor": 1,
}
LARGEST: Variables = {
    "api_memory_mb": 10240,
    "api_throttle_burst": 5000,
    "api_throttle_rate": 10000,
    "api_timeout_seconds": 29,
    "auto_replay_schedule_minutes": 1440,
    "consumer_memory_mb": 10240,
    "consumer_reserved_concurrency": 900,  # of an account's usual 1000, of which AWS keeps 100
    "consumer_timeout_seconds": 900,
    "idempotency_ttl_hours": 8760,
    "log_retention_days": 3653,
    "max_statement_bytes": 16000000,
    "mysql_connect_timeout_seconds": 15,
    "mysql_port": 65535,
    "mysql_read_timeout_seconds": 40,
    "order_ttl_days": 3650,
    "rds_proxy_max_connections_percent": 100,
    "replay_check_interval_seconds": 3600,
    "replay_concurrency": 40,
    "replay_database_wait_seconds": 86400,
    "replayed_retention_days": 36500,
    "replayer_memory_mb": 10240,
    "replayer_reserved_concurrency": 900,
    "stream_batch_size": 10000,
    "stream_batching_window_seconds": 300,
    "stream_generation": 9999,
    "stream_maximum_record_age_seconds": 82800,
    "stream_maximum_retry_attempts": 10000,
    "stream_parallelization_factor": 10,
}
PROXY: Variables = {"rds_instance_identifier": "orders", "rds_database": "legacy"}
LONGEST: Variables = LARGEST | {
    "name": "abcdefghij",
    "env": "abcdefghijklmno",
    "aws_region": "ap-southeast-2",  # no Region's name is longer
    "mysql_ca_pem": ("x" * 63 + "\n") * 40,  # lines as a certificate has them
    "rds_cluster_identifier": "orders",
    "rds_database": "legacy",
}
VARIANTS: dict[str, Variables] = {
    "defaults": {},
    "smallest": SMALLEST
    | PROXY
    | {
        "name": "ab",
        "env": "ab",
        "api_auth": "iam",
        "auto_replay": True,
        "create_vpc_endpoints": ["dynamodb", "dynamodb-streams", "s3", "secretsmanager", "sqs", "ssm", "states"],
        "failure_destination": "sqs",
        "manage_api_gateway_account": True,
        "xray_tracing": False,
    },
    "largest": LONGEST
    | {
        "api_password": "given",
        "auto_replay": True,
        "manage_api_gateway_account": True,
        "rds_secret_kms_key_arn": "arn:aws:kms:eu-west-1:123456789012:key/01234567-89ab-cdef-0123-456789abcdef",
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
