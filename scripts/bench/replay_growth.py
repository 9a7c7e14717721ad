"""Replays of ever larger backlogs, each in a process of its own: time, memory, transitions.

The process takes all steps of a replay, so its peak memory is at least that of a Lambda that takes some of them. Lanes
are taken one after another: what is compared is work, not the number of workers that share it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from scripts.bench.failures_bucket import FolderBucket, fill_with_new_keys
from scripts.bench.own_process import MEGABYTE, call
from scripts.bench.replayer import truncate
from scripts.bench.results import Row, at_most
from scripts.bench.server import SPLIT, Bench, Endpoint
from scripts.bench.timing import self_timed

SMALL, MIDDLE, LARGE = 10_000, 100_000, 1_000_000
REPETITIONS = 9
GROWTH_GOAL, MEMORY_GOAL, TRANSITIONS_GOAL = 1.15, 512, 500


@dataclass
class MeasuredReplays:
    """`peaks` (bytes) and `transitions` hold the largest of all replays of a size."""

    endpoint: Endpoint
    folder: Path
    peaks: dict[int, int] = field(default_factory=dict)
    transitions: dict[int, int] = field(default_factory=dict)

    def seconds(self, count: int) -> float:
        """Of one replay. All replays of a size get a copy of the same backlog."""
        backlog, filled = FolderBucket(self.folder / str(count)), self.folder / str(count) / "filled"
        if not filled.exists():
            fill_with_new_keys(backlog, count)
            filled.touch()
        truncate(self.endpoint)
        with tempfile.TemporaryDirectory(dir=self.folder) as own:
            bucket = backlog.copy_to(Path(own))
            answer = call("scripts.bench.replayer", self.endpoint, bucket.folder, SPLIT)
        counts = answer["counts"]
        if (counts["changes"], counts["settled"]) != (count, counts["batches"]):
            raise RuntimeError(f"the replay did not take everything: {counts}")
        self.peaks[count] = max(answer["peak"], self.peaks.get(count, 0))
        self.transitions[count] = max(answer["transitions"], self.transitions.get(count, 0))
        return float(answer["seconds"])


def rows(bench: Bench) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        replays = MeasuredReplays(bench.server.empty_database("replay_growth"), Path(folder))
        repeated = {str(count): partial(replays.seconds, count) for count in (SMALL, MIDDLE)}
        medians = self_timed(repeated, REPETITIONS)
        seconds = {SMALL: medians[str(SMALL)], MIDDLE: medians[str(MIDDLE)], LARGE: replays.seconds(LARGE)}
    yield _proportion(seconds, SMALL, MIDDLE, "")
    yield _proportion(seconds, MIDDLE, LARGE, ", the larger once")
    for count, peak in sorted(replays.peaks.items()):
        note = "all steps in one process"
        yield at_most(f"peak memory of a replay, {count:,} changes", peak / MEGABYTE, MEMORY_GOAL, " MB", note)
    transitions = replays.transitions[MIDDLE]
    what = f"state transitions of a replay, {MIDDLE:,} changes, children included"
    yield Row(what, str(transitions), f"at most {TRANSITIONS_GOAL}", transitions <= TRANSITIONS_GOAL)


def _proportion(seconds: dict[int, float], smaller: int, larger: int, how: str) -> Row:
    each = {count: seconds[count] / count for count in (smaller, larger)}
    note = f"{seconds[smaller]:.1f} s and {seconds[larger]:.1f} s"
    what = f"time per change, {larger:,} against {smaller:,} changes{how}"
    return at_most(what, each[larger] / each[smaller], GROWTH_GOAL, " times", note)
