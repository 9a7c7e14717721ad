"""The read units that a load consumes against those that it may consume, on the machine's clock."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from reconciler import handler as function
from scripts.bench.failures_bucket import FolderBucket
from scripts.bench.orders import new_keys
from scripts.bench.reconciler import worker
from scripts.bench.replayer import first_state
from scripts.bench.results import Row
from scripts.bench.server import Bench
from scripts.bench.stored_table import StoredTable

UNITS_PER_SECOND = 60
SECONDS, LONG_SECONDS = 15, 60
# A minute takes some 3,600 units, of 25 items each.
ITEMS = 100_000
GOAL = (0.9, 1.0)


def rows(bench: Bench) -> Iterator[Row]:
    yield _row(bench, SECONDS)


def rows_of_a_minute(bench: Bench) -> Iterator[Row]:
    yield _row(bench, LONG_SECONDS)


def _row(bench: Bench, seconds: int) -> Row:
    """Of one call of one lane, which time ends."""
    endpoint = bench.server.empty_database("table_rate")
    with tempfile.TemporaryDirectory() as folder:
        table = StoredTable(Path(folder) / "table").fill(new_keys(ITEMS))
        own = worker("load", table, FolderBucket(Path(folder)), endpoint)
        state = own("check", own("start", first_state(concurrency=1, read_units_per_second=UNITS_PER_SECOND)))
        limited = replace(own, timeout=seconds + function._MARGIN_MS / 1000)  # noqa: SLF001 - no public name has it
        before, started = table.units, time.monotonic()
        outcome = limited("walk", state["lanes"][0])["outcome"]
        taken = time.monotonic() - started
    if outcome != "more":
        raise RuntimeError(f"the rate did not limit the load: {outcome}")
    ratio = (table.units - before) / (UNITS_PER_SECOND * taken)
    figure = f"{ratio:.2f} ({table.units - before:,.0f} units in {taken:.1f} s)"
    low, high = GOAL
    what = f"read units consumed, of those allowed, over {seconds} s"
    return Row(what, figure, f"{low:g} to {high:g}", low <= ratio <= high)
