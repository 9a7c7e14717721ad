"""The Lambda function of all jobs: `{"job": ..., "action": ..., "state": ...}` in, the next state out."""

from __future__ import annotations

import gc
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic, time
from typing import Any

import boto3
from botocore.config import Config

from common import config
from common.bucket import Bucket
from common.consumer_lag import ConsumerMetrics
from common.lock import Lock
from common.meter import CloudWatchMeter
from common.mysql.database import MySQLDatabase
from common.mysql.settings import MySQLSettings
from common.parameters import AwsParameters
from common.pipeline import PipelineSettings
from common.raw_items import keep_items_raw
from common.telemetry import logger, traced
from reconciler.jobs import JobSteps
from reconciler.lag import ConsumerLag
from reconciler.load.loader import Loader
from reconciler.load.steps import LoadSteps
from reconciler.load.walk import Walker
from reconciler.pace import Surroundings
from reconciler.page_items import decode_scan
from reconciler.prune.reach import Reach
from reconciler.prune.steps import LEAST_HORIZON_DAYS, PruneSteps
from reconciler.prune.walk import PruneWalker
from reconciler.run import InputError, NotReadyError
from reconciler.seed.steps import SeedSteps
from reconciler.seed.walk import SeedWalker
from reconciler.table import Table
from reconciler.verify.deletions import Deletions
from reconciler.verify.exports import Exports
from reconciler.verify.pending import Pending
from reconciler.verify.readings import Readings
from reconciler.verify.recheck import Rechecker
from reconciler.verify.repaired import RepairedKeys
from reconciler.verify.steps import VerifySteps
from reconciler.verify.walk import VerifyWalker

# A step ends, to be called again, when this many milliseconds are left.
_MARGIN_MS = 60_000
_AWS = Config(
    connect_timeout=3, read_timeout=30, max_pool_connections=64, retries={"mode": "standard", "total_max_attempts": 5}
)
# Without CloudWatch a load goes on, so it does not wait for it long.
_CLOUDWATCH = Config(connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 1})


@dataclass(frozen=True, kw_only=True)
class ReconcilerSettings(PipelineSettings, MySQLSettings):
    """The environment of the reconciler."""

    lock_table_name: str = config.env("LOCK_TABLE_NAME")
    consumer_name: str = config.env("CONSUMER_FUNCTION_NAME")
    consumer_timeout: int = config.env("CONSUMER_TIMEOUT_SECONDS", config.integer(1, 900), default=60)
    mapping_uuid: str = config.env("EVENT_SOURCE_MAPPING_UUID")
    concurrency: int = config.env("LOAD_CONCURRENCY", config.integer(1, 40), default=4)
    on_demand_rate: int = config.env("LOAD_READ_UNITS_PER_SECOND", config.integer(1, 1_000_000), default=1_000)
    seed_write_units: int = config.env("SEED_WRITE_UNITS_PER_SECOND", config.integer(1, 1_000_000), default=500)
    settle_seconds: int = config.env("VERIFY_SETTLE_SECONDS", config.integer(1, 3_600), default=300)
    prune_horizon_days: int = config.env("PRUNE_HORIZON_DAYS", config.integer(LEAST_HORIZON_DAYS, 36_500), default=40)
    failures_queue_url: str = config.env("FAILURES_QUEUE_URL", default="")
    failures_bucket_key_arn: str = config.env("FAILURES_BUCKET_KEY_ARN", default="")
    database_wait_seconds: int = config.env("DATABASE_WAIT_SECONDS", config.integer(0, 86_400), default=3_600)


# A page makes thousands of objects, which are freed with it. Looking for cycles among them took 8 % of a load's CPU.
gc.set_threshold(100_000)

SETTINGS = config.load(ReconcilerSettings)
MAPPING = SETTINGS.load_mapping()
DYNAMODB = boto3.client("dynamodb", config=_AWS)
LAMBDA = boto3.client("lambda", config=_AWS)
BUCKET = Bucket(boto3.client("s3", config=_AWS), SETTINGS.failures_bucket)
DATABASE = MySQLDatabase(
    SETTINGS,
    AwsParameters(SETTINGS.param_name, SETTINGS.secret_arn),
    MAPPING,
    source=SETTINGS.source,
    statement_bytes=SETTINGS.statement_bytes,
)
TABLE = Table(
    keep_items_raw(boto3.client("dynamodb", config=_AWS), decode_scan), SETTINGS.stream.table_arn.rpartition("/")[2]
)
# One job at a time: a verification would take the rows that a load has not reached for missing ones.
LOCK = Lock(DYNAMODB, boto3.client("stepfunctions", config=_AWS), SETTINGS.lock_table_name, "reconciler")
SQS = boto3.client("sqs", config=_AWS) if SETTINGS.failures_queue_url else None


