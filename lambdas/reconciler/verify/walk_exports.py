"""The files of the exports of a window, and those of earlier repairs: the stage that takes the place of the scan."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from common.layout import RunKeys
from common.raw_items import Item
from reconciler.progress import LaneFile
from reconciler.states import LaneState
from reconciler.verify.exported import ExportedFile, keys_of
from reconciler.verify.exports import files_to_read
from reconciler.verify.lane import JOB, LaneTools, SpillingWalk
from reconciler.verify.repaired import repaired_keys
from reconciler.verify.spill import digests, row_line

# In place of a segment: the lane's files. The cursor is [file, keys of it that are spilled].
FILES = "files"
# Keys of changed items that are spilled at a time.
_KEYS = 1_000


class ExportWalk(SpillingWalk):
    """The files of the exports and of repairs. They are of `kind` rows: what is spilled has the keys of items."""

    kind = "rows"

    def __init__(self, walker: LaneTools, lane: LaneState, file: LaneFile) -> None:
        super().__init__(walker, lane, file)
        files = files_to_read(walker.bucket, RunKeys(JOB, self.run["name"]))
        self.files = files[lane["lane"] :: self.run["lanes"]]
        mapping = walker.mapping
        self.names = [one.attribute for one in (mapping.partition_key, mapping.sort_key) if one]
        self.opened = -1
        self.keys: Iterator[Item] = iter(())

    def step(self) -> str:
        if self.walker.invocation.out_of_time():
            return "more"
        number, done = self.progress.cursors[FILES] or (0, 0)
        if number == len(self.files):
            self.advance(None)
            return ""
        if self.opened != number:
            self.opened, self.keys = number, self._open(self.files[number], done)
        found = list(islice(self.keys, _KEYS))
        self._spill(found)
        if isinstance(self.files[number], ExportedFile):
            self.progress.counts["exported"] += len(found)
        self.advance((number, done + len(found)) if found else (number + 1, 0))
        return ""

    def _open(self, file: ExportedFile | str, done: int) -> Iterator[Item]:
        """The keys of a file behind the first `done`."""
        if isinstance(file, str):
            return islice(repaired_keys(self.walker.bucket, file), done, None)
        return keys_of(self.walker.bucket, file, self.names, done)

    def _spill(self, item_keys: Sequence[Item]) -> None:
        rows = self.walker.readings.row_keys(item_keys)
        for digest, (_, item_key) in zip(digests([text for text, _ in rows]), rows, strict=True):
            self.spill.add(digest, row_line(digest, item_key))
