"""Writes the rows of a table, except those that the server refuses.

The server often names the refused row of a statement (*at row N*). Otherwise the statement is split, and several parts
go in one round trip where the connection allows it. The distance between the last two refused rows sets the size of the
next statement. Rows that take each other's unique values are written in the order in which these become free
(unique.py).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import pymysql
from pymysql.constants import ER

from common.changes import Change, Kind
from common.mysql import errors, unique
from common.mysql.search import Search, row_number
from common.mysql.sender import PartError
from common.mysql.table_writer import Statement, TableWriter
from common.mysql.target import Rejection
from common.mysql.writer import Writer

Id = tuple[str, str]  # key and version


@dataclass
class Result:
    written: list[Change] = field(default_factory=list)
    rejected: list[tuple[Change, Rejection]] = field(default_factory=list)


class TimeUpError(Exception):
    """Time ran out. `result` holds what was done before."""

    def __init__(self, result: Result) -> None:
        self.result = result


class Attempt:
    """What was written and what was refused, by key and version.

    `unknown` is the first error with an unknown number. `any_accepted` says whether the server accepted some row, which
    may have been rolled back since.
    """

    def __init__(self, writer: Writer, out_of_time: Callable[[], bool]) -> None:
        self._writer, self._out_of_time = writer, out_of_time
        self.written: dict[str, list[Change]] = {}  # of each key, its newest last
        self.rejected: dict[Id, tuple[Change, Rejection]] = {}
        self.unknown: pymysql.MySQLError | None = None
        self.any_accepted = False

    @contextmanager
    def without_time_limit(self) -> Iterator[None]:
        out_of_time, self._out_of_time = self._out_of_time, lambda: False
        yield
        self._out_of_time = out_of_time

    def write(self, table: TableWriter, statement: Statement) -> None:
        """Raises TimeUpError."""
        try:
            self.note(self.isolate(table, statement))
        except TimeUpError as error:
            self.note(error.result)
            raise

    def note(self, result: Result) -> None:
        for change in result.written:
            self.written.setdefault(change.key, []).append(change)
        self.rejected.update((id_of(change), (change, why)) for change, why in result.rejected)

    def upsert(self, table: TableWriter, changes: list[Change]) -> None:
        """Existing rows first, in the order in which their unique values become free, then new rows."""
        columns = sorted(set(chain.from_iterable(key.columns for key in table.target.plain_keys)))
        there = table.found(changes, columns)
        by_key = {change.key: change for change in changes if change.key in there}
        plan = unique.plan(self._moves(table, by_key, there, columns))
        self.write(table, table.updates([by_key[key] for key in plan.free]))
        if plan.cycles:
            self._break(table, plan.cycles, by_key)
        self.write(table, table.inserts([change for change in changes if change.key not in there]))

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
                self.write(table, table.updates([by_key[key] for key in cycle.order]))

    def _try_cycle(self, table: TableWriter, cycle: unique.Cycle, by_key: dict[str, Change]) -> bool:
        """False, with nothing done, where a row that gave up its value cannot get its new one."""
        columns = table.target.vacating
        if not columns:
            return False
        connection = self._writer.connection
        connection.query("SAVEPOINT cycle")
        try:
            table.patch(
                [name for name, _ in columns],
                [(*by_key[key].key_values, *map(_filler, columns)) for key in cycle.vacate],
            )
            result = self.isolate(table, table.updates([by_key[key] for key in cycle.order]))
        except pymysql.MySQLError as error:
            self.rejection(table, error)
            connection.query("ROLLBACK TO SAVEPOINT cycle")
            return False
        except TimeUpError:
            connection.query("ROLLBACK TO SAVEPOINT cycle")
            raise TimeUpError(Result()) from None
        if {change.key for change, _ in result.rejected} & set(cycle.vacate):
            connection.query("ROLLBACK TO SAVEPOINT cycle")
            return False
        self.note(result)
        return True

    def isolate(self, table: TableWriter, statement: Statement) -> Result:
        """Write all rows except those that are refused alone. Raises TimeUpError."""
        result, search = Result(), Search(statement, self._writer.sender.at_once)
        while parts := search.parts():
            refused: Sequence[Change] = ()
            row = None
            try:
                statement.send(parts)
            except PartError as error:
                if self._must_send_singly(parts, error):
                    search = Search(statement, self._writer.sender.at_once, done=search.start)
                    continue
                why, row = self.rejection(table, error.cause), row_number(error.cause)
                parts, refused = parts[: error.done], parts[error.done]
                if len(refused) == 1:
                    result.rejected.append((refused[0], why))
            self.any_accepted = self.any_accepted or bool(parts)
            result.written += chain.from_iterable(parts)
            search.note(sum(map(len, parts)), len(refused), row)
            if search.parts() and self._out_of_time():
                raise TimeUpError(result)
        return result

    def _must_send_singly(self, parts: list[Sequence[Change]], error: PartError) -> bool:
        """A proxy may refuse several statements in one round trip, whatever the connection asks for."""
        refused = len(parts) > 1 and error.done == 0 and errors.number(error.cause) == ER.PARSE_ERROR
        if refused:
            self._writer.sender.at_once = 1
        return refused

    def rejection(self, table: TableWriter, error: pymysql.MySQLError) -> Rejection:
        why = table.target.rejection(error)
        if why is None:
            raise error
        if why.kind is Kind.UNKNOWN:
            self.unknown = self.unknown or error
        return why


def _filler(column: tuple[str, str]) -> str | None:
    return None if column[1] == "null" else "~" + secrets.token_hex(7)


def _parts(cycle: unique.Cycle) -> tuple[list[str], list[str]]:
    return cycle.vacate, cycle.order


def id_of(change: Change) -> Id:
    return change.key, change.version
