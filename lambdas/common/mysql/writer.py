"""Sends the statements of one transaction and reads the server's answers."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import xor
from typing import Any, NamedTuple
from zlib import crc32

import pymysql
from pymysql.connections import Connection
from pymysql.constants import CLIENT, ER

from common.changes import Change
from common.database import Outcome, SchemaMismatchError, StoredVersion, Verdict
from common.histories import count_loser
from common.mysql import errors, schema
from common.mysql.sidecar import CLAIM_HEAD, CLAIM_TAIL, LOCK_TAIL, READ_HEAD, READ_TAIL, UNLOCK_HEAD
from common.mysql.sql import chunks, literal, tuples
from common.mysql.target import Rejection, Target

_PACKET_OVERHEAD = 16
_AT_ONCE = 16
# An insert of a row that is there may meet its key, or ask for a number where none is left.
_PERHAPS_THERE = (ER.DUP_ENTRY, 167, 1467)


class RefusedError(Exception):
    """Some row of the batch is refused; sift.py tells which."""


class PartError(Exception):
    """The server refused a statement with `cause`; the `done` ones before it went through, no later one was run."""

    def __init__(self, done: int, cause: pymysql.MySQLError) -> None:
        self.done, self.cause = done, cause


class Stored(NamedTuple):
    """A row of the sidecar. `new`: this transaction made it, to lock its key."""

    version: str
    source_time: int
    new: bool

    def is_older(self, change: Change) -> bool:
        """A loaded row has the lowest version, and wins where nothing was ever written."""
        return self.new or change.version > self.version


@dataclass(frozen=True)
class Statement:
    """A kind of statement for `changes`: `sizes` are the bytes of each one's text, `fixed` those of the rest.

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
        self.limit = min(statement_bytes or target.statement_bytes, target.packet_bytes - _PACKET_OVERHEAD)
        self._inspected = False
        # How many statements may go in one round trip.
        self.at_once = _AT_ONCE if connection.client_flag & CLIENT.MULTI_STATEMENTS else 1

    def write(self, changes: Sequence[Change]) -> Outcome:
        """Claim the versions of `changes`, sorted by key, and write the rows of those that are newer.

        Deletes come first, as they free unique values. Raises RefusedError.
        """
        outcome = Outcome()
        if not changes:
            return outcome
        if self.target.checks and any(map(self.refusal, changes)):
            raise RefusedError
        winners, known = self._claim(changes, outcome)
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
        """Why a row must not be sent, or, with `foresee`, need not be."""
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
        keys = [f"{self.target.row_word}({literal(change.key)})" for change in changes]
        for statement, _ in chunks(self.target.delete_head, keys, self.target.delete_tail, self.limit):
            self._send(statement)

    def update(self, changes: Sequence[Change]) -> list[Change]:
        """Change the rows that are there; gives back the changes whose rows are not."""
        missing: list[Change] = []
        for statement, part in chunks(self.target.update_head, self.rows(changes), self.target.update_tail, self.limit):
            self._send(statement)
            given, matched = changes[part], self._matched()
            if matched != len(given):
                missing += self._missing(given, matched)
        return missing

    def insert(self, changes: Sequence[Change]) -> None:
        """Rows that turn out to be there are changed instead."""
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
                    raise _changed_meanwhile() from None
                self.insert([change for change in changes[part] if change.key not in there])

    # The same for a search of the rows that are refused: which rows are there is known, nothing is corrected.

    def deletes(self, changes: Sequence[Change]) -> Statement:
        texts = [f"{self.target.row_word}({literal(change.key)})" for change in changes]
        return self._statement(changes, texts, self.target.delete_head, self.target.delete_tail)

    def updates(self, changes: Sequence[Change]) -> Statement:
        """Their rows are there: one that is not has vanished since they were looked up."""
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
                    raise _changed_meanwhile()

        sizes = [len(text.encode()) + 1 for text in texts]
        return Statement(changes, sizes, len(head.encode()) + len(tail.encode()) + 1, self.limit, send)

    def _send_together(self, statements: Sequence[str]) -> list[int | None]:
        """How many rows each one met.

        Raises PartError, or SchemaMismatchError where the server has changed a value to make it fit.
        """
        matched: list[int | None] = []
        is_warned = False
        try:
            for i, statement in enumerate(statements):
                self._require_packet_room(statement)
                if i == 0:
                    self.connection.query(";".join(statements))
                else:
                    self.connection.next_result()
                matched.append(self._matched())
                is_warned = is_warned or bool(self._result.warning_count)
        except pymysql.MySQLError as error:
            raise PartError(len(matched), error) from None
        if is_warned and not self._inspected:
            schema.inspect(self.connection, self.target.table)
            self._inspected = True
        return matched

    def moved(self, changes: Sequence[Change]) -> set[str]:
        """Keys whose rows were written and are not there: a trigger has changed the key."""
        if self.target.is_plain or self._are_there(changes):
            return set()
        return {change.key for change in changes} - self.found(changes).keys()

    def _are_there(self, changes: Sequence[Change]) -> bool:
        """Whether the rows of all keys are there, by their number and a sum of their keys."""
        head, tail = self.target.digest
        with self.connection.cursor() as cursor:
            for statement, part in chunks(head, [literal(change.key) for change in changes], tail, self.limit):
                cursor.execute(statement)
                expected = (len(changes[part]), reduce(xor, (crc32(change.key.encode()) for change in changes[part])))
                if cursor.fetchall() != (expected,):
                    return False
        return True

    def rows(self, changes: Sequence[Change]) -> list[str]:
        """The values of each change as SQL."""
        texts = tuples(zip(*(change.row for change in changes if change.row is not None), strict=True))
        return [self.target.row_word + text for text in texts] if self.target.row_word else texts

    def found(self, changes: Sequence[Change], columns: Sequence[str] = ()) -> dict[str, tuple[Any, ...]]:
        """Those of the keys that have a row, exactly theirs, with the values of `columns`."""
        keys = [change.key for change in changes]
        return read_rows(self.connection, self.target, keys, columns, self.limit)

    def patch(self, columns: list[str], rows: Sequence[tuple[Any, ...]]) -> None:
        """Set `columns` of rows that are there; a row is its key and their values."""
        head, tail = self.target.patch(columns)
        for statement, _ in chunks(
            head, [self.target.row_word + text for text in tuples(zip(*rows, strict=True))], tail, self.limit
        ):
            self._send(statement)

    def _missing(self, changes: Sequence[Change], matched: int | None) -> list[Change]:
        found = self.found(changes)
        missing = [change for change in changes if change.key not in found]
        if matched is not None and matched > len(changes):
            raise SchemaMismatchError(self.target.table.name, ["several of its rows have the same key"])
        if matched is not None and matched != len(changes) - len(missing):
            raise _changed_meanwhile()
        return missing

    def _send(self, statement: str) -> None:
        """Raises pymysql.MySQLError, or SchemaMismatchError where the server has made a value fit."""
        self._require_packet_room(statement)
        self.connection.query(statement)
        if getattr(self._result, "warning_count", 0) and not self._inspected:
            self._look_at_warnings()

    def _look_at_warnings(self) -> None:
        """A value that was rounded to fit gives a note and no error: the column was altered under the connection.

        A legacy trigger may give notes of its own, so that the table itself must tell. Raises SchemaMismatchError.
        """
        with self.connection.cursor() as cursor:
            cursor.execute("SHOW WARNINGS")
            codes = {code for _, code, _ in cursor.fetchall()}
        if any(errors.RULES.get(code, errors.UNKNOWN).verdict is Verdict.POISON for code in codes):
            schema.inspect(self.connection, self.target.table)
            self._inspected = True

    def _require_packet_room(self, statement: str) -> None:
        """As the server would, but it cuts the connection too, which looks like an outage that never ends."""
        room = self.target.packet_bytes - _PACKET_OVERHEAD
        if len(statement) > room // 4 and len(statement.encode()) > room:
            raise pymysql.OperationalError(ER.NET_PACKET_TOO_LARGE, "a row is larger than max_allowed_packet")

    def release(self, savepoint: str) -> None:
        """Raises the error of a lost transaction where the server has rolled it back with a statement that it refused.

        What went through before is gone then, though only one row was refused.
        """
        try:
            self.connection.query(f"RELEASE SAVEPOINT {savepoint}")
        except pymysql.MySQLError as error:
            if errors.number(error) != ER.SP_DOES_NOT_EXIST:
                raise
            raise pymysql.OperationalError(ER.LOCK_DEADLOCK, "the server rolled back the transaction") from None

    # The sidecar

    def lock(self, keys: Sequence[str]) -> dict[str, Stored]:
        """Lock the sorted keys and claim nothing: what is stored of each; a new row has the lowest version."""
        token = secrets.randbits(32)
        for statement, _ in chunks(CLAIM_HEAD, _claims(keys, token), LOCK_TAIL, self.limit):
            self.connection.query(statement)
        return {key: Stored(version, at, who == token) for key, version, at, who in self._stored(keys)}

    def claim(self, changes: Sequence[Change]) -> None:
        """Store the versions of changes that are known to be newer, as their keys are locked."""
        winners, _ = self._claim(changes, Outcome()) if changes else ([], None)
        if len(winners) != len(changes):
            raise _changed_meanwhile()

    def forget(self, keys: Sequence[str]) -> None:
        """Remove the rows that locking has made."""
        for statement, _ in chunks(UNLOCK_HEAD, list(map(literal, keys)), ")", self.limit):
            self.connection.query(statement)

    def _claim(self, changes: Sequence[Change], outcome: Outcome) -> tuple[list[Change], bool | None]:
        """Take the version of every key that is newer than what the sidecar holds; the rest has lost.

        Also whether the sidecar knew all of the winners' keys, or none of them; None for some.
        """
        # 32 bits are plenty: a redelivery that met an equal token by chance would be written again, no more.
        token = secrets.randbits(32)
        keys, versions, rows, source_times, *_ = zip(*changes, strict=True)
        deleted = [int(row is None) for row in rows]
        claims = tuples((keys, deleted, source_times, [token] * len(keys), versions))
        winners: list[Change] = []
        inserted = changed = 0
        for statement, part in chunks(CLAIM_HEAD, claims, CLAIM_TAIL, self.limit):
            claimed = changes[part]
            affected = self.connection.query(statement)
            counted = counts(affected, len(claimed), self._info())
            if counted and sum(counted) == len(claimed):
                winners += claimed
            else:
                winners += self._read_back(claimed, token, outcome)
            inserted, changed = (inserted + counted[0], changed + counted[1]) if counted else (1, 1)
        return winners, None if inserted and changed else not inserted

    def _read_back(self, changes: Sequence[Change], token: int, outcome: Outcome) -> list[Change]:
        """The winners among `changes`; counts the redelivered and the stale, parks what trips the clock."""
        stored = {key: (version, at, who) for key, version, at, who in self._stored([c.key for c in changes])}
        winners = []
        for change in changes:
            version, source_time, winner = stored[change.key]
            if winner == token and version == change.version:
                winners.append(change)
            else:
                count_loser(change, StoredVersion(version, source_time), outcome)
        return winners

    def _stored(self, keys: Sequence[str]) -> Iterator[tuple[str, str, int, int]]:
        """(key, version, source time, token)"""
        with self.connection.cursor() as cursor:
            for statement, _ in chunks(READ_HEAD, list(map(literal, keys)), READ_TAIL, self.limit):
                cursor.execute(statement)
                yield from cursor.fetchall()

    # The server's answer. The driver has no public name for it.

    @property
    def _result(self) -> Any:
        return getattr(self.connection, "_result", None)

    def _info(self) -> str:
        """`Records: 3  Duplicates: 1  Warnings: 0`, or nothing for one inserted row."""
        message = getattr(self._result, "message", None) or b""
        return message.decode("ascii", "replace") if isinstance(message, bytes) else str(message)

    def _matched(self) -> int | None:
        """How many rows an update met, changed or not; None where nobody says so."""
        match = re.search(r"Rows matched: (\d+)", self._info())
        return int(match[1]) if match else None


