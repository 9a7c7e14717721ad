"""How far a lane is in a stage, stored in the bucket after each page.

Keys to come back to, and problems, may be many: they are stored in files of bounded size. A lane writes such a file
before the progress that names it. A file that no progress names was written by a call that was killed, or that went on
after its execution was stopped: two calls of one lane never overwrite each other's files.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, TypedDict

from common.bucket import Bucket, GoneError, ReplacedError
from common.layout import RunKeys
from common.prefetch import Prefetch
from common.raw_items import Item

# Items of a page. A page is one transaction.
LARGEST_PAGE = 1_000
_FILE = 1_000
# A call that dies is tried seven times, in which 1000 items become one.
_DIVISOR = 4
# After so many pages that went well, a lane tries larger ones again.
_GOOD_PAGES = 50
# Files of lanes that are read at a time.
_AT_ONCE = 8
_DIGEST_BYTES = 8


class RunProblem(TypedDict):
    """An item that is not in MySQL. `key` is None where it cannot be read; then `item_key` tells it, the raw key."""

    key: str | None
    item_key: Item
    reason: str
    hint: str


@dataclass
class Progress:
    """What of a stage a lane has done.

    `cursors` has where each segment goes on, None for one that is not begun; a finished segment is not there.
    `files` has the files of keys that are left, `position` counts the keys of the first one that are done.

    `size` is how many items are read at a time, and `most` how many that may become: a page that killed a call would
    kill the next one, too. `good_pages` counts those that went well since.

    `waiting`, which the job comes back to, and `problems` are JSON and in no file yet; `waiting_files` and
    `problem_files` name the files of those before. `kinds` counts what a verification has found and not repaired.

    `at_work` is set while a call is working: a call that finds it set knows that the call before died.
    """

    cursors: dict[str, Any] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)
    position: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    units: float = 0.0
    size: int = LARGEST_PAGE
    most: int = LARGEST_PAGE
    good_pages: int = 0
    waiting: list[Any] = field(default_factory=list)
    waiting_files: list[str] = field(default_factory=list)
    waiting_keys: int = 0
    problems: list[Any] = field(default_factory=list)
    problem_files: list[str] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    at_work: bool = False
    done: bool = False

    @classmethod
    def load(cls, stored: Mapping[str, Any]) -> Progress:
        return cls(**{**stored, "counts": Counter(stored["counts"]), "kinds": Counter(stored["kinds"])})

    def shrink(self) -> None:
        self.size = max(1, self.size // _DIVISOR)

    def grow(self) -> None:
        """Read more at a time after a page that went well, and after many of them more than what killed a call."""
        self.good_pages += 1
        if self.good_pages % _GOOD_PAGES == 0:
            self.most = min(LARGEST_PAGE, self.most * 2)
        self.size = min(self.most, self.size * 2)


@dataclass
class LaneFile:
    """The progress of one lane in one stage, as one call loads and saves it. `next_stage` goes through waiting keys.

    A call whose progress another one has saved meanwhile ends with ReplacedError: it would forget what that one noted.
    """

    bucket: Bucket
    keys: RunKeys
    stage: int
    lane: int
    next_stage: int
    progress: Progress = field(default_factory=Progress)
    token: str = field(default_factory=lambda: secrets.token_hex(4))
    _written: int = 0
    _tag: str = ""

    def begin(self, cursors: Mapping[str, None], files: Sequence[str]) -> Progress:
        """Load what the call before saved; `cursors` and `files` are those of a lane that was not begun."""
        try:
            stored, self._tag = self.bucket.read_json_tagged(self._key)
            self.progress = Progress.load(stored)
        except GoneError:
            self.progress = Progress(cursors=dict(cursors), files=list(files))
        if self.progress.at_work:
            self.progress.shrink()
            self.progress.most, self.progress.good_pages = self.progress.size, 0
        self.save(at_work=True)
        return self.progress

    def write_full(self) -> None:
        """Move lists that are long into files of bounded size."""
        while len(self.progress.waiting) >= _FILE:
            self._write_waiting()
        while len(self.progress.problems) >= _FILE:
            self._write_problems()

    def save(self, *, at_work: bool) -> None:
        self.write_full()
        self.progress.at_work = at_work
        self._tag = self.bucket.replace_json(self._key, vars(self.progress), self._tag)

    def finish(self) -> None:
        self.write_full()
        self._write_waiting()
        self._write_problems()
        self.progress.done = True
        self.save(at_work=False)

    def _write_waiting(self) -> None:
        progress = self.progress
        if progress.waiting:
            name = self.keys.waiting_part(self.next_stage, self.lane, self.new_name())
            self.bucket.write_json(name, progress.waiting[:_FILE])
            progress.waiting_files.append(name)
            progress.waiting = progress.waiting[_FILE:]

    def _write_problems(self) -> None:
        progress = self.progress
        if progress.problems:
            name = self.keys.problems_part(self.stage, self.lane, self.new_name())
            self.bucket.write_json(name, progress.problems[:_FILE])
            progress.problem_files.append(name)
            progress.problems = progress.problems[_FILE:]

    def new_name(self) -> str:
        """The end of the name of a file, that no other call and no other stage uses."""
        self._written += 1
        return f"{self.stage:04d}-{self.token}-{self._written:06d}"

    @property
    def _key(self) -> str:
        return self.keys.lane(self.stage, self.lane)


def rest_lane(bucket: Bucket, key: str) -> str:
    """Note that a call has ended by itself, with the progress that is stored: its pages are not to blame.

    Returns a digest of where the lane goes on, empty where it has not begun.
    """
    try:
        stored, tag = bucket.read_json_tagged(key)
    except GoneError:
        return ""
    with suppress(ReplacedError):  # another call is working
        bucket.replace_json(key, {**stored, "at_work": False}, tag)
    place = json.dumps([stored["cursors"], stored["files"], stored["position"]])
    return hashlib.blake2b(place.encode(), digest_size=_DIGEST_BYTES).hexdigest()


def waiting_files(bucket: Bucket, keys: RunKeys, stages: Iterable[int]) -> list[str]:
    """The files of what the lanes of some stages have left for a later one."""
    lanes = chain.from_iterable(read_lanes(bucket, keys.lanes_of(stage)) for stage in stages)
    return [name for lane in lanes for name in lane.waiting_files]


def read_problems(bucket: Bucket, lanes: Iterable[Progress]) -> Iterator[Any]:
    """All problems of some lanes, also those that are in no file yet."""
    for lane in lanes:
        for name in lane.problem_files:
            yield from bucket.read_json(name)
        yield from lane.problems


def read_lanes(bucket: Bucket, prefix: str) -> Iterator[Progress]:
    """The progress of every lane whose file has the prefix."""
    names = (key for key, _ in bucket.list(prefix))
    for _, future in Prefetch(bucket.read_json, names, threads=_AT_ONCE, room=_AT_ONCE):
        yield Progress.load(future.result())
