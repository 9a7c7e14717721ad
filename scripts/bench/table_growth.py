"""Loads and verifications of ever larger tables: time per key, peak memory of each step, state transitions.

For time, each execution is a process that takes every step. For memory, each step is a process of its own: as many keys
as a partition may hold, rows that differ or have no item, a report with many findings.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from common.bucket import Bucket
from common.layout import RunKeys
from reconciler.progress import LaneFile, read_lanes
from reconciler.verify.lane import JOB, MATCH, RECHECK
from reconciler.verify.spill import Spill, digests, row_line
from reconciler.verify.states import strange_key
from scripts.bench.failures_bucket import FolderBucket
from scripts.bench.orders import new_keys
from scripts.bench.own_process import MEGABYTE, call
from scripts.bench.reconciler import RUN, UNLIMITED, definition
from scripts.bench.replayer import LocalExecution, State, first_state, truncate
from scripts.bench.results import Row, at_most, information
from scripts.bench.server import ORDER, Bench, Endpoint
from scripts.bench.stored_table import GONE, StoredTable
from scripts.bench.timing import self_timed

JOBS = ("load", "verify")
NAMES = {"load": "load", "verify": "verification"}
SMALL, MIDDLE, LARGE = 20_000, 100_000, 1_000_000
REPETITIONS = 9
GROWTH_GOAL, MEMORY_GOAL = 1.1, 256
KEYS_OF_PARTITION, FINDINGS = 500_000, 100_000
# One row in so many is changed, and one in so many has no item.
CHANGED, STRANGE = 10, 20
AT_ONCE = 5_000
GIVEN = {"concurrency": 1, "read_units_per_second": UNLIMITED}


@dataclass
class Processes:
    """Runs steps and executions in processes of their own. `folder` has the tables.

    `transitions` are by job and size, `peaks` (bytes) by step.
    """

    endpoint: Endpoint
    folder: Path
    transitions: dict[tuple[str, int], int] = field(default_factory=dict)
    peaks: dict[str, int] = field(default_factory=dict)

    def table(self, count: int) -> StoredTable:
        table = StoredTable(self.folder / f"table-{count}")
        return table if len(table) else table.fill(key for _ in range(count // 1000) for key in new_keys(1000))

    def seconds(self, job: str, count: int) -> float:
        """Of a load into empty tables, or of a verification of what it wrote."""
        if job == "load":
            truncate(self.endpoint)
        with tempfile.TemporaryDirectory(dir=self.folder) as bucket:
            answer = self._call(job, self.table(count), bucket, RUN, first_state(**GIVEN))
        counts = answer["state"]["counts"]
        if counts[{"load": "loaded", "verify": "rows"}[job]] != count or counts.get("drift"):
            raise RuntimeError(f"the {job} did not take all items: {counts}")
        self.transitions[job, count] = answer["transitions"]
        return float(answer["seconds"])

    def output(self, job: str, table: StoredTable) -> State:
        """The report of an execution of which each step is a process."""
        with tempfile.TemporaryDirectory(dir=self.folder) as bucket:
            step = partial(self.step, job, table, Path(bucket))
            return LocalExecution(step, definition(job), may_wait=True).output(first_state(**GIVEN))

    def step(self, job: str, table: StoredTable, bucket: Path, action: str, state: State) -> State:
        answer = self._call(job, table, bucket, action, state)
        name = f"{job}, {action}" + (f" in stage {state['stage']}" if action == "walk" else "")
        self.peaks[name] = max(answer["peak"], self.peaks.get(name, 0))
        done: State = answer["state"]
        return done

    def _call(self, job: str, table: StoredTable, bucket: Path | str, action: str, state: State) -> dict[str, Any]:
        return call("scripts.bench.reconciler", self.endpoint, table.file, bucket, job, action, json.dumps(state))


def rows(bench: Bench) -> Iterator[Row]:
    yield from _growth(bench, SMALL, MIDDLE, "")


def rows_of_million(bench: Bench) -> Iterator[Row]:
    yield from _growth(bench, MIDDLE, LARGE, ", the larger once")


def _growth(bench: Bench, smaller: int, larger: int, how: str) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        made = {
            count: Processes(bench.server.empty_database(f"growth_{count}"), Path(folder))
            for count in (smaller, larger)
        }
        once = larger == LARGE
        if not once:
            for count, own in made.items():
                own.seconds("load", count)  # for the first verification
        repeated = [smaller] if once else [smaller, larger]
        variants = {f"{job} {count}": partial(made[count].seconds, job, count) for job in JOBS for count in repeated}
        seconds = _three(variants) if once else self_timed(variants, REPETITIONS)
        if once:
            seconds |= {f"{job} {larger}": made[larger].seconds(job, larger) for job in JOBS}
    for job in JOBS:
        small, large = seconds[f"{job} {smaller}"], seconds[f"{job} {larger}"]
        ratio, note = large / larger / (small / smaller), f"{small:.1f} s and {large:.1f} s"
        what = f"time per key of a {NAMES[job]}, {larger:,} against {smaller:,} items{how}"
        yield at_most(what, ratio, GROWTH_GOAL, " times", note)
        transitions = made[larger].transitions[job, larger]
        yield information(f"  state transitions with {larger:,} items and one worker", str(transitions))


def _three(variants: Mapping[str, Callable[[], float]]) -> dict[str, float]:
    """The medians of three times each. They are long, so the load is no part of what is measured once only."""
    times = [{name: variant() for name, variant in variants.items()} for _ in range(3)]
    return {name: median(taken[name] for taken in times) for name in variants}


# Memory


def rows_of_memory(bench: Bench) -> Iterator[Row]:
    yield from _memory(bench, MIDDLE)


def rows_of_memory_of_million(bench: Bench) -> Iterator[Row]:
    yield from _memory(bench, LARGE)


def _memory(bench: Bench, count: int) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        own = Processes(bench.server.empty_database(f"memory_{count}"), Path(folder))
        table = own.table(count)
        own.output("load", table)
        broken = _break_rows(own.endpoint)
        found = own.output("verify", table)["counts"]
        if found["drift"] + found["strangers"] != broken:
            raise RuntimeError(f"{broken} rows were broken: {found}")
        yield from _peaks(own, f"{count:,} items")
        own.peaks.clear()
        _match_full_partition(own, table)
        _report_findings(own, table)
        yield from _peaks(own, f"{KEYS_OF_PARTITION:,} keys a side, {FINDINGS:,} findings")


def _peaks(own: Processes, what: str) -> Iterator[Row]:
    """The largest peak of a job's steps. The note names the step."""
    for job in JOBS:
        peaks = {name: peak for name, peak in own.peaks.items() if name.startswith(job)}
        if peaks:
            name = max(peaks, key=peaks.__getitem__)
            note = name.removeprefix(f"{job}, ")
            head = f"peak memory of a step of a {NAMES[job]}, {what}"
            yield at_most(head, peaks[name] / MEGABYTE, MEMORY_GOAL, " MB", note)


