"""Isolates the rows that the server refuses and writes the rest, in a bounded number of round trips.

The whole batch is written again in one transaction:

1. Lock the keys in the sidecar and read what it holds. Nothing is claimed yet: a parked record leaves no trace there.
2. Try the newest change of each key that is newer than the stored version. Where one is refused, try the one before.
   The server rolls back a single refused statement by itself, so no savepoint is needed.
3. Claim the versions of what was written, delete the sidecar rows that only locked a key, commit.

The server often names the refused row of a statement (*at row N*). Otherwise the statement is split, and several parts
go in one round trip where the connection allows it. The distance between the last two refused rows sets the size of the
next statement. Rows that take each other's unique values are written in the order in which these become free
(unique.py).
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import reduce
from itertools import chain
from typing import Any

import pymysql
from pymysql.constants import ER

from common.changes import Change, Kind, Parked
from common.database import ApplyOptions, Outcome, StoredVersion
from common.histories import History, count_loser, layers
from common.mysql import errors, unique
from common.mysql.search import Search, row_number
from common.mysql.sender import PartError
from common.mysql.sidecar import KeptRow, LockedVersion
from common.mysql.table_writer import Statement, TableWriter
from common.mysql.target import MOVED, Rejection
from common.mysql.writer import Writer
from common.versions import LOWEST_VERSION

# Keys with something new that are decided together. When time runs out, the slices before are done.
_SLICE = 500
# Keys that a call decides however short its time is.
_LEAST = 10
# How often changes that wait for each other are tried again.
_ATTEMPTS = 6
# Rows that are tried to find out whether an unknown error is the database's.
_PROBES = 10

Id = tuple[str, str]  # key and version


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
    with isolation.without_time_limit():
        removals = isolation.flag(removals)
    isolation.raise_unknown()
    isolation.check_keys()
    newest = [isolation.written[key][-1] for key in sorted(isolation.written)]
    of_a_load = {change.key for change in newest if change.version == LOWEST_VERSION}
    writer.sidecar.forget(
        sorted(key for key in stored if stored[key].new and (key in of_a_load or key not in isolation.written))
    )
    writer.sidecar.claim(newest)
    outcome = isolation.outcome(histories[:done], histories[done:], every_change=every_change)
    outcome.left = sorted([*outcome.left, *left], key=_id)
    if removals:
        writer.keep(removals, outcome, flagged=True)
    return outcome


def _cuts(histories: list[History], stored: dict[str, LockedVersion]) -> tuple[int, list[tuple[int, int]]]:
    """The least number of histories to decide, and the slices.

    Only histories newer than the stored version count: the others were written by an earlier delivery.
    """
    work = [i for i, history in enumerate(histories) if stored[history[0].key].is_older(history[-1])]
    starts = [0, *work[_SLICE::_SLICE]]
    return (work[_LEAST] if len(work) > _LEAST else len(histories)), list(
        zip(starts, [*starts[1:], len(histories)], strict=True)
    )


def _do_least(isolation: _Isolation, turns: Iterator[list[Change]], least: int) -> int:
    """Decide the first `least` histories without a time limit: each call must get further."""
    with isolation.without_time_limit():
        isolation.finish(turns)
    return least


def _newest(
    histories: list[History], stored: dict[str, LockedVersion], isolation: _Isolation
) -> Iterator[list[Change]]:
    """The newest change of every key; then, for the refused ones, the change before; and so on."""
    remaining = {history[0].key: list(history) for history in histories}
    turn = list(remaining)
    while turn:
        tried = isolation.newer_than_stored([remaining[key].pop() for key in turn], stored)
        yield tried
        turn = [change.key for change in tried if change.key not in isolation.written and remaining[change.key]]


def _each(histories: list[History], stored: dict[str, LockedVersion], isolation: _Isolation) -> Iterator[list[Change]]:
    """Every change that is newer than the stored version, the oldest of each key first."""
    yield from layers([isolation.newer_than_stored(history, stored) for history in histories])


@dataclass
class _Result:
    written: list[Change] = field(default_factory=list)
    rejected: list[tuple[Change, Rejection]] = field(default_factory=list)


class _TimeUpError(Exception):
    """Time ran out. `result` holds what was done before."""

    def __init__(self, result: _Result) -> None:
        self.result = result


class _MovedError(Exception):
    """The rows of `keys` do not exist under their keys after they were written: a trigger changed the key."""

    def __init__(self, keys: set[str]) -> None:
        self.keys = keys


class _Isolation:
    """One attempt. Changes of the keys in `moved` are refused unsent: a trigger changes these keys."""

    def __init__(self, writer: Writer, options: ApplyOptions, moved: set[str]) -> None:
        self.writer, self._moved = writer, moved
        self._out_of_time, self._was_parked = options.out_of_time, options.was_parked
        self._lost: dict[Id, tuple[Change, LockedVersion]] = {}
        self._rejected: dict[Id, tuple[Change, Rejection]] = {}
        self._unknown: pymysql.MySQLError | None = None
        self._any_accepted = False  # some row was, though it may have been rolled back since
        self._flagged: list[Change] = []  # removals that left a row in place
        self.stored: dict[str, LockedVersion] = {}
        self.written: dict[str, list[Change]] = {}  # of each key, its newest last

    def newer_than_stored(self, changes: Sequence[Change], stored: dict[str, LockedVersion]) -> list[Change]:
        """Those that are newer than the stored version of their key."""
        newer = [change for change in changes if stored[change.key].is_older(change)]
        if len(newer) < len(changes):
            for change in changes:
                if not stored[change.key].is_older(change):
                    self._lost[_id(change)] = change, stored[change.key]
        return newer

    def take(self, changes: Sequence[Change]) -> None:
        """Write those of `changes` that can be written. Their keys are distinct."""
        refused = [(change, why) for change in changes if (why := self._refusal(change))]
        self._note(_Result([], refused))
        sound = [change for change in changes if _id(change) not in self._rejected]
        for table, deletes in self.writer.children_first([change for change in sound if change.row is None]):
            self._write(table, table.deletes(deletes))
        for table, upserts in self.writer.parents_first([change for change in sound if change.row is not None]):
            self._upsert(table, [table.with_flags(change, self.stored[change.key].kept) for change in upserts])

    def _refusal(self, change: Change) -> Rejection | None:
        return (
            MOVED if change.key in self._moved and change.row is not None else self.writer.refusal(change, foresee=True)
        )

    def flag(self, removals: list[Change]) -> list[Change]:
        """Flag the rows of those removals that are newer than their rows. Returns the removals but the refused."""
        newest = {(change.key, change.mark): change for change in sorted(removals, key=_id)}
        due: dict[str, list[Change]] = {}
        for change in newest.values():
            if self.writer.flags_row(change) and self._is_gone(change):
                due.setdefault(change.key, []).append(change)
        refused = {key: MOVED for key in due if key in self._moved}
        state = {key: self._with_removals(key, changes) for key, changes in due.items()}
        for table, given in self.writer.children_first([due[key][-1] for key in due if key not in self._moved]):
            for statement in table.flags(table.to_flag(given), state):
                result = self._isolate(table, statement)
                refused.update((change.key, why) for change, why in result.rejected)
                self._flagged += result.written
        self._rejected.update((_id(change), (change, why)) for key, why in refused.items() for change in due[key])
        return [change for change in removals if _id(change) not in self._rejected]

    def _is_gone(self, removal: Change) -> bool:
        """Whether the removal is newer than the row, and than the removals of its kind before it."""
        kept = self.stored[removal.key].kept.version(removal.mark)
        return removal.version > max(self._row_version(removal.key), kept)

    def _row_version(self, key: str) -> str:
        written = self.written.get(key)
        return written[-1].version if written else self.stored[key].version

    def _with_removals(self, key: str, removals: Sequence[Change]) -> LockedVersion:
        """What the sidecar will hold of `key`."""
        stored = self.stored[key]
        kept = reduce(KeptRow.with_removal, removals, stored.kept)
        return stored._replace(version=self._row_version(key), kept=kept)

    def check_keys(self) -> None:
        """Raises _MovedError where a trigger has changed the key of a row."""
        newest = (changes[-1] for changes in self.written.values())
        written = [change for change in newest if change.row is not None]
        moved: set[str] = set()
        for table, changes in self.writer.parents_first([*written, *self._flagged]):
            moved |= table.moved(changes)
        if moved:
            raise _MovedError(moved)

    def finish(self, turns: Iterable[list[Change]]) -> bool:
        """Take all turns. Returns False, with all of them rolled back, if time runs out."""
        query = self.writer.connection.query
        query("SAVEPOINT turns")
        before = dict(self._rejected), {key: list(changes) for key, changes in self.written.items()}
        try:
            for turn in turns:
                self.take(turn)
        except _TimeUpError:
            query("ROLLBACK TO SAVEPOINT turns")
            self._rejected, self.written = before
            return False
        self.writer.sender.release("turns")
        return True

    @contextmanager
    def without_time_limit(self) -> Iterator[None]:
        out_of_time, self._out_of_time = self._out_of_time, lambda: False
        yield
        self._out_of_time = out_of_time

    def deferred(self, *, in_slices: bool) -> Iterator[list[Change]]:
        """The deferred changes once more: the row that was in the way may have changed since.

        And again while that helps: a row may wait for another one that waits, as in a tree. Key order may be the wrong
        one for these, so every second attempt reverses it.
        """
        for attempt in range(_ATTEMPTS):
            waiting = self._waiting(in_slices=in_slices)
            for change in waiting:
                del self._rejected[_id(change)]
            if waiting:
                yield waiting[::-1] if attempt % 2 else waiting
            if all(_id(change) in self._rejected for change in waiting):
                return

    def _waiting(self, *, in_slices: bool) -> list[Change]:
        """The newest deferred change of each key, where it can be written now.

        Where nothing was written, only rows of different slices can still free each other's values.
        """
        waiting: dict[str, Change] = {}
        for change, why in self._rejected.values():
            newest = max([change, *self.written.get(change.key, ())], key=lambda one: one.version)
            if why.kind is Kind.DEFERRED and newest is change and change.version >= _version(waiting.get(change.key)):
                waiting[change.key] = change
        if not self.written:
            waiting = {key: change for key, change in waiting.items() if in_slices and self._clashes(change)}
        return [waiting[key] for key in sorted(waiting)]

    def _clashes(self, change: Change) -> bool:
        return self._rejected[_id(change)][1].errno == ER.DUP_ENTRY

    def raise_unknown(self) -> None:
        """An unknown error is the database's where no row is accepted."""
        is_open = any(
            why.kind is Kind.UNKNOWN and not self._was_parked(change) for change, why in self._rejected.values()
        )
        if self._unknown and is_open and not self._any_accepted and not self._would_accept():
            raise self._unknown

    def _would_accept(self) -> bool:
        """Whether the server accepts one of a few rows that an earlier delivery wrote. Rolled back at once."""
        redelivered = [change for change, at in self._lost.values() if change.version == at.version]
        for change in redelivered[:_PROBES]:
            self.writer.connection.query("SAVEPOINT probe")
            try:
                table = self.writer.table_of(change)
                table.delete([change]) if change.row is None else table.update([change])
            except pymysql.MySQLError as error:
                self._rejection(table, error)
                continue
            self.writer.connection.query("ROLLBACK TO SAVEPOINT probe")
            return True
        return False

    def outcome(self, decided: list[History], left: list[History], *, every_change: bool) -> Outcome:
        outcome = Outcome(left=list(chain.from_iterable(left)))
        outcome.parked = [_parked(change, why) for change, why in self._rejected.values()]
        for history in decided:
            written = self.written.get(history[0].key, [])[0 if every_change else -1 :]
            lost = [self._lost[_id(change)] for change in history if _id(change) in self._lost]
            for change in written:
                outcome.counts["deleted" if change.row is None else "upserted"] += 1
            for change, at in lost:
                count_loser(change, StoredVersion(at.version, at.source_time), outcome)
            rejected = sum(_id(change) in self._rejected for change in history)
            outcome.counts["superseded"] += len(history) - len(written) - len(lost) - rejected
        return outcome

    # Existing rows first, in the order in which their unique values become free, then new rows.

    def _upsert(self, table: TableWriter, changes: list[Change]) -> None:
        columns = sorted(set(chain.from_iterable(key.columns for key in table.target.plain_keys)))
        there = table.found(changes, columns)
        by_key = {change.key: change for change in changes if change.key in there}
        plan = unique.plan(self._moves(table, by_key, there, columns))
        self._write(table, table.updates([by_key[key] for key in plan.free]))
        if plan.cycles:
            self._break(table, plan.cycles, by_key)
        self._write(table, table.inserts([change for change in changes if change.key not in there]))

    def _moves(
        self, table: TableWriter, changes: dict[str, Change], there: dict[str, tuple[Any, ...]], columns: list[str]
    ) -> list[unique.RowMove]:
        target = table.target
        places = {column.name: i for i, column in enumerate(target.entity.columns)}
        moves = []
        for key, change in changes.items():
            held = dict(zip(columns, there[key], strict=True))
            row = change.row or ()
            wanted = {name: row[places[name]] if name in places else held[name] for name in columns}
            moves.append(
                unique.RowMove(key, *(tuple(k.values(values) for k in target.plain_keys) for values in (held, wanted)))
            )
        return moves

    def _break(self, table: TableWriter, cycles: list[unique.Cycle], by_key: dict[str, Change]) -> None:
        """All cycles together, then one by one. The rows of a cycle that cannot be broken are tried one by one."""
        vacate, order = (list(chain.from_iterable(parts)) for parts in zip(*map(_parts, cycles), strict=True))
        if self._try_cycle(table, unique.Cycle(vacate, order), by_key):
            return
        for cycle in cycles:
            if len(cycles) == 1 or not self._try_cycle(table, cycle, by_key):
                self._write(table, table.updates([by_key[key] for key in cycle.order]))

    def _try_cycle(self, table: TableWriter, cycle: unique.Cycle, by_key: dict[str, Change]) -> bool:
        """False, with nothing done, where a row that gave up its value cannot get its new one."""
        columns = table.target.vacating
        if not columns:
            return False
        connection = self.writer.connection
        connection.query("SAVEPOINT cycle")
        try:
            table.patch(
                [name for name, _ in columns],
                [(*by_key[key].key_values, *map(_filler, columns)) for key in cycle.vacate],
            )
            result = self._isolate(table, table.updates([by_key[key] for key in cycle.order]))
        except pymysql.MySQLError as error:
            self._rejection(table, error)
            connection.query("ROLLBACK TO SAVEPOINT cycle")
            return False
        except _TimeUpError:
            connection.query("ROLLBACK TO SAVEPOINT cycle")
            raise _TimeUpError(_Result()) from None
        if {change.key for change, _ in result.rejected} & set(cycle.vacate):
            connection.query("ROLLBACK TO SAVEPOINT cycle")
            return False
        self._note(result)
        return True

    # The statements

    def _write(self, table: TableWriter, statement: Statement) -> None:
        try:
            self._note(self._isolate(table, statement))
        except _TimeUpError as error:
            self._note(error.result)
            raise

    def _note(self, result: _Result) -> None:
        for change in result.written:
            self.written.setdefault(change.key, []).append(change)
        self._rejected.update((_id(change), (change, why)) for change, why in result.rejected)

    def _isolate(self, table: TableWriter, statement: Statement) -> _Result:
        """Write all rows except those that are refused alone. Raises _TimeUpError."""
        result, search = _Result(), Search(statement, self.writer.sender.at_once)
        while parts := search.parts():
            refused: Sequence[Change] = ()
            row = None
            try:
                statement.send(parts)
            except PartError as error:
                if self._must_send_singly(parts, error):
                    search = Search(statement, self.writer.sender.at_once, done=search.start)
                    continue
                why, row = self._rejection(table, error.cause), row_number(error.cause)
                parts, refused = parts[: error.done], parts[error.done]
                if len(refused) == 1:
                    result.rejected.append((refused[0], why))
            self._any_accepted = self._any_accepted or bool(parts)
            result.written += chain.from_iterable(parts)
            search.note(sum(map(len, parts)), len(refused), row)
            if search.parts() and self._out_of_time():
                raise _TimeUpError(result)
        return result

    def _must_send_singly(self, parts: list[Sequence[Change]], error: PartError) -> bool:
        """A proxy may refuse several statements in one round trip, whatever the connection asks for."""
        refused = len(parts) > 1 and error.done == 0 and errors.number(error.cause) == ER.PARSE_ERROR
        if refused:
            self.writer.sender.at_once = 1
        return refused

    def _rejection(self, table: TableWriter, error: pymysql.MySQLError) -> Rejection:
        why = table.target.rejection(error)
        if why is None:
            raise error
        if why.kind is Kind.UNKNOWN:
            self._unknown = self._unknown or error
        return why


def _filler(column: tuple[str, str]) -> str | None:
    return None if column[1] == "null" else "~" + secrets.token_hex(7)


def _parts(cycle: unique.Cycle) -> tuple[list[str], list[str]]:
    return cycle.vacate, cycle.order


def _id(change: Change) -> Id:
    return change.key, change.version


def _version(change: Change | None) -> str:
    return change.version if change else ""


def _parked(change: Change, why: Rejection) -> Parked:
    return Parked(change.key, change.version, why.reason, why.hint, why.errno, change.record, why.kind)
