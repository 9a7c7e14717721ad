"""Sends the statements of one transaction on the target, and corrects what the server's answers contradict."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import xor
from typing import Any
from zlib import crc32

import pymysql
from pymysql.connections import Connection
from pymysql.constants import CLIENT, ER

from common.changes import Change, Row
from common.database import Outcome, SchemaMismatchError, Verdict
from common.mysql import answers, errors, schema
from common.mysql.sidecar import Sidecar, changed_meanwhile
from common.mysql.sql import chunks, literal, tuples
from common.mysql.target import Rejection, Target

_AT_ONCE = 16
# An insert of a row that exists may meet its key, or ask for an AUTO_INCREMENT number where none is left.
_PERHAPS_THERE = (ER.DUP_ENTRY, 167, 1467)


class RefusedError(Exception):
    """Some row of the batch is refused. isolate.py finds out which."""


class PartError(Exception):
    """The server refused a statement with `cause`. It ran the `done` statements before it, and none after it."""

    def __init__(self, done: int, cause: pymysql.MySQLError) -> None:
        self.done, self.cause = done, cause


@dataclass(frozen=True)
class Statement:
    """A kind of statement for `changes`. `sizes` has the bytes of each change's text, `fixed` those of the rest.

    `send` sends parts of `changes`, each as a statement, in one round trip of at most `limit` bytes. Raises PartError.
    """

    changes: Sequence[Change]
    sizes: list[int]
    fixed: int
    limit: int
    send: Callable[[Sequence[Sequence[Change]]], None]


class Writer:
    """Writes changes with distinct keys inside the open transaction of `connection`."""

    def __init__(self, connection: Connection[Any], target: Target, statement_bytes: int | None) -> None:
        self.connection, self.target = connection, target
        self.limit = target.statement_limit(statement_bytes)
        self.sidecar = Sidecar(connection, target.mapping.name, self.limit)
        self._inspected = False
        # How many statements may go in one round trip.
        self.at_once = _AT_ONCE if connection.client_flag & CLIENT.MULTI_STATEMENTS else 1

    def write(self, changes: Sequence[Change]) -> Outcome:
        """Claim the versions of `changes`, which are sorted by key, and write the rows of the winners.

        Deletes come first, because they free unique values. Raises RefusedError.
        """
        outcome = Outcome()
        if not changes:
            return outcome
        if self.target.checks and any(map(self.refusal, changes)):
            raise RefusedError
        winners, known = self.sidecar.take(changes, outcome)
        deletes = [change for change in winners if change.row is None]
        upserts = [change for change in winners if change.row is not None]
        try:
            self.delete(deletes)
            self._upsert(upserts, known)
        except pymysql.MySQLError as error:
            if self.target.rejection(error):
                raise RefusedError from None
            raise
        if self.moved(upserts):
            raise RefusedError
        outcome.counts["upserted"] += len(upserts)
        outcome.counts["deleted"] += len(deletes)
        return outcome

    def refusal(self, change: Change, *, foresee: bool = False) -> Rejection | None:
        """Why a row must not be sent. With `foresee`, also why the server would refuse it."""
        return self.target.refusal(change.row, foresee=foresee) if change.row is not None else None

    def _upsert(self, changes: Sequence[Change], known: bool | None) -> None:
        if known is None:
            new, there = [c for c in changes if c.created], [c for c in changes if not c.created]
        else:
            new, there = ([], list(changes)) if known else (list(changes), [])
        missing = self.update(there)
        self.insert(sorted(new + missing, key=lambda change: change.key) if missing else new)

    # The target

    def delete(self, changes: Sequence[Change]) -> None:
        keys = [f"{self.target.row_word}({literal(change.key_values[0])})" for change in changes]
        for statement, _ in chunks(self.target.delete_head, keys, self.target.delete_tail, self.limit):
            self._send(statement)

    def update(self, changes: Sequence[Change]) -> list[Change]:
        """Change the existing rows. Returns the changes whose rows do not exist."""
        missing: list[Change] = []
        for statement, part in chunks(self.target.update_head, self.rows(changes), self.target.update_tail, self.limit):
            self._send(statement)
            given, matched = changes[part], answers.rows_matched(self.connection)
            if matched != len(given):
                missing += self._missing(given, matched)
        return missing

    def insert(self, changes: Sequence[Change]) -> None:
        """Insert new rows. A row that turns out to exist is changed instead."""
        for statement, part in chunks(self.target.insert_head, self.rows(changes), self.target.insert_tail, self.limit):
            try:
                self._send(statement)
            except pymysql.MySQLError as error:
                if errors.number(error) not in _PERHAPS_THERE:
                    raise
                there = self.found(changes[part])
                if not there:
                    raise
                if self.update([change for change in changes[part] if change.key in there]):
                    raise changed_meanwhile() from None
                self.insert([change for change in changes[part] if change.key not in there])

    # The same for isolate.py, which knows the existing rows: nothing is corrected.

    def deletes(self, changes: Sequence[Change]) -> Statement:
        texts = [f"{self.target.row_word}({literal(change.key_values[0])})" for change in changes]
        return self._statement(changes, texts, self.target.delete_head, self.target.delete_tail)

    def updates(self, changes: Sequence[Change]) -> Statement:
        """Updates of existing rows. One that is missing was deleted since they were read."""
        head, tail = self.target.update_head, self.target.update_tail
        return self._statement(changes, self.rows(changes), head, tail, is_update=True)

    def inserts(self, changes: Sequence[Change]) -> Statement:
        return self._statement(changes, self.rows(changes), self.target.insert_head, self.target.insert_tail)

    def _statement(
        self, changes: Sequence[Change], texts: list[str], head: str, tail: str, *, is_update: bool = False
    ) -> Statement:
        text_of = {change.key: text for change, text in zip(changes, texts, strict=True)}

        def send(parts: Sequence[Sequence[Change]]) -> None:
            statements = [f"{head}{','.join(text_of[change.key] for change in part)}{tail}" for part in parts]
            for part, matched in zip(parts, self._send_together(statements), strict=True):
                if is_update and matched != len(part) and (matched is not None or self._missing(part, None)):
                    raise changed_meanwhile()

        sizes = [len(text.encode()) + 1 for text in texts]
        return Statement(changes, sizes, len(head.encode()) + len(tail.encode()) + 1, self.limit, send)

    def _send_together(self, statements: Sequence[str]) -> list[int | None]:
        """How many rows each of the statements met.

        Raises PartError, or SchemaMismatchError where the server has changed a value to make it fit.
        """
        matched: list[int | None] = []
        warned = False
        try:
            for i, statement in enumerate(statements):
                self._require_packet_room(statement)
                if i == 0:
                    self.connection.query(";".join(statements))
                else:
                    self.connection.next_result()
                matched.append(answers.rows_matched(self.connection))
                warned = warned or answers.is_warned(self.connection)
        except pymysql.MySQLError as error:
            raise PartError(len(matched), error) from None
        if warned and not self._inspected:
            schema.inspect(self.connection, self.target.mapping)
            self._inspected = True
        return matched

    def moved(self, changes: Sequence[Change]) -> set[str]:
        """Keys whose rows were written and do not exist: a trigger changed the key."""
        if self.target.is_plain or self._all_exist(changes):
            return set()
        return {change.key for change in changes} - self.found(changes).keys()

    def _all_exist(self, changes: Sequence[Change]) -> bool:
        """Whether the rows of all keys exist, by their number and a checksum of their keys."""
        head, tail = self.target.digest
        with self.connection.cursor() as cursor:
            for statement, part in chunks(
                head, [literal(change.key_values[0]) for change in changes], tail, self.limit
            ):
                cursor.execute(statement)
                expected = (
                    len(changes[part]),
                    reduce(xor, (crc32(str(change.key_values[0]).encode()) for change in changes[part])),
                )
                if cursor.fetchall() != (expected,):
                    return False
        return True

    def rows(self, changes: Sequence[Change]) -> list[str]:
        """The values of each change as SQL."""
        texts = tuples(zip(*(change.row for change in changes if change.row is not None), strict=True))
        return [self.target.row_word + text for text in texts] if self.target.row_word else texts

    def found(self, changes: Sequence[Change], columns: Sequence[str] = ()) -> dict[str, tuple[Any, ...]]:
        """Those of the keys that have a row, exactly theirs, with the values of `columns`."""
        keys = {change.key_values: change.key for change in changes}
        found = read_rows(self.connection, self.target, list(keys), columns, self.limit)
        return {keys[values]: row for values, row in found.items()}

    def patch(self, columns: list[str], rows: Sequence[tuple[Any, ...]]) -> None:
        """Set `columns` of existing rows. Each of `rows` is a key and their values."""
        head, tail = self.target.patch(columns)
        for statement, _ in chunks(
            head, [self.target.row_word + text for text in tuples(zip(*rows, strict=True))], tail, self.limit
        ):
            self._send(statement)

    def _missing(self, changes: Sequence[Change], matched: int | None) -> list[Change]:
        found = self.found(changes)
        missing = [change for change in changes if change.key not in found]
        if matched is not None and matched > len(changes):
            raise SchemaMismatchError(self.target.entity.table, ["several of its rows have the same key"])
        if matched is not None and matched != len(changes) - len(missing):
            raise changed_meanwhile()
        return missing

    def _send(self, statement: str) -> None:
        """Raises pymysql.MySQLError, or SchemaMismatchError where the server has changed a value to make it fit."""
        self._require_packet_room(statement)
        self.connection.query(statement)
        if answers.is_warned(self.connection) and not self._inspected:
            self._look_at_warnings()

    def _look_at_warnings(self) -> None:
        """Raises SchemaMismatchError where a warning comes from a column that no longer fits.

        A value that is rounded gives a note and no error, where the column was altered under the connection. A legacy
        trigger may give notes as well, so the table itself is inspected.
        """
        with self.connection.cursor() as cursor:
            cursor.execute("SHOW WARNINGS")
            codes = {code for _, code, _ in cursor.fetchall()}
        if any(errors.RULES.get(code, errors.UNKNOWN).verdict is Verdict.POISON for code in codes):
            schema.inspect(self.connection, self.target.mapping)
            self._inspected = True

    def _require_packet_room(self, statement: str) -> None:
        """Raise the server's error. The server itself would also close the connection, which looks like an outage."""
        room = self.target.packet_room
        if len(statement) > room // 4 and len(statement.encode()) > room:
            raise pymysql.OperationalError(ER.NET_PACKET_TOO_LARGE, "a row is larger than max_allowed_packet")

    def release(self, savepoint: str) -> None:
        """Release a savepoint. Raises a deadlock error where the savepoint is gone.

        Then the server rolled back the whole transaction when it refused a row.
        """
        try:
            self.connection.query(f"RELEASE SAVEPOINT {savepoint}")
        except pymysql.MySQLError as error:
            if errors.number(error) != ER.SP_DOES_NOT_EXIST:
                raise
            raise pymysql.OperationalError(ER.LOCK_DEADLOCK, "the server rolled back the transaction") from None


def read_rows(
    connection: Connection[Any], target: Target, keys: Sequence[Row], columns: Sequence[str], limit: int
) -> dict[Row, tuple[Any, ...]]:
    """The values of `columns` of those of `keys` that have a row, exactly theirs. Locks nothing.

    `limit` bounds a statement, in bytes.
    """
    head, tail = target.found(list(columns))
    found: dict[Row, tuple[Any, ...]] = {}
    asked = set(keys)
    with connection.cursor() as cursor:
        for statement, _ in chunks(head, [literal(key) for (key,) in keys], tail, limit):
            cursor.execute(statement)
            found.update(((key,), tuple(values)) for key, *values in cursor.fetchall() if (key,) in asked)
    return found
