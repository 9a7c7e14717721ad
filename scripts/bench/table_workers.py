"""Two workers of a load and of a verification, each a process with its lane of the segments, against one worker."""

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

from scripts.bench.failures_bucket import FolderBucket
from scripts.bench.orders import new_keys
from scripts.bench.reconciler import UNLIMITED, worker
from scripts.bench.replayer import State, count_versions, first_state, truncate
from scripts.bench.results import Row, at_least
from scripts.bench.server import Bench, Endpoint
from scripts.bench.stored_table import StoredTable
from scripts.bench.timing import self_timed

COUNT = 60_000  # enough that the start and the end of a worker do not count
REPETITIONS = 9
GOAL = 1.6
BARRIER_SECONDS = 120
# The stage that is measured, and what it counts.
JOBS = {"load": "loaded", "verify": "rows"}


def rows(bench: Bench) -> Iterator[Row]:
    endpoint = bench.server.empty_database("table_workers")
    with tempfile.TemporaryDirectory() as folder:
        table = StoredTable(Path(folder) / "table").fill(new_keys(COUNT))
        for job in JOBS:
            variants = {str(number): partial(_walked, job, endpoint, table, number) for number in (1, 2)}
            seconds = self_timed(variants, REPETITIONS)
            note = f"{1000 * seconds['1']:.0f} ms against {1000 * seconds['2']:.0f} ms, {os.cpu_count()} cores"
            what = {"load": "loaded", "verify": "scanned by a verification"}[job]
            ratio = seconds["1"] / seconds["2"]
            yield at_least(f"two workers against one, {COUNT:,} items {what}", ratio, GOAL, " times", note)


def _walked(job: str, endpoint: Endpoint, table: StoredTable, workers: int) -> float:
    """Seconds from the start of the first worker to the end of the last, for the first scan of the table."""
    if job == "load":
        truncate(endpoint)  # a verification finds what the last load wrote
    with tempfile.TemporaryDirectory() as folder:
        bucket = FolderBucket(Path(folder))
        own = worker(job, table, bucket, endpoint)
        state = own("check", own("start", first_state(concurrency=workers, read_units_per_second=UNLIMITED)))
        # Spawned, as Lambdas are: a fork copies its parent's memory, page by page, while it is measured.
        spawned = multiprocessing.get_context("spawn")
        barrier = spawned.Barrier(workers)
        with ProcessPoolExecutor(workers, spawned, initializer=_set_barrier, initargs=(barrier,)) as pool:
            given = [(job, table.file, bucket, endpoint, lane) for lane in state["lanes"]]
            times = [task.result() for task in [pool.submit(_worker, *one) for one in given]]
        report = own("report", own("next", state))
    if report["counts"][JOBS[job]] != COUNT or count_versions(endpoint) != COUNT:
        raise RuntimeError(f"the workers did not take all items: {report['counts']}")
    return max(ended for _, ended in times) - min(started for started, _ in times)


_barrier: Any = None


def _set_barrier(barrier: Any) -> None:
    global _barrier  # noqa: PLW0603 - a barrier reaches another process by inheritance only
    _barrier = barrier


def _worker(job: str, file: Path, bucket: FolderBucket, endpoint: Endpoint, lane: State) -> tuple[float, float]:
    """When it started and when it ended. The clock is the same for all processes."""
    own = worker(job, StoredTable(file), bucket, endpoint)
    own.database.ping()  # connects
    _barrier.wait(BARRIER_SECONDS)
    started = time.perf_counter()
    done = own("walk", lane)
    if done["outcome"] != "done":
        raise RuntimeError(f"the lane is not done: {done}")
    return started, time.perf_counter()
