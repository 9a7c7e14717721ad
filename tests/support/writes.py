"""The writer under test, and a log of all that it does to the target."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pymysql

from common import mapping
from common.changes import Change
from common.database import ApplyOptions, Outcome
from common.mapping import Mapping
from common.mysql import schema
from common.mysql.apply import apply
from common.records import parse_records
from tests.support.tables import Rows, Tables

MAPPING = mapping.load()
ORDER = MAPPING.entities[0]

_LOG = "INSERT INTO write_log (event, order_id, updated_at) VALUES"


def changes_of(*records: dict[str, Any], declared: Mapping = MAPPING) -> list[Change]:
    batch = parse_records(records, declared)
    assert not batch.parked
    assert not batch.skipped
    return batch.changes


def assert_written(outcome: Outcome, changes: Iterable[Change]) -> None:
    """The changes that were written are as many as were counted, and are some of those that were given."""
    assert len(outcome.written) == outcome.counts["upserted"] + outcome.counts["deleted"]
    given = {(one.key, one.version) for one in changes}
    assert {(one.key, one.version) for one in outcome.written} <= given


class Applier:
    """`apply()` on one connection, with the target as it was when the connection was made."""

    def __init__(self, connection: pymysql.Connection[Any], declared: Mapping = MAPPING) -> None:
        self.connection, self.declared = connection, declared
        self.targets = schema.inspect(connection, declared)
        connection.rollback()

    def __call__(self, *records: dict[str, Any], statement_bytes: int | None = None, **options: Any) -> Outcome:
        changes = changes_of(*records, declared=self.declared)
        outcome = apply(self.connection, self.targets, changes, ApplyOptions(**options), statement_bytes)
        assert_written(outcome, changes)
        return outcome


class WriteLog:
    """Triggers on the target that log each write, in the order of writing; uncommitted ones vanish with their rows."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        tables.run(
            "CREATE TABLE write_log (id BIGINT AUTO_INCREMENT PRIMARY KEY, event VARCHAR(6), order_id VARCHAR(64)"
            " CHARACTER SET ascii COLLATE ascii_bin, updated_at BIGINT) ENGINE=InnoDB",
            *(
                f"CREATE TRIGGER log_{event} AFTER {event} ON tbl_orders FOR EACH ROW"
                f" {_LOG} ('{event}', {row}.order_id, {row}.updated_at)"
                for event, row in (("insert", "NEW"), ("update", "NEW"), ("delete", "OLD"))
            ),
        )

    def clear(self) -> None:
        self._tables.run("DELETE FROM write_log")

    def rows(self) -> Rows:
        """(event, key, updated_at)"""
        return self._tables.run("SELECT event, order_id, updated_at FROM write_log ORDER BY id")


def round_trips(connection: pymysql.Connection[Any]) -> list[str]:
    """The text of everything that `connection` sends from now on: statements, commits and rollbacks."""
    sent: list[str] = []
    send = connection._execute_command  # noqa: SLF001 - the one way to the server; query() does not see COMMIT

    def spy(command: int, sql: str | bytes) -> None:
        sent.append(sql if isinstance(sql, str) else sql.decode("utf-8", "surrogateescape"))
        send(command, sql)

    connection._execute_command = spy  # noqa: SLF001
    return sent
