"""The way through the sidecar: a part of it at a time in key order, one short transaction for some of its keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from common.bucket import Bucket
from common.database import Database
from common.layout import RunKeys
from common.mapping import Mapping
from common.meter import Meter
from reconciler.pace import Pace, Surroundings
from reconciler.progress import LaneFile
from reconciler.prune.reach import Reach
from reconciler.states import LaneState

JOB = "prune"
# Rows of the sidecar that a statement walks over, and keys that a transaction locks at most.
_ROWS, _KEYS = 10_000, 500


@dataclass(frozen=True)
class PruneWalker:
    """Walks in one call. There is one lane: a prune has time, and the consumer does not."""

    bucket: Bucket
    mapping: Mapping
    database: Database
    reach: Reach
    meter: Meter
    invocation: Surroundings

    def walk(self, lane: LaneState) -> bool:
        """Whether the whole sidecar is done; False when time ran out. Raises HoldError or StopError."""
        file = LaneFile(self.bucket, RunKeys(JOB, lane["run"]["name"]), 0, lane["lane"], 1)
        if file.begin(dict.fromkeys(map(str, range(len(self.mapping.entities)))), []).done:
            return True
        part = _Part(self, lane, file, self.reach.parked())
        while file.progress.cursors:
            if not part.take():
                file.save(at_work=False)
                part.count()
                return False
            file.save(at_work=True)
            part.count()
        file.finish()
        return True


class _Part:
    """Takes one part of the sidecar after another."""

    def __init__(self, walker: PruneWalker, lane: LaneState, file: LaneFile, is_parked: Callable[[str], bool]) -> None:
        self.walker, self.progress, self.is_parked = walker, file.progress, is_parked
        self.pace = Pace(walker.invocation, lane["rate"])
        options = lane["run"]["options"]
        self.before, self.count_only = int(options["before"]), bool(options["is_dry"])
        self.counted = 0

    def take(self) -> bool:
        """Prune the next part. Returns False when time ran out: what is left of the part is found again."""
        progress, database = self.progress, self.walker.database
        if self.walker.invocation.out_of_time():
            return False
        entity, cursor = next(iter(progress.cursors.items()))
        page = database.page_of_removals(int(entity), cursor, _ROWS, self.before)
        free = [key for key in page.keys if not self.is_parked(key)]
        pruned = 0
        for keys in self._transactions(free):
            if not self.count_only and not self.pace.wait(len(keys)):
                return False
            found = database.prune(int(entity), keys, self.before, count_only=self.count_only)
            self.pace.note(len(keys), found)
            pruned += found
            if not self.count_only:
                self._note(found)
        if self.count_only:
            progress.counts["prunable"] += pruned
        else:
            progress.counts["rows"] -= pruned  # counted as they went
        progress.counts.update(rows=page.rows, parked=len(page.keys) - len(free), kept=len(free) - pruned)
        progress.grow()
        if page.cursor is None:
            del progress.cursors[entity]
        else:
            progress.cursors[entity] = page.cursor
        return True

    def _transactions(self, keys: Sequence[str]) -> list[Sequence[str]]:
        size = self.pace.page(min(self.progress.size, _KEYS))
        return [keys[start : start + size] for start in range(0, len(keys), size)]

    def _note(self, pruned: int) -> None:
        """Count rows as they go: when the rest of their part is found again, they are not there."""
        self.progress.counts.update(rows=pruned, pruned=pruned)
        self.progress.units += pruned
        self.counted += pruned

    def count(self) -> None:
        """Emit what was pruned since the last time. The progress is saved."""
        if self.counted:
            self.walker.meter.count({"pruned": self.counted})
            self.counted = 0
