"""Applies splits, one worker's share: keys in parallel between workers, each key in sequence inside its split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count, dropwhile, groupby, islice
from typing import Any

from pymysql.connections import Connection

from common.changes import Change, Parked
from common.mapping import Table
from common.mysql import Database
from common.quarantine import Quarantine
from common.sink import CLOCK_SLACK_SECONDS, Outcome, apply
from common.source import Source
from common.sql import chunks, literal
from common.target import SIDECAR
from dlq_replayer.ahead import ahead
from dlq_replayer.bucket import Bucket, GoneError
from dlq_replayer.collect import POISON, parse
from dlq_replayer.run import Run
from dlq_replayer.splits import line_reader, open_split, part_of

_BATCH = 1_000
_READERS = _PARKED_AT_ONCE = 8
# Of what is being parked: as objects a record may be thirty times its text.
_PARKED_BYTES = 1024 * 1024


@dataclass
class Progress:
    """What of a split is done: the tokens of its runs, the place of the last change, counts, what was parked, and the
    batches that have vanished with a record that was to be parked.
    """

    runs: dict[str, str] = field(default_factory=dict)
    after: list[Any] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    parked: list[str] = field(default_factory=list)
    vanished: list[str] = field(default_factory=list)

    def start_over(self, runs: dict[str, str]) -> None:
        self.runs, self.after, self.counts, self.parked, self.vanished = runs, [], Counter(), [], []


@dataclass(frozen=True, kw_only=True)
class Drainer:
    bucket: Bucket
    table: Table
    source: Source
    database: Database
    quarantine: Quarantine
    statement_bytes: int = 15_000
    every_change: bool = False
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    def drain(self, run: Run, split: int, out_of_time: Callable[[], bool]) -> bool:
        """Apply a split, park what can never be applied, and note what was done; False when time ran out first.

        Called again it goes on where time ran out; interrupted otherwise, it applies again, and what was committed is
        recognised as redelivered. Done before, nothing happens. Raises HoldError, StopError, ConfigError or ParkError.
        """
        note = done_key(run, split)
        if any(True for _ in self.bucket.list(note)):
            return True
        progress = self._begun(run, split)
        pieces = self._park_unreadable if split == POISON else self._apply_changes
        for _ in pieces(run, split, progress):
            if out_of_time():
                self.bucket.write_json(_progress_key(run, split), vars(progress))
                return False
        counts = progress.counts | {"parked": len(progress.parked)}
        at = self.clock().isoformat()
        done = vars(progress) | {"counts": counts, "drained_at": at}
        self.bucket.write_json(note, done)
        return True

    def _begun(self, run: Run, split: int) -> Progress:
        try:
            noted = self.bucket.read_json(_progress_key(run, split))
        except GoneError:
            return Progress()
        return Progress(**noted | {"counts": Counter(noted["counts"])})

    def _apply_changes(self, run: Run, split: int, progress: Progress) -> Iterator[None]:
        """Yields behind each batch, except the last."""
        opened = open_split(self.bucket, run.prefix, split, line_reader(self.table))
        if progress.runs != opened.tokens:  # nothing begun, or a run was written anew since
            progress.start_over(opened.tokens)
        rest: Iterator[Change] = opened.changes
        if progress.after:
            rest = dropwhile(lambda change: _place(change) <= progress.after, rest)
        for changes in _batches(rest):
            outcome = self._apply(changes)
            self._park(outcome.parked, progress)
            # Sorted by key, so a key of the batch before can only be the first of this one.
            keys = len({change.key for change in changes}) - (changes[0].key in progress.after[:1])
            progress.counts += outcome.counts + Counter(changes=len(changes), keys=keys)
            progress.after = _place(changes[-1])
            if len(changes) == _BATCH:
                yield

    def _apply(self, changes: list[Change]) -> Outcome:
        return self.database.run(
            f"replaying {len(changes)} changes of {self.table.name}, the first of key {changes[0].key}",
            lambda connection, target: apply(
                connection, target, changes, statement_bytes=self.statement_bytes, every_change=self.every_change
            ),
        )

    def _park(self, parked: list[Parked], progress: Progress) -> None:
        under_way = ahead(
            lambda whole: self.quarantine.park([whole[0]]),
            self._whole(parked, progress.vanished),
            threads=_PARKED_AT_ONCE,
            room=_PARKED_BYTES,
            weigh=lambda whole: max(whole[1], _PARKED_BYTES // _PARKED_AT_ONCE),
        )
        progress.parked += [name for _, names in under_way for name in names.result()]

    def _whole(self, parked: list[Parked], vanished: list[str]) -> Iterator[tuple[Parked, int]]:
        """With their records, and how many bytes these are: what was collected only refers to them.

        A thousand parked records may come from as many failed batches: a few are read ahead, a record at a time is
        parsed. A batch that a person has moved meanwhile has `vanished`; a quarantined record was discarded.
        """
        by_source = {key: list(same) for key, same in groupby(sorted(parked, key=_source), key=_source)}
        for source, text in ahead(self.bucket.read_wherever, by_source, threads=_READERS, room=_READERS):
            try:
                batch = parse(source, text.result(), self.source)
            except GoneError:
                vanished.append(source)
                continue
            for one in by_source[source]:
                index = one.record["index"]
                yield one._replace(record=batch.whole(index)), batch.size_of(index)

    def _park_unreadable(self, run: Run, _split: int, progress: Progress) -> Iterator[None]:
        """Yields behind each piece of the poison that was collected."""
        for key, _ in self.bucket.list(f"{run.prefix}poison/"):
            poison = self.bucket.read_json(key)
            part, token = part_of(key), poison["token"]
            if progress.runs.get(part) == token:
                continue
            begun = progress.after[1] if progress.after[:1] == [token] else 0
            for start in range(begun, len(poison["parked"]), _BATCH):
                piece = [Parked(**one) for one in poison["parked"][start : start + _BATCH]]
                left = self._not_superseded(piece)
                progress.counts["stale"] += len(piece) - len(left)
                self._park(left, progress)
                progress.after = [token, start + _BATCH]
                yield
            progress.runs[part] = token

    def _not_superseded(self, parked: list[Parked]) -> list[Parked]:
        """Without those that a newer version has replaced: an item that was corrected needs its old record no more."""
        keys = {one.key for one in parked if one.key and one.version and one.key.isascii()}
        if not keys:
            return parked
        stored: dict[str, tuple[str, int]] = self.database.run(
            f"comparing {len(keys)} unreadable keys with {SIDECAR}",
            lambda connection, _: stored_versions(connection, sorted(keys)),
        )
        return [one for one in parked if not _superseded(one, *stored.get(one.key or "", ("", 0)))]


def _superseded(parked: Parked, version: str, source_time: int) -> bool:
    """By what was applied last; not if the clock contradicts that, as it does for a change that could be read."""
    when = parked.record["time"]
    newer = parked.version is not None and version > parked.version
    return newer and when is not None and when <= source_time + CLOCK_SLACK_SECONDS


def stored_versions(connection: Connection[Any], keys: Sequence[str]) -> dict[str, tuple[str, int]]:
    """Version and source time of what was applied last, of those of `keys` that have any. Locks nothing."""
    found: dict[str, tuple[str, int]] = {}
    with connection.cursor() as cursor:
        head = f"SELECT item_key, version, source_time FROM {SIDECAR} WHERE item_key IN ("
        for statement, _ in chunks(head, [literal(key) for key in keys], ")", 15_000):
            cursor.execute(statement)
            found.update((key, (version, when)) for key, version, when in cursor.fetchall())
    connection.rollback()
    return found


def _source(parked: Parked) -> str:
    return str(parked.record["source"])


def _place(change: Change) -> list[Any]:
    return [change.key, change.version, change.record["source"], change.record["index"]]


def _progress_key(run: Run, split: int) -> str:
    return done_key(run, split).replace(f"{run.prefix}done/", f"{run.prefix}begun/")


def done_key(run: Run, split: int) -> str:
    return f"{run.prefix}done/{'poison' if split == POISON else f'{split:05d}'}.json"


def _batches(changes: Iterator[Change]) -> Iterator[list[Change]]:
    """The next batch is read while MySQL is at work on this one."""
    for _, batch in ahead(lambda _: list(islice(changes, _BATCH)), count(), threads=1, room=1):
        if not batch.result():
            return
        yield batch.result()
