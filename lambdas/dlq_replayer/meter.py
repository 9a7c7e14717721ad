"""Metrics of a replay, with the names and the namespace of the consumer's metrics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from aws_lambda_powertools.metrics import MetricUnit

from common.telemetry import metrics


class Meter(Protocol):
    """What the steps emit. A count is emitted after the progress that it counts was saved."""

    def count(self, counts: Mapping[str, int]) -> None: ...

    def gauge(self, name: str, value: float, *, seconds: bool = False) -> None: ...


class CloudWatchMeter:
    """Writes a log line in the embedded metric format at once: a killed call loses no count."""

    def count(self, counts: Mapping[str, int]) -> None:
        nonzero = {name: count for name, count in counts.items() if count}
        for name, count in nonzero.items():
            metrics.add_metric(name, MetricUnit.Count, count)
        if nonzero:
            metrics.flush_metrics()

    def gauge(self, name: str, value: float, *, seconds: bool = False) -> None:
        metrics.add_metric(name, MetricUnit.Seconds if seconds else MetricUnit.Count, value)
        metrics.flush_metrics()
