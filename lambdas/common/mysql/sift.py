"""Finds the rows that the server refuses and writes the rest, in a number of round trips that does not explode.

The batch is written once more, row by row only where it must be, in one transaction:

1. Lock the keys in the sidecar and read what it holds; nothing is claimed yet, as a parked record leaves no trace.
2. Try the newest change of each key that is newer than what is stored; where one is refused, the one before it.
   The server rolls back a single refused statement by itself, so no savepoints are needed.
3. Claim the versions of what was written, remove the rows that only locked a key, commit.

Which row of a statement is refused: the server often says *at row N*; otherwise parts of it tell, several in one round
trip where the connection allows that. How far apart the last two were is how large the next statement is. Rows that
take each other's unique values go in the order in which these become free (unique.py).
"""

from __future__ import annotations

import re
import secrets
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import accumulate, chain
from typing import Any

import pymysql
from pymysql.constants import ER

from common.changes import LOWEST_VERSION, Change, Kind, Parked
from common.database import ApplyOptions, Outcome, StoredVersion
from common.histories import History, count_loser, layers
from common.mysql import errors, unique
from common.mysql.target import MOVED, Rejection
from common.mysql.writer import PartError, Statement, Stored, Writer

# So many keys that have something new are decided before the next: where time runs out, these are done; at least so
# many, however short it is. And so many rows are tried for evidence.
_SLICE, _LEAST = 500, 10
_PROBES = 10

Id = tuple[str, str]  # key and version


def write(writer: Writer, histories: list[History], options: ApplyOptions) -> Outcome:
    """Write what can be written of `histories`, each the changes of one key, oldest first, in the order of the keys.

    Does not commit. Raises pymysql.MySQLError for anything that is not about single rows; also for an error number
    that nobody knows, unless some other row was written, or the option `was_parked` knows its row.
    """
    moved: set[str] = set()
    while True:
        try:
            return _write(_Sifter(writer, options, moved), histories, every_change=options.every_change)
        except _MovedError as error:
            writer.connection.rollback()
            moved |= error.keys


def _write(sifter: _Sifter, histories: list[History], *, every_change: bool) -> Outcome:
    """Raises _MovedError, with the transaction to be rolled back."""
    if not histories:
        return Outcome()
    writer = sifter.writer
    stored = writer.lock([history[0].key for history in histories])
    turns_of = _each if every_change else _newest
    least, slices = _cuts(histories, stored)
    done = len(histories)
    for start, end in slices:
        if not sifter.finish(turns_of(histories[start:end], stored, sifter)):
            done = start or _do_least(sifter, turns_of(histories[:least], stored, sifter), least)
            break
    if done == len(histories):
        sifter.finish(sifter.waiting(in_slices=len(slices) > 1))
    sifter.raise_what_nobody_knows()
    sifter.look_after_keys()
    newest = [sifter.written[key][-1] for key in sorted(sifter.written)]
    of_a_load = {change.key for change in newest if change.version == LOWEST_VERSION}
    writer.forget([key for key in stored if stored[key].new and (key in of_a_load or key not in sifter.written)])
    writer.claim(newest)
    return sifter.outcome(histories[:done], histories[done:], every_change=every_change)


def _cuts(histories: list[History], stored: dict[str, Stored]) -> tuple[int, list[tuple[int, int]]]:
    """Where the least ends that is done, and the slices.

    Only what is newer than what is stored counts: what an earlier delivery has written is no step further.
    """
    work = [i for i, history in enumerate(histories) if stored[history[0].key].is_older(history[-1])]
    starts = [0, *work[_SLICE::_SLICE]]
    return (work[_LEAST] if len(work) > _LEAST else len(histories)), list(
        zip(starts, [*starts[1:], len(histories)], strict=True)
    )


def _do_least(sifter: _Sifter, turns: Iterator[list[Change]], least: int) -> int:
    """A batch that is too hard for a call must still get smaller with each."""
    with sifter.unhurried():
        sifter.finish(turns)
    return least


def _newest(histories: list[History], stored: dict[str, Stored], sifter: _Sifter) -> Iterator[list[Change]]:
    """The newest change of every key; then, of those that were refused, the one before; and so on."""
    remaining = {history[0].key: list(history) for history in histories}
    turn = list(remaining)
    while turn:
        tried = sifter.without_losers([remaining[key].pop() for key in turn], stored)
        yield tried
        turn = [change.key for change in tried if change.key not in sifter.written and remaining[change.key]]


def _each(histories: list[History], stored: dict[str, Stored], sifter: _Sifter) -> Iterator[list[Change]]:
    """Every change that is newer than what is stored, the oldest of each key first."""
    yield from layers([sifter.without_losers(history, stored) for history in histories])


