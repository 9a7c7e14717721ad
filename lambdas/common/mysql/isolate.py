"""Isolates the rows that the server refuses and writes the rest, in a bounded number of round trips.

The whole batch is written again in one transaction:

1. Lock the keys in the sidecar and read what it holds. Nothing is claimed yet: a parked record leaves no trace there.
2. Try the newest change of each key that the stored version admits. Where one is refused, try the one before.
   The server rolls back a single refused statement by itself, so no savepoint is needed.
3. Claim the versions of what was written, delete the sidecar rows that only locked a key, commit.

attempt.py writes the rows and finds the refused ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

import pymysql
from pymysql.constants import ER

from common.changes import Change, Kind, Mark, Parked
from common.database import ApplyOptions, Outcome
from common.histories import History, layers
from common.mysql.attempt import Attempt, Id, Result, TimeUpError, id_of
from common.mysql.sidecar import LockedVersion
from common.mysql.target import MOVED, Rejection
from common.mysql.writer import Writer

# Keys with something new that are decided together. When time runs out, the slices before are done.
_SLICE = 500
# Keys that a call decides however short its time is.
_LEAST = 10
# How often changes that wait for each other are tried again.
_ATTEMPTS = 6
# Rows that are tried to find out whether an unknown error is the database's.
_PROBES = 10


def write(writer: Writer, histories: list[History], removals: list[Change], options: ApplyOptions) -> Outcome:
    """Write what can be written of `histories`, which are in key order. Does not commit.

    `removals` leave their rows in place, and their rows may have to be flagged.

    Raises pymysql.MySQLError for anything that is not about single rows. An unknown error number counts as the
    database's, unless another row was written or `options.was_parked` knows the change.
    """
    moved: set[str] = set()
    while True:
        try:
            isolation = _Isolation(writer, options, moved)
            return _write(isolation, histories, removals, every_change=options.every_change)
        except _MovedError as error:
            writer.connection.rollback()
            moved |= error.keys


def _write(isolation: _Isolation, histories: list[History], removals: list[Change], *, every_change: bool) -> Outcome:
    """Raises _MovedError; the caller must roll back."""
    if not histories and not removals:
        return Outcome()
    writer = isolation.writer
    keys = {history[0].key for history in histories} | {change.key for change in removals}
    isolation.stored = stored = writer.sidecar.lock(sorted(keys))
    histories = [_settled(history, stored[history[0].key]) for history in histories]
    turns_of = _each if every_change else _newest
    least, slices = _cuts(histories, stored)
    done = len(histories)
    for start, end in slices:
        if not isolation.finish(turns_of(histories[start:end], stored, isolation)):
            done = start or _do_least(isolation, turns_of(histories[:least], stored, isolation), least)
            break
    if done == len(histories):
        isolation.finish(isolation.deferred(in_slices=len(slices) > 1))
        left = []
    else:
        first_left = histories[done][0].key
        left = [change for change in removals if change.key >= first_left]
        removals = [change for change in removals if change.key < first_left]
    with isolation.attempt.without_time_limit():
        removals = isolation.flag(removals)
    isolation.raise_unknown()
    isolation.check_keys()
    newest = [isolation.attempt.written[key][-1] for key in sorted(isolation.attempt.written)]
    writer.sidecar.forget(sorted(key for key in stored if stored[key].new and key not in isolation.attempt.written))
    writer.sidecar.claim(newest)
    outcome = isolation.outcome(histories[:done], histories[done:], every_change=every_change)
    outcome.left = sorted([*outcome.left, *left], key=id_of)
    if removals:
        writer.keep(removals, outcome, flagged=True)
    return outcome


def _settled(history: History, stored: LockedVersion) -> History:
    """The history, with echoes of the seed as ordinary changes where the item had another writer before."""
    if all(change.mark is not Mark.SEEDED for change in history):
        return history
    settled: History = []
    for change in history:
        settled.append(stored.settle(change))
        if change.mark is not Mark.SEEDED and stored.admits(change):
            stored = stored._replace(new=False, mark=change.mark)
    return settled


def _cuts(histories: list[History], stored: dict[str, LockedVersion]) -> tuple[int, list[tuple[int, int]]]:
    """The least number of histories to decide, and the slices.

    Only histories newer than the stored version count: the others were written by an earlier delivery.
    """
    work = [i for i, history in enumerate(histories) if stored[history[0].key].admits(history[-1])]
    starts = [0, *work[_SLICE::_SLICE]]
    return (work[_LEAST] if len(work) > _LEAST else len(histories)), list(
        zip(starts, [*starts[1:], len(histories)], strict=True)
    )


def _do_least(isolation: _Isolation, turns: Iterator[list[Change]], least: int) -> int:
    """Decide the first `least` histories without a time limit: each call must get further."""
    with isolation.attempt.without_time_limit():
        isolation.finish(turns)
    return least


def _newest(
    histories: list[History], stored: dict[str, LockedVersion], isolation: _Isolation
) -> Iterator[list[Change]]:
    """The newest change of every key; then, for the refused ones, the change before; and so on."""
    remaining = {history[0].key: list(history) for history in histories}
    turn = list(remaining)
    while turn:
        tried = isolation.admitted([remaining[key].pop() for key in turn], stored)
        yield tried
        turn = [change.key for change in tried if change.key not in isolation.attempt.written and remaining[change.key]]


def _each(histories: list[History], stored: dict[str, LockedVersion], isolation: _Isolation) -> Iterator[list[Change]]:
    """Every change that the stored version admits, the oldest of each key first."""
    yield from layers([isolation.admitted(history, stored) for history in histories])


class _MovedError(Exception):
    """The rows of `keys` do not exist under their keys after they were written: a trigger changed the key."""

    def __init__(self, keys: set[str]) -> None:
        self.keys = keys


class _Isolation:
    """One attempt. Changes of the keys in `moved` are refused unsent: a trigger changes these keys."""

    def __init__(self, writer: Writer, options: ApplyOptions, moved: set[str]) -> None:
        self.writer, self._moved, self._was_parked = writer, moved, options.was_parked
        self.attempt = Attempt(writer, options.out_of_time)
        self._lost: dict[Id, tuple[Change, LockedVersion]] = {}
        self._flagged: list[Change] = []  # removals that left a row in place
        self._due_seeds: set[str] = set()  # keys of items that only a seed wrote, and whose rows must be written
        self.stored: dict[str, LockedVersion] = {}

    def admitted(self, changes: Sequence[Change], stored: dict[str, LockedVersion]) -> list[Change]:
        """Those that the stored version of their key admits: in a rewrite the equal ones, otherwise the newer ones."""
        newer = [change for change in changes if stored[change.key].admits(change)]
        if len(newer) < len(changes):
            for change in changes:
                if not stored[change.key].admits(change):
                    self._lost[id_of(change)] = change, stored[change.key]
        return newer

    def take(self, changes: Sequence[Change]) -> None:
        """Write those of `changes` that can be written. Their keys are distinct."""
        refused = [(change, why) for change in changes if (why := self._refusal(change))]
        self.attempt.note(Result([], refused))
        sound = [change for change in changes if id_of(change) not in self.attempt.rejected]
        self._due_seeds |= self.writer.due_seeds(sound)
        self.attempt.note(Result([change for change in sound if self._is_echo(change)], []))
        for table, deletes in self.writer.children_first([change for change in sound if change.row is None]):
            self.attempt.write(table, table.deletes(deletes))
        for table, upserts in self.writer.parents_first([change for change in sound if self._writes_row(change)]):
            self.attempt.upsert(table, [table.with_flags(change, self.stored[change.key].kept) for change in upserts])

    def _is_echo(self, change: Change) -> bool:
        return change.mark is Mark.SEEDED and change.key not in self._due_seeds

    def _writes_row(self, change: Change) -> bool:
        return change.row is not None and not self._is_echo(change)

    def _count(self, change: Change) -> str:
        return "seeded" if self._is_echo(change) else "deleted" if change.row is None else "upserted"

    def _refusal(self, change: Change) -> Rejection | None:
        return (
            MOVED if change.key in self._moved and change.row is not None else self.writer.refusal(change, foresee=True)
        )

    def flag(self, removals: list[Change]) -> list[Change]:
        """Flag the rows that are older than their removals. Returns the removals that were not refused.

        Where a flag is refused, all of the key's removals that wait for it are.
        """
        due: dict[str, list[Change]] = {}
        for change in sorted(removals, key=id_of):
            if self.writer.flags_row(change) and self._is_gone(change):
                due.setdefault(change.key, []).append(change)
        refused = {key: MOVED for key in due if key in self._moved}
        state = {key: self._with_removals(key, changes) for key, changes in due.items()}
        for table, given in self.writer.children_first([due[key][-1] for key in due if key not in self._moved]):
            for statement in table.flags(table.to_flag(given), state):
                result = self.attempt.isolate(table, statement)
                refused.update((change.key, why) for change, why in result.rejected)
                self._flagged += result.written
        self.attempt.rejected.update(
            (id_of(change), (change, why)) for key, why in refused.items() for change in due[key]
        )
        return [change for change in removals if id_of(change) not in self.attempt.rejected]

    def _is_gone(self, removal: Change) -> bool:
        return self.stored[removal.key].admits_removal(removal, self._row_version(removal.key))

    def _row_version(self, key: str) -> str:
        written = self.attempt.written.get(key)
        return written[-1].version if written else self.stored[key].version

    def _with_removals(self, key: str, removals: Sequence[Change]) -> LockedVersion:
        """What the sidecar will hold of `key`."""
        return self.stored[key].with_removals(removals, self._row_version(key))

    def check_keys(self) -> None:
        """Raises _MovedError where a trigger has changed the key of a row."""
        newest = (changes[-1] for changes in self.attempt.written.values())
        written = [change for change in newest if self._writes_row(change)]
        moved: set[str] = set()
        for table, changes in self.writer.parents_first([*written, *self._flagged]):
            moved |= table.moved(changes)
        if moved:
            raise _MovedError(moved)

    def finish(self, turns: Iterable[list[Change]]) -> bool:
        """Take all turns. Returns False, with all of them rolled back, if time runs out."""
        query = self.writer.connection.query
        query("SAVEPOINT turns")
        before = dict(self.attempt.rejected), {key: list(changes) for key, changes in self.attempt.written.items()}
        try:
            for turn in turns:
                self.take(turn)
        except TimeUpError:
            query("ROLLBACK TO SAVEPOINT turns")
            self.attempt.rejected, self.attempt.written = before
            return False
        self.writer.sender.release("turns")
        return True

    def deferred(self, *, in_slices: bool) -> Iterator[list[Change]]:
        """The deferred changes once more: the row that was in the way may have changed since.

        And again while that helps: a row may wait for another one that waits, as in a tree. Key order may be the wrong
        one for these, so every second attempt reverses it.
        """
        for attempt in range(_ATTEMPTS):
            waiting = self._waiting(in_slices=in_slices)
            for change in waiting:
                del self.attempt.rejected[id_of(change)]
            if waiting:
                yield waiting[::-1] if attempt % 2 else waiting
            if all(id_of(change) in self.attempt.rejected for change in waiting):
                return

    def _waiting(self, *, in_slices: bool) -> list[Change]:
        """The newest deferred change of each key, where it can be written now.

        Where nothing was written, only rows of different slices can still free each other's values.
        """
        waiting: dict[str, Change] = {}
        for change, why in self.attempt.rejected.values():
            newest = max([change, *self.attempt.written.get(change.key, ())], key=lambda one: one.version)
            if why.kind is Kind.DEFERRED and newest is change and change.version >= _version(waiting.get(change.key)):
                waiting[change.key] = change
        if not self.attempt.written:
            waiting = {key: change for key, change in waiting.items() if in_slices and self._clashes(change)}
        return [waiting[key] for key in sorted(waiting)]

    def _clashes(self, change: Change) -> bool:
        return self.attempt.rejected[id_of(change)][1].errno == ER.DUP_ENTRY

    def raise_unknown(self) -> None:
        """An unknown error is the database's where no row is accepted."""
        is_open = any(
            why.kind is Kind.UNKNOWN and not self._was_parked(change) for change, why in self.attempt.rejected.values()
        )
        if self.attempt.unknown and is_open and not self.attempt.any_accepted and not self._would_accept():
            raise self.attempt.unknown

    def _would_accept(self) -> bool:
        """Whether the server accepts one of a few rows that an earlier delivery wrote. Rolled back at once."""
        redelivered = [change for change, at in self._lost.values() if change.version == at.version]
        for change in redelivered[:_PROBES]:
            self.writer.connection.query("SAVEPOINT probe")
            try:
                table = self.writer.table_of(change)
                table.delete([change]) if change.row is None else table.update([change])
            except pymysql.MySQLError as error:
                self.attempt.rejection(table, error)
                continue
            self.writer.connection.query("ROLLBACK TO SAVEPOINT probe")
            return True
        return False

    def outcome(self, decided: list[History], left: list[History], *, every_change: bool) -> Outcome:
        outcome = Outcome(left=list(chain.from_iterable(left)))
        outcome.parked = [_parked(change, why) for change, why in self.attempt.rejected.values()]
        for history in decided:
            written = self.attempt.written.get(history[0].key, [])[0 if every_change else -1 :]
            lost = [self._lost[id_of(change)] for change in history if id_of(change) in self._lost]
            for change in written:
                outcome.counts[self._count(change)] += 1
            outcome.written += [change for change in written if not self._is_echo(change)]
            for change, at in lost:
                at.count_loser(change, outcome)
            rejected = sum(id_of(change) in self.attempt.rejected for change in history)
            outcome.counts["superseded"] += len(history) - len(written) - len(lost) - rejected
        return outcome


def _version(change: Change | None) -> str:
    return change.version if change else ""


def _parked(change: Change, why: Rejection) -> Parked:
    return Parked(change.key, change.version, why.reason, why.hint, why.errno, change.record, why.kind)
