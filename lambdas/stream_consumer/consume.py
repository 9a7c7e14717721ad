"""Brings a batch to the database: each record is applied, skipped for a counted reason, or parked."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from common.changes import Batch, Change, Kind, Record
from common.database import ApplyOptions, Database, HoldError, Outcome
from common.histories import CLOCK_REASON
from common.quarantine import Quarantine
from stream_consumer.lag import lags
from stream_consumer.unfinished import Known, Unfinished


@dataclass(frozen=True)
class Consumed:
    """What became of a batch, by name.

    `lags` are those of `stream_consumer.lag`, of the changes that the commit brought to MySQL's rows.
    `transaction_seconds` is None where there was nothing to apply. `heartbeat_seconds` is how long ago the oldest
    heartbeat was written when MySQL committed or answered; None without one, and where the batch is delivered again.
    """

    counts: Counter[str]
    lags: Sequence[float] = ()
    transaction_seconds: float | None = None
    heartbeat_seconds: float | None = None


def consume(  # noqa: PLR0913 - what an execution environment and an invocation have
    records: Sequence[Record],
    batch: Batch,
    *,
    database: Database,
    quarantine: Quarantine,
    unfinished: Unfinished,
    options: ApplyOptions,
    now: Callable[[], float] = time.time,
) -> Consumed:
    """Apply `batch`, made of `records`, in one transaction, then park what cannot be applied.

    `parked` counts all parked records, `deferred` and `unknown` those of them that every replay tries again.

    Parking comes after the commit, so no row lock waits for S3. If it fails, the whole batch is delivered again and
    the committed changes count as redelivered. `now` gives the time in epoch seconds.

    Raises HoldError, StopError or ParkError: then nothing may be acknowledged. OutOfTimeError is a HoldError.
    """
    counts = Counter(batch.skipped)
    parked = list(batch.parked)
    known: list[Known] = []

    def parked_before() -> Known:
        known[:] = [unfinished.parked_before(records)]
        return known[0]

    outcome, committed_at = Outcome(), 0.0
    if batch.changes:
        outcome = database.apply(batch.changes, replace(options, parked_before=parked_before))
        committed_at = now()
        counts += outcome.counts
        before = known[0] if known else frozenset()
        parked = [one for one in parked if (one.key, one.version) not in before] + outcome.parked
    elif batch.heartbeat is not None:
        database.ping()  # a heartbeat is delivered only while MySQL answers
        committed_at = now()
    quarantine.park(parked)
    counts["parked"] = len(parked)
    for kind in (Kind.DEFERRED, Kind.UNKNOWN):
        counts[str(kind)] = sum(record.kind == kind for record in parked)
    counts["clock_tripped"] = sum(record.reason == CLOCK_REASON for record in parked)
    consumed = Consumed(
        +counts,
        lags(committed_at, [change.source_time for change in outcome.written]),
        outcome.seconds if batch.changes else None,
        None if batch.heartbeat is None or outcome.left else max(0.0, committed_at - batch.heartbeat),
    )
    if outcome.left:
        unfinished.note(records, known[0] if known else frozenset(), parked)
        raise OutOfTimeError(len(batch.changes), outcome.left, consumed)
    return consumed


class OutOfTimeError(HoldError):
    """Too many rows are refused for the time of one invocation. What was done before is committed and parked.

    `consumed` says what became of it.
    """

    def __init__(self, changes: int, left: list[Change], consumed: Consumed) -> None:
        self.consumed = consumed
        super().__init__(
            f"applying {changes} changes, {len(left)} of them left from key {left[0].key} on",
            "out of time",
            "too many rows are refused for one invocation. The next delivery goes on from there: see the reasons of the"
            " parked records, and raise consumer_timeout_seconds if it takes many",
        )
