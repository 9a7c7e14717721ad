"""The keys of a batch, as its log line and its trace have them. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

from common.changes import Batch
from common.keys import entity_and_tail
from common.mapping import Mapping
from common.telemetry import ORDER_ID

KEY = "key"


def keys_of(batch: Batch) -> list[str]:
    """The text of each key, once: of the changes in stream order, then of the records that could not be read."""
    keys = chain((change.key for change in batch.changes), (parked.key for parked in batch.parked))
    return [key for key in dict.fromkeys(keys) if key is not None]


def ids_of(keys: Iterable[str], mapping: Mapping) -> dict[str, list[str]]:
    """The ids of some keys, by the name of their annotation.

    A key whose only column is `order_id` is noted as the API notes it, `8f14`; any other one as its text, `item/8f14`.
    """
    orders = {entity.name for entity in mapping.entities if [column.name for column in entity.key] == [ORDER_ID]}
    ids: dict[str, list[str]] = {}
    for key in keys:
        entity, tail = entity_and_tail(key)
        name, text = (ORDER_ID, tail) if entity in orders else (KEY, key)
        ids.setdefault(name, []).append(text)
    return ids
