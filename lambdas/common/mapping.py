"""Which attribute of an item becomes which column of its table.

The declaration is data, `tables/<name>.json`; its shape is `tables/mapping.schema.json`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from common.columns import TYPES
from common.columns.column_type import ColumnType
from common.columns.key import KeyType

_TABLES = Path(__file__).parent / "tables"


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name, the attribute that it is made of, and its type with the type's options."""

    name: str
    attribute: str
    type: ColumnType
    nullable: bool = False


@dataclass(frozen=True)
class Table:
    """A target table, its columns in writing order. Items with another `sort_key` are not this table's.

    `ttl_attribute` holds the time at which DynamoDB expires an item; None where items do not expire.
    """

    name: str
    sort_key: str
    columns: tuple[Column, ...]
    ttl_attribute: str | None = None

    def __hash__(self) -> int:
        return hash(self.name)  # hashing all columns for each batch takes as long as one record

    @property
    def key(self) -> Column:
        return next(column for column in self.columns if isinstance(column.type, KeyType))


@cache
def load(name: str = "orders") -> Table:
    """The declared mapping `name`. Read-only; raises KeyError or TypeError for a malformed declaration."""
    declared: dict[str, Any] = json.loads((_TABLES / f"{name}.json").read_text(encoding="utf-8"))
    columns = tuple(map(_column, declared["columns"]))
    return Table(declared["table"], declared["sort_key"], columns, declared.get("ttl_attribute"))


def _column(declared: dict[str, Any]) -> Column:
    common = {"column", "attribute", "type", "nullable"}
    options = {name: value for name, value in declared.items() if name not in common}
    type_with_options = TYPES[declared["type"]].with_options(options)
    return Column(declared["column"], declared["attribute"], type_with_options, declared.get("nullable", False))
