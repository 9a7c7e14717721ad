"""Replays of ever larger backlogs, each in a process of its own: time, memory, transitions.

All steps of a replay in one process, which therefore peaks no lower than any Lambda that takes some of them. Lanes are
taken one after another, so what is compared is work, not how many workers share it.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from scripts.bench.environment import ROOT
from scripts.bench.memory import MEGABYTE
from scripts.bench.replay_backlog import fill_lazily
from scripts.bench.replay_bucket import FolderBucket
from scripts.bench.replay_function import empty
from scripts.bench.rows import Row, at_most
from scripts.bench.server import Server, Where
from scripts.bench.timing import own_clocks

SMALL, MIDDLE, LARGE = 10_000, 100_000, 1_000_000
REPETITIONS = 9
GROWTH, MEMORY, TRANSITIONS = 1.15, 512, 500
SPLIT = 15_000


@dataclass
class Growth:
    """Takes the replays; keeps the most memory and the most transitions that any of a size needed."""

    where: Where
    folder: Path
    peaks: dict[int, int] = field(default_factory=dict)
    entered: dict[int, int] = field(default_factory=dict)

    def seconds(self, count: int) -> float:
        """Of one replay. Every one of a size gets the same backlog; a large one is used up."""
        backlog = FolderBucket(self.folder / str(count))
        if not (self.folder / str(count) / "filled").exists():
            fill_lazily(backlog, count)
            (self.folder / str(count) / "filled").touch()
        empty(self.where)
        with tempfile.TemporaryDirectory(dir=self.folder) as own:
            answer = self._replay(backlog.copy_to(Path(own)).folder, count)
        self.peaks[count] = max(answer["peak"], self.peaks.get(count, 0))
        self.entered[count] = max(answer["entered"], self.entered.get(count, 0))
        return float(answer["seconds"])

    def _replay(self, bucket: Path, count: int) -> dict[str, Any]:
        where = self.folder / "where.json"
        where.write_text(json.dumps(dataclasses.asdict(self.where)))
        command = [sys.executable, "-m", "scripts.bench.replay_once", str(where), str(bucket), str(SPLIT)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
        answer: dict[str, Any] = json.loads(done.stdout)
        counts = answer["counts"]
        if (counts["changes"], counts["settled"]) != (count, counts["batches"]):
            raise RuntimeError(f"the replay did not take everything: {counts}")
        return answer


def rows(server: Server) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        growth = Growth(server.empty_database("replay_growth"), Path(folder))
        again = {str(count): partial(growth.seconds, count) for count in (SMALL, MIDDLE)}
        medians = own_clocks(again, REPETITIONS)
        seconds = {SMALL: medians[str(SMALL)], MIDDLE: medians[str(MIDDLE)], LARGE: growth.seconds(LARGE)}
    yield _proportion(seconds, SMALL, MIDDLE, "")
    yield _proportion(seconds, MIDDLE, LARGE, ", the larger once")
    for count, peak in sorted(growth.peaks.items()):
        note = "all steps in one process"
        yield at_most(f"peak memory of a replay, {count:,} changes", peak / MEGABYTE, MEMORY, " MB", note)
    entered = growth.entered[MIDDLE]
    what = f"state transitions of a replay, {MIDDLE:,} changes, children included"
    yield Row(what, str(entered), f"at most {TRANSITIONS}", entered <= TRANSITIONS)


def _proportion(seconds: dict[int, float], smaller: int, larger: int, how: str) -> Row:
    each = {count: seconds[count] / count for count in (smaller, larger)}
    note = f"{seconds[smaller]:.1f} s and {seconds[larger]:.1f} s"
    what = f"time per change, {larger:,} against {smaller:,} changes{how}"
    return at_most(what, each[larger] / each[smaller], GROWTH, " times", note)
