"""A stream event to MySQL: applied, skipped for a counted reason, or parked. Never anything else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from common.changes import Record, read
from common.mapping import Table
from common.mysql import Database
from common.quarantine import Quarantine
from common.sink import CLOCK_REASON, apply
from common.source import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    mirror_ttl_deletes: bool = False
    every_change: bool = False
    statement_bytes: int = 15_000
    source: Source | None = None


def consume(
    records: Iterable[Record], *, database: Database, quarantine: Quarantine, table: Table, options: Options
) -> Counter[str]:
    """Apply `records` in one transaction, then park what can never be applied; counts of what became of each.

    Parking comes after the commit, so no row lock waits for S3; if it fails, the whole batch is delivered again
    and what was committed is recognised as redelivered.

    Raises HoldError, StopError or ParkError: then nothing may be acknowledged.
    """
    batch = read(records, table, mirror_ttl_deletes=options.mirror_ttl_deletes, source=options.source)
    counts = Counter(batch.skipped)
    parked = list(batch.parked)
    if batch.changes:
        outcome = database.run(
            f"applying {len(batch.changes)} changes to {table.name}, the first of key {batch.changes[0].key}",
            lambda connection, target: apply(
                connection,
                target,
                batch.changes,
                statement_bytes=options.statement_bytes,
                every_change=options.every_change,
            ),
        )
        counts += outcome.counts
        parked += outcome.parked
    quarantine.park(parked)
    counts["parked"] = len(parked)
    counts["clock_tripped"] = sum(record.reason == CLOCK_REASON for record in parked)
    return +counts
