"""The stream's consumer. It raises or it has stored everything: there is no third way.

No partial batch responses: a wrong word in one reads as success, and a raise keeps the shard's order for free.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cache
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit

from common import config, mapping
from common.mysql.database import Database, SourceSettings
from common.mysql.errors import DatabaseError, StopError
from common.parameters import AWS_CONFIG, AwsParameters
from common.quarantine import ParkError, Quarantine
from common.telemetry import logger, metrics, traced
from stream_consumer.consume import Options, OutOfTimeError, consume
from stream_consumer.unfinished import Unfinished


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(SourceSettings):
    failures_bucket: str = config.env("FAILURES_BUCKET")
    mirror_ttl_deletes: bool = config.env("MIRROR_TTL_DELETES", config.flag, default=False)
    every_change: bool = config.env("APPLY_EVERY_CHANGE", config.flag, default=False)
    statement_bytes: int = config.env("MAX_STATEMENT_BYTES", config.integer(1_000, 16_000_000), default=15_000)


@cache
def _s3() -> Any:
    import boto3  # noqa: PLC0415

    return boto3.client("s3", config=AWS_CONFIG)


SETTINGS = config.load(Settings)
TABLE = mapping.load()
DATABASE = Database(SETTINGS, AwsParameters(SETTINGS.param_name, SETTINGS.secret_arn), TABLE, source=SETTINGS.source)
QUARANTINE = Quarantine(_s3, SETTINGS.failures_bucket)
UNFINISHED = Unfinished(_s3, SETTINGS.failures_bucket)
OPTIONS = Options(
    mirror_ttl_deletes=SETTINGS.mirror_ttl_deletes,
    every_change=SETTINGS.every_change,
    statement_bytes=SETTINGS.statement_bytes,
    source=SETTINGS.source,
)


@traced
def handler(event: dict[str, Any], context: Any) -> dict[str, int]:
    """Answers with counts of what became of the records; the event source mapping ignores them."""
    records = event["Records"]
    # The last third is for what is done then: the commit, and a thousand records to be parked.
    reserve = context.get_remaining_time_in_millis() / 3
    try:
        counts = consume(
            records,
            database=DATABASE,
            quarantine=QUARANTINE,
            unfinished=UNFINISHED,
            table=TABLE,
            options=OPTIONS,
            out_of_time=lambda: context.get_remaining_time_in_millis() < reserve,
        )
    except (DatabaseError, ParkError, config.ConfigError) as error:
        done = error.counts if isinstance(error, OutOfTimeError) else {}
        _report({"stopped" if isinstance(error, StopError | config.ConfigError) else "held": 1} | done)
        logger.error("batch not applied", received=len(records), reason=str(error))
        raise
    _report({"received": len(records)} | counts)
    if counts["parked"] and counts["parked"] == counts["deferred"]:
        logger.warning("batch applied, records deferred", received=len(records), counts=counts)
    elif counts["parked"]:
        logger.warning("batch applied, records parked", received=len(records), counts=counts)
    else:
        logger.info("batch applied", received=len(records), counts=counts)
    return dict(counts)


def _report(counts: dict[str, int] | Counter[str]) -> None:
    for name, count in counts.items():
        metrics.add_metric(name, MetricUnit.Count, count)
    metrics.flush_metrics()
