"""Sends the statements of one transaction, and inspects the table after a warning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pymysql
from pymysql.connections import Connection
from pymysql.constants import CLIENT, ER

from common.database import Verdict
from common.mysql import answers, errors, schema
from common.mysql.target import Targets

_AT_ONCE = 16


class PartError(Exception):
    """The server refused a statement with `cause`. It ran the `done` statements before it, and none after it."""

    def __init__(self, done: int, cause: pymysql.MySQLError) -> None:
        self.done, self.cause = done, cause


class Sender:
    """Sends to `connection` inside its open transaction. A statement of several rows has at most `limit` bytes."""

    def __init__(self, connection: Connection[Any], targets: Targets, limit: int) -> None:
        self.connection, self.limit = connection, limit
        self._targets, self._inspected = targets, False
        # How many statements may go in one round trip.
        self.at_once = _AT_ONCE if connection.client_flag & CLIENT.MULTI_STATEMENTS else 1

    def send(self, statement: str) -> None:
        """Raises pymysql.MySQLError, or SchemaMismatchError where the server has changed a value to make it fit."""
        self._require_packet_room(statement)
        self.connection.query(statement)
        if answers.is_warned(self.connection) and not self._inspected:
            self._look_at_warnings()

    def send_together(self, statements: Sequence[str]) -> list[int | None]:
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
            self._inspect()
        return matched

    def release(self, savepoint: str) -> None:
        """Release a savepoint. Raises a deadlock error where the savepoint is gone.

        In that case the server rolled back the whole transaction when it refused a row.
        """
        try:
            self.connection.query(f"RELEASE SAVEPOINT {savepoint}")
        except pymysql.MySQLError as error:
            if errors.number(error) != ER.SP_DOES_NOT_EXIST:
                raise
            raise pymysql.OperationalError(ER.LOCK_DEADLOCK, "the server rolled back the transaction") from None

    def _look_at_warnings(self) -> None:
        """Raises SchemaMismatchError where a warning comes from a column that no longer fits.

        A value that is rounded gives a note and no error, where the column was altered under the connection. A legacy
        trigger may give notes as well, so the table itself is inspected.
        """
        with self.connection.cursor() as cursor:
            cursor.execute("SHOW WARNINGS")
            codes = {code for _, code, _ in cursor.fetchall()}
        if any(errors.RULES.get(code, errors.UNKNOWN).verdict is Verdict.POISON for code in codes):
            self._inspect()

    def _inspect(self) -> None:
        schema.inspect(self.connection, self._targets.mapping)
        self._inspected = True

    def _require_packet_room(self, statement: str) -> None:
        """Raise the server's error. The server itself would also close the connection, which looks like an outage."""
        room = self._targets.packet_room
        if len(statement) > room // 4 and len(statement.encode()) > room:
            raise pymysql.OperationalError(ER.NET_PACKET_TOO_LARGE, "a row is larger than max_allowed_packet")