def _break_rows(endpoint: Endpoint) -> int:
    """Change some rows, and add some that no item has. Returns how many."""
    with endpoint.connect() as connection, connection.cursor() as cursor:
        changed = cursor.execute(f"UPDATE {ORDER.table} SET status = 'LOST' WHERE CRC32(order_id) % {CHANGED} = 0")
        others = ", ".join(column.name for column in ORDER.columns if column.name != "order_id")
        key = f"CONCAT('{GONE}', SUBSTR(order_id, {len(GONE) + 1}))"
        added = cursor.execute(
            f"INSERT INTO {ORDER.table} (order_id, {others})"
            f" SELECT {key}, {others} FROM {ORDER.table} WHERE CRC32(order_id) % {STRANGE} = 1"
        )
        connection.commit()
    return int(changed + added)


def _started(own: Processes, table: StoredTable, bucket: Path) -> State:
    return own.step("verify", table, bucket, "check", own.step("verify", table, bucket, "start", first_state(**GIVEN)))


def _match_full_partition(own: Processes, table: StoredTable) -> None:
    """The keys of items and of rows are all different: each row is a suspect."""
    with tempfile.TemporaryDirectory(dir=own.folder) as folder:
        lane = _started(own, table, Path(folder))["lanes"][0]
        lane = {**lane, "stage": MATCH, "run": {**lane["run"], "partitions": 1}}
        keys, bucket = RunKeys(JOB, lane["run"]["name"]), Bucket(FolderBucket(Path(folder)), "failures")
        items, orders = (Spill(bucket, keys, kind, 0, 1) for kind in ("items", "rows"))
        truncate(own.endpoint)
        with own.endpoint.connect() as connection, connection.cursor() as cursor:
            for number in range(KEYS_OF_PARTITION // AT_ONCE):
                with_item, without = new_keys(AT_ONCE), new_keys(AT_ONCE)
                cursor.executemany(f"INSERT INTO {ORDER.table} VALUES (%s, 'm', 1, 'INR', 'NEW', 1, 1)", without)
                connection.commit()
                for digest in digests([f"{ORDER.name}/{key}" for key in with_item]):
                    items.add(digest, digest)
                for digest, key in zip(digests([f"{ORDER.name}/{key}" for key in without]), without, strict=True):
                    orders.add(digest, row_line(digest, {"p_key": {"S": key}, "s_key": {"S": "ORDER"}}))
                items.flush(str(number))
                orders.flush(str(number))
        done = own.step("verify", table, Path(folder), "walk", lane)
        [progress] = read_lanes(bucket, keys.lanes)
        if done["outcome"] != "done" or progress.counts["suspects"] != KEYS_OF_PARTITION:
            raise RuntimeError(f"the partition was not matched: {progress.counts}")


def _report_findings(own: Processes, table: StoredTable) -> None:
    with tempfile.TemporaryDirectory(dir=own.folder) as folder:
        state = _started(own, table, Path(folder))
        keys, bucket = RunKeys(JOB, state["run"]["name"]), Bucket(FolderBucket(Path(folder)), "failures")
        lane = LaneFile(bucket, keys, MATCH, 0, RECHECK)
        lane.begin({}, [])
        for _ in range(FINDINGS // 1000):
            lane.progress.problems += [strange_key(f"{ORDER.name}/{key}") for key in new_keys(1000)]
            lane.write_full()
        lane.finish()
        report = own.step("verify", table, Path(folder), "report", {**state, "outcome": "done"})
        if not report["findings"]:
            raise RuntimeError(f"the report has no findings: {report}")
