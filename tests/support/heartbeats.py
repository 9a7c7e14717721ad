"""Stream records of the heartbeat that the monitor writes."""

from __future__ import annotations

from typing import Any

from common import mapping
from common.heartbeat import TIME, Heartbeat
from common.mapping import Mapping
from tests.support.records import ARN, START

ORDERS = mapping.load("orders")
WRITTEN = 1_770_000_000.125


def beat(
    sequence: int = 1, written: float = WRITTEN, event: str = "MODIFY", declared: Mapping = ORDERS, **image: Any
) -> dict[str, Any]:
    """The stream record of a heartbeat; `image` replaces attributes of its item."""
    key = Heartbeat(declared).key
    body: dict[str, Any] = {
        "ApproximateCreationDateTime": START,
        "Keys": key,
        "SequenceNumber": str(8 * 10**20 + sequence),
    }
    if event != "REMOVE":
        body["NewImage"] = {**key, TIME: {"N": str(written)}, **image}
    return {"eventName": event, "eventSource": "aws:dynamodb", "eventSourceARN": ARN, "dynamodb": body}
