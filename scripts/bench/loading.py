"""A load by one worker, from the JSON text of the pages to the report, against `apply()` on the same changes."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from common.changes import Change
from common.mysql.apply import apply
from common.records import parse_items
from scripts.bench.failures_bucket import FolderBucket
from scripts.bench.orders import new_keys
from scripts.bench.reconciler import Worker, worker
from scripts.bench.replayer import truncate
from scripts.bench.results import Row, at_least
from scripts.bench.server import MAPPING, UNSPLIT, Bench
from scripts.bench.stored_table import StoredTable, item_of
from scripts.bench.timing import interleaved

COUNT, PAGE = 20_000, 1_000
REPETITIONS = 15
GOAL = 0.5


def rows(bench: Bench) -> Iterator[Row]:
    endpoint = bench.server.empty_database("loading")
    keys = new_keys(COUNT)
    with ExitStack() as scratch:
        folder = Path(scratch.enter_context(tempfile.TemporaryDirectory()))
        table = StoredTable(folder / "table").fill(keys)
        connection = scratch.enter_context(endpoint.connect())
        write = partial(apply, connection, bench.server.targets, statement_bytes=UNSPLIT)

        def loading() -> Callable[[], object]:
            truncate(endpoint)
            bucket = FolderBucket(Path(scratch.enter_context(tempfile.TemporaryDirectory(dir=folder))))
            own = worker("load", table, bucket, endpoint)
            own.database.ping()
            return partial(_load, own)

        def from_memory() -> Callable[[], object]:
            truncate(endpoint)
            pages = [list(map(item_of, keys[at : at + PAGE])) for at in range(0, COUNT, PAGE)]
            return partial(_apply, write, [parse_items(items, MAPPING).changes for items in pages])

        seconds = interleaved({"load": loading, "apply": from_memory}, REPETITIONS)
    note = f"{COUNT / seconds['load']:,.0f} against {COUNT / seconds['apply']:,.0f} items/s"
    ratio = seconds["apply"] / seconds["load"]
    yield at_least(f"load against apply() from memory, {COUNT:,} items", ratio, GOAL, note=note)


def _load(own: Worker) -> None:
    counts = own.output(concurrency=1)["counts"]
    if counts["loaded"] != COUNT:
        raise RuntimeError(f"the load did not take all items: {counts}")


def _apply(write: Callable[[list[Change]], object], pages: list[list[Change]]) -> None:
    for page in pages:
        write(page)
