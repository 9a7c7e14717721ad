"""What the functions find around them: their variables and Lambda's context. Nothing here reaches AWS."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

ORIGINAL = dict(os.environ)

VARIABLES = {
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "bench",
    "AWS_SECRET_ACCESS_KEY": "bench",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_LAMBDA_FUNCTION_NAME": "bench",
    "TABLE_NAME": "orders",
    "IDEMPOTENCY_TABLE_NAME": "idempotency",
    "API_SECRET_ARN": "arn:aws:secretsmanager:us-east-1:123456789012:secret:api",
    "RDS_CONNECTION_PARAM_NAME": "/bench/rds",
    "RDS_SECRET_ARN": "arn:aws:secretsmanager:us-east-1:123456789012:secret:rds",
    "MYSQL_TLS": "off",
    "FAILURES_BUCKET": "failures",
    "LOCK_TABLE_NAME": "lock",
    "CONSUMER_FUNCTION_NAME": "consumer",
    "EVENT_SOURCE_MAPPING_UUID": "mapping",
    "VERIFY_SETTLE_SECONDS": "1",
    "VERIFY_STATE_MACHINE_ARN": "arn:aws:states:us-east-1:123456789012:stateMachine:verify",
    "STREAM_ARN": "arn:aws:dynamodb:us-east-1:123456789012:table/backstream-prod-orders/stream/2026-01-31T00:00:00.000",
    "POWERTOOLS_SERVICE_NAME": "bench",
    "POWERTOOLS_METRICS_NAMESPACE": "Backstream",
}
# A shell may have set these; they would change what the functions do.
REMOVED = (
    "APPLY_EVERY_CHANGE",
    "AWS_ENDPOINT_URL",
    "AWS_PROFILE",
    "AWS_SESSION_TOKEN",
    "DATABASE_WAIT_SECONDS",
    "FAILURES_QUEUE_URL",
    "LOAD_CONCURRENCY",
    "LOAD_READ_UNITS_PER_SECOND",
    "MAPPING",
    "MAX_STATEMENT_BYTES",
    "MIRROR_TTL_DELETES",
    "REPLAY_CONCURRENCY",
    "STREAM_GENERATION",
    "_X_AMZN_TRACE_ID",
)


@dataclass(frozen=True)
class LambdaContext:
    """The one method of Lambda's context that the functions call."""

    timeout: float  # seconds
    started: float = field(default_factory=time.monotonic)

    def get_remaining_time_in_millis(self) -> int:
        return int(1000 * (self.started + self.timeout - time.monotonic()))


def prepare() -> None:
    """Set the functions' variables, for this process and its children, before a function is imported."""
    for name in REMOVED:
        os.environ.pop(name, None)
    os.environ.update(VARIABLES)
