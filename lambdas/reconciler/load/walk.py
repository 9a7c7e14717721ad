"""A lane's way through its part of the table: the segments in rotation, then the keys that wait.

Neighbours in a segment are in one partition. Taking a page of each segment in turn spreads the reads over the table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from common.bucket import Bucket
from common.layout import RunKeys
from common.meter import Meter
from common.raw_items import Item
from common.telemetry import UNMAPPED_ATTRIBUTES, logger
from reconciler.gauge import MOST, ProgressGauge, percent_of
from reconciler.load.loader import Loader, PageResult
from reconciler.pace import Pace, Surroundings
from reconciler.progress import LaneFile, Progress, RunProblem, waiting_files
from reconciler.states import LaneState, RunDescription
from reconciler.table import Table, ThrottledError

# Keys that are read at a time: those of one request.
_KEYS = 100
JOB = "load"
PROGRESS = "load_progress"


class Stage(NamedTuple):
    """`entities` are the indexes of those that the stage is about. `scans`: it reads segments, not waiting keys.

    `before` are the stages whose waiting keys it goes through.
    """

    number: int
    scans: bool
    first: bool
    entities: frozenset[int]
    next_waiting: int
    before: Sequence[int] = ()


def stage_of(number: int, levels: Sequence[int]) -> Stage:
    """First a scan for the entities of each level, parents before children, then the keys that wait for other rows."""
    scans = max(levels) + 1
    if number >= scans:
        before = range(scans) if number == scans else (number - 1,)
        every = frozenset(range(len(levels)))
        return Stage(number, scans=False, first=False, entities=every, next_waiting=number + 1, before=before)
    entities = frozenset(index for index, level in enumerate(levels) if level == number)
    return Stage(number, scans=True, first=number == 0, entities=entities, next_waiting=scans)


@dataclass(frozen=True)
class Walker:
    """Walks a lane in one call."""

    bucket: Bucket
    table: Table
    loader: Loader
    meter: Meter
    invocation: Surroundings

    def walk(self, lane: LaneState) -> bool:
        """Whether the lane's part of the stage is done; False when time ran out. Raises HoldError or StopError."""
        run = lane["run"]
        stage = stage_of(lane["stage"], run["levels"])
        keys = RunKeys(JOB, run["name"])
        file = LaneFile(self.bucket, keys, stage.number, lane["lane"], stage.next_waiting)
        mine = slice(lane["lane"], None, run["lanes"])
        cursors = {str(segment): None for segment in range(run["segments"])[mine]} if stage.scans else {}
        files = [] if stage.scans else waiting_files(self.bucket, keys, stage.before)[mine]
        progress = file.begin(cursors, files)
        if progress.done:
            return True
        pace = Pace(self.invocation, lane["rate"])
        gauge = ProgressGauge(self.meter, PROGRESS, lambda: percent_of_run(stage, progress, run), self.invocation.clock)
        step = self._scan_page if stage.scans else self._take_keys
        while progress.cursors or progress.files:
            if not step(stage, file, pace, run["segments"]):
                file.save(at_work=False)
                return False
            file.save(at_work=True)
            gauge.tell()
        file.finish()
        return True

    def _scan_page(self, stage: Stage, file: LaneFile, pace: Pace, segments: int) -> bool:
        """Read a page of the segment whose turn it is, and load it. Returns False when time ran out."""
        progress = file.progress
        segment, cursor = next(iter(progress.cursors.items()))
        limit = pace.page(progress.size)
        while True:
            if not pace.wait(limit):
                return False
            try:
                page = self.table.page(int(segment), segments, cursor, limit)
            except ThrottledError:
                pace.throttled()
                continue
            break
        pace.note(len(page.items), page.units)
        progress.units += page.units
        if not self._load(stage, page.items, progress):
            return False
        del progress.cursors[segment]
        if page.cursor is not None:
            progress.cursors[segment] = page.cursor  # at the end: the others come first
        return True

    def _take_keys(self, stage: Stage, file: LaneFile, pace: Pace, _: int) -> bool:
        """Read the items of the next waiting keys, and load them. Returns False when time ran out."""
        progress = file.progress
        held: list[RunProblem] = self.bucket.read_json(progress.files[0])
        asked = held[progress.position : progress.position + pace.page(min(_KEYS, progress.size))]
        while asked:
            if not pace.wait(len(asked)):
                return False
            try:
                items, units = self.table.items([one["item_key"] for one in asked])
            except ThrottledError:
                pace.throttled()
                continue
            pace.note(len(items), units)
            progress.units += units
            if not self._load(stage, items, progress):
                return False
            break
        progress.position += len(asked)
        if progress.position >= len(held):
            progress.files, progress.position = progress.files[1:], 0
        return True

    def _load(self, stage: Stage, items: Sequence[Item], progress: Progress) -> bool:
        """Load the items, and note what became of them; False if time ran out: then they are read again."""
        result = PageResult()
        if items:
            result = self.loader.load(items, stage.entities, self.invocation.out_of_time, first=stage.first)
        if result.unmapped_attributes:
            logger.warning(UNMAPPED_ATTRIBUTES, attributes=result.unmapped_attributes)
        if not result.complete:
            progress.shrink()
            return False
        progress.grow()
        progress.counts += result.counts
        progress.waiting += result.waiting
        progress.waiting_keys += len(result.waiting)
        progress.problems += result.problems
        self.meter.count({f"load_{name}": count for name, count in result.counts.items()})
        return True


def percent_of_run(stage: Stage, progress: Progress, run: RunDescription) -> float:
    """Of the estimated read units. A scan reads its segments in turn, so they end together."""
    if not stage.scans:
        return MOST
    scans = max(run["levels"]) + 1
    units_of_lane = run["estimate"]["read_units"] / scans / run["lanes"]
    return (100 * stage.number + percent_of(progress.units, units_of_lane)) / scans
