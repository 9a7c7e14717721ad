"""What becomes of single items by a mapping: the writer's own classifier, called with items instead of records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from backstream.mapping.items import Item
from common.changes import Change
from common.mapping import Mapping
from common.records import Single, classifier

# The classifier reads both; neither reaches a row.
_STREAM = "arn:aws:dynamodb:us-east-1:000000000000:table/sample/stream/2000-01-01T00:00:00.000"
_NUMBER = "100000000000000000000"


def outcomes(mapping: Mapping, items: Sequence[Item], event: str = "INSERT") -> Iterator[list[Single]]:
    """The outcomes of each item, as a record of `event`: changes, records to park, or reasons to skip."""
    for found in classifier(mapping)([_record(mapping, item, event) for item in items]):
        yield found if isinstance(found, list) else [found]


def entity_of(mapping: Mapping, change: Change) -> str:
    return mapping.entities[change.entity].name


def _record(mapping: Mapping, item: Item, event: str) -> dict[str, Any]:
    names = [one.attribute for one in (mapping.partition_key, mapping.sort_key) if one]
    image = {"OldImage" if event == "REMOVE" else "NewImage": item}
    body = {
        "Keys": {name: item[name] for name in names if name in item},
        "SequenceNumber": _NUMBER,
        "ApproximateCreationDateTime": 946_684_800,
    }
    return {"eventName": event, "eventSourceARN": _STREAM, "dynamodb": body | image}