@dataclass
class _Result:
    written: list[Change] = field(default_factory=list)
    rejected: list[tuple[Change, Rejection]] = field(default_factory=list)


class _TimeUpError(Exception):
    """`result` holds what was done before."""

    def __init__(self, result: _Result) -> None:
        self.result = result


class _MovedError(Exception):
    """The rows of `keys` were written, and are not there under their keys."""

    def __init__(self, keys: set[str]) -> None:
        self.keys = keys


class _Sifter:
    """`moved` names keys that a trigger changes: nothing of them is tried."""

    def __init__(self, writer: Writer, options: ApplyOptions, moved: set[str]) -> None:
        self.writer, self._moved = writer, moved
        self._out_of_time, self._was_parked = options.out_of_time, options.was_parked
        self._lost: dict[Id, tuple[Change, Stored]] = {}
        self._rejected: dict[Id, tuple[Change, Rejection]] = {}
        self._unknown: pymysql.MySQLError | None = None
        self._goes_through = False  # some row of the batch, though time may have undone it
        self.written: dict[str, list[Change]] = {}  # of each key, its newest last

    def without_losers(self, changes: Sequence[Change], stored: dict[str, Stored]) -> list[Change]:
        """Those that are newer than what is stored of their keys."""
        newer = [change for change in changes if stored[change.key].is_older(change)]
        if len(newer) < len(changes):
            for change in changes:
                if not stored[change.key].is_older(change):
                    self._lost[_id(change)] = change, stored[change.key]
        return newer

    def take(self, changes: Sequence[Change]) -> None:
        """Write those of `changes`, of distinct keys, that can be written."""
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

    def look_after_keys(self) -> None:
        """Raises _MovedError."""
        newest = (changes[-1] for changes in self.written.values())
        if moved := self.writer.moved([change for change in newest if change.row is not None]):
            raise _MovedError(moved)

    def finish(self, turns: Iterable[list[Change]]) -> bool:
        """Take all turns; False, with nothing of them done, where time runs out before."""
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
    def unhurried(self) -> Iterator[None]:
        out_of_time, self._out_of_time = self._out_of_time, lambda: False
        yield
        self._out_of_time = out_of_time

    def waiting(self, *, in_slices: bool) -> Iterator[list[Change]]:
        """What another row stood in the way of, once more: that one may have moved since.

        Where nothing was written, only rows of several slices may still take each other's values.
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

    def raise_what_nobody_knows(self) -> None:
        """Where no row goes through it is the database's error, not the row's."""
        is_open = any(
            why.kind is Kind.UNKNOWN and not self._was_parked(change) for change, why in self._rejected.values()
        )
        if self._unknown and is_open and not self._goes_through and not self._would_go_through():
            raise self._unknown

    def _would_go_through(self) -> bool:
        """Whether one of a few rows that an earlier delivery has written could be written again. Undone at once."""
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

    # Rows that are there, in an order in which they can take each other's unique values, then new ones.

    def _upsert(self, changes: list[Change]) -> None:
        columns = sorted(set(chain.from_iterable(key.columns for key in self.writer.target.plain_keys)))
        there = self.writer.found(changes, columns)
        by_key = {change.key: change for change in changes if change.key in there}
        plan = unique.plan(self._moves(by_key, there, columns))
        self._write(self.writer.updates([by_key[key] for key in plan.free]))
        if plan.knots:
            self._untie(plan.knots, by_key)
        self._write(self.writer.inserts([change for change in changes if change.key not in there]))

    def _moves(
        self, changes: dict[str, Change], there: dict[str, tuple[Any, ...]], columns: list[str]
    ) -> list[unique.Move]:
        target = self.writer.target
        places = {column.name: i for i, column in enumerate(target.table.columns)}
        moves = []
        for key, change in changes.items():
            held = dict(zip(columns, there[key], strict=True))
            row = change.row or ()
            wanted = {name: row[places[name]] if name in places else held[name] for name in columns}
            moves.append(
                unique.Move(key, *(tuple(k.values(values) for k in target.plain_keys) for values in (held, wanted)))
            )
        return moves

    def _untie(self, knots: list[unique.Knot], by_key: dict[str, Change]) -> None:
        """All knots together, then one by one; the rows of one that cannot be untied are tried each by itself."""
        vacate, order = (list(chain.from_iterable(parts)) for parts in zip(*map(_parts, knots), strict=True))
        if self._try_knot(unique.Knot(vacate, order), by_key):
            return
        for knot in knots:
            if len(knots) == 1 or not self._try_knot(knot, by_key):
                self._write(self.writer.updates([by_key[key] for key in knot.order]))

    def _try_knot(self, knot: unique.Knot, by_key: dict[str, Change]) -> bool:
        """False, with nothing done, where a row that has let go of its value could not be given its new one."""
        columns = self.writer.target.vacating
        if not columns:
            return False
        connection = self.writer.connection
        connection.query("SAVEPOINT knot")
        try:
            self.writer.patch([name for name, _ in columns], [(key, *map(_nothing, columns)) for key in knot.vacate])
            result = self._isolate(self.writer.updates([by_key[key] for key in knot.order]))
        except pymysql.MySQLError as error:
            self._rejection(error)
            connection.query("ROLLBACK TO SAVEPOINT knot")
            return False
        except _TimeUpError:
            connection.query("ROLLBACK TO SAVEPOINT knot")
            raise _TimeUpError(_Result()) from None
        if {change.key for change, _ in result.rejected} & set(knot.vacate):
            connection.query("ROLLBACK TO SAVEPOINT knot")
            return False
        self._note(result)
        return True

    # One statement after the other

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
        """Write all but the rows that are refused by themselves. Raises _TimeUpError where time runs out before."""
        result, search = _Result(), _Search(statement, self.writer.at_once)
        while parts := search.parts():
            refused: Sequence[Change] = ()
            row_number = None
            try:
                statement.send(parts)
            except PartError as error:
                if self._are_not_taken_together(parts, error):
                    search = _Search(statement, self.writer.at_once, done=search.start)
                    continue
                why, row_number = self._rejection(error.cause), _row_number(error.cause)
                parts, refused = parts[: error.done], parts[error.done]
                if len(refused) == 1:
                    result.rejected.append((refused[0], why))
            self._goes_through = self._goes_through or bool(parts)
            result.written += chain.from_iterable(parts)
            search.note(sum(map(len, parts)), len(refused), row_number)
            if search.parts() and self._out_of_time():
                raise _TimeUpError(result)
        return result

    def _are_not_taken_together(self, parts: list[Sequence[Change]], error: PartError) -> bool:
        """A proxy may take one statement at a time only, whatever the connection asks for: then so it goes."""
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


class _Search:
    """Which rows go next, in how many statements: the server stops at the first that it refuses.

    `at_once` is how many statements may go in one round trip, `start` the first row that is not decided.
    """

    def __init__(self, statement: Statement, at_once: int, done: int = 0) -> None:
        self._changes, self._statement, self._at_once = statement.changes, statement, at_once
        self._ends = list(accumulate(statement.sizes, initial=0))  # of each row's text, the sum of those before
        self.start, self._size = done, len(statement.changes)
        self._bad_end = 0  # before here some row is refused, from `start` on
        self._suspect: int | None = None  # and it is this one, as the server says
        self._last_refused = -1

    def parts(self) -> list[Sequence[Change]]:
        parts: list[Sequence[Change]] = []
        start, room = self.start, self._statement.limit
        while start < len(self._changes) and len(parts) < self._at_once:
            end = self._end(start, room - self._statement.fixed)
            if end <= start and parts:
                break
            end = max(end, start + 1)  # a row that is larger than the limit goes alone
            parts.append(self._changes[start:end])
            room -= self._ends[end] - self._ends[start] + self._statement.fixed
            start = end
        return parts

    def _end(self, start: int, room: int) -> int:
        """Of the part that begins at `start`."""
        fitting = bisect_right(self._ends, self._ends[start] + room) - 1
        if self._suspect is not None and start <= self._suspect:
            return min(fitting, max(self._suspect, start + (start == self._suspect)))
        return min(fitting, start + self._size)

    def note(self, through: int, refused: int, row_number: int | None) -> None:
        """So many rows went through, and then a statement of `refused` rows did not."""
        self.start += through
        self._suspect = None
        if refused == 1:
            self._size = max(1, self.start - self._last_refused)
            self._last_refused = self.start
            self.start += 1
            self._bad_end = 0
        elif refused:
            self._bad_end = self.start + refused
            self._narrow()
            if row_number and row_number <= refused:
                self._suspect = self.start + row_number - 1
        elif self.start < self._bad_end:
            self._narrow()
        else:
            self._size *= 2

    def _narrow(self) -> None:
        self._size = -(-(self._bad_end - self.start) // max(2, self._at_once))


def _row_number(error: pymysql.MySQLError) -> int | None:
    match = re.search(r"at row (\d+)$", str(error.args[-1]))
    return int(match[1]) if match else None


def _nothing(column: tuple[str, str]) -> str | None:
    return None if column[1] == "null" else "~" + secrets.token_hex(7)


def _parts(knot: unique.Knot) -> tuple[list[str], list[str]]:
    return knot.vacate, knot.order


def _id(change: Change) -> Id:
    return change.key, change.version


def _version(change: Change | None) -> str:
    return change.version if change else ""


def _parked(change: Change, why: Rejection) -> Parked:
    return Parked(change.key, change.version, why.reason, why.hint, why.errno, change.record, why.kind)
