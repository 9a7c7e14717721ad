"""The stream's consumer. It either stores every record or raises.

It sends no partial batch response: Lambda reads a malformed one as success, and raising keeps the shard in order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit

from common import config
from common.changes import Batch, Record
from common.database import DatabaseError, StopError
from common.mysql.database import MySQLDatabase
from common.mysql.settings import MySQLSettings
from common.parameters import AWS_CONFIG, AwsParameters
from common.pipeline import PipelineSettings
from common.quarantine import ParkError, Quarantine
from common.records import parse_records
from common.telemetry import UNMAPPED_ATTRIBUTES, logger, metrics, traced
from stream_consumer.consume import OutOfTimeError, consume
from stream_consumer.unfinished import Unfinished


@dataclass(frozen=True, kw_only=True)
class ConsumerSettings(PipelineSettings, MySQLSettings):
    """The environment of the consumer."""


@cache
def _s3() -> Any:
    import boto3  # noqa: PLC0415

    return boto3.client("s3", config=AWS_CONFIG)


SETTINGS = config.load(ConsumerSettings)
MAPPING = SETTINGS.load_mapping()
DATABASE = MySQLDatabase(
    SETTINGS,
    AwsParameters(SETTINGS.param_name, SETTINGS.secret_arn),
    MAPPING,
    source=SETTINGS.source,
    statement_bytes=SETTINGS.statement_bytes,
)
QUARANTINE = Quarantine(_s3, SETTINGS.failures_bucket)
UNFINISHED = Unfinished(_s3, SETTINGS.failures_bucket)


def parse(records: Sequence[Record]) -> Batch:
    """The changes of `records`. An attribute that no column takes is logged and counted once in a process."""
    batch = parse_records(records, MAPPING, source=SETTINGS.source)
    if names := batch.unmapped_attributes:
        logger.warning(UNMAPPED_ATTRIBUTES, attributes=names)
        metrics.add_metric("unmapped_attribute", MetricUnit.Count, len(names))
    return batch


@traced
def handler(event: dict[str, Any], context: Any) -> dict[str, int]:
    """Returns counts of what became of the records. The event source mapping ignores them."""
    records = event["Records"]
    # The last third of the time is for the commit and for parking up to a thousand records.
    reserve = context.get_remaining_time_in_millis() / 3
    try:
        counts = consume(
            records,
            parse=parse,
            database=DATABASE,
            quarantine=QUARANTINE,
            unfinished=UNFINISHED,
            options=replace(
                SETTINGS.apply_options, out_of_time=lambda: context.get_remaining_time_in_millis() < reserve
            ),
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
