"""The Lambda function that a schedule calls each minute. It emits what waits, and how long until a change is lost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
from botocore.config import Config

from common import config
from common.bucket import Bucket
from common.consumer_lag import ConsumerMetrics
from common.heartbeat import TIME, Heartbeat
from common.pipeline import DeployedSettings
from common.telemetry import logger, traced
from monitor.metrics import emit
from monitor.monitor import Monitor, SourcesError
from monitor.pointers import Queue
from monitor.replays import Replays
from monitor.stream import UnreadChanges

# A source that does not answer must leave time for the others.
_AWS = Config(connect_timeout=2, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 2})


@dataclass(frozen=True, kw_only=True)
class MonitorSettings(DeployedSettings):
    """The environment of the monitor."""

    consumer_name: str = config.env("CONSUMER_FUNCTION_NAME")
    consumer_timeout: int = config.env("CONSUMER_TIMEOUT_SECONDS", config.integer(1, 900), default=60)
    mapping_uuid: str = config.env("EVENT_SOURCE_MAPPING_UUID")
    record_age_seconds: int = config.env("STREAM_MAXIMUM_RECORD_AGE_SECONDS", config.integer(60, 604_800))
    replay_state_machine_arn: str = config.env("REPLAY_STATE_MACHINE_ARN")
    failures_queue_url: str = config.env("FAILURES_QUEUE_URL", default="")
    verifies: bool = config.env("VERIFIES_ON_SCHEDULE", config.flag, default=False)
    heartbeat: bool = config.env("HEARTBEAT", config.flag, default=False)


SETTINGS = config.load(MonitorSettings)
MAPPING = SETTINGS.load_mapping()
LAMBDA = boto3.client("lambda", config=_AWS)
DYNAMODB = boto3.client("dynamodb", config=_AWS) if SETTINGS.heartbeat else None


def _describe_mapping() -> Mapping[str, Any]:
    try:
        described: Any = LAMBDA.get_event_source_mapping(UUID=SETTINGS.mapping_uuid)
    except LAMBDA.exceptions.ResourceNotFoundException:
        return {"State": "Deleted"}
    return dict(described)


def _beat(now: float) -> None:
    item = Heartbeat(MAPPING).item(now)
    table: Any = DYNAMODB
    # An item of the application under that key stays, and the call fails.
    table.put_item(
        TableName=SETTINGS.stream.table_arn.rpartition("/")[2],
        Item=item,
        ConditionExpression="attribute_not_exists(#key) OR attribute_exists(#time)",
        ExpressionAttributeNames={"#key": MAPPING.partition_key.attribute, "#time": TIME},
    )


MONITOR = Monitor(
    bucket=Bucket(boto3.client("s3", config=_AWS), SETTINGS.failures_bucket),
    queue=Queue(boto3.client("sqs", config=_AWS), SETTINGS.failures_queue_url) if SETTINGS.failures_queue_url else None,
    describe=_describe_mapping,
    unread=UnreadChanges(
        ConsumerMetrics(
            boto3.client("cloudwatch", config=_AWS),
            SETTINGS.consumer_name,
            timedelta(seconds=SETTINGS.consumer_timeout),
        ),
        SETTINGS.stream.enabled,
        timedelta(seconds=SETTINGS.record_age_seconds),
    ),
    replays=Replays(boto3.client("stepfunctions", config=_AWS), SETTINGS.replay_state_machine_arn),
    mapping=MAPPING.digest,
    verifies=SETTINGS.verifies,
    beat=_beat if SETTINGS.heartbeat else None,
    now=lambda: datetime.now(UTC),
)


@traced
def handler(event: Any, context: Any) -> Mapping[str, float]:  # noqa: ARG001 - Lambda passes both
    """Returns the values. Raises SourcesError where a source did not answer, after it has emitted what is known."""
    measured = MONITOR.measure()
    emit(measured.values)
    if measured.partial:
        logger.warning("one call does not see everything, so these values are bounds", bounds=measured.partial)
    if measured.failed:
        raise SourcesError(measured.failed)
    return measured.values
