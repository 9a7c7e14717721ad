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
from common.database import DatabaseError
from common.meter import Series, counted, counts_of, emit
from common.mysql.database import MySQLDatabase
from common.mysql.settings import MySQLSettings
from common.parameters import AWS_CONFIG, AwsParameters
from common.pipeline import PipelineSettings
from common.quarantine import ParkError, Quarantine
from common.records import parse_records
from common.telemetry import UNMAPPED_ATTRIBUTES, annotate, logger, span, traced
from stream_consumer.consume import Consumed, OutOfTimeError, consume
from stream_consumer.ids import ids_of, keys_of
from stream_consumer.unfinished import Unfinished

# Keys that a log line has. A batch may have 10,000.
_LOGGED_KEYS = 40


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
    span=span,
)
QUARANTINE = Quarantine(_s3, SETTINGS.failures_bucket)
UNFINISHED = Unfinished(_s3, SETTINGS.failures_bucket)


@traced
def handler(event: dict[str, Any], context: Any) -> dict[str, int]:
    """Returns counts of what became of the records. The event source mapping ignores them."""
    records = event["Records"]
    # The last third of the time is for the commit and for parking up to a thousand records.
    reserve = context.get_remaining_time_in_millis() / 3
    with span("decode"):
        batch = parse(records)
    keys = keys_of(batch)
    annotate(lambda: ids_of(keys, MAPPING))
    read = Counter(received=len(records), unmapped_attribute=len(batch.unmapped_attributes))
    try:
        consumed = consume(
            records,
            batch,
            database=DATABASE,
            quarantine=QUARANTINE,
            unfinished=UNFINISHED,
            options=replace(
                SETTINGS.apply_options, out_of_time=lambda: context.get_remaining_time_in_millis() < reserve
            ),
        )
    except (DatabaseError, ParkError, config.ConfigError) as error:
        del read["received"]  # the batch is delivered again
        done = error.consumed if isinstance(error, OutOfTimeError) else Consumed(Counter())
        _report(read + Counter(counts_of(error)), done)
        logger.error("batch not applied", received=len(records), reason=str(error), keys=keys[:_LOGGED_KEYS])
        raise
    _report(read, consumed)
    counts = consumed.counts
    told: dict[str, Any] = {"received": len(records), "counts": counts, "keys": keys[:_LOGGED_KEYS]}
    if counts["parked"] and counts["parked"] == counts["deferred"]:
        logger.warning("batch applied, records deferred", **told)
    elif counts["parked"]:
        logger.warning("batch applied, records parked", **told)
    else:
        logger.info("batch applied", **told)
    return dict(counts)


def parse(records: Sequence[Record]) -> Batch:
    """The changes of `records`. The names of attributes that no column takes are logged once in a process."""
    batch = parse_records(records, MAPPING, source=SETTINGS.source)
    if names := batch.unmapped_attributes:
        logger.warning(UNMAPPED_ATTRIBUTES, attributes=names)
    return batch


def _report(counts: Counter[str], consumed: Consumed) -> None:
    series = counted(counts + consumed.counts)
    if consumed.lags:
        series["lag_seconds"] = Series(MetricUnit.Seconds, consumed.lags)
    if consumed.transaction_seconds is not None:
        milliseconds = round(1_000 * consumed.transaction_seconds, 3)
        series["transaction_ms"] = Series(MetricUnit.Milliseconds, [milliseconds])
    if consumed.heartbeat_seconds is not None:
        series["heartbeat_seconds"] = Series(MetricUnit.Seconds, [round(consumed.heartbeat_seconds, 3)])
    if series:
        emit(series)
