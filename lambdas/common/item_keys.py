"""The key of an item from the key of its row, and back. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from common.changes import Row
from common.columns.number import dynamodb_text
from common.item_limits import key_refusal
from common.key_decoder import KeyDecoder
from common.mapping import Column, Entity, KeyAttribute
from common.mapping import Mapping as Declared
from common.mapping_parts.key_attributes import ROLES
from common.matching import key_tests
from common.poison import PoisonError
from common.templates import Template

AttributeValue = Mapping[str, Any]


class ItemKeys:
    """The keys of the items of a mapping's table, in DynamoDB's JSON, by the values of the key columns of rows."""

    def __init__(self, mapping: Declared) -> None:
        self._keys = (mapping.partition_key, mapping.sort_key)
        self._makers = [key_makers(mapping, entity) for entity in mapping.entities]
        self._decoders = [KeyDecoder(mapping, entity) for entity in mapping.entities]
        self._tests = [key_tests(mapping, entity) for entity in mapping.entities]

    def of(self, entity: int, key_values: Row) -> dict[str, Any] | None:
        """The key of the item; None where the templates make none. The conditions may exclude it: see `passes`."""
        try:
            made = {maker.key.attribute: dict(maker(key_values)) for maker in self._makers[entity]}
            return made if self.values(entity, made) == key_values and not key_refusal(made, self._keys) else None
        except PoisonError:
            return None

    def passes(self, entity: int, item_key: Mapping[str, Any]) -> bool:
        """Whether an item of this key can be of the entity by the conditions on its key."""
        return all(test([item_key])[0] for test in self._tests[entity])

    def values(self, entity: int, item_key: Mapping[str, Any]) -> Row:
        """The values of the key columns. Raises PoisonError for a key that is not the entity's."""
        return tuple(column[0] for column in self._decoders[entity]([item_key]))


@dataclass(frozen=True)
class KeyMaker:
    """Makes a key attribute of a row: of fixed text, or of a template's literals and the columns at `places`."""

    key: KeyAttribute
    fixed: AttributeValue | None = None
    template: Template | None = None
    columns: tuple[tuple[int, Column], ...] = ()

    def __call__(self, row: Row) -> AttributeValue:
        """Raises PoisonError."""
        if self.fixed or not self.template:
            return self.fixed or {}
        contents = [content(column, row[place]) for place, column in self.columns]
        if self.template.is_whole:
            return {self.key.type: contents[0]}
        literals = self.template.literals
        return {"S": literals[0] + "".join(map("".join, zip(map(str, contents), literals[1:], strict=True)))}


def key_makers(mapping: Declared, entity: Entity) -> list[KeyMaker]:
    places = {column.name: (place, column) for place, column in enumerate(entity.key)}
    made = []
    for role in ROLES:
        key, template = getattr(mapping, role), getattr(entity.templates, role)
        if key and template:
            made.append(KeyMaker(key, template=template, columns=tuple(places[name] for name in template.columns)))
        elif key:
            made.append(KeyMaker(key, fixed=constant(getattr(entity.when, role).equals)))
    return made


def constant(value: str | Decimal | bool | None) -> AttributeValue:
    if isinstance(value, bool):
        return {"BOOL": value}
    return {"N": dynamodb_text(value)} if isinstance(value, Decimal) else {"S": value}


def content(column: Column, value: Any) -> Any:
    """Raises PoisonError, whose message holds no value."""
    try:
        return column.type.content(value)
    except PoisonError as error:
        raise PoisonError(f"column {column.name} {error}") from None
    except (ValueError, TypeError, ArithmeticError, AttributeError):
        raise PoisonError(f"column {column.name} does not hold a value of its type") from None


# The mapping
