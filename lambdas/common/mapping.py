"""Which item becomes which row: the mapping of one DynamoDB table.

The declaration is data, `mappings/<name>.json`; its shape is `mappings/mapping.schema.json`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping as Json
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from common.changes import Mark
from common.columns import TYPES
from common.columns.column_type import ColumnType

# In a function's zip the folder is beside this package; in the repository it is at the top.
_FOLDERS = tuple(Path(__file__).parents[up] / "mappings" for up in (1, 2))
DEFAULT = "orders"


class Action(StrEnum):
    """What becomes of the row of an item that is gone."""

    DELETE = "delete"
    FLAG = "flag"
    IGNORE = "ignore"


@dataclass(frozen=True, slots=True)
class Removal:
    """`flag` names the column that is 0 for a live row and 1 for a removed one; `time` the column with the source
    time of the removal, if any. Both only with Action.FLAG. Both are also in the entity's `columns`, at the end.
    """

    action: Action = Action.DELETE
    flag: str | None = None
    time: str | None = None


@dataclass(frozen=True, slots=True)
class KeyAttribute:
    """A key attribute of the DynamoDB table; `type` is S, N or B."""

    attribute: str
    type: str


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a row: its name, the path into the item that it is made of, and its type."""

    name: str
    path: tuple[str | int, ...]
    type: ColumnType
    nullable: bool = False


@dataclass(frozen=True)
class Entity:
    """One kind of item and its table.

    `columns` has all columns in writing order: the key columns first, which `key` holds too, then the mapped ones, then
    those that `deletes` and `ttl` name. `deletes` says what becomes of a row when its item is deleted or stops
    matching, `ttl` when it expires.
    """

    name: str
    table: str
    key: tuple[Column, ...]
    columns: tuple[Column, ...]
    when: Json[str, Any]
    templates: Json[str, str]
    unmapped: str = "ignore"
    deletes: Removal = Removal()
    ttl: Removal = Removal(Action.IGNORE)

    def __hash__(self) -> int:
        return hash((self.name, self.table))  # hashing all columns for each batch takes as long as one record

    @cached_property
    def key_names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.key)

    def removal(self, mark: Mark) -> Removal:
        return self.ttl if mark is Mark.EXPIRED else self.deletes


@dataclass(frozen=True)
class Mapping:
    """The entities of one DynamoDB table, in the order of their declaration.

    `ttl_attribute` holds the time at which DynamoDB expires an item; None where items do not expire.
    """

    name: str
    partition_key: KeyAttribute
    sort_key: KeyAttribute | None
    entities: tuple[Entity, ...]
    ttl_attribute: str | None = None

    def __hash__(self) -> int:
        return hash(self.name)

    def mirroring_expiry(self) -> Mapping:
        """The same mapping, where an expiry does to a row what a delete does: the operator's mirror_ttl_deletes."""
        return replace(
            self,
            entities=tuple(
                replace(one, ttl=one.deletes) if one.ttl.action is Action.IGNORE else one for one in self.entities
            ),
        )

    def scope(self, entity: int) -> str:
        """What the sidecar calls an entity: `<mapping>.<entity>`."""
        return f"{self.name}.{self.entities[entity].name}"


@cache
def load(name: str = DEFAULT) -> Mapping:
    """The declared mapping `name`. Read-only; raises KeyError or TypeError for a malformed declaration."""
    declared = json.loads(_file(name).read_text(encoding="utf-8"))
    entities = tuple(_entity(*item) for item in declared["entities"].items())
    sort_key = declared.get("sort_key")
    return Mapping(
        name,
        _key_attribute(declared["partition_key"]),
        sort_key and _key_attribute(sort_key),
        entities,
        declared.get("ttl_attribute"),
    )


def _file(name: str) -> Path:
    return next(folder / f"{name}.json" for folder in _FOLDERS if (folder / f"{name}.json").is_file())


def _key_attribute(declared: Json[str, str]) -> KeyAttribute:
    return KeyAttribute(declared["attribute"], {"string": "S", "number": "N", "binary": "B"}[declared["type"]])


def _entity(name: str, declared: Json[str, Any]) -> Entity:
    target = declared["target"]
    key = tuple(_column(column | {"from": []}) for column in target["key_columns"])
    columns = (*key, *map(_column, declared["columns"]))
    return Entity(
        name,
        target["table"],
        key,
        columns,
        declared.get("when", {}),
        target["key"],
        declared.get("unmapped", "ignore"),
        Removal(Action(declared.get("deletes", "delete"))),
        Removal(Action(declared.get("ttl", "ignore"))),
    )


def _column(declared: dict[str, Any]) -> Column:
    common = {"column", "from", "type", "null", "absent"}
    options = {name: value for name, value in declared.items() if name not in common}
    type_with_options = TYPES[declared["type"]].with_options(options)
    nullable = "null" in (declared.get("null"), declared.get("absent"))
    return Column(declared["column"], tuple(declared["from"]), type_with_options, nullable)
