"""Measures from CloudWatch's metrics. The reason of a failure is in the consumer's log."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, NamedTuple

from backstream.status.measures import CAUSES, NOT_APPLIED, TOTALS
from backstream.status.snapshot import Bin, Flow

STEP = timedelta(minutes=1)
BINS = 60
# CloudWatch takes money for each metric that is read, and has a new value once a minute.
_KEPT = timedelta(seconds=60)
# A loss is told until a verification has covered it. Five minutes are kept for 63 days, and an hour for 455:
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html
_LOSSES = timedelta(days=15)
_LOSS_HOUR, _LOSS_STEP = timedelta(hours=1), timedelta(minutes=5)
_PAGES = 10  # of the log, which may be empty ones
_NO_ANSWER = ("InternalError", "Forbidden")

Series = dict[datetime, float]


class Metric(NamedTuple):
    namespace: str
    name: str
    dimension: str
    value: str
    statistic: str


class CloudWatchMeasures:
    """`mapping` is the UUID of the event source mapping, `functions` are the names of those that measure pointers.

    Keeps what it has read for a minute.
    """

    def __init__(self, cloudwatch: Any, logs: Any, consumer: str, mapping: str, functions: Sequence[str]) -> None:
        self._cloudwatch, self._logs = cloudwatch, logs
        self._consumer, self._mapping, self._functions = consumer, mapping, functions
        self._kept: tuple[datetime, Flow] | None = None

    def read(self, now: datetime) -> Flow:
        if self._kept is None or now - self._kept[0] >= _KEPT:
            self._kept = (now, self._read(now))
        return self._kept[1]

    def _read(self, now: datetime) -> Flow:
        until = now.replace(second=0, microsecond=0) + STEP
        queries = self._queries()
        series = self._series(queries, until - STEP * BINS, until, STEP)
        undelivered, dropped, lost_at = self._lost(now)
        failed = sorted([*series["held"], *series["stopped"]])
        applied = _last(series["received"])
        reason = self._reason(failed[-1]) if failed else ""
        return Flow(
            int(STEP.total_seconds()),
            tuple(_bins(series, until)),
            {name: total for name in TOTALS if (total := sum(series[name].values()))},
            applied=applied,
            held=_last(series["held"]),
            stopped=_last(series["stopped"]),
            errors=_last(series["errors"]),
            throttled=_last(series["throttles"]),
            failing_since=next((at for at in failed if applied is None or at >= applied), None),
            reason=reason,
            causes={name: at for name in CAUSES if (at := _last(series[name]))},
            iterator_age_seconds=_newest(series["iterator_age"], until, scale=0.001),
            pointer_seconds_left=_left(series, "pointers", self._functions, now),
            loss_seconds_left=_left(series, "hours", self._functions, now, scale=3_600),
            undelivered=undelivered,
            dropped=dropped,
            lost_at=lost_at,
        )

    def _queries(self) -> dict[str, Metric]:
        own = ("service", self._consumer)
        lag = {
            name: Metric("Backstream", "lag_seconds", *own, statistic)
            for name, statistic in (("lag_p50", "p50"), ("lag_p99", "p99"), ("lag_max", "Maximum"))
        }
        return {
            **{name: Metric("Backstream", name, *own, "Sum") for name in (*TOTALS, *CAUSES)},
            **lag,
            "errors": Metric("AWS/Lambda", "Errors", "FunctionName", self._consumer, "Sum"),
            "throttles": Metric("AWS/Lambda", "Throttles", "FunctionName", self._consumer, "Sum"),
            "iterator_age": Metric("AWS/Lambda", "IteratorAge", "FunctionName", self._consumer, "Maximum"),
            **{
                f"{measured} {name}": Metric("Backstream", metric, "service", name, "Minimum")
                for measured, metric in (("pointers", "pointer_seconds_left"), ("hours", "hours_until_loss"))
                for name in self._functions
            },
        }

    def _lost(self, now: datetime) -> tuple[int, int, datetime | None]:
        """The failed batches that Lambda could not store, the changes that it dropped, and when the last one was lost.

        15 days are read by the hour. Where there is a loss, its hour is read again, for the time.
        """
        queries = {
            "undelivered": Metric("AWS/Lambda", "DestinationDeliveryFailures", "FunctionName", self._consumer, "Sum"),
            "dropped": Metric("AWS/Lambda", "DroppedEventCount", "EventSourceMappingUUID", self._mapping, "Sum"),
        }
        until = now.replace(minute=0, second=0, microsecond=0) + _LOSS_HOUR
        counts = self._series(queries, until - _LOSSES, until, _LOSS_HOUR)
        undelivered, dropped = (int(sum(counts[name].values())) for name in queries)
        hour = max((at for series in counts.values() for at in series), default=None)
        if hour is None:
            return undelivered, dropped, None
        closer = self._series(queries, hour, hour + _LOSS_HOUR, _LOSS_STEP)
        last = max((at for series in closer.values() for at in series), default=hour + _LOSS_HOUR - _LOSS_STEP)
        return undelivered, dropped, last + _LOSS_STEP

    def _series(
        self, queries: Mapping[str, Metric], start: datetime, until: datetime, step: timedelta
    ) -> dict[str, Series]:
        """The values by name and time. A sum of 0 is left out: a time is one at which something was counted.

        Raises ValueError where CloudWatch refuses a metric, for which it answers without values:
        https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_MetricDataResult.html
        """
        names = list(queries)
        asked = [_query(f"m{number}", queries[name], step) for number, name in enumerate(names)]
        found: dict[str, Series] = {name: {} for name in names}
        pages = self._cloudwatch.get_paginator("get_metric_data").paginate(
            MetricDataQueries=asked, StartTime=start, EndTime=until
        )
        for page in pages:
            for result in page["MetricDataResults"]:
                name = names[int(result["Id"].removeprefix("m"))]
                if result.get("StatusCode") in _NO_ANSWER:
                    raise ValueError(f"CloudWatch does not answer for {queries[name].name}: {result['StatusCode']}")
                values = zip(result["Timestamps"], result["Values"], strict=True)
                counts = queries[name].statistic == "Sum"
                found[name].update({at.astimezone(UTC): value for at, value in values if value or not counts})
        return found

    def _reason(self, since: datetime) -> str:
        """Of a batch that was not applied; empty where the log has none."""
        pages = self._logs.get_paginator("filter_log_events").paginate(
            logGroupName=f"/aws/lambda/{self._consumer}",
            filterPattern=f'"{NOT_APPLIED}"',
            startTime=int(since.timestamp() * 1000),
        )
        reasons = [reason for page in islice(pages, _PAGES) for reason in _reasons(page["events"])]
        return reasons[-1] if reasons else ""


def _query(identity: str, metric: Metric, step: timedelta) -> dict[str, Any]:
    return {
        "Id": identity,
        "MetricStat": {
            "Metric": {
                "Namespace": metric.namespace,
                "MetricName": metric.name,
                "Dimensions": [{"Name": metric.dimension, "Value": metric.value}],
            },
            "Period": int(step.total_seconds()),
            "Stat": metric.statistic,
        },
    }


def _reasons(events: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for event in events:
        try:
            yield str(json.loads(event["message"])["reason"])
        except (ValueError, LookupError, TypeError):
            continue


def _last(series: Series) -> datetime | None:
    return max(series, default=None)


def _newest(series: Series, until: datetime, scale: float) -> float | None:
    """The newest value, unless it is older than five minutes: without traffic there is none."""
    at = max(series, default=None)
    return series[at] * scale if at and until - at <= timedelta(minutes=5) else None


def _left(
    series: Mapping[str, Series], measured: str, functions: Sequence[str], now: datetime, scale: float = 1
) -> float | None:
    """The least seconds of the last minute with a value, less the time that has passed since."""
    found = [series[f"{measured} {name}"] for name in functions]
    at = max((at for values in found for at in values), default=None)
    if at is None:
        return None
    left = min(values[at] for values in found if at in values)
    return left * scale - (now - at).total_seconds()


def _bins(series: Mapping[str, Series], until: datetime) -> Iterator[Bin]:
    for number in range(BINS):
        start = until - STEP * (BINS - number)
        lag = (series[name].get(start) for name in ("lag_p50", "lag_p99", "lag_max"))
        yield Bin(start, series["received"].get(start, 0.0), *lag)
