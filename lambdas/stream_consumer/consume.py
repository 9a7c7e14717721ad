"""A stream event to MySQL: applied, skipped for a counted reason, or parked. Never anything else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from common.changes import Change, Kind, Record, read
from common.mapping import Table
from common.mysql.apply import CLOCK_REASON, apply
from common.mysql.database import Database
from common.mysql.errors import HoldError
from common.quarantine import Quarantine
from common.source import Source
from stream_consumer.unfinished import Known, Unfinished


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    mirror_ttl_deletes: bool = False
    every_change: bool = False
    statement_bytes: int = 15_000
    source: Source | None = None


def consume(  # noqa: PLR0913 - what an execution environment and an invocation have
    records: Sequence[Record],
    *,
    database: Database,
    quarantine: Quarantine,
    unfinished: Unfinished,
    table: Table,
    options: Options,
    out_of_time: Callable[[], bool] = lambda: False,
) -> Counter[str]:
    """Apply `records` in one transaction, then park what could not be applied; counts of what became of each.

    `parked` counts all of these, `deferred` and `unknown` those that every replay tries again.

    Parking comes after the commit, so no row lock waits for S3; if it fails, the whole batch is delivered again
    and what was committed is recognised as redelivered.

    Raises HoldError, StopError or ParkError: then nothing may be acknowledged. OutOfTimeError is a HoldError.
    """
    batch = read(records, table, mirror_ttl_deletes=options.mirror_ttl_deletes, source=options.source)
    counts = Counter(batch.skipped)
    parked = list(batch.parked)
    known: list[Known] = []

    def parked_before() -> Known:
        known[:] = [unfinished.parked_before(records)]
        return known[0]

    left: list[Change] = []
    if batch.changes:
        outcome = database.run(
            f"applying {len(batch.changes)} changes to {table.name}, the first of key {batch.changes[0].key}",
            lambda connection, target: apply(
                connection,
                target,
                batch.changes,
                statement_bytes=options.statement_bytes,
                every_change=options.every_change,
                out_of_time=out_of_time,
                parked_before=parked_before,
            ),
        )
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
    """So many rows are refused that the invocation's time ran out; what was done before is committed and parked.

    `counts` says what became of that.
    """

    def __init__(self, changes: int, left: list[Change], counts: Counter[str]) -> None:
        self.counts = counts
        hint = (
            "too many rows are refused for one invocation; the next delivery goes on from there: see the parked"
            " records' reasons, and raise consumer_timeout_seconds if it takes many"
        )
        super().__init__(f"applying {changes} changes, {len(left)} of them left from key {left[0].key} on", self, hint)
