"""A lane's way through the stages of a verification.

0. `SCAN`: pages of items. Each is compared with its rows; keys that do not agree are suspects. The digest of every key
   is spilled.
1. `ROWS`: the keys of the target tables and of the sidecar, in ranges. Every key is spilled.
2. `MATCH`: the partitions of the spilled keys. A key of which no item was met is a suspect.
3. `RECHECK`, and the stages after it: suspects, until all are decided.

A verification of a window, where DynamoDB exports it, reads no item in the first stages:

0. `SCAN`: the files of the exports. The key of each item that has changed is spilled.
1. `ROWS`: the keys of the sidecar that were written in the window, and are live, are spilled. An item that was inserted
   and deleted in the window is in no export.
2. `MATCH`: each spilled key is a suspect, once.
"""

from __future__ import annotations

from collections.abc import Mapping as Json
from collections.abc import Sequence
from typing import Any

from common.changes import Row
from common.database import StoredKey
from common.drift import Suspect
from common.item_keys import ItemKeys
from common.keys import entity_and_tail, is_cut, key_texts, key_values
from common.layout import RunKeys
from common.raw_items import Item
from reconciler.gauge import percent_of
from reconciler.progress import LaneFile, waiting_files
from reconciler.ranges import from_json, to_json
from reconciler.states import LaneState, RunDescription
from reconciler.table import ThrottledError
from reconciler.verify.lane import (
    JOB,
    MATCH,
    RECHECK,
    ROWS,
    SCAN,
    LaneTools,
    LaneWalk,
    SpillingWalk,
    exported_window,
    slice_of,
)
from reconciler.verify.readings import item_key_of
from reconciler.verify.recheck import RepairOptions
from reconciler.verify.spill import digests, in_slice, item_digests, row_keys, row_line
from reconciler.verify.states import StoredSuspect, read_once, strange_key, unread
from reconciler.verify.walk_exports import FILES, ExportWalk

# In place of the last key of a range: the range is that of an entity in the sidecar.
SIDECAR_RANGE = "sidecar"
# Suspects that are read again at a time: the keys of one request.
_KEYS = 100
# Keys of rows that are read at a time, and that are compared at a time.
_ROWS, _MATCHED = 5_000, 1_000


class VerifyWalker(LaneTools):
    """Walks a lane in one call."""

    def walk(self, lane: LaneState) -> str:
        """`done`, `more` when time ran out, or `waiting` for suspects that are to stand still for longer.

        Raises HoldError, StopError or StageStoppedError.
        """
        stage, run = lane["stage"], lane["run"]
        keys = RunKeys(JOB, run["name"])
        file = LaneFile(self.bucket, keys, stage, lane["lane"], max(RECHECK, stage + 1))
        exported = stage == SCAN and exported_window(self.bucket, run) is not None
        file.begin(*self._work(stage, run, lane["lane"], exported=exported))
        if file.progress.done:
            return "done"
        by_stage = {SCAN: ExportWalk if exported else _Scan, ROWS: _Rows, MATCH: _Match}
        outcome = by_stage.get(stage, _Recheck)(self, lane, file).go()
        if outcome == "done":
            file.finish()
        else:
            file.save(at_work=False)
        return outcome

    def _work(self, stage: int, run: RunDescription, lane: int, *, exported: bool) -> tuple[dict[str, None], list[str]]:
        """The segments, ranges or partitions, and the files of suspects, of a lane that has not begun."""
        mine = slice(lane, None, run["lanes"])
        keys = RunKeys(JOB, run["name"])
        if exported:
            return {FILES: None}, []
        if stage == SCAN:
            part, parts = slice_of(run)
            return dict.fromkeys(map(str, list(range(run["segments"])[part::parts])[mine])), []
        if stage == ROWS:
            ranges = len(self.bucket.read_json(keys.ranges))
            return dict.fromkeys(map(str, range(ranges)[mine])), []
        if stage == MATCH:
            return dict.fromkeys(map(str, range(run["partitions"])[mine])), []
        before = range(RECHECK) if stage == RECHECK else (stage - 1,)
        return {}, waiting_files(self.bucket, keys, before)[mine]


