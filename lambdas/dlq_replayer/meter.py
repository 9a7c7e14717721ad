"""Metrics of a replay, under the names and in the namespace in which the consumer counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from aws_lambda_powertools.metrics import MetricUnit

from common.telemetry import metrics


class Meter(Protocol):
    """What steps tell of themselves. A count is told after what it counts has been noted in the bucket."""

    def count(self, counts: Mapping[str, int]) -> None: ...

    def gauge(self, name: str, value: float, *, seconds: bool = False) -> None: ...


class CloudWatchMeter:
    """A log line of EMF each, written at once: a killed call takes no count with it."""

    def count(self, counts: Mapping[str, int]) -> None:
        told = {name: count for name, count in counts.items() if count}
        for name, count in told.items():
            metrics.add_metric(name, MetricUnit.Count, count)
        if told:
            metrics.flush_metrics()

    def gauge(self, name: str, value: float, *, seconds: bool = False) -> None:
        metrics.add_metric(name, MetricUnit.Seconds if seconds else MetricUnit.Count, value)
        metrics.flush_metrics()
