"""A mapping with three entities and composite keys, its tables, and changes of its items."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Context, Decimal
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

# A bill refers to its customer and comes before it in key order. Its row is flagged when its item is deleted.
SHOP: dict[str, Any] = {
    "partition_key": {"attribute": "pk", "type": "string"},
    "sort_key": {"attribute": "sk", "type": "string"},
    "ttl_attribute": "expires",
    "entities": {
        "bill": {
            "target": {
                "table": "bills",
                "key": {"partition_key": "C#{customer}", "sort_key": "BILL#{day}#{number}"},
                "key_columns": [
                    {"column": "customer", "type": "string", "length": 20, "ascii": True},
                    {"column": "day", "type": "date"},
                    {"column": "number", "type": "int"},
                ],
            },
            "columns": [
                {"column": "total", "from": ["total"], "type": "decimal", "precision": 38, "scale": 10},
                {"column": "place", "from": ["place"], "type": "int", "null": "null", "absent": "null"},
            ],
            "deletes": {"flag": "is_deleted", "time": "deleted_at"},
            "ttl": "ignore",
        },
        "customer": {
            "target": {
                "table": "customers",
                "key": {"partition_key": "C#{customer}"},
                "key_columns": [{"column": "customer", "type": "string", "length": 20, "ascii": True}],
            },
            "when": {"sort_key": {"equals": "CUSTOMER"}},
            "columns": [{"column": "name", "from": ["name"], "type": "string", "length": 40}],
            "ttl": "delete",
        },
        "note": {
            "target": {
                "table": "notes",
                "key": {"partition_key": "C#{customer}", "sort_key": "NOTE#{number}"},
                "key_columns": [
                    {"column": "customer", "type": "string", "length": 20, "ascii": True},
                    {"column": "number", "type": "bigint"},
                ],
            },
            "columns": [{"column": "body", "from": ["body"], "type": "text"}],
            "deletes": "ignore",
        },
    },
}
# Keys of bytes and numbers, and a column of every family of types.
READINGS: dict[str, Any] = {
    "partition_key": {"attribute": "device", "type": "binary"},
    "sort_key": {"attribute": "seq", "type": "number"},
    "entities": {
        "reading": {
            "target": {
                "table": "readings",
                "key": {"partition_key": "{device}", "sort_key": "{seq}"},
                "key_columns": [
                    {"column": "device", "type": "binary", "length": 40},
                    {"column": "seq", "type": "decimal", "precision": 38, "scale": 10},
                ],
            },
            "columns": [
                {"column": name, "from": [name], "null": "null", "absent": "null", **options}
                for name, options in {
                    "raw": {"type": "binary", "length": 300},
                    "exact": {"type": "decimal", "precision": 38, "scale": 4},
                    "whole": {"type": "bigint", "unsigned": True},
                    "taken_on": {"type": "date"},
                    "taken_at": {"type": "datetime", "fraction": 3},
                    "at": {"type": "time", "fraction": 6},
                    "good": {"type": "boolean"},
                    "body": {"type": "text"},
                    "extra": {"type": "json"},
                    "state": {"type": "enum", "values": ["on", "off"]},
                    "batch": {"type": "uuid", "stored": "bytes"},
                }.items()
            ],
        }
    },
}
FOREIGN_KEY = "ALTER TABLE bills ADD CONSTRAINT fk_customer FOREIGN KEY (customer) REFERENCES customers (customer)"


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
        return apply(self.connection, self.targets, changes, ApplyOptions(**options), statement_bytes)

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


def make_shop(tables: Tables, connection: pymysql.Connection[Any], ddl: Sequence[str] = (FOREIGN_KEY,)) -> ItemTables:
    return ItemTables(tables, connection, mapping_of("shop", SHOP), *ddl)


def make_readings(tables: Tables, connection: pymysql.Connection[Any], *ddl: str) -> ItemTables:
    return ItemTables(tables, connection, mapping_of("readings", READINGS), *ddl)


def total(value: str) -> Decimal:
    """A bill's total as its column has it."""
    return Decimal(value).quantize(Decimal("1.0000000000"), context=Context(prec=60))
