"""Applies splits, one worker's share: keys in parallel between workers, each key in sequence inside its split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count, groupby, islice

from common.changes import Change, Parked
from common.mapping import Table
from common.mysql import Database
from common.quarantine import Quarantine
from common.sink import Outcome, apply
from dlq_replayer.ahead import ahead
from dlq_replayer.bucket import Bucket
from dlq_replayer.collect import POISON, parse
from dlq_replayer.run import Run
from dlq_replayer.splits import line_reader, open_split, part_of

_BATCH = 1_000


@dataclass(frozen=True, kw_only=True)
class Drainer:
    bucket: Bucket
    table: Table
    table_name: str
    database: Database
    quarantine: Quarantine
    statement_bytes: int = 15_000
    every_change: bool = False
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    def drain(self, run: Run, split: int) -> None:
        """Apply a split, park what can never be applied, and note what was done. Done before: nothing happens.

        Interrupted, it is applied again from its start; what was committed is then recognised as redelivered.
        Raises HoldError, StopError, ConfigError or ParkError.
        """
        note = done_key(run, split)
        if any(True for _ in self.bucket.list(note)):
            return
        counts: Counter[str] = Counter()
        parked: list[str] = []
        if split == POISON:
            tokens, parked = self._park_unreadable(run)
        else:
            opened = open_split(self.bucket, run.prefix, split, line_reader(self.table))
            tokens, last = opened.tokens, None
            for changes in _batches(opened.changes):
                outcome = self._apply(changes)
                parked += self.quarantine.park(self._whole(outcome.parked))
                # Sorted by key, so a key of the batch before can only be the first of this one.
                keys = len({change.key for change in changes}) - (changes[0].key == last)
                counts += outcome.counts + Counter(changes=len(changes), keys=keys)
                last = changes[-1].key
        counts["parked"] = len(parked)
        at = self.clock().isoformat()
        self.bucket.write_json(note, {"counts": counts, "parked": parked, "drained_at": at, "runs": tokens})

    def _apply(self, changes: list[Change]) -> Outcome:
        return self.database.run(
            f"replaying {len(changes)} changes of {self.table.name}, the first of key {changes[0].key}",
            lambda connection, target: apply(
                connection, target, changes, statement_bytes=self.statement_bytes, every_change=self.every_change
            ),
        )

    def _whole(self, parked: list[Parked]) -> list[Parked]:
        """The changes of a split only refer to their records; what is parked is parked whole.

        One batch is in memory at a time: a thousand parked records may come from as many.
        """
        whole = []
        for source, same in groupby(sorted(parked, key=_source), key=_source):
            records = parse(source, self.bucket.read_wherever(source), self.table_name).records
            whole += [one._replace(record=records[one.record["index"]]) for one in same]
        return whole

    def _park_unreadable(self, run: Run) -> tuple[dict[str, str], list[str]]:
        tokens: dict[str, str] = {}
        names: list[str] = []
        for key, _ in self.bucket.list(f"{run.prefix}poison/"):
            poison = self.bucket.read_json(key)
            tokens[part_of(key)] = poison["token"]
            names += self.quarantine.park(Parked(**one) for one in poison["parked"])
        return tokens, names


def _source(parked: Parked) -> str:
    return str(parked.record["source"])


def done_key(run: Run, split: int) -> str:
    return f"{run.prefix}done/{'poison' if split == POISON else f'{split:05d}'}.json"


def _batches(changes: Iterator[Change]) -> Iterator[list[Change]]:
    """The next batch is read while MySQL is at work on this one."""
    for _, batch in ahead(lambda _: list(islice(changes, _BATCH)), count(), threads=1, room=1):
        if not batch.result():
            return
        yield batch.result()
