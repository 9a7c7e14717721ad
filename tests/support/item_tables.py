"""The tables of any mapping, and a writer of changes to its items."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pymysql

from common.changes import Change, Mark, Row
from common.database import ApplyOptions, Outcome
from common.keys import key_text
from common.mapping import Mapping
from common.mapping_file import read_text
from common.mysql import registry, schema
from common.mysql.apply import apply
from tests.support.records import SOURCE, START, STREAM
from tests.support.tables import Rows, Tables
from tests.support.writes import assert_written


def mapping_of(name: str, declared: dict[str, Any]) -> Mapping:
    return read_text(name, json.dumps(declared), Path())


class ItemTables:
    """The tables of a mapping, and a writer of changes to its items."""

    def __init__(self, tables: Tables, connection: pymysql.Connection[Any], mapping: Mapping, *ddl: str) -> None:
        self.tables, self.connection, self.mapping = tables, connection, mapping
        schema.create_missing(tables.admin, mapping)
        registry.register(tables.admin, mapping, SOURCE, STREAM.label)
        tables.run(*ddl)
        self.inspect()

    def inspect(self) -> None:
        self.targets = schema.inspect(self.connection, self.mapping)
        self.connection.rollback()

    def __call__(self, *changes: Change, statement_bytes: int | None = None, **options: Any) -> Outcome:
        outcome = apply(self.connection, self.targets, changes, ApplyOptions(**options), statement_bytes)
        assert_written(outcome, changes)
        return outcome

    def put(self, name: str, key: Row, version: int, *values: Any, created: bool = False) -> Change:
        return self._change(name, key, version, Mark.LIVE, (*key, *values), created=created)

    def delete(self, name: str, key: Row, version: int, mark: Mark = Mark.DELETED) -> Change:
        return self._change(name, key, version, mark, None)

    def expire(self, name: str, key: Row, version: int) -> Change:
        return self.delete(name, key, version, Mark.EXPIRED)

    def _change(
        self, name: str, key: Row, version: int, mark: Mark, row: Row | None, *, created: bool = False
    ) -> Change:
        entity = [one.name for one in self.mapping.entities].index(name)
        return Change(
            key_text(name, key), f"v{version:04}", row, START + version, {"v": version}, created, entity, key, mark
        )

    def rows(self, table: str) -> Rows:
        with self.connection.cursor() as cursor:
            cursor.execute(f"SELECT * FROM {table}")
            rows = sorted(cursor.fetchall(), key=repr)
        self.connection.rollback()
        return rows

    def sidecar(self) -> Rows:
        """(name of the key, version, deleted, kept deletion, kept expiry) of every entity of the mapping."""
        return self.tables.run(
            "SELECT item_key, version, deleted, kept_delete, kept_expiry FROM replication_versions"
            f" WHERE item_key LIKE '{self.mapping.name}.% %' ORDER BY item_key"
        )
