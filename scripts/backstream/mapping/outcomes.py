"""What a mapping makes of single items. Calls the writer's own classifier with items instead of records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from backstream.mapping.items import Item
from common.mapping import Mapping
from common.records import Classifier, Single

# The classifier reads both; neither reaches a row.
_STREAM = "arn:aws:dynamodb:us-east-1:000000000000:table/sample/stream/2000-01-01T00:00:00.000"
_NUMBER = "100000000000000000000"


class Outcomes(NamedTuple):
    """`by_item` has the outcomes of each item: changes, records to park, or reasons to skip. `unmapped` has
    `<entity>.<attribute>` of each attribute that is not mapped.
    """

    by_item: list[list[Single]]
    unmapped: list[str]


def outcomes(mapping: Mapping, items: Sequence[Item]) -> Outcomes:
    """Each item as a new one."""
    classify = Classifier(mapping, None)
    found = list(classify([_record(mapping, item) for item in items]))
    by_item = [one if isinstance(one, list) else [one] for one in found]
    return Outcomes(by_item, classify.take_unmapped_attributes())


def _record(mapping: Mapping, item: Item) -> dict[str, Any]:
    names = [one.attribute for one in (mapping.partition_key, mapping.sort_key) if one]
    body = {
        "Keys": {name: item[name] for name in names if name in item},
        "NewImage": item,
        "SequenceNumber": _NUMBER,
        "ApproximateCreationDateTime": 946_684_800,
    }
    return {"eventName": "INSERT", "eventSourceARN": _STREAM, "dynamodb": body}
