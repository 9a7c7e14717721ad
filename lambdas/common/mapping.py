"""Which item becomes which row: the mapping of one DynamoDB table.

The declaration is data, `mappings/<name>.json`; its shape is `mappings/mapping.schema.json`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from collections.abc import Mapping as Json
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import StrEnum
from functools import cache, cached_property
from pathlib import Path
from typing import Any, NamedTuple

from common.changes import Mark, Value
from common.columns.column_type import ColumnType
from common.poison import PoisonError
from common.templates import Template

# In a function's zip the folder is beside this package; in the repository it is at the top.
_FOLDERS = tuple(Path(__file__).parents[up] / "mappings" for up in (1, 2))
DEFAULT = "orders"
_KEY_TYPE_HINT = "correct the type of this key attribute in the mapping, deploy it, then retry the record"

AttributePath = tuple[str | int, ...]
# From the image of an item, as plain Python values, to the image to map; None if there is no such item.
Prepare = Callable[[dict[str, Any]], dict[str, Any] | None]


class MappingError(Exception):
    """A mapping file is refused. `problems` names file, place and correction of each; the message has one a line."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class Action(StrEnum):
    """What happens to the row of an item that is gone."""

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


class UnmappedAction(StrEnum):
    """What happens to the attributes of an item that are not mapped."""

    IGNORE = "ignore"
    QUARANTINE = "quarantine"
    COLUMN = "column"


@dataclass(frozen=True, slots=True)
class Unmapped:
    """`column` names the JSON column that takes them; only with UnmappedAction.COLUMN. It is in the entity's
    `columns`, after the mapped ones.
    """

    action: UnmappedAction = UnmappedAction.IGNORE
    column: str | None = None


@dataclass(frozen=True, slots=True)
class KeyAttribute:
    """A key attribute of the DynamoDB table; `type` is S, N or B."""

    attribute: str
    type: str

    def contents(self, keys: Sequence[Json[str, Any]]) -> list[Any]:
        """What the attribute holds in each of `keys`.

        Raises PoisonError where it has another type than the mapping says, KeyError where it is missing.
        """
        attribute, kind = self.attribute, self.type
        try:
            return [values[attribute][kind] for values in keys]
        except KeyError:
            found = next(values[attribute] for values in keys if kind not in values[attribute])
            names = f"{'/'.join(found)}, and the mapping says {kind}"
            raise PoisonError(f"key {attribute} has the type {names}", _KEY_TYPE_HINT) from None


class Instead(NamedTuple):
    """The value of a column whose item has none; None is NULL."""

    value: Value


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a row: its name, the path into the item that it is made of, and its type.

    `path` is empty for a key column and for a column that is not made of one attribute. `absent` and `null` say what
    the column gets where the path ends early, and where it ends at a NULL; None refuses the item. `const` is the value
    of a column that is the same in every row.
    """

    name: str
    path: AttributePath
    type: ColumnType
    nullable: bool = False
    absent: Instead | None = None
    null: Instead | None = None
    const: Instead | None = None


@dataclass(frozen=True, slots=True)
class KeyCondition:
    """On one key attribute. With neither, every value meets it; never both."""

    equals: str | Decimal | None = None
    starts_with: str | None = None


@dataclass(frozen=True, slots=True)
class AttributeCondition:
    """On an attribute outside the key."""

    path: AttributePath
    equals: str | Decimal | bool


@dataclass(frozen=True, slots=True)
class When:
    """The items of an entity: those that meet all conditions.

    A key attribute without a declared condition has the one of its template: the leading literal.
    """

    partition_key: KeyCondition = KeyCondition()
    sort_key: KeyCondition = KeyCondition()
    attribute: AttributeCondition | None = None


@dataclass(frozen=True, slots=True)
class Templates:
    """How the key attributes hold the key columns; None for one that `when` fixes, or that the table lacks."""

    partition_key: Template | None = None
    sort_key: Template | None = None


@dataclass(frozen=True)
class Entity:
    """One kind of item and its table.

    `columns` has all columns in writing order: the key columns first, which `key` holds too, then the mapped ones, then
    those that `unmapped`, `deletes` and `ttl` name. `deletes` says what becomes of a row when its item is deleted or
    stops matching, `ttl` when it expires.
    """

    name: str
    table: str
    key: tuple[Column, ...]
    columns: tuple[Column, ...]
    when: When
    templates: Templates
    unmapped: Unmapped = Unmapped()
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
    `prepare_digest` is that of the file with `prepare`; empty without one.
    """

    name: str
    partition_key: KeyAttribute
    sort_key: KeyAttribute | None
    entities: tuple[Entity, ...]
    ttl_attribute: str | None = None
    prepare: Prepare | None = field(default=None, compare=False)
    prepare_digest: str = ""

    def __hash__(self) -> int:
        return hash(self.name)

    @property
    def reads_old_images(self) -> bool:
        """Whether an image decides if an item is an entity's, so that the old one tells if it was."""
        return self.prepare is not None or any(entity.when.attribute for entity in self.entities)

    def mirroring_expiry(self) -> Mapping:
        """The same mapping for mirror_ttl_deletes: an expiry that is ignored does what a delete does instead."""
        return replace(
            self,
            entities=tuple(
                replace(one, ttl=one.deletes) if one.ttl.action is Action.IGNORE else one for one in self.entities
            ),
        )

    @property
    def digest(self) -> str:
        """Of everything that decides what the mapping makes of items."""
        described = repr(replace(self, prepare=None))  # the text of a function is an address; its file has a digest
        return hashlib.sha256(described.encode()).hexdigest()[:16]

    def scope(self, entity: int) -> str:
        """The name of an entity in the sidecar: `<mapping>.<entity>`."""
        return f"{self.name}.{self.entities[entity].name}"


@cache
def load(name: str = DEFAULT) -> Mapping:
    """The declared mapping `name`. Read-only. Raises MappingError with every problem of its file."""
    from common.mapping_file import read_file  # noqa: PLC0415 - it makes the classes of this module

    files = [folder / f"{name}.json" for folder in _FOLDERS]
    for file in files:
        if file.is_file():
            return read_file(file)
    raise MappingError(
        [f"{name}.json: is in neither {files[0].parent} nor {files[1].parent}; add it, or correct MAPPING"]
    )


def check_file(path: Path) -> list[str]:
    """The problems of a mapping file: what the published schema and the loader refuse. Needs jsonschema."""
    from common.mapping_file import read_file  # noqa: PLC0415
    from common.mapping_schema import schema_problems  # noqa: PLC0415

    try:
        read_file(path)
    except MappingError as error:
        return error.problems
    return schema_problems(path)
