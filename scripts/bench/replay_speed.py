"""A replay by one worker, from failed batches to the report, against `apply()` on the same changes from memory."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from common.changes import Change
from common.mysql.apply import apply
from scripts.bench.failures_bucket import FolderBucket, bucket_in, in_memory
from scripts.bench.orders import new_keys
from scripts.bench.replayer import LocalExecution, first_state, stepper, truncate
from scripts.bench.results import Row, at_least, information
from scripts.bench.server import SPLIT, UNSPLIT, Bench, Endpoint, Server
from scripts.bench.timing import interleaved

COUNT = 20_000
CHANGES_PER_KEY = 10
REPETITIONS = 9
GOAL = 0.4


def rows(bench: Bench) -> Iterator[Row]:
    compare = partial(_compare, bench.server, bench.server.empty_database("replay_speed"))
    distinct, few = new_keys(COUNT), new_keys(COUNT // CHANGES_PER_KEY) * CHANGES_PER_KEY
    random.shuffle(few)
    ratio, note = compare(distinct, UNSPLIT)
    yield at_least(f"replay against apply() from memory, {COUNT:,} changes, a key each", ratio, GOAL, note=note)
    ratio, _ = compare(distinct, SPLIT)
    yield information(f"  the same in statements of {SPLIT:,} bytes", f"{ratio:.2f}")
    ratio, note = compare(distinct, UNSPLIT, modify=False)
    yield information("  the same without old images: orders just created", f"{ratio:.2f} ({note})")
    ratio, note = compare(few, UNSPLIT)
    yield information(f"  the same with {CHANGES_PER_KEY} changes per key", f"{ratio:.2f} ({note})")


def _compare(
    server: Server, endpoint: Endpoint, keys: list[str], statement_bytes: int, *, modify: bool = True
) -> tuple[float, str]:
    """The ratio of the rates, and the rates in words."""
    with ExitStack() as scratch:
        folder = Path(scratch.enter_context(tempfile.TemporaryDirectory()))
        connection = scratch.enter_context(endpoint.connect())
        backlog = bucket_in(folder / "backlog", keys, modify=modify)
        write = partial(apply, connection, server.targets, statement_bytes=statement_bytes)

        def replaying() -> Callable[[], object]:
            truncate(endpoint)
            own = Path(scratch.enter_context(tempfile.TemporaryDirectory(dir=folder)))
            return partial(_replay, endpoint, backlog.copy_to(own), statement_bytes)

        def from_memory() -> Callable[[], object]:
            truncate(endpoint)
            return partial(_apply, write, in_memory(backlog))

        seconds = interleaved({"replay": replaying, "apply": from_memory}, REPETITIONS)
    note = f"{COUNT / seconds['replay']:,.0f} against {COUNT / seconds['apply']:,.0f} changes/s"
    return seconds["apply"] / seconds["replay"], note


def _replay(endpoint: Endpoint, bucket: FolderBucket, statement_bytes: int) -> None:
    execution = LocalExecution(stepper(endpoint, bucket, statement_bytes))
    counts = execution.output(first_state(concurrency=1))["counts"]
    if counts["changes"] != COUNT:
        raise RuntimeError(f"the replay did not take all changes: {counts}")


def _apply(write: Callable[[list[Change]], object], batches: list[list[Change]]) -> None:
    for batch in batches:
        write(batch)
