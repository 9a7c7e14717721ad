"""Which attributes of an item no column takes. Pure."""

from __future__ import annotations

from backstream.mapping.items import Item
from common.mapping import Entity, Mapping


def unmapped_attributes(mapping: Mapping, entity: Entity, item: Item) -> list[str]:
    """The names of top-level attributes, without keys, the TTL attribute and the one that `when` tests."""
    used: set[object] = {one.attribute for one in (mapping.partition_key, mapping.sort_key) if one}
    used |= {mapping.ttl_attribute} | {column.path[0] for column in entity.columns if column.path}
    if entity.when.attribute:
        used.add(entity.when.attribute.path[0])
    return [name for name in item if name not in used]
