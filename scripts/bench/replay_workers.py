"""Two workers, each a process with its lane of the splits, against one worker that takes all splits."""

from __future__ import annotations

import multiprocessing
import os
import posixpath
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from common.layout import ReplayKeys
from scripts.bench.failures_bucket import FolderBucket, bucket_in
from scripts.bench.orders import new_keys
from scripts.bench.replayer import State, Step, count_versions, first_state, stepper, truncate
from scripts.bench.results import Row, at_least
from scripts.bench.server import UNSPLIT, Bench, Endpoint
from scripts.bench.timing import self_timed

COUNT = 60_000  # enough that the start and the end of a worker do not count
SPLITS = 8  # as many for each of two workers
REPETITIONS = 9
GOAL = 1.5
BARRIER_SECONDS = 120


def rows(bench: Bench) -> Iterator[Row]:
    endpoint = bench.server.empty_database("replay_workers")
    with tempfile.TemporaryDirectory() as folder:
        bucket = bucket_in(Path(folder), new_keys(COUNT))
        lane = _planned(stepper(endpoint, bucket, UNSPLIT))
        variants = {str(workers): partial(_drained, endpoint, bucket, lane, workers) for workers in (1, 2)}
        seconds = self_timed(variants, REPETITIONS)
    note = f"{1000 * seconds['1']:.0f} ms against {1000 * seconds['2']:.0f} ms, {os.cpu_count()} cores"
    ratio = seconds["1"] / seconds["2"]
    yield at_least(f"two workers against one, {COUNT:,} changes drained", ratio, GOAL, " times", note)


def _planned(step: Step) -> State:
    """The first lane. The others differ from it in their numbers only."""
    state = step("start", first_state(concurrency=SPLITS)) | {"outcome": "more"}
    while state["outcome"] == "more":
        state = step("collect", state)
    lane: State = step("plan", state)["lanes"][0]
    return lane


def _drained(endpoint: Endpoint, bucket: FolderBucket, lane: State, workers: int) -> float:
    """Seconds from the start of the first worker to the end of the last."""
    truncate(endpoint)
    keys = ReplayKeys(lane["run"]["name"])
    for folder in (keys.results, posixpath.dirname(keys.progress(0))):
        bucket.remove(folder)
    lanes = [lane | {"lane": number, "lanes": workers} for number in range(workers)]
    # Spawned, as Lambdas are: a fork copies its parent's memory, page by page, while it is measured.
    spawned = multiprocessing.get_context("spawn")
    barrier = spawned.Barrier(workers)
    with ProcessPoolExecutor(workers, spawned, initializer=_set_barrier, initargs=(barrier,)) as pool:
        times = [task.result() for task in [pool.submit(_worker, endpoint, bucket, lane) for lane in lanes]]
    if count_versions(endpoint) != COUNT:
        raise RuntimeError("the workers did not take all changes")
    return max(ended for _, ended in times) - min(started for started, _ in times)


_barrier: Any = None


def _set_barrier(barrier: Any) -> None:
    global _barrier  # noqa: PLW0603 - a barrier reaches another process by inheritance only
    _barrier = barrier


def _worker(endpoint: Endpoint, bucket: FolderBucket, lane: State) -> tuple[float, float]:
    """When it started and when it ended. The clock is the same for all processes."""
    step = stepper(endpoint, bucket, UNSPLIT)
    step("check", {"waiting_since": None})  # connects
    _barrier.wait(BARRIER_SECONDS)
    started = time.perf_counter()
    done = step("drain", lane)
    if done["outcome"] != "done":
        raise RuntimeError(f"the lane is not done: {done}")
    return started, time.perf_counter()
