"""Metrics in the embedded metric format. Consumer, replayer and reconciler use the same names and one namespace."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from aws_lambda_powertools.metrics import MetricUnit

from common.config import ConfigError
from common.database import DatabaseError, StopError
from common.telemetry import metrics


class Series(NamedTuple):
    """Values of one metric. One line takes at most 100 of them, and as many metrics.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
    """

    unit: MetricUnit
    values: Sequence[float]


class Meter(Protocol):
    """What the steps emit. A count is emitted after the progress that it counts was saved."""

    def count(self, counts: Mapping[str, int]) -> None: ...

    def gauge(self, name: str, value: float, *, seconds: bool = False) -> None: ...

    def progress(self, name: str, percent: float) -> None: ...


class CloudWatchMeter:
    """Writes a log line in the embedded metric format at once: a killed call loses no count."""

    def count(self, counts: Mapping[str, int]) -> None:
        if nonzero := counted(counts):
            emit(nonzero)

    def gauge(self, name: str, value: float, *, seconds: bool = False) -> None:
        emit({name: Series(MetricUnit.Seconds if seconds else MetricUnit.Count, [value])})

    def progress(self, name: str, percent: float) -> None:
        emit({name: Series(MetricUnit.Percent, [percent])})


def counted(counts: Mapping[str, int]) -> dict[str, Series]:
    """The counts that are not zero."""
    return {name: Series(MetricUnit.Count, [count]) for name, count in counts.items() if count}


def emit(series: Mapping[str, Series]) -> None:
    """Write one line with all metrics.

    Powertools makes the line but does not collect or flush it: `add_metric()` formats all earlier values for each new
    one, which takes 2 ms for 100, and a flush takes a fifth longer than this.
    """
    values = {name: {"Unit": one.unit.value, "Value": one.values} for name, one in series.items()}
    line = metrics.serialize_metric_set(metrics=values)
    print(json.dumps(line))  # noqa: T201 - Lambda reads metrics from standard output


def counts_of(error: Exception) -> dict[str, int]:
    """What counts a call that waits or raises because of `error`: `held` or `stopped`, and the class of the error."""
    verdict = "stopped" if isinstance(error, StopError | ConfigError) else "held"
    name = error.metric if isinstance(error, DatabaseError) else ""
    return {verdict: 1, name: 1} if name else {verdict: 1}
