"""A mapping with keys of bytes and numbers, and a column of every family of types."""

from __future__ import annotations

from typing import Any

import pymysql

from tests.support.item_tables import ItemTables, mapping_of
from tests.support.tables import Tables

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


def make_readings(tables: Tables, connection: pymysql.Connection[Any], *ddl: str) -> ItemTables:
    return ItemTables(tables, connection, mapping_of("readings", READINGS), *ddl)
