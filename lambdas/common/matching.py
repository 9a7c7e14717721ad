"""Which records an entity matches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Mapping as Json
from decimal import Decimal
from typing import Any

from common.columns.number import number
from common.mapping import AttributeCondition, Entity, KeyAttribute, KeyCondition, Mapping
from common.paths import value_at

Keys = Sequence[Json[str, Any]]
KeyTest = Callable[[Keys], list[bool]]
ImageTest = Callable[[Any], bool]


def key_tests(mapping: Mapping, entity: Entity) -> list[KeyTest]:
    """Tests of a key. An item can be of the entity if its key passes all of them."""
    pairs = ((mapping.partition_key, entity.when.partition_key), (mapping.sort_key, entity.when.sort_key))
    return [_key_test(key, condition) for key, condition in pairs if key and condition != KeyCondition()]


def _key_test(key: KeyAttribute, condition: KeyCondition) -> KeyTest:
    attribute, prefix = key.attribute, condition.starts_with
    if prefix is not None:
        return lambda keys: [text.startswith(prefix) for text in key.contents(keys)]
    if key.type == "N":
        return lambda keys: [number(text) == condition.equals for text in key.contents(keys)]
    # A table without sort key has one item for each partition key: the one that the mapping is about.
    expected = {"S": condition.equals}
    return lambda keys: [values.get(attribute, expected) == expected for values in keys]


def image_test(condition: AttributeCondition) -> ImageTest:
    """Whether an image has the value."""
    path, equals = condition.path, condition.equals
    if isinstance(equals, Decimal):
        return lambda image: _number_at(image, condition) == equals
    expected = {"BOOL": equals} if isinstance(equals, bool) else {"S": equals}
    if len(path) == 1:
        attribute = path[0]
        return lambda image: image.get(attribute) == expected
    return lambda image: value_at(image, path) == expected


def _number_at(image: Any, condition: AttributeCondition) -> Decimal | None:
    value = value_at(image, condition.path)
    return number(value["N"]) if value is not None and "N" in value else None
