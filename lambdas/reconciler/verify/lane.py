"""What the stages of a verification have in common: what a lane works with, and one stage of a lane in one call."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from collections.abc import Mapping as Json
from dataclasses import dataclass
from typing import Any

from common.bucket import Bucket
from common.config import ConfigError
from common.database import Database, DatabaseError
from common.layout import RunKeys
from common.mapping import Mapping
from common.meter import Meter
from reconciler.gauge import ProgressGauge, percent_of
from reconciler.pace import Pace, Surroundings
from reconciler.progress import LaneFile, Progress
from reconciler.states import LaneState, RunDescription
from reconciler.table import Table
from reconciler.verify.exports import decision_of
from reconciler.verify.readings import Readings
from reconciler.verify.recheck import Rechecker
from reconciler.verify.spill import Spill
from reconciler.verify.states import StoredSuspect
from reconciler.verify.window import Window, widened, window_of

JOB = "verify"
SCAN, ROWS, MATCH, RECHECK = range(4)
PROGRESS = "verify_progress"
# Where each stage begins, in percent of a run. The scan takes about half of it.
_STAGE_BEGINS = (0.0, 50.0, 75.0, 90.0, 100.0)
# A killed call loses up to this much work.
_SAVE_SECONDS = 5.0


def slice_of(run: RunDescription) -> tuple[int, int]:
    """The part, counted from 0, and the number of parts."""
    part = run["options"].get("slice", "1/1").partition("/")[0]
    return int(part) - 1, parts_of(run["options"])


def parts_of(options: Json[str, Any]) -> int:
    """The number of slices."""
    return int(options.get("slice", "1/1").partition("/")[2])


def exported_window(bucket: Bucket, run: RunDescription) -> Window | None:
    """The window of a run that reads exports, with its margin. None where the run reads the table, or is undecided."""
    window = window_of(run["options"])
    if window is None:
        return None
    decision = decision_of(bucket, RunKeys(JOB, run["name"]))
    return widened(window) if decision and not decision.scan_reason else None


@dataclass(frozen=True)
class LaneTools:
    """What a lane works with. `settle_seconds` is what a change may take to MySQL beside the consumer's lag.

    `proven_lag` is None while the consumer may have stopped, or has just begun: then everything may be in flight.
    """

    bucket: Bucket
    mapping: Mapping
    database: Database
    table: Table
    readings: Readings
    rechecker: Rechecker
    meter: Meter
    invocation: Surroundings
    now: Callable[[], float]
    settle_seconds: float
    proven_lag: Callable[[], float | None]


class LaneWalk(ABC):
    """One stage of one lane, in one call."""

    def __init__(self, walker: LaneTools, lane: LaneState, file: LaneFile) -> None:
        self.walker, self.run, self.file = walker, lane["run"], file
        self.progress: Progress = file.progress
        self.pace = Pace(walker.invocation, lane["rate"])
        self.saved_at = walker.invocation.clock()
        self.gauge = ProgressGauge(walker.meter, PROGRESS, self._percent, walker.invocation.clock)

    def go(self) -> str:
        """`done`, `more` or `waiting`."""
        while self.progress.cursors or self.progress.files:
            if outcome := self.step():
                self.save()
                return outcome
            self.file.write_full()
            if self.is_due():
                self.save()
            self.gauge.tell()
        self.save()
        return "done"

    @abstractmethod
    def step(self) -> str:
        """One page. Returns `more` or `waiting` to end the call."""

    def is_due(self) -> bool:
        """Whether to save the progress."""
        return self.walker.invocation.clock() - self.saved_at >= _SAVE_SECONDS

    def save(self) -> None:
        self.file.save(at_work=True)
        self.saved_at = self.walker.invocation.clock()

    def _percent(self) -> float:
        stage = min(self.file.stage, RECHECK)
        begins, ends = _STAGE_BEGINS[stage : stage + 2]
        return begins + (ends - begins) * self.percent_of_stage() / 100

    def percent_of_stage(self) -> float:
        """How far the lane is in the stage; 0 where it does not know what there is to do."""
        return 0.0

    def percent_of_cursors(self, count: int) -> float:
        """Of the lane's share of `count` ranges or partitions, those that are finished."""
        mine = len(range(count)[self.file.lane :: self.run["lanes"]])
        return percent_of(mine - len(self.progress.cursors), mine)

    def suspect(self, suspects: Sequence[StoredSuspect]) -> None:
        self.progress.waiting += suspects
        self.progress.waiting_keys += len(suspects)

    def advance(self, cursor: Any) -> None:
        """Note where the segment or range goes on; the others come first. None at its end."""
        name = next(iter(self.progress.cursors))
        del self.progress.cursors[name]
        if cursor is not None:
            self.progress.cursors[name] = cursor


class SpillingWalk(LaneWalk):
    """Progress is saved after what it stands for is written.

    That is when much is held, and at the end of each call, also of one that the database ends. Saving more often would
    make very many small files.
    """

    kind = ""

    def __init__(self, walker: LaneTools, lane: LaneState, file: LaneFile) -> None:
        super().__init__(walker, lane, file)
        keys = RunKeys(JOB, self.run["name"])
        self.spill = Spill(walker.bucket, keys, self.kind, lane["lane"], self.run["partitions"])

    def go(self) -> str:
        try:
            return super().go()
        except (DatabaseError, ConfigError):
            self.save()  # a page asks the database before it notes anything, so what is noted is of whole pages
            raise

    def is_due(self) -> bool:
        return self.spill.is_full

    def save(self) -> None:
        if not self.spill.is_empty:
            self.spill.flush(self.file.new_name())
        super().save()