def read_rows(
    connection: Connection[Any], target: Target, keys: Sequence[str], columns: Sequence[str], limit: int | None = None
) -> dict[str, tuple[Any, ...]]:
    """The values of `columns` of those of `keys` that have a row, exactly theirs. Locks nothing."""
    head, tail = target.found(list(columns))
    found: dict[str, tuple[Any, ...]] = {}
    asked = set(keys)
    with connection.cursor() as cursor:
        for statement, _ in chunks(head, list(map(literal, keys)), tail, limit or target.statement_bytes):
            cursor.execute(statement)
            found.update((key, tuple(values)) for key, *values in cursor.fetchall() if key in asked)
    return found


def _claims(keys: Sequence[str], token: int) -> list[str]:
    nothing = [0] * len(keys)
    return tuples((keys, nothing, nothing, [token] * len(keys), [""] * len(keys)))


def counts(affected: int, rows: int, info: str) -> tuple[int, int] | None:
    """How many rows of a claim were inserted and how many changed, by the server's own count; None without one.

    An insert affects one row, a change two, a loser none, and `Duplicates` counts the changes. One row has no info.
    Source: sql/sql_insert.cc; https://dev.mysql.com/doc/c-api/8.4/en/mysql-info.html
    """
    if rows == 1:
        return int(affected == 1), int(affected > 1)
    match = re.search(r"Duplicates: (\d+)", info)
    return (affected - 2 * int(match[1]), int(match[1])) if match else None


def _changed_meanwhile() -> pymysql.OperationalError:
    """Somebody else has inserted or deleted rows of these keys: the transaction is to be tried again as a whole."""
    return pymysql.OperationalError(ER.LOCK_DEADLOCK, "rows of the target appeared or vanished while it was written")
