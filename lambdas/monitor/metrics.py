"""The metrics of the monitor, with their units, and the one line that emits them."""

from __future__ import annotations

from collections.abc import Mapping

from aws_lambda_powertools.metrics import MetricUnit

from common.telemetry import metrics

UNITS = {
    "batches_waiting": MetricUnit.Count,
    "oldest_batch_seconds": MetricUnit.Seconds,
    "pointer_seconds_left": MetricUnit.Seconds,
    "hours_until_loss": MetricUnit.NoUnit,  # CloudWatch has no hours
    "quarantined_waiting": MetricUnit.Count,
    "deferred_waiting": MetricUnit.Count,
    "oldest_deferred_seconds": MetricUnit.Seconds,
    "mapping_enabled": MetricUnit.Count,
    "replay_failed": MetricUnit.Count,
    "unverified_seconds": MetricUnit.Seconds,
}


def emit(values: Mapping[str, float]) -> None:
    """Write one log line in the embedded metric format, if there is any value."""
    for name, value in values.items():
        metrics.add_metric(name, UNITS[name], value)
    if values:
        metrics.flush_metrics()
