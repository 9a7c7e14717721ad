"""Which attribute of an item becomes which column of its table, and what fits there.

The declaration is data, `tables/<name>.json`; its shape is `tables/mapping.schema.json`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

_TABLES = Path(__file__).parent / "tables"

Type = Literal["key", "string", "decimal", "epoch"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column: `length` in characters (key, string), `precision` and `scale` in digits (decimal)."""

    name: str
    attribute: str
    type: Type
    length: int = 0
    precision: int = 0
    scale: int = 0
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

    @property
    def key(self) -> Column:
        return next(column for column in self.columns if column.type == "key")


@cache
def load(name: str = "orders") -> Table:
    """The declared mapping `name`. Read-only; raises KeyError or TypeError for a malformed declaration."""
    declared: dict[str, Any] = json.loads((_TABLES / f"{name}.json").read_text(encoding="utf-8"))
    columns = (Column(name=column.pop("column"), **column) for column in declared["columns"])
    return Table(declared["table"], declared["sort_key"], tuple(columns), declared.get("ttl_attribute"))
