"""What is noted of a split while it is drained: how far, what became of it, and the names of what was parked.

A note is one object, so it is always whole. Names are many where much is parked: they lie in files of bounded size,
which a note refers to. A file that no note refers to was written by a call that died.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from common.bucket import Bucket, GoneError
from common.layout import names_file, split_of_result
from dlq_replayer.meter import Meter
from dlq_replayer.run import Run

# Between two notes, so that one costs little of the time that a killed call loses.
_NOTE_SECONDS = 5.0
# A batch that takes longer is followed by a smaller one, or by the end of its call, whose last batch may begin when a
# minute is left.
_SLOW_SECONDS = 20.0
_LONG_SECONDS = 50.0
# A call that died is tried seven times, in which 1000 changes become one.
_DIVISOR = 4
_NAMES = 1_000
# How much there was to do; everything else that is counted says what became of it.
_SIZES = ("changes", "keys")


@dataclass
class Progress:
    """What of a split is done: the tokens of its runs, the place of the last change, counts, and the files of names.

    `parked` and `missed` are names that are in no file yet; the latter with the problem why a record of that source
    could not be parked, which is empty where it was discarded. `size` is how many changes are tried together.
    `at_work` says that a call has gone on from here. Found by the next call, that one has died or raised an error:
    from then on each batch is noted (`careful`).
    """

    runs: dict[str, str] = field(default_factory=dict)
    after: list[Any] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    files: list[str] = field(default_factory=list)
    parked: list[str] = field(default_factory=list)
    missed: list[list[str]] = field(default_factory=list)
    size: int = 0
    at_work: bool = False
    careful: bool = False

    def start_over(self, runs: dict[str, str]) -> None:
        self.runs, self.after, self.counts, self.files, self.parked, self.missed = runs, [], Counter(), [], [], []

    def shrink(self) -> None:
        self.size = max(1, self.size // _DIVISOR)


@dataclass
class Notes:
    """Of one split, kept by one call. `largest` is the usual size of a batch; `meter` is told what has been noted."""

    bucket: Bucket
    run: Run
    split: int
    largest: int
    seconds: Callable[[], float]
    meter: Meter
    progress: Progress = field(default_factory=Progress)
    part: str = ""  # of the unreadable records, whose names lie in files of their part
    _told: Counter[str] = field(default_factory=Counter)
    _noted_at: float = 0.0

    def begin(self) -> Progress:
        """Where the call before ended. After one that did not come to its end, with fewer changes at once."""
        try:
            noted = self.bucket.read_json(self.run.keys.progress(self.split))
            self.progress = Progress(**noted | {"counts": Counter(noted["counts"])})
        except GoneError:
            self.progress = Progress(size=self.largest)
        self._told = Counter(self.progress.counts)
        if self.progress.at_work:
            self.progress.careful = True
            self.progress.shrink()
        self.note(at_work=True)
        return self.progress

    def took(self, seconds: float) -> bool:
        """What a batch took decides about the size of the next one, and whether another call must try that."""
        progress = self.progress
        if seconds > _SLOW_SECONDS:
            progress.size = max(1, progress.size // 2)
        elif seconds < _SLOW_SECONDS / 4:
            progress.size = min(self.largest, progress.size * 2)
        return seconds > _LONG_SECONDS

    def note_if_due(self) -> None:
        progress = self.progress
        if len(progress.parked) + len(progress.missed) >= _NAMES:
            self.file_names()
        elif not progress.careful and self.seconds() - self._noted_at < _NOTE_SECONDS:
            return
        self.note(at_work=True)

    def note(self, *, at_work: bool) -> None:
        self.progress.at_work = at_work
        self._write(self.run.keys.progress(self.split), vars(self.progress))

    def done(self, now: datetime) -> None:
        """The split's last note, which holds no name."""
        self.file_names()
        progress = self.progress
        note = {
            "runs": progress.runs,
            "counts": progress.counts,
            "files": progress.files,
            "drained_at": now.isoformat(),
        }
        self._write(self.run.keys.result(self.split), note)

    def file_names(self) -> None:
        """Move names out of the note into a file."""
        progress = self.progress
        if progress.parked or progress.missed:
            name = names_file(self.split, self.part, secrets.token_hex(8))
            names = {"parked": progress.parked, "missed": progress.missed}
            self.bucket.write_json(self.run.keys.names(name), names)
            progress.files.append(name)
            progress.parked, progress.missed = [], []

    def _write(self, key: str, note: dict[str, Any]) -> None:
        """Counted is what has been noted: what a call did after its last note is done, and counted, again."""
        self.bucket.write_json(key, note)
        new = self.progress.counts - self._told
        self.meter.count({name: count for name, count in new.items() if name not in _SIZES})
        self._told, self._noted_at = Counter(self.progress.counts), self.seconds()


def read_names(bucket: Bucket, run: Run, files: Iterable[str]) -> Iterator[tuple[list[str], list[list[str]]]]:
    """What was parked, and what was missed with its problem, a file at a time."""
    for name in files:
        names = bucket.read_json(run.keys.names(name))
        yield names["parked"], names["missed"]


def read_done(bucket: Bucket, run: Run) -> dict[int, dict[str, Any]]:
    """The last notes of the splits that are drained."""
    return {split_of_result(key): bucket.read_json(key) for key, _ in bucket.list(run.keys.results)}
