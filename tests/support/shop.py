"""A mapping with three entities, composite keys and a foreign key: a shop's customers, bills and notes."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Context, Decimal
from typing import Any

import pymysql

from tests.support.item_tables import ItemTables, mapping_of
from tests.support.tables import Tables

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
FOREIGN_KEY = "ALTER TABLE bills ADD CONSTRAINT fk_customer FOREIGN KEY (customer) REFERENCES customers (customer)"


def make_shop(tables: Tables, connection: pymysql.Connection[Any], ddl: Sequence[str] = (FOREIGN_KEY,)) -> ItemTables:
    return ItemTables(tables, connection, mapping_of("shop", SHOP), *ddl)


def total(value: str) -> Decimal:
    """A bill's total as its column has it."""
    return Decimal(value).quantize(Decimal("1.0000000000"), context=Context(prec=60))
