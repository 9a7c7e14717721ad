"""Two workers, each a process with its lane of the splits, against one that takes all of them."""

from __future__ import annotations

import multiprocessing
import os
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from scripts.bench.orders import new_keys
from scripts.bench.replay_backlog import bucket_in
from scripts.bench.replay_bucket import FolderBucket
from scripts.bench.replay_function import State, Step, empty, start, stepper
from scripts.bench.rows import Row, at_least
from scripts.bench.server import UNSPLIT, Server, Where
from scripts.bench.timing import own_clocks

COUNT = 60_000  # enough that starting and ending do not count
SPLITS = 8  # as many for each of two workers
REPETITIONS = 9
GOAL = 1.5
PATIENCE = 120


def rows(server: Server) -> Iterator[Row]:
    where = server.empty_database("replay_workers")
    with tempfile.TemporaryDirectory() as folder:
        bucket = bucket_in(Path(folder), new_keys(COUNT))
        lane = _planned(stepper(where, bucket, UNSPLIT))
        ways = {str(workers): partial(_drained, where, bucket, lane, workers) for workers in (1, 2)}
        seconds = own_clocks(ways, REPETITIONS)
    note = f"{1000 * seconds['1']:.0f} ms against {1000 * seconds['2']:.0f} ms, {os.cpu_count()} cores"
    ratio = seconds["1"] / seconds["2"]
    yield at_least(f"two workers against one, {COUNT:,} changes drained", ratio, GOAL, " times", note)


def _planned(step: Step) -> State:
    """Any of the lanes: they differ in their numbers only."""
    state = step("start", start(concurrency=SPLITS)) | {"outcome": "more"}
    while state["outcome"] == "more":
        state = step("collect", state)
    lane: State = step("plan", state)["lanes"][0]
    return lane


def _drained(where: Where, bucket: FolderBucket, lane: State, workers: int) -> float:
    """Seconds from the start of the first to the end of the last."""
    empty(where)
    bucket.remove(f"replay/{lane['run']['name']}/done")
    lanes = [lane | {"lane": number, "lanes": workers} for number in range(workers)]
    # As Lambdas are: a fork would copy its parent's memory, page by page, while it is measured.
    spawned = multiprocessing.get_context("spawn")
    gate = spawned.Barrier(workers)
    with ProcessPoolExecutor(workers, spawned, initializer=_set_gate, initargs=(gate,)) as pool:
        times = [task.result() for task in [pool.submit(_worker, where, bucket, lane) for lane in lanes]]
    return max(ended for _, ended in times) - min(started for started, _ in times)


_gate: Any = None


def _set_gate(gate: Any) -> None:
    global _gate  # noqa: PLW0603 - a barrier reaches another process by inheritance only
    _gate = gate


def _worker(where: Where, bucket: FolderBucket, lane: State) -> tuple[float, float]:
    step = stepper(where, bucket, UNSPLIT)
    step("check", {"waiting_since": None})  # connects
    _gate.wait(PATIENCE)
    started = time.perf_counter()
    done = step("drain", lane)
    if done["outcome"] != "done":
        raise RuntimeError(f"the lane is not done: {done}")
    return started, time.perf_counter()
