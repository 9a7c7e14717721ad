"""The Lambda function of the replay: `{"action": ..., "state": ...}` in, the next state out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config

from common import config
from common.bucket import Bucket
from common.lock import Lock
from common.meter import CloudWatchMeter
from common.mysql.database import MySQLDatabase
from common.mysql.settings import MySQLSettings
from common.parameters import AwsParameters
from common.pipeline import PipelineSettings
from common.quarantine import Quarantine
from common.telemetry import logger, traced
from dlq_replayer.collect import Collector
from dlq_replayer.drain import Drainer
from dlq_replayer.hydrate import Hydrator
from dlq_replayer.replay import InputError, Replay
from dlq_replayer.steps import Steps

# A step ends, to be called again, when this many milliseconds are left.
_MARGIN_MS = 60_000
_AWS = Config(
    connect_timeout=3, read_timeout=30, max_pool_connections=64, retries={"mode": "standard", "total_max_attempts": 5}
)


@dataclass(frozen=True, kw_only=True)
class ReplayerSettings(PipelineSettings, MySQLSettings):
    """The environment of the replayer."""

    failures_queue_url: str = config.env("FAILURES_QUEUE_URL", default="")
    verify_state_machine_arn: str = config.env("VERIFY_STATE_MACHINE_ARN")
    verify_after_cutover: bool = config.env("VERIFY_AFTER_CUTOVER", config.flag, default=False)
    lock_table_name: str = config.env("LOCK_TABLE_NAME")
    concurrency: int = config.env("REPLAY_CONCURRENCY", config.integer(1, 40), default=4)
    database_wait_seconds: int = config.env("REPLAY_DATABASE_WAIT_SECONDS", config.integer(0, 86_400), default=3_600)


SETTINGS = config.load(ReplayerSettings)
MAPPING = SETTINGS.load_mapping()
S3 = boto3.client("s3", config=_AWS)
SQS = boto3.client("sqs", config=_AWS) if SETTINGS.failures_queue_url else None
STREAMS = boto3.client("dynamodbstreams", config=_AWS) if SETTINGS.failures_queue_url else None
BUCKET = Bucket(S3, SETTINGS.failures_bucket)
DATABASE = MySQLDatabase(
    SETTINGS,
    AwsParameters(SETTINGS.param_name, SETTINGS.secret_arn),
    MAPPING,
    source=SETTINGS.source,
    statement_bytes=SETTINGS.statement_bytes,
)
STATES = boto3.client("stepfunctions", config=_AWS)
LOCK = Lock(boto3.client("dynamodb", config=_AWS), STATES, SETTINGS.lock_table_name, "replay")
METER = CloudWatchMeter()
DRAINER = Drainer(
    bucket=BUCKET,
    mapping=MAPPING,
    source=SETTINGS.source,
    database=DATABASE,
    quarantine=Quarantine(lambda: S3, SETTINGS.failures_bucket),
    options=SETTINGS.apply_options,
    meter=METER,
)
COLLECTOR = Collector(BUCKET, MAPPING, SETTINGS.source)


@traced
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Raises what a step raises. The state machine retries, then gives up; nothing is lost."""
    steps = Steps(
        bucket=BUCKET,
        collector=COLLECTOR,
        drainer=DRAINER,
        hydrator=_hydrator,
        verify=_verify,
        lock=LOCK,
        concurrency=SETTINGS.concurrency,
        database_wait_seconds=SETTINGS.database_wait_seconds,
        out_of_time=lambda: context.get_remaining_time_in_millis() < _MARGIN_MS,
        meter=METER,
    )
    try:
        state: dict[str, Any] = steps.step(event["action"], event["state"])
    except InputError as error:
        # Not an error: that would be retried, and its cause would contain a stack trace.
        state = {"outcome": "wrong_input", "message": str(error)}
    logger.info("replay step", action=event["action"], outcome=state.get("outcome"))
    return state


def _verify(name: str, given: Mapping[str, Any]) -> str:
    """Start a verification with an input, if none of this name was started in the last 90 days. Returns its ARN.

    Source: https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html
    """
    machine = SETTINGS.verify_state_machine_arn
    chosen = {**given, "after_cutover": SETTINGS.verify_after_cutover}
    with suppress(STATES.exceptions.ExecutionAlreadyExists):
        STATES.start_execution(stateMachineArn=machine, name=name, input=json.dumps(chosen))
    return f"{machine.replace(':stateMachine:', ':execution:')}:{name}"


def _hydrator(replay: Replay) -> Hydrator | None:
    if not SETTINGS.failures_queue_url:
        return None
    return Hydrator(
        sqs=SQS,
        streams=STREAMS,
        queue_url=SETTINGS.failures_queue_url,
        bucket=BUCKET,
        source=SETTINGS.source,
        replay=replay,
    )
