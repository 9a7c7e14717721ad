"""Drains splits: workers take splits in parallel, and the changes of one key stay in order inside its split."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import count, dropwhile, islice
from operator import itemgetter

from common.bucket import Bucket
from common.changes import Change, Parked
from common.database import ApplyOptions, Database, Outcome, StoredVersion
from common.histories import is_later
from common.layout import UNREADABLE, is_parked, part_of
from common.mapping import Mapping
from common.meter import Meter
from common.prefetch import Prefetch
from common.quarantine import Quarantine
from common.source import Source
from dlq_replayer.documents import UnreadableRecords, from_json, reference_of
from dlq_replayer.parking import Parker
from dlq_replayer.progress import Cursor, Progress, ProgressFile
from dlq_replayer.replay import Replay
from dlq_replayer.splits import open_split, segment_format

_CHUNK = 1_000


@dataclass(frozen=True, kw_only=True)
class Drainer:
    bucket: Bucket
    mapping: Mapping
    source: Source
    database: Database
    quarantine: Quarantine
    meter: Meter
    options: ApplyOptions
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    seconds: Callable[[], float] = time.monotonic

    @property
    def _parker(self) -> Parker:
        return Parker(self.bucket, self.source, self.quarantine)

    def drain(self, replay: Replay, split: int, out_of_time: Callable[[], bool]) -> bool:
        """Apply the changes of a split and park what can never be applied. Returns False when time ran out first.

        The next call goes on where time ran out. After a call that died, it goes on from the saved progress: changes
        that were committed since then count as redelivered. A split with a result is done.

        Raises HoldError, StopError, ConfigError, ParkError or OtherBuildError.
        """
        if any(True for _ in self.bucket.list(replay.keys.result(split))):
            return True
        file = ProgressFile(self.bucket, replay, split, _CHUNK, self.seconds, self.meter)
        file.begin()
        chunks = self._park_unreadable if split == UNREADABLE else self._apply_changes
        for must_end in chunks(file, out_of_time):
            if must_end or out_of_time():
                file.save(at_work=False)
                return False
            file.save_if_due()
        file.finish(self.clock())
        return True

    def _apply_changes(self, file: ProgressFile, out_of_time: Callable[[], bool]) -> Iterator[bool]:
        """Yields after each chunk but the last: whether the call must end, however much time is left."""
        progress = file.progress
        opened = open_split(self.bucket, file.replay.keys, file.split, segment_format(self.mapping))
        if progress.tokens != opened.tokens:  # nothing is done, or a segment was overwritten since
            progress.start_over(opened.tokens)
        for changes, is_last in _chunks(_behind(progress.cursor, opened.changes), progress):
            began = self.seconds()
            if self._apply_chunk(changes, progress, out_of_time):
                yield True
                return
            is_long = file.adapt(self.seconds() - began)
            if not is_last:
                yield is_long

    def _apply_chunk(self, changes: list[Change], progress: Progress, out_of_time: Callable[[], bool]) -> bool:
        """Whether time ran out inside the chunk: then `progress` ends before the first change that is left."""
        # A call always gets something done: a single change is not interrupted.
        outcome = self._apply(changes, out_of_time if len(changes) > 1 else lambda: False)
        left = min((change.key for change in outcome.left), default=None)
        done = changes if left is None else [change for change in changes if change.key < left]
        self._parker.park([one for one in outcome.parked if left is None or str(one.key) < left], progress)
        progress.counts += outcome.counts
        if done:
            # Changes are sorted by key: only the first one here can have the key of the chunk before.
            is_known = progress.cursor is not None and done[0].key == progress.cursor.group
            progress.counts += Counter(changes=len(done), keys=len({change.key for change in done}) - is_known)
            progress.cursor = _cursor_of(done[-1])
        else:
            progress.shrink()
        return left is not None

    def _apply(self, changes: list[Change], out_of_time: Callable[[], bool]) -> Outcome:
        options = replace(
            self.options, out_of_time=out_of_time, was_parked=lambda change: is_parked(reference_of(change).source)
        )
        return self.database.apply(changes, options, purpose="replaying")

    def _park_unreadable(self, file: ProgressFile, _out_of_time: Callable[[], bool]) -> Iterator[bool]:
        """Yields after each chunk of unreadable records: whether the call must end, however much time is left."""
        progress = file.progress
        for key, _ in self.bucket.list(file.replay.keys.unreadables):
            unreadable: UnreadableRecords = self.bucket.read_json(key)
            part, token = part_of(key), unreadable["token"]
            if progress.tokens.get(part) == token:
                continue
            file.part = part
            left = _left(part, unreadable, progress.cursor)
            while left:
                chunk, left = left[: progress.size], left[progress.size :]
                began = self.seconds()
                wanted = self._not_superseded(chunk)
                self._parker.park(wanted, progress)
                progress.counts += Counter(stale=len(chunk) - len(wanted))
                progress.cursor = _unreadable_cursor(part, token, chunk[-1])
                yield file.adapt(self.seconds() - began)
            file.write_names()
            progress.tokens[part] = token

    def _not_superseded(self, parked: list[Parked]) -> list[Parked]:
        """Leave out records that a newer version has replaced: the item was corrected."""
        keys = {one.key for one in parked if one.key and one.version}
        if not keys:
            return parked
        stored = self.database.versions(keys)
        return [one for one in parked if not _is_superseded(one, stored.get(one.key or "", _NEVER_APPLIED))]


_NEVER_APPLIED = StoredVersion("", 0)


def _is_superseded(parked: Parked, stored: StoredVersion) -> bool:
    """By version, unless the clock contradicts it: the rule of apply() for changes that can be read."""
    source_time = reference_of(parked).time
    is_older = parked.version is not None and stored.version > parked.version
    return is_older and source_time is not None and not is_later(source_time, stored.source_time)


def _cursor_of(change: Change) -> Cursor:
    reference = reference_of(change)
    return Cursor(change.key, change.version, reference.source, reference.index)


def _unreadable_cursor(part: str, token: str, parked: Parked) -> Cursor:
    reference = reference_of(parked)
    return Cursor(part, token, reference.source, reference.index)


def _behind(cursor: Cursor | None, changes: Iterator[Change]) -> Iterator[Change]:
    return changes if cursor is None else dropwhile(lambda change: _cursor_of(change) <= cursor, changes)


def _left(part: str, unreadable: UnreadableRecords, cursor: Cursor | None) -> list[Parked]:
    """The records of a part after the cursor; all of them where the cursor is in another part or file."""
    token = unreadable["token"]
    records = map(from_json, unreadable["parked"])
    placed = sorted(((_unreadable_cursor(part, token, one), one) for one in records), key=itemgetter(0))
    if cursor is None or (cursor.group, cursor.version) != (part, token):
        return [one for _, one in placed]
    return [one for place, one in placed if place > cursor]


def _chunks(changes: Iterator[Change], progress: Progress) -> Iterator[tuple[list[Change], bool]]:
    """Each chunk, and whether it is known to be the last. More changes are read while MySQL applies this one.

    `progress.size` may change after each chunk.
    """
    for _, future in Prefetch(lambda _: list(islice(changes, _CHUNK)), count(), threads=1, room=1):
        read = future.result()
        start = 0
        while start < len(read):
            taken = read[start : start + progress.size]
            start += len(taken)
            yield taken, start == len(read) < _CHUNK
        if len(read) < _CHUNK:
            return