class _Scan(SpillingWalk):
    kind = "items"

    def percent_of_stage(self) -> float:
        """By the estimated read units: the segments are read in turn, so they end together."""
        return percent_of(self.progress.units, self.run["estimate"]["read_units"] / self.run["lanes"])

    def step(self) -> str:
        progress, walker = self.progress, self.walker
        segment, cursor = next(iter(progress.cursors.items()))
        limit = self.pace.page(progress.size)
        while True:
            if not self.pace.wait(limit):
                return "more"
            began = walker.now()
            try:
                page = walker.table.page(int(segment), self.run["segments"], cursor, limit, consistent=False)
            except ThrottledError:
                self.pace.throttled()
                continue
            break
        self.pace.note(len(page.items), page.units)
        progress.units += page.units
        if page.items:
            self._compare(page.items, began)
        progress.grow()
        self.advance(page.cursor)
        return ""

    def _compare(self, items: Sequence[Item], began: float) -> None:
        walker = self.walker
        scanned = walker.readings.of_items(items)
        ended = walker.now()
        self.suspect(
            [read_once(item_key_of(one.change), Suspect(one.finding, began, ended)) for one in scanned.readings]
        )
        texts = [change.key for change in scanned.changes]
        for digest in digests([*texts, *scanned.refused_rows]):
            self.spill.add(digest, digest)
        self.progress.problems += scanned.refused
        self.progress.kinds.update(one["kind"] for one in scanned.refused)
        counts = {
            "items": len(items),
            "rows": len(texts),
            "unmapped_item": scanned.unmapped,
            "item_refused": len(scanned.refused),
        }
        self.progress.counts.update(counts | {"suspects": len(scanned.readings)})
        walker.meter.count({f"verify_{name}": count for name, count in counts.items()})


class _Rows(SpillingWalk):
    """Ranges of the target tables, and of the sidecar, whose last key is `SIDECAR_RANGE`."""

    kind = "rows"

    def __init__(self, walker: LaneTools, lane: LaneState, file: LaneFile) -> None:
        super().__init__(walker, lane, file)
        self.ranges = walker.bucket.read_json(RunKeys(JOB, self.run["name"]).ranges)
        self.item_keys = ItemKeys(walker.mapping)
        self.part, self.parts = slice_of(self.run)
        self.window = exported_window(walker.bucket, self.run)

    def percent_of_stage(self) -> float:
        return self.percent_of_cursors(len(self.ranges))

    def step(self) -> str:
        if self.walker.invocation.out_of_time():
            return "more"
        number, cursor = next(iter(self.progress.cursors.items()))
        entity, first, last = self.ranges[int(number)]
        if last == SIDECAR_RANGE:
            self._stored_page(entity, cursor)
        else:
            self._page(entity, cursor or first, last)
        return ""

    def _page(self, entity: int, first: list[Any] | None, last: list[Any] | None) -> None:
        columns = self.walker.mapping.entities[entity].key
        after, upto = (from_json(key, columns) if key else None for key in (first, last))
        page = self.walker.database.page(entity, limit=_ROWS, after=after, upto=upto, keys_only=True)
        for text in self._spill(entity, page.rows):
            self.progress.problems.append(strange_key(text))
            self.progress.kinds["stranger"] += 1
            self.progress.counts["strangers"] += 1
        self.progress.counts["mysql_rows"] += len(page.rows)
        self.advance(page.cursor and to_json(page.cursor))

    def _stored_page(self, entity: int, cursor: str | None) -> None:
        declared = self.walker.mapping.entities[entity]
        types = [column.type.python for column in declared.key]
        page = self.walker.database.page_of_stored_keys(entity, cursor, _ROWS)
        chosen = [one.key for one in page if self._concerns(one)]
        rows = [key_values(entity_and_tail(key)[1], types) for key in chosen]
        # A key that no item can have is no row: its column had another type, or `when` took it. The table tells.
        self._spill(entity, [row for row in rows if row is not None])
        if self.window:
            self._spill_cut(list(filter(is_cut, chosen)))
        self.advance(page[-1].key if len(page) == _ROWS else None)

    def _concerns(self, stored: StoredKey) -> bool:
        return stored.mark.exists and (self.window is None or self.window.covers_seconds(stored.source_time))

    def _spill_cut(self, texts: Sequence[str]) -> None:
        """Texts that were cut: only an export can tell their items."""
        for digest in digests(texts):
            self.spill.add(digest, row_line(digest, None))

    def _spill(self, entity: int, rows: Sequence[Row]) -> list[str]:
        """Returns the texts of the keys that no item can have."""
        if not rows:
            return []
        name = self.walker.mapping.entities[entity].name
        texts = key_texts(name, list(zip(*rows, strict=True)))
        strange = []
        for digest, text, row in zip(digests(texts), texts, rows, strict=True):
            if not in_slice(digest, self.part, self.parts):
                continue
            item_key = self.item_keys.of(entity, row)
            if item_key is not None and self.item_keys.passes(entity, item_key):
                self.spill.add(digest, row_line(digest, item_key))
            else:
                strange.append(text)
        return strange


