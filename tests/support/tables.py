"""Whole MySQL tables as lists of rows."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import pymysql

from common import mapping
from common.mysql import registry, schema
from scripts.local_stack.process import poll
from tests.support.records import SOURCE, START, STREAM

Rows = list[tuple[Any, ...]]


def order(key: str, **values: Any) -> tuple[Any, ...]:
    """The row of `tests.support.records.item(key, **values)`."""
    plain = {
        "merchant_id": "merchant-102",
        "amount": "200",
        "currency": "INR",
        "status": "NEW",
        "created_at": START,
        "updated_at": START,
    } | values
    plain["amount"] = Decimal(plain["amount"])
    return (key, *plain.values())


def without_width(text: str) -> str:
    """`bigint(20)` is `bigint`: MariaDB shows a width that means nothing, MySQL 8 does not."""
    return re.sub(r"\b((?:tiny|small|medium|big)?int)\(\d+\)", r"\1", text)


class Tables:
    """The database through an administrator's autocommit connection."""

    def __init__(self, admin: pymysql.Connection[Any]) -> None:
        self.admin = admin

    def run(self, *statements: str) -> Rows:
        rows: Rows = []
        with self.admin.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
                rows = list(cursor.fetchall())
        return rows

    def drop_all(self) -> None:
        names = self.run(
            "SELECT IF(TABLE_TYPE = 'VIEW', 'VIEW', 'TABLE'), TABLE_NAME FROM information_schema.TABLES"
            " WHERE TABLE_SCHEMA = DATABASE()"
        )
        self.run("SET foreign_key_checks = 0", *(f"DROP {kind} `{name}`" for kind, name in names))

    def create(self) -> None:
        """What the schema step makes and registers."""
        schema.create_missing(self.admin, mapping.load())
        registry.register(self.admin, mapping.load(), SOURCE, STREAM.label)

    def replace_target(self, ddl: str) -> None:
        """A legacy table replaces the one that the schema step makes."""
        self.run("DROP TABLE tbl_orders", ddl)

    def clear(self) -> None:
        self.run("DELETE FROM tbl_orders", "DELETE FROM replication_versions")

    def orders(self) -> Rows:
        return self.run("SELECT * FROM tbl_orders ORDER BY order_id")

    def sidecar(self) -> Rows:
        """(key's text without its entity, last digits of the sequence number as a number, deleted)"""
        rows = self.run("SELECT item_key, version, deleted FROM replication_versions ORDER BY item_key")
        return [(key, int(version.rpartition("_")[2]) % 10**20, deleted) for key, version, deleted in rows]

    def whole_sidecar(self) -> Rows:
        """Every column, the token too: equal before and after only if nothing was written."""
        return self.run("SELECT * FROM replication_versions ORDER BY item_key")

    def sources(self) -> Rows:
        """(generation, table's ARN, label of its stream) of each registered source."""
        return self.run("SELECT generation, table_arn, stream_label FROM replication_sources ORDER BY generation")

    def assert_unlocked(self) -> None:
        """Nobody holds a lock on a row or a gap of any table. This takes all locks without waiting."""
        for table in ("tbl_orders", "replication_versions", "replication_sources"):
            self.run("BEGIN", f"SELECT * FROM {table} FOR UPDATE NOWAIT", "ROLLBACK")

    def assert_waiting(self, count: int = 1) -> None:
        """So many transactions wait for locks, or soon will."""
        waits = "SELECT COUNT(*) FROM information_schema.INNODB_TRX WHERE trx_state = 'LOCK WAIT'"
        # Both servers refresh this table only if it has not been read for 0.1 seconds.
        assert poll(lambda: self.run(waits) == [(count,)], timeout=10, interval=0.2)

    def sessions_of(self, user: str) -> list[int]:
        """Ids of the connections that the server holds open for `user`."""
        rows = self.run(f"SELECT ID FROM information_schema.PROCESSLIST WHERE USER = '{user}'")
        return [connection_id for (connection_id,) in rows]
