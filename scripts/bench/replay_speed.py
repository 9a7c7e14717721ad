"""A replay by one worker, from failed batches to the report, against `apply()` fed with its changes from memory."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from common.changes import Change
from common.mysql.apply import apply
from scripts.bench.orders import new_keys
from scripts.bench.replay_backlog import bucket_in, in_memory
from scripts.bench.replay_bucket import FolderBucket
from scripts.bench.replay_function import empty, start, stepper
from scripts.bench.replay_machine import Walk
from scripts.bench.rows import Row, at_least, information
from scripts.bench.server import UNSPLIT, Server, Where
from scripts.bench.timing import Way, interleaved

COUNT = 20_000
PER_KEY = 10
REPETITIONS = 9
GOAL = 0.4
SPLIT = 15_000


def rows(server: Server) -> Iterator[Row]:
    where = server.empty_database("replay_speed")
    distinct, few = new_keys(COUNT), new_keys(COUNT // PER_KEY) * PER_KEY
    random.shuffle(few)
    ratio, note = _compare(server, where, distinct, UNSPLIT)
    yield at_least(f"replay against apply() from memory, {COUNT:,} changes, a key each", ratio, GOAL, note=note)
    ratio, _ = _compare(server, where, distinct, SPLIT)
    yield information(f"  the same in statements of {SPLIT:,} bytes", f"{ratio:.2f}")
    ratio, note = _compare(server, where, distinct, UNSPLIT, modify=False)
    yield information("  the same without old images: orders just created", f"{ratio:.2f} ({note})")
    ratio, note = _compare(server, where, few, UNSPLIT)
    yield information(f"  the same with {PER_KEY} changes per key", f"{ratio:.2f} ({note})")


def _compare(
    server: Server, where: Where, keys: list[str], statement_bytes: int, *, modify: bool = True
) -> tuple[float, str]:
    """The ratio of the rates, and the replay's own."""
    with ExitStack() as scratch:
        folder = Path(scratch.enter_context(tempfile.TemporaryDirectory()))
        connection = scratch.enter_context(where.connect())
        backlog = bucket_in(folder / "backlog", keys, modify=modify)
        write = partial(apply, connection, server.target, statement_bytes=statement_bytes)

        def replaying() -> partial[object]:
            empty(where)
            own = Path(scratch.enter_context(tempfile.TemporaryDirectory(dir=folder)))
            return partial(_replay, where, backlog.copy_to(own), statement_bytes)

        def from_memory() -> partial[object]:
            empty(where)
            return partial(_apply, write, in_memory(backlog))

        ways: dict[str, Way] = {"replay": replaying, "apply": from_memory}
        seconds = interleaved(ways, REPETITIONS)
    note = f"{COUNT / seconds['replay']:,.0f} against {COUNT / seconds['apply']:,.0f} changes/s"
    return seconds["apply"] / seconds["replay"], note


def _replay(where: Where, bucket: FolderBucket, statement_bytes: int) -> None:
    walk = Walk(stepper(where, bucket, statement_bytes))
    counts = walk.whole(start(concurrency=1))["counts"]
    if counts["changes"] != COUNT:
        raise RuntimeError(f"the replay did not take all changes: {counts}")


def _apply(write: partial[object], batches: list[list[Change]]) -> None:
    for batch in batches:
        write(batch)