class _Match(LaneWalk):
    """Keys of which the scan met no item. In a slice these are also those of items of the other slices.

    In a window, every key of a partition: no item was spilled.
    """

    def __init__(self, walker: LaneTools, lane: LaneState, file: LaneFile) -> None:
        super().__init__(walker, lane, file)
        is_window = exported_window(walker.bucket, self.run) is not None
        self.take = self._suspect if is_window else self._suspect_if_gone

    def step(self) -> str:
        if self.walker.invocation.out_of_time():
            return "more"
        partition = int(next(iter(self.progress.cursors)))
        keys = RunKeys(JOB, self.run["name"])
        known = item_digests(self.walker.bucket, keys, partition)
        unknown: dict[bytes, Item] = {}
        cut: set[bytes] = set()
        for digest, item_key in row_keys(self.walker.bucket, keys, partition, known):
            if item_key is None:
                cut.add(digest)
                continue
            known.add(digest)  # the table and the sidecar may both have the key
            unknown[digest] = item_key
            if len(unknown) == _MATCHED:
                self.take(unknown)
                unknown = {}
        self.take(unknown)
        self.progress.counts["cut_keys"] += len(cut - known)
        self.advance(None)
        return ""

    def percent_of_stage(self) -> float:
        return self.percent_of_cursors(self.run["partitions"])

    def _suspect(self, unread_keys: Json[bytes, Item]) -> None:
        """All of them: whether they agree is for the next stage, which reads their items."""
        rows = self.walker.readings.row_keys(list(unread_keys.values()))  # of every entity that the key fits
        made = digests([text for text, _ in rows])
        mine = {text: item_key for digest, (text, item_key) in zip(made, rows, strict=True) if digest in unread_keys}
        self.suspect([unread(text, item_key) for text, item_key in mine.items()])
        self.progress.counts["suspects"] += len(mine)
        self.file.write_full()

    def _suspect_if_gone(self, unknown: Json[bytes, Item]) -> None:
        """Those whose row would be wrong if the item is gone: MySQL tells, and its reads cost no read units."""
        states = self.walker.readings.states([], list(unknown.values()))
        changes = list(states.changes.values())  # of every entity that the key of an item fits
        made = digests([one.key for one in changes])
        mine = [one for one, digest in zip(changes, made, strict=True) if digest in unknown]
        readings = self.walker.readings.of_changes(mine)
        self.suspect([unread(one.change.key, item_key_of(one.change)) for one in readings])
        self.progress.counts.update(keys_without_item=len(unknown), suspects=len(readings))
        self.file.write_full()


class _Recheck(LaneWalk):
    def __init__(self, walker: LaneTools, lane: LaneState, file: LaneFile) -> None:
        super().__init__(walker, lane, file)
        self.wanted = RepairOptions.of(self.run["options"])
        self.held: list[StoredSuspect] = []
        self.of_file = ""

    def step(self) -> str:
        progress, walker = self.progress, self.walker
        if self.of_file != progress.files[0]:
            self.of_file, self.held = progress.files[0], walker.bucket.read_json(progress.files[0])
        asked = self.held[progress.position : progress.position + self.pace.page(_KEYS)]
        if walker.now() - max(one["ended"] for one in asked) <= walker.settle_seconds:
            return "waiting"
        lag = walker.proven_lag()
        wait = walker.settle_seconds + (lag or 0.0)
        if lag is None or walker.now() - max(one["ended"] for one in asked) <= wait:
            return "waiting"
        if not self.pace.wait(len(asked)):
            return "more"
        began = walker.now()
        try:
            items, units = walker.table.items([one["item_key"] for one in asked])
        except ThrottledError:
            self.pace.throttled()
            return ""
        self.pace.note(len(items), units)
        progress.units += units
        result = walker.rechecker.recheck(asked, items, began, wait, self.wanted)
        progress.counts += result.counts
        progress.kinds += result.kinds
        progress.problems += result.findings
        self.suspect(result.suspects)
        walker.meter.count({f"verify_{name}": count for name, count in result.counts.items()})
        progress.position += len(asked)
        if progress.position >= len(self.held):
            progress.files, progress.position = progress.files[1:], 0
        return ""

    def is_due(self) -> bool:
        """A repair is counted once: it is not found again."""
        return True
