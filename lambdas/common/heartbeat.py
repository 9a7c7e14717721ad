"""The heartbeat: an item that the monitor writes each minute, so that a quiet table shows that changes arrive.

It is one item under a reserved key, overwritten each time, so it needs no expiry. No row is ever made of it, and no
count or comparison takes notice of it. An item under that key without a valid time is an item like any other.
"""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Mapping as Json
from typing import Any

from common.mapping import Mapping
from common.raw_items import Item, key_for_request

# The attribute that holds the time. No mapping may use it.
TIME = "backstream_heartbeat"

# The value of each key attribute, by its type. The number is one that no integer column of MySQL holds.
_TEXT = "backstream#heartbeat"
_VALUES = {"S": _TEXT, "N": "-" + 38 * "9", "B": b64encode(_TEXT.encode()).decode()}


class Heartbeat:
    """The heartbeat of the table of a mapping. `key` is its key, as stream records have it."""

    def __init__(self, mapping: Mapping) -> None:
        attributes = [one for one in (mapping.partition_key, mapping.sort_key) if one]
        self.key: Item = {one.attribute: {one.type: _VALUES[one.type]} for one in attributes}

    def item(self, now: float) -> dict[str, Any]:
        """The item with the time `now`, in epoch seconds, as boto3 takes it."""
        return {**key_for_request(self.key), TIME: {"N": f"{now:.3f}"}}

    def is_in(self, body: Json[str, Any]) -> bool:
        """Whether a record is about the heartbeat, also about its removal. `body` is its `dynamodb`.

        A removal without an old image is that of the heartbeat.
        """
        if body["Keys"] != self.key:
            return False
        image = next((name for name in ("NewImage", "OldImage") if name in body), None)
        return image is None or time_of(body[image]) is not None


def time_of(image: Json[str, Any]) -> float | None:
    """When the monitor wrote a heartbeat, in epoch seconds; None for another item."""
    try:
        time = float(image[TIME]["N"])
    except (KeyError, TypeError, ValueError):
        return None
    return time if math.isfinite(time) else None
