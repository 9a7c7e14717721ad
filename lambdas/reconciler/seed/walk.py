"""A lane's way through its ranges of the target tables, a page of each in turn.

Neighbours in a range often have neighbouring items. Taking the ranges in turn spreads the writes over the table.
"""

from __future__ import annotations

from dataclasses import dataclass

from common.bucket import Bucket
from common.database import Database, Since
from common.inverse import Inverse
from common.layout import RunKeys
from common.mapping import Mapping
from common.meter import Meter
from reconciler.pace import Pace, Surroundings
from reconciler.progress import LaneFile
from reconciler.ranges import from_json, to_json
from reconciler.seed.writer import SeedWriter
from reconciler.states import LaneState, RunDescription
from reconciler.table import Table

JOB = "seed"
# Rows that are read at a time.
_ROWS = 500


@dataclass(frozen=True)
class SeedWalker:
    """Walks a lane in one call."""

    bucket: Bucket
    mapping: Mapping
    database: Database
    table: Table
    meter: Meter
    invocation: Surroundings

    def walk(self, lane: LaneState) -> bool:
        """Whether the lane's ranges are done; False when time ran out. Raises HoldError or StopError."""
        run = lane["run"]
        keys = RunKeys(JOB, run["name"])
        file = LaneFile(self.bucket, keys, 0, lane["lane"], 1)
        ranges = self.bucket.read_json(keys.ranges)
        mine = slice(lane["lane"], None, run["lanes"])
        progress = file.begin(dict.fromkeys(map(str, range(len(ranges))[mine])), [])
        if progress.done:
            return True
        pace = Pace(self.invocation, lane["rate"])
        writer = self._writer(run, pace)
        while progress.cursors:
            number = next(iter(progress.cursors))
            if not self._page(run, ranges[int(number)], file, pace, writer):
                file.save(at_work=False)
                return False
            file.save(at_work=True)
        file.finish()
        return True

    def _writer(self, run: RunDescription, pace: Pace) -> SeedWriter:
        def wait() -> bool:
            pace.throttled()
            return not self.invocation.out_of_time()

        inverse = Inverse(self.mapping, run["entities"])
        return SeedWriter(self.mapping, inverse, self.database, self.table, run["name"], wait)

    def _page(
        self, run: RunDescription, chosen: tuple[int, list[str] | None, list[str] | None], file: LaneFile, pace: Pace,
        writer: SeedWriter,
    ) -> bool:  # fmt: skip
        """Seed the next page of the range whose turn it is. Returns False when time ran out."""
        progress = file.progress
        entity, first, last = chosen
        number, cursor = next(iter(progress.cursors.items()))
        limit = pace.page(min(progress.size, _ROWS))
        if not pace.wait(limit):
            return False
        declared = self.mapping.entities[entity]
        after, upto = (from_json(key, declared.key) if key else None for key in (cursor or first, last))
        page = self.database.page(entity, limit=limit, after=after, upto=upto, since=_since(run, declared.name))
        if page.rows:
            result = writer.write(entity, page.rows)
            pace.note(len(page.rows), result.units)
            progress.units += result.units
            if not result.complete:
                progress.shrink()
                return False
            progress.counts += result.counts
            progress.problems += result.problems
            self.meter.count({f"seed_{name}": count for name, count in result.counts.items()})
        progress.grow()
        del progress.cursors[number]
        if page.cursor is not None:
            progress.cursors[number] = to_json(page.cursor)  # at the end: the others come first
        return True


def _since(run: RunDescription, entity: str) -> Since | None:
    if "since" not in run:
        return None
    return Since(run["options"]["since"]["column"], run["since"][entity])
