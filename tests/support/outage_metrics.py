"""What the functions and AWS emit, minute by minute, in an outage of eight hours with a record age of six."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.alarm_conditions import DataPoint

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PREFIX = "backstream-test"
MAPPING = "01234567-89ab-cdef-0123-456789abcdef"
MINUTE = 60
GIVEN_UP, DATABASE_BACK, REPLAYED = 360, 480, 490  # minutes


def outage(until: int, *, monitor: bool = True) -> list[DataPoint]:
    """The values of the first `until` minutes. Time 0 is when MySQL goes down."""
    return [
        DataPoint(namespace, name, dimensions, minute * MINUTE + 30, value)
        for minute in range(until)
        for namespace, name, dimensions, value in _minute(minute, monitor=monitor)
    ]


def quiet(minutes: int, *, monitor: bool = True) -> list[DataPoint]:
    """The values of some minutes after the replay."""
    return [
        DataPoint(point.namespace, point.name, point.dimensions, point.time - REPLAYED * MINUTE, point.value)
        for point in outage(REPLAYED + minutes, monitor=monitor)
        if point.time >= REPLAYED * MINUTE
    ]


def _minute(minute: int, *, monitor: bool) -> Iterator[tuple[str, str, Mapping[str, str], float]]:
    down = minute < DATABASE_BACK
    consumer, mapping = {"FunctionName": f"{PREFIX}-stream-consumer"}, {"EventSourceMappingUUID": MAPPING}
    yield "AWS/Lambda", "Errors", consumer, int(down)
    yield "AWS/Lambda", "IteratorAge", consumer, min(minute, GIVEN_UP) * MINUTE * 1000 if down else 500
    yield "AWS/Lambda", "PolledEventCount", mapping, 20
    yield "AWS/Lambda", "InvokedEventCount", mapping, 20
    yield "Backstream", "held" if down else "upserted", {"service": f"{PREFIX}-stream-consumer"}, 1
    if monitor:
        for name, value in _gauges(minute).items():
            yield "Backstream", name, {"service": f"{PREFIX}-monitor"}, value


def _gauges(minute: int) -> dict[str, float]:
    """A batch is given up each minute from GIVEN_UP on, until the database is back."""
    waiting = 0 if minute >= REPLAYED else max(0, min(minute, DATABASE_BACK) - GIVEN_UP)
    return {
        "batches_waiting": waiting,
        "oldest_batch_seconds": (minute - GIVEN_UP) * MINUTE if waiting else 0,
        "hours_until_loss": 24,
        "quarantined_waiting": 0,
        "deferred_waiting": 0,
        "oldest_deferred_seconds": 0,
        "mapping_enabled": 1,
        "replay_failed": 0,
    }
