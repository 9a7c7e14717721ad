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
from itertools import chain
from typing import Any

import pymysql
from pymysql.constants import ER

from common.changes import Change, Kind, Parked
from common.database import ApplyOptions, Outcome, StoredVersion
from common.histories import History, count_loser, layers
from common.mysql import errors, unique
from common.mysql.search import Search, row_number
from common.mysql.sidecar import LockedVersion
from common.mysql.target import MOVED, Rejection
from common.mysql.writer import PartError, Statement, Writer
from common.versions import LOWEST_VERSION

# Keys with something new that are decided together. When time runs out, the slices before are done.
_SLICE = 500
# Keys that a call decides however short its time is.
_LEAST = 10
# Rows that are tried to find out whether an unknown error is the database's.
_PROBES = 10

Id = tuple[str, str]  # key and version


def write(writer: Writer, histories: list[History], options: ApplyOptions) -> Outcome:
    """Write what can be written of `histories`, which are in key order. Does not commit.

    Raises pymysql.MySQLError for anything that is not about single rows. An unknown error number counts as the
    database's, unless another row was written or `options.was_parked` knows the change.
    """
    moved: set[str] = set()
    while True:
        try:
            return _write(_Isolation(writer, options, moved), histories, every_change=options.every_change)
        except _MovedError as error:
            writer.connection.rollback()
            moved |= error.keys


def _write(isolation: _Isolation, histories: list[History], *, every_change: bool) -> Outcome:
    """Raises _MovedError; the caller must roll back."""
    if not histories:
        return Outcome()
    writer = isolation.writer
    stored = writer.sidecar.lock([history[0].key for history in histories])
    turns_of = _each if every_change else _newest
    least, slices = _cuts(histories, stored)
    done = len(histories)
    for start, end in slices:
        if not isolation.finish(turns_of(histories[start:end], stored, isolation)):
            done = start or _do_least(isolation, turns_of(histories[:least], stored, isolation), least)
            break
    if done == len(histories):
        isolation.finish(isolation.deferred(in_slices=len(slices) > 1))
    isolation.raise_unknown()
    isolation.check_keys()
    newest = [isolation.written[key][-1] for key in sorted(isolation.written)]
    of_a_load = {change.key for change in newest if change.version == LOWEST_VERSION}
    writer.sidecar.forget(
        sorted(key for key in stored if stored[key].new and (key in of_a_load or key not in isolation.written))
    )
    writer.sidecar.claim(newest)
    return isolation.outcome(histories[:done], histories[done:], every_change=every_change)


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
        self._write(self.writer.deletes([change for change in sound if change.row is None]))
        upserts = [change for change in sound if change.row is not None]
        if upserts:
            self._upsert(upserts)

    def _refusal(self, change: Change) -> Rejection | None:
        return (
            MOVED if change.key in self._moved and change.row is not None else self.writer.refusal(change, foresee=True)
        )

    def check_keys(self) -> None:
        """Raises _MovedError where a trigger has changed the key of a row."""
        newest = (changes[-1] for changes in self.written.values())
        if moved := self.writer.moved([change for change in newest if change.row is not None]):
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
        self.writer.release("turns")
        return True

    @contextmanager
    def without_time_limit(self) -> Iterator[None]:
        out_of_time, self._out_of_time = self._out_of_time, lambda: False
        yield
        self._out_of_time = out_of_time

    def deferred(self, *, in_slices: bool) -> Iterator[list[Change]]:
        """The deferred changes once more: the row that was in the way may have changed since.

        Where nothing was written, only rows of different slices can still free each other's values.
        """
        waiting: dict[str, Change] = {}
        for change, why in self._rejected.values():
            newest = max([change, *self.written.get(change.key, ())], key=lambda one: one.version)
            if why.kind is Kind.DEFERRED and newest is change and change.version >= _version(waiting.get(change.key)):
                waiting[change.key] = change
        if not self.written:
            waiting = {key: change for key, change in waiting.items() if in_slices and self._clashes(change)}
        if waiting:
            for change in waiting.values():
                del self._rejected[_id(change)]
            yield [waiting[key] for key in sorted(waiting)]

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
                self.writer.delete([change]) if change.row is None else self.writer.update([change])
            except pymysql.MySQLError as error:
                self._rejection(error)
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

    def _upsert(self, changes: list[Change]) -> None:
        columns = sorted(set(chain.from_iterable(key.columns for key in self.writer.target.plain_keys)))
        there = self.writer.found(changes, columns)
        by_key = {change.key: change for change in changes if change.key in there}
        plan = unique.plan(self._moves(by_key, there, columns))
        self._write(self.writer.updates([by_key[key] for key in plan.free]))
        if plan.cycles:
            self._break(plan.cycles, by_key)
        self._write(self.writer.inserts([change for change in changes if change.key not in there]))

    def _moves(
        self, changes: dict[str, Change], there: dict[str, tuple[Any, ...]], columns: list[str]
    ) -> list[unique.RowMove]:
        target = self.writer.target
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

    def _break(self, cycles: list[unique.Cycle], by_key: dict[str, Change]) -> None:
        """All cycles together, then one by one. The rows of a cycle that cannot be broken are tried one by one."""
        vacate, order = (list(chain.from_iterable(parts)) for parts in zip(*map(_parts, cycles), strict=True))
        if self._try_cycle(unique.Cycle(vacate, order), by_key):
            return
        for cycle in cycles:
            if len(cycles) == 1 or not self._try_cycle(cycle, by_key):
                self._write(self.writer.updates([by_key[key] for key in cycle.order]))

    def _try_cycle(self, cycle: unique.Cycle, by_key: dict[str, Change]) -> bool:
        """False, with nothing done, where a row that gave up its value cannot get its new one."""
        columns = self.writer.target.vacating
        if not columns:
            return False
        connection = self.writer.connection
        connection.query("SAVEPOINT cycle")
        try:
            self.writer.patch(
                [name for name, _ in columns],
                [(*by_key[key].key_values, *map(_filler, columns)) for key in cycle.vacate],
            )
            result = self._isolate(self.writer.updates([by_key[key] for key in cycle.order]))
        except pymysql.MySQLError as error:
            self._rejection(error)
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

    def _write(self, statement: Statement) -> None:
        try:
            self._note(self._isolate(statement))
        except _TimeUpError as error:
            self._note(error.result)
            raise

    def _note(self, result: _Result) -> None:
        for change in result.written:
            self.written.setdefault(change.key, []).append(change)
        self._rejected.update((_id(change), (change, why)) for change, why in result.rejected)

    def _isolate(self, statement: Statement) -> _Result:
        """Write all rows except those that are refused alone. Raises _TimeUpError."""
        result, search = _Result(), Search(statement, self.writer.at_once)
        while parts := search.parts():
            refused: Sequence[Change] = ()
            row = None
            try:
                statement.send(parts)
            except PartError as error:
                if self._must_send_singly(parts, error):
                    search = Search(statement, self.writer.at_once, done=search.start)
                    continue
                why, row = self._rejection(error.cause), row_number(error.cause)
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
            self.writer.at_once = 1
        return refused

    def _rejection(self, error: pymysql.MySQLError) -> Rejection:
        why = self.writer.target.rejection(error)
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
