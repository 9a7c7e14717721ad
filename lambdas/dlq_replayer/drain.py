"""Applies splits, one worker's share: keys in parallel between workers, each key in sequence inside its split."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import count, dropwhile, groupby, islice
from typing import Any

from common.bucket import Bucket, GoneError, UnreadableError
from common.changes import Change, Kind, Parked
from common.database import ApplyOptions, Database, Outcome, StoredVersion
from common.histories import CLOCK_REASON, is_later
from common.layout import UNREADABLE, is_parked, part_of
from common.mapping import Table
from common.quarantine import Quarantine
from common.source import Source
from dlq_replayer.ahead import ahead
from dlq_replayer.batches import FailedBatch
from dlq_replayer.collect import parse
from dlq_replayer.meter import Meter
from dlq_replayer.notes import Notes, Progress
from dlq_replayer.run import Run
from dlq_replayer.splits import line_reader, open_split

_BATCH = 1_000
_READERS = _PARKED_AT_ONCE = 8
# Of what is being parked: as objects a record may be thirty times its text.
_PARKED_BYTES = 1024 * 1024
_VANISHED = "it was moved away while it was replayed, before a record of it could be parked"
_CHANGED = "it was written anew while it was replayed, before a record of it could be parked"


@dataclass(frozen=True, kw_only=True)
class Drainer:
    bucket: Bucket
    table: Table
    source: Source
    database: Database
    quarantine: Quarantine
    meter: Meter
    options: ApplyOptions
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    seconds: Callable[[], float] = time.monotonic

    def drain(self, run: Run, split: int, out_of_time: Callable[[], bool]) -> bool:
        """Apply a split, park what can never be applied, and note what was done; False when time ran out first.

        Called again it goes on where time ran out. Interrupted otherwise, it goes on at its last note: what has been
        committed since then is recognised as redelivered. Once done, nothing happens.

        Raises HoldError, StopError, ConfigError or ParkError.
        """
        if any(True for _ in self.bucket.list(run.keys.result(split))):
            return True
        notes = Notes(self.bucket, run, split, _BATCH, self.seconds, self.meter)
        notes.begin()
        pieces = self._park_unreadable if split == UNREADABLE else self._apply_changes
        for must_end in pieces(notes, out_of_time):
            if must_end or out_of_time():
                notes.note(at_work=False)
                return False
            notes.note_if_due()
        notes.done(self.clock())
        return True

    def _apply_changes(self, notes: Notes, out_of_time: Callable[[], bool]) -> Iterator[bool]:
        """Yields behind each batch, except the last: whether the call must end, whatever time it has left."""
        progress = notes.progress
        opened = open_split(self.bucket, notes.run.keys, notes.split, line_reader(self.table))
        if progress.runs != opened.tokens:  # nothing begun, or a run was written anew since
            progress.start_over(opened.tokens)
        rest: Iterator[Change] = opened.changes
        if progress.after:
            rest = dropwhile(lambda change: _place(change) <= progress.after, rest)
        for changes, is_last in _batches(rest, progress):
            began = self.seconds()
            if self._apply_batch(changes, progress, out_of_time):
                yield True
                return
            is_long = notes.took(self.seconds() - began)
            if not is_last:
                yield is_long

    def _apply_batch(self, changes: list[Change], progress: Progress, out_of_time: Callable[[], bool]) -> bool:
        """Whether time ran out in the middle: then `progress` ends before the first change that is left."""
        # A call gets something further, however short the time.
        outcome = self._apply(changes, out_of_time if len(changes) > 1 else lambda: False)
        left = min((change.key for change in outcome.left), default=None)
        done = changes if left is None else [change for change in changes if change.key < left]
        parked = [one for one in outcome.parked if left is None or str(one.key) < left]
        self._park(parked, progress)
        progress.counts += outcome.counts
        if done:
            # Sorted by key, so a key of the batch before can only be the first of this one.
            keys = len({change.key for change in done}) - (done[0].key in progress.after[:1])
            progress.counts += Counter(changes=len(done), keys=keys)
            progress.after = _place(done[-1])
        else:
            progress.shrink()
        return left is not None

    def _apply(self, changes: list[Change], out_of_time: Callable[[], bool]) -> Outcome:
        options = replace(
            self.options, out_of_time=out_of_time, was_parked=lambda change: is_parked(change.record["source"])
        )
        return self.database.apply(changes, options, purpose="replaying")

    def _park(self, parked: list[Parked], progress: Progress) -> None:
        under_way = ahead(
            lambda whole: self.quarantine.park_again(whole[0], whole[2]),
            self._whole(parked, progress.missed),
            threads=_PARKED_AT_ONCE,
            room=_PARKED_BYTES,
            weigh=lambda whole: max(whole[1], _PARKED_BYTES // _PARKED_AT_ONCE),
        )
        for (one, *_), stored in under_way:
            name, kind = stored.result()
            progress.parked.append(name)
            progress.counts += parked_counts(one._replace(kind=kind))

    def _whole(
        self, parked: list[Parked], missed: list[list[str]]
    ) -> Iterator[tuple[Parked, int, Mapping[str, Any] | None]]:
        """With their records, how many bytes these are, and the object that holds one which was parked before:
        what was collected only refers to them.

        A thousand parked records may come from as many failed batches: a few are read ahead, a record at a time is
        parsed. A batch that cannot be read any more is `missed`, with the problem.
        """
        by_source = {key: list(same) for key, same in groupby(sorted(parked, key=_source), key=_source)}
        for source, text in ahead(self.bucket.read_wherever, by_source, threads=_READERS, room=_READERS):
            try:
                batch = self._parse(source, text.result(), by_source[source])
            except GoneError:
                missed.append([source, "" if is_parked(source) else _VANISHED])  # else it was discarded
                continue
            except UnreadableError as error:
                missed.append([source, str(error)])
                continue
            for one in by_source[source]:
                index = one.record["index"]
                yield one._replace(record=batch.whole(index)), batch.size_of(index), batch.parked

    def _parse(self, source: str, text: bytes, parked: list[Parked]) -> FailedBatch:
        """Raises UnreadableError, also where the batch no longer holds the records of `parked`."""
        batch = parse(source, text, self.source)
        if max(one.record["index"] for one in parked) >= len(batch.records):
            raise UnreadableError(_CHANGED)
        return batch

    def _park_unreadable(self, notes: Notes, _out_of_time: Callable[[], bool]) -> Iterator[bool]:
        """Yields behind each piece of the poison that was collected: whether the call must end."""
        progress = notes.progress
        for key, _ in self.bucket.list(notes.run.keys.unreadables):
            poison = self.bucket.read_json(key)
            part, token = part_of(key), poison["token"]
            if progress.runs.get(part) == token:
                continue
            notes.part = part
            at = progress.after[1] if progress.after[:1] == [token] else 0
            while at < len(poison["parked"]):
                piece = [Parked(**one) for one in poison["parked"][at : at + progress.size]]
                began = self.seconds()
                left = self._not_superseded(piece)
                self._park(left, progress)
                progress.counts += Counter(stale=len(piece) - len(left))
                at += len(piece)
                progress.after = [token, at]
                yield notes.took(self.seconds() - began)
            notes.file_names()
            progress.runs[part] = token

    def _not_superseded(self, parked: list[Parked]) -> list[Parked]:
        """Without those that a newer version has replaced: an item that was corrected needs its old record no more."""
        keys = {one.key for one in parked if one.key and one.version and one.key.isascii()}
        if not keys:
            return parked
        stored = self.database.versions(keys)
        return [one for one in parked if not _superseded(one, stored.get(one.key or "", _NEVER_APPLIED))]


def parked_counts(parked: Parked) -> Counter[str]:
    """Under the names by which the consumer counts: as parked, and of these by the kind that waits."""
    kinds = () if parked.kind == Kind.POISON else (str(parked.kind),)
    return Counter(("parked", *kinds)) + Counter(clock_tripped=parked.reason == CLOCK_REASON)


_NEVER_APPLIED = StoredVersion("", 0)


def _superseded(parked: Parked, stored: StoredVersion) -> bool:
    """By what was applied last; not if the clock contradicts that, as it does for a change that could be read."""
    when = parked.record["time"]
    newer = parked.version is not None and stored.version > parked.version
    return newer and when is not None and not is_later(when, stored.source_time)


def _source(parked: Parked) -> str:
    return str(parked.record["source"])


def _place(change: Change) -> list[Any]:
    return [change.key, change.version, change.record["source"], change.record["index"]]


def _batches(changes: Iterator[Change], progress: Progress) -> Iterator[tuple[list[Change], bool]]:
    """Each batch, and whether it is known to be the last. The next one is read while MySQL is at work on this one.

    `progress.size` may change behind each of them.
    """
    for _, batch in ahead(lambda _: list(islice(changes, _BATCH)), count(), threads=1, room=1):
        read = batch.result()
        start = 0
        while start < len(read):
            taken = read[start : start + progress.size]
            start += len(taken)
            yield taken, start == len(read) < _BATCH
        if len(read) < _BATCH:
            return