def _consumer() -> dict[str, Any]:
    """The description of the event source mapping."""
    described: Any = LAMBDA.get_event_source_mapping(UUID=SETTINGS.mapping_uuid)
    return dict(described)


CONSUMER = ConsumerMetrics(
    boto3.client("cloudwatch", config=_CLOUDWATCH), SETTINGS.consumer_name, timedelta(seconds=SETTINGS.consumer_timeout)
)
LAG = ConsumerLag(CONSUMER, _consumer, monotonic, settle=timedelta(seconds=SETTINGS.settle_seconds))
METER = CloudWatchMeter()


LOADER = Loader(MAPPING, DATABASE, SETTINGS.apply_options)
READINGS = Readings(MAPPING, DATABASE)
EXPORTS = Exports(DYNAMODB, BUCKET, SETTINGS.stream.table_arn, SETTINGS.failures_bucket_key_arn)


@traced
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Raises what a step raises. The state machine retries, then gives up; nothing is lost."""
    invocation = Surroundings(lag=LAG.seconds, out_of_time=lambda: context.get_remaining_time_in_millis() < _MARGIN_MS)
    steps = _JOBS[event["job"]](invocation)
    try:
        state: dict[str, Any] = steps.step(event["action"], event["state"])
    except InputError as error:
        # Not an error: that would be retried, and its cause would contain a stack trace.
        state = {"outcome": "wrong_input", "message": str(error)}
    except NotReadyError as error:
        state = {"outcome": "not_ready", "message": str(error)}
    logger.info("step", job=event["job"], action=event["action"], outcome=state.get("outcome"))
    return state


def _load(invocation: Surroundings) -> JobSteps:
    walker = Walker(bucket=BUCKET, table=TABLE, loader=LOADER, meter=METER, invocation=invocation)
    return LoadSteps(walker=walker, **_shared())


def _verify(invocation: Surroundings) -> JobSteps:
    pending, repaired = Pending(BUCKET, _queue_messages), RepairedKeys(BUCKET, time)
    walker = VerifyWalker(
        bucket=BUCKET,
        mapping=MAPPING,
        database=DATABASE,
        table=TABLE,
        readings=READINGS,
        rechecker=Rechecker(READINGS, DATABASE, pending, Deletions(BUCKET), repaired, SETTINGS.apply_options, time),
        meter=METER,
        invocation=invocation,
        now=time,
        settle_seconds=SETTINGS.settle_seconds,
        proven_lag=LAG.proven,
    )
    return VerifySteps(walker=walker, exports=EXPORTS, reported_lag=LAG.reported, **_shared())


def _seed(invocation: Surroundings) -> JobSteps:
    walker = SeedWalker(BUCKET, MAPPING, DATABASE, TABLE, METER, invocation)
    return SeedSteps(walker=walker, **_shared() | {"on_demand_rate": SETTINGS.seed_write_units})


def _prune(invocation: Surroundings) -> JobSteps:
    reach = Reach(BUCKET, Pending(BUCKET, _queue_messages), MAPPING)
    walker = PruneWalker(BUCKET, MAPPING, DATABASE, reach, METER, invocation)
    return PruneSteps(walker=walker, horizon_days=SETTINGS.prune_horizon_days, **_shared())


_JOBS = {LoadSteps.job: _load, VerifySteps.job: _verify, SeedSteps.job: _seed, PruneSteps.job: _prune}


def _shared() -> dict[str, Any]:
    return {
        "bucket": BUCKET,
        "mapping": MAPPING,
        "database": DATABASE,
        "table": TABLE,
        "stream_arn": SETTINGS.stream_arn,
        "consumer_state": _consumer_state,
        "lock": LOCK,
        "meter": METER,
        "concurrency": SETTINGS.concurrency,
        "on_demand_rate": SETTINGS.on_demand_rate,
        "database_wait_seconds": SETTINGS.database_wait_seconds,
    }


def _consumer_state() -> str:
    return str(_consumer()["State"])


def _queue_messages() -> int:
    """About how many, also those that a replay has received and not deleted yet."""
    if SQS is None:
        return 0
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    queue: Any = SQS  # its stubs accept literals only
    found = queue.get_queue_attributes(QueueUrl=SETTINGS.failures_queue_url, AttributeNames=names)["Attributes"]
    return sum(int(found[name]) for name in names)
