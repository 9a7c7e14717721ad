"""How far a split is drained and what became of it, stored in the bucket for the next call and for Settle.

The names of parked records may be many: they are stored in files of bounded size, which the progress lists.
A file that no progress lists was written by a call that was killed.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from common.bucket import Bucket, GoneError
from common.layout import names_file, split_of_result
from common.meter import Meter
from dlq_replayer.documents import Names, SplitResult
from dlq_replayer.replay import Replay

# A killed call loses up to this much work; saving more often would cost time.
_SAVE_SECONDS = 5.0
# After a chunk that takes longer, the next one is smaller. After a very long one the call ends: its last chunk may
# begin when a minute is left.
_SLOW_SECONDS = 20.0
_LONG_SECONDS = 50.0
# A call that dies is tried seven times, in which 1000 changes become one.
_DIVISOR = 4
_NAMES = 1_000
# Counts of what there was to do. All other counts say what became of it.
_SIZES = ("changes", "keys")


class Cursor(NamedTuple):
    """The last record that is done, in the order of its split: `group`, `version`, `source`, `position`.

    Changes are ordered by key and version. Unreadable records, which may have neither, are ordered by their part and
    the token of its file.
    """

    group: str
    version: str
    source: str
    position: int


@dataclass
class Progress:
    """What of a split is done. `tokens` are those of its parts, `files` are files of names.

    `parked` and `missed` are `Names` that are in no file yet. `size` is how many changes are in a chunk.
    `at_work` is set while a call is draining. A call that finds it set knows that the call before died or raised;
    `careful` then saves the progress after each chunk.
    """

    tokens: dict[str, str] = field(default_factory=dict)
    cursor: Cursor | None = None
    counts: Counter[str] = field(default_factory=Counter)
    files: list[str] = field(default_factory=list)
    parked: list[str] = field(default_factory=list)
    missed: list[list[str]] = field(default_factory=list)
    size: int = 0
    at_work: bool = False
    careful: bool = False

    @classmethod
    def load(cls, stored: Mapping[str, Any]) -> Progress | None:
        """None for what an older release saved: the split starts over."""
        if "cursor" not in stored:
            return None
        cursor = Cursor(*stored["cursor"]) if stored["cursor"] else None
        return cls(**{**stored, "cursor": cursor, "counts": Counter(stored["counts"])})

    def start_over(self, tokens: dict[str, str]) -> None:
        self.tokens, self.cursor, self.counts = tokens, None, Counter()
        self.files, self.parked, self.missed = [], [], []

    def shrink(self) -> None:
        self.size = max(1, self.size // _DIVISOR)


@dataclass
class ProgressFile:
    """The progress of one split, as one call loads and saves it.

    `largest` is the usual size of a chunk. `meter` counts what has been saved.
    """

    bucket: Bucket
    replay: Replay
    split: int
    largest: int
    seconds: Callable[[], float]
    meter: Meter
    progress: Progress = field(default_factory=Progress)
    part: str = ""  # of the unreadable records: their names are stored by part
    _counted: Counter[str] = field(default_factory=Counter)
    _saved_at: float = 0.0

    def begin(self) -> Progress:
        """Load what the call before saved. After a call that died, the chunks are smaller."""
        try:
            saved = Progress.load(self.bucket.read_json(self.replay.keys.progress(self.split)))
        except GoneError:
            saved = None
        self.progress = saved or Progress(size=self.largest)
        self._counted = Counter(self.progress.counts)
        if self.progress.at_work:
            self.progress.careful = True
            self.progress.shrink()
        self.save(at_work=True)
        return self.progress

    def adapt(self, seconds: float) -> bool:
        """Set the size of the next chunk by how long this one took. Returns whether the call must end."""
        progress = self.progress
        if seconds > _SLOW_SECONDS:
            progress.size = max(1, progress.size // 2)
        elif seconds < _SLOW_SECONDS / 4:
            progress.size = min(self.largest, progress.size * 2)
        return seconds > _LONG_SECONDS

    def save_if_due(self) -> None:
        progress = self.progress
        if len(progress.parked) + len(progress.missed) >= _NAMES:
            self.write_names()
        elif not progress.careful and self.seconds() - self._saved_at < _SAVE_SECONDS:
            return
        self.save(at_work=True)

    def save(self, *, at_work: bool) -> None:
        self.progress.at_work = at_work
        self._write(self.replay.keys.progress(self.split), vars(self.progress))

    def finish(self, now: datetime) -> None:
        """Write the split's result."""
        self.write_names()
        progress = self.progress
        result: SplitResult = {
            "tokens": progress.tokens,
            "counts": progress.counts,
            "files": progress.files,
            "drained_at": now.isoformat(),
        }
        self._write(self.replay.keys.result(self.split), result)

    def write_names(self) -> None:
        """Move the names into a file."""
        progress = self.progress
        if progress.parked or progress.missed:
            file = names_file(self.split, self.part, secrets.token_hex(8))
            names: Names = {"parked": progress.parked, "missed": progress.missed}
            self.bucket.write_json(self.replay.keys.names(file), names)
            progress.files.append(file)
            progress.parked, progress.missed = [], []

    def _write(self, key: str, document: Mapping[str, Any]) -> None:
        """Count only what has been saved: the rest is done, and counted, again if this call dies."""
        self.bucket.write_json(key, document)
        new = self.progress.counts - self._counted
        self.meter.count({name: count for name, count in new.items() if name not in _SIZES})
        self._counted, self._saved_at = Counter(self.progress.counts), self.seconds()


def read_names(bucket: Bucket, replay: Replay, files: Iterable[str]) -> Iterator[Names]:
    """One file at a time: the names of all parked records may be more than memory holds."""
    for file in files:
        names: Names = bucket.read_json(replay.keys.names(file))
        yield names


def read_results(bucket: Bucket, replay: Replay) -> dict[int, SplitResult]:
    """The results of the splits that are drained."""
    return {split_of_result(key): _result(bucket.read_json(key)) for key, _ in bucket.list(replay.keys.results)}


def _result(stored: dict[str, Any]) -> SplitResult:
    tokens = stored.get("tokens") or stored.get("runs", {})  # as an older release named them
    return {
        "tokens": tokens,
        "counts": stored["counts"],
        "files": stored["files"],
        "drained_at": stored["drained_at"],
    }
