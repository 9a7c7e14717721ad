"""Measures from the functions' logs: what an emulator has in place of metrics."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Any

from backstream.status.measures import CAUSES, NOT_APPLIED, TOTALS
from backstream.status.snapshot import Bin, Flow

STEP = timedelta(seconds=15)
BINS = 60
# A line may be stored a while after its time.
_OVERLAP = timedelta(seconds=30)
# https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_FilterLogEvents.html
_MOST = 10_000
# A line that holds this text is JSON: a log message or metrics. Lambda's own lines have it not.
_OWN = '"service"'


@dataclass(frozen=True)
class Line:
    """A log message or a set of metrics; `values` are the metrics' values by name."""

    at: datetime
    message: str
    reason: str
    values: Mapping[str, Sequence[float]]


class LogMeasures:
    """`functions` are the names of those that measure pointers. An answer has `most` lines at most.

    Keeps what it has read: the next call asks for newer lines only.
    """

    def __init__(self, logs: Any, consumer: str, functions: Sequence[str], most: int = _MOST) -> None:
        self._consumer = _Lines(logs, consumer, most)
        self._others = [_Lines(logs, name, most) for name in functions]

    def read(self, now: datetime) -> Flow:
        lines = self._consumer.since(now, now - STEP * BINS)
        others = [line for log in self._others for line in log.since(now, now - STEP * BINS)]
        return flow_of(lines, others, now)


class _Lines:
    def __init__(self, logs: Any, function: str, most: int) -> None:
        self._logs, self._group, self._most = logs, f"/aws/lambda/{function}", most
        self._seen: dict[tuple[str, int, str], Line] = {}
        self._until: datetime | None = None

    def since(self, now: datetime, start: datetime) -> list[Line]:
        """The lines from `start` on, in the order of their times."""
        after = max(start, self._until - _OVERLAP) if self._until else start
        for event in self._events(int(after.timestamp() * 1000)):
            if line := parse_line(event["message"], event["timestamp"]):
                # One emulator gives no identifiers of events.
                self._seen[event["logStreamName"], event["timestamp"], event["message"]] = line
        self._until = now
        self._seen = {event: line for event, line in self._seen.items() if line.at >= start}
        return sorted(self._seen.values(), key=lambda line: line.at)

    def _events(self, start: int) -> Iterator[dict[str, Any]]:
        """One emulator cuts an answer short and gives no token for the rest."""
        asked: dict[str, Any] = {"logGroupName": self._group, "filterPattern": _OWN, "startTime": start}
        while True:
            answer = self._logs.filter_log_events(**asked)
            yield from answer["events"]
            if token := answer.get("nextToken"):
                asked["nextToken"] = token
            elif len(answer["events"]) >= self._most:
                asked["startTime"] = max(answer["events"][-1]["timestamp"], asked["startTime"] + 1)
            else:
                return


def parse_line(text: str, stored: int) -> Line | None:
    """None for what is neither a message nor metrics. `stored` is the line's time in epoch milliseconds."""
    try:
        found = json.loads(text)
    except ValueError:
        return None
    if not isinstance(found, dict):
        return None
    metrics = found.get("_aws")
    if not isinstance(metrics, dict):
        return Line(_time(stored), str(found.get("message", "")), str(found.get("reason", "")), {})
    names = [one["Name"] for group in metrics.get("CloudWatchMetrics", ()) for one in group.get("Metrics", ())]
    values = {name: _numbers(found.get(name)) for name in names}
    return Line(_time(metrics.get("Timestamp", stored)), "", "", values)


def _time(milliseconds: float) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def _numbers(value: Any) -> list[float]:
    return [float(one) for one in (value if isinstance(value, list) else [value]) if isinstance(one, int | float)]


def flow_of(lines: Sequence[Line], others: Sequence[Line], now: datetime) -> Flow:
    """`lines` are the consumer's, in the order of their times; `others` those of the functions that see pointers."""
    totals: Counter[str] = Counter()
    last: dict[str, datetime] = {}
    for line in lines:
        for name, values in line.values.items():
            totals[name] += sum(values)  # type: ignore[assignment]
            if sum(values):
                last[name] = line.at
    applied = last.get("received")
    failures = [line.at for line in lines if any(sum(line.values.get(name, ())) for name in ("held", "stopped"))]
    reasons = [line.reason for line in lines if line.message == NOT_APPLIED]
    return Flow(
        int(STEP.total_seconds()),
        tuple(_bins(lines, now)),
        {name: totals[name] for name in TOTALS if totals[name]},
        applied=applied,
        held=last.get("held"),
        stopped=last.get("stopped"),
        failing_since=next((at for at in failures if applied is None or at > applied), None),
        reason=reasons[-1] if reasons else "",
        causes={name: last[name] for name in CAUSES if name in last},
        pointer_seconds_left=_pointers(others, now),
    )


def _pointers(lines: Sequence[Line], now: datetime) -> float | None:
    """The last value, less the time that has passed since."""
    measured = [
        (line.at, min(values)) for line in lines if (values := line.values.get("pointer_seconds_left", ())) and values
    ]
    if not measured:
        return None
    at, left = max(measured)
    return left - (now - at).total_seconds()


def _bins(lines: Sequence[Line], now: datetime) -> Iterator[Bin]:
    first = now - STEP * BINS
    received, lags = [0.0] * BINS, [list[float]() for _ in range(BINS)]
    for line in lines:
        number = min(int((line.at - first) / STEP), BINS - 1)  # clocks differ: a line may be of a moment later
        received[number] += sum(line.values.get("received", ()))
        lags[number] += line.values.get("lag_seconds", ())
    for number in range(BINS):
        found = sorted(lags[number])
        shares = [_share(found, share) for share in (0.5, 0.99, 1.0)] if found else [None] * 3
        yield Bin(first + STEP * number, received[number], *shares)


def _share(found: Sequence[float], share: float) -> float:
    """The smallest value that this share of all values does not exceed."""
    return found[max(0, ceil(share * len(found)) - 1)]
