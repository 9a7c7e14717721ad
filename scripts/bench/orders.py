"""Stream records of orders as Lambda delivers them, some 1.2 KB each."""

from __future__ import annotations

import itertools
import json
import random
import uuid
from collections.abc import Iterable, Sequence
from typing import Any

from common.changes import Change
from common.mapping import Mapping
from common.records import parse_records
from common.source import Source, parse_stream

ARN = "arn:aws:dynamodb:us-east-1:123456789012:table/backstream-prod-orders/stream/2026-01-31T00:00:00.000"
STREAM = parse_stream(ARN)
SOURCE = Source(STREAM.table_arn)
START = 1_770_000_000
STATUSES = ("NEW", "PAID", "SHIPPED")
_draw = random.Random()  # noqa: S311 - orders, no secrets

KEY_ATTRIBUTES = ("p_key", "s_key")

Event = dict[str, Any]
Image = dict[str, Any]
# Later records are newer: one counter for the whole run. It starts at a number as long as those of AWS.
_sequence = itertools.count(8 * 10**20)


def new_keys(count: int) -> list[str]:
    return [str(uuid.UUID(int=_draw.getrandbits(128), version=4)) for _ in range(count)]


def records(keys: Iterable[str], *, modify: bool = True) -> list[dict[str, Any]]:
    """A newer change of each key."""
    return [stream_record(_image(key), _image(key) if modify else None, KEY_ATTRIBUTES) for key in keys]


def removals(keys: Iterable[str]) -> list[dict[str, Any]]:
    made = records(keys)
    for record in made:
        record["eventName"] = "REMOVE"
        del record["dynamodb"]["NewImage"]
    return made


def event(keys: Sequence[str], *, modify: bool = True) -> Event:
    return to_event(records(keys, modify=modify))


def to_event(records: list[dict[str, Any]]) -> Event:
    """Through JSON and back, as in the runtime: no string or dict is shared between records."""
    loaded: Event = json.loads(json.dumps({"Records": records}))
    return loaded


def changes(mapping: Mapping, keys: Iterable[str]) -> list[Change]:
    return parse_records(to_event(records(keys))["Records"], mapping).changes


def stream_record(image: Image, old: Image | None, key_attributes: Sequence[str]) -> dict[str, Any]:
    """A record of an item that became `image`, newer than every one before. Without `old` it is an INSERT."""
    sequence = next(_sequence)
    body: dict[str, Any] = {
        "ApproximateCreationDateTime": START,
        "Keys": {name: image[name] for name in key_attributes},
        "NewImage": image,
        "SequenceNumber": str(sequence),
        "SizeBytes": 431,
        "StreamViewType": "NEW_AND_OLD_IMAGES",
    }
    if old is not None:
        body["OldImage"] = old
    return {
        "eventID": f"{sequence:032x}",
        "eventName": "INSERT" if old is None else "MODIFY",
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": "us-east-1",
        "dynamodb": body,
        "eventSourceARN": ARN,
    }


def _image(key: str) -> Image:
    return {
        "p_key": {"S": key},
        "s_key": {"S": "ORDER"},
        "merchant_id": {"S": f"merchant-{_draw.randrange(1000)}"},
        "amount": {"N": f"{_draw.randrange(1_000_000)}.{_draw.randrange(100):02d}"},
        "currency": {"S": "INR"},
        "status": {"S": _draw.choice(STATUSES)},
        "created_at": {"N": str(START)},
        "updated_at": {"N": str(START + _draw.randrange(1000))},
        "record_ttl": {"N": str(START + 259_200)},
    }
