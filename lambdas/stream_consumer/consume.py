"""Brings a stream event to the database: each record is applied, skipped for a counted reason, or parked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from common.changes import Batch, Change, Kind, Record
from common.database import ApplyOptions, Database, HoldError
from common.histories import CLOCK_REASON
from common.quarantine import Quarantine
from stream_consumer.unfinished import Known, Unfinished


def consume(  # noqa: PLR0913 - what an execution environment and an invocation have
    records: Sequence[Record],
    *,
    parse: Callable[[Sequence[Record]], Batch],
    database: Database,
    quarantine: Quarantine,
    unfinished: Unfinished,
    options: ApplyOptions,
) -> Counter[str]:
    """Apply `records` in one transaction, then park those that cannot be applied. Returns counts by name.

    `parked` counts all parked records, `deferred` and `unknown` those of them that every replay tries again.

    Parking comes after the commit, so no row lock waits for S3. If it fails, the whole batch is delivered again and
    the committed changes count as redelivered.

    Raises HoldError, StopError or ParkError: then nothing may be acknowledged. OutOfTimeError is a HoldError.
    """
    batch = parse(records)
    counts = Counter(batch.skipped)
    parked = list(batch.parked)
    known: list[Known] = []

    def parked_before() -> Known:
        known[:] = [unfinished.parked_before(records)]
        return known[0]

    left: list[Change] = []
    if batch.changes:
        outcome = database.apply(batch.changes, replace(options, parked_before=parked_before))
        counts += outcome.counts
        before = known[0] if known else frozenset()
        parked = [one for one in parked if (one.key, one.version) not in before] + outcome.parked
        left = outcome.left
    quarantine.park(parked)
    counts["parked"] = len(parked)
    for kind in (Kind.DEFERRED, Kind.UNKNOWN):
        counts[str(kind)] = sum(record.kind == kind for record in parked)
    counts["clock_tripped"] = sum(record.reason == CLOCK_REASON for record in parked)
    if left:
        unfinished.note(records, known[0] if known else frozenset(), parked)
        raise OutOfTimeError(len(batch.changes), left, +counts)
    return +counts


class OutOfTimeError(HoldError):
    """Too many rows are refused for the time of one invocation. What was done before is committed and parked.

    `counts` says what became of it.
    """

    def __init__(self, changes: int, left: list[Change], counts: Counter[str]) -> None:
        self.counts = counts
        super().__init__(
            f"applying {changes} changes, {len(left)} of them left from key {left[0].key} on",
            "out of time",
            "too many rows are refused for one invocation. The next delivery goes on from there: see the reasons of the"
            " parked records, and raise consumer_timeout_seconds if it takes many",
        )
