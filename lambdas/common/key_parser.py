"""The row that a text names: an entity and a key, and the key of the row's item. Pure."""

from __future__ import annotations

from typing import NamedTuple

from common.changes import Row
from common.item_keys import ItemKeys
from common.keys import key_text, key_values
from common.mapping import Mapping
from common.raw_items import Item


class RowKey(NamedTuple):
    """`text` is that of `common.keys`, `entity` an index in the mapping, `values` those of the key columns.

    `item_key` is raw, see `common.raw_items`.
    """

    text: str
    entity: int
    values: Row
    item_key: Item


class KeyParser:
    """Parses texts such as `order/8f14`.

    Where the mapping has one entity with one key column, the value alone is enough. A value is taken as it is: slashes
    and percent signs in it are not escaped.
    """

    def __init__(self, mapping: Mapping) -> None:
        self._entities = mapping.entities
        self._indices = {entity.name: index for index, entity in enumerate(mapping.entities)}
        self._types = [[column.type.python for column in entity.key] for entity in mapping.entities]
        self._item_keys = ItemKeys(mapping)
        self._takes_values = len(self._types) == 1 and len(self._types[0]) == 1

    def __call__(self, text: str) -> RowKey:
        """Raises ValueError, whose message names the text."""
        name, slash, tail = text.partition("/")
        if slash and name in self._indices:
            entity = self._indices[name]
            values = key_values(tail, self._types[entity])
        elif self._takes_values:
            entity, values = 0, (text,) if self._types[0] == [str] else key_values(text, self._types[0])
        else:
            raise ValueError(f"{text!r} names no entity: give {self._shapes()}")
        item_key = self._item_keys.of(entity, values) if values is not None else None
        if values is None or item_key is None:
            raise ValueError(f"{text!r} is the key of no item: give {self._shapes()}")
        return RowKey(key_text(self._entities[entity].name, values), entity, values, item_key)

    def _shapes(self) -> str:
        """Such as `order/<order_id>`."""
        shapes = ["/".join((one.name, *(f"<{column}>" for column in one.key_names))) for one in self._entities]
        return " or ".join([*shapes, *(["the value alone"] if self._takes_values else [])])
