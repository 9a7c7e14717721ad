"""Snapshots of a deployment, healthy except for what a test changes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from backstream.status.snapshot import Bin, Counted, EventSource, Flow, Job, Snapshot

NOW = datetime(2026, 3, 14, 20, 45, 15, tzinfo=UTC)
SIX_HOURS = 21_600


def before(**passed: float) -> datetime:
    return NOW - timedelta(**passed)


def bins(*received: float, lag: float | None = None) -> tuple[Bin, ...]:
    """One a minute, the last one now. The newest with changes has the lag."""
    first = NOW - timedelta(minutes=len(received))
    made = [Bin(first + timedelta(minutes=number), count) for number, count in enumerate(received)]
    if lag is not None:
        made[-1] = replace(made[-1], lag_p50=lag / 2, lag_p99=lag, lag_max=2 * lag)
    return tuple(made)


FLOW = Flow(60, bins(0, 60, 120, 30, lag=0.4), {"received": 210.0, "upserted": 200.0}, applied=before(seconds=3))


def flow(**changed: Any) -> Flow:
    return replace(FLOW, **changed)


def failing(seconds: float, **changed: Any) -> Flow:
    """The consumer has failed for so long; the last attempt was two seconds ago."""
    return flow(
        **{
            "applied": before(seconds=seconds + 5),
            "held": before(seconds=2),
            "failing_since": before(seconds=seconds),
            "reason": "applying 3 changes: MySQL error 2003: the database is down",
            **changed,
        }
    )


HEALTHY = Snapshot(
    now=NOW,
    event_source=EventSource("Enabled", "OK", SIX_HOURS),
    flow=FLOW,
    failed=Counted(0),
    queue=None,
    quarantined=Counted(0),
    deferred=Counted(0),
    expired=Counted(0),
    jobs={"replay": Job(), "load": Job(), "verify": Job(), "seed": Job()},
    verified=None,
)


def snapshot(**changed: Any) -> Snapshot:
    """`replay` and `verify` change these jobs."""
    jobs = {name: changed.pop(name) for name in ("replay", "load", "verify", "seed") if name in changed}
    return replace(HEALTHY, jobs={**HEALTHY.jobs, **jobs}, **changed)
