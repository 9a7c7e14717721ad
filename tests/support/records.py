"""Stream records as Lambda receives them, made from plain values."""

from __future__ import annotations

from typing import Any

from common.seeds import marked
from common.source import Source, parse_stream

ARN = "arn:aws:dynamodb:us-east-1:123456789012:table/orders/stream/2026-01-31T00:00:00.000"
STREAM = parse_stream(ARN)
SOURCE = Source(STREAM.table_arn)
TTL_IDENTITY = {"type": "Service", "principalId": "dynamodb.amazonaws.com"}
START = 1_770_000_000


def item(key: str, **values: Any) -> dict[str, Any]:
    """The image of an order in DynamoDB's JSON; `values` replace plain attributes, None removes one."""
    plain = {
        "merchant_id": "merchant-102",
        "amount": "200",
        "currency": "INR",
        "status": "NEW",
        "created_at": START,
        "updated_at": START,
    } | values
    image: dict[str, Any] = {"p_key": {"S": key}, "s_key": {"S": "ORDER"}, "record_ttl": {"N": str(START + 259_200)}}
    for name, value in plain.items():
        if isinstance(value, dict):
            image[name] = value
        elif value is None:
            image.pop(name, None)
        else:
            image[name] = {"N": str(value)} if name in ("amount", "created_at", "updated_at") else {"S": value}
    return image


def record(
    key: str,
    sequence: int,
    event: str = "MODIFY",
    *,
    time: int = START,
    arn: str = ARN,
    identity: dict[str, str] | None = None,
    **values: Any,
) -> dict[str, Any]:
    """One stream record; `sequence` becomes a 21-digit number as AWS gives them."""
    body: dict[str, Any] = {
        "ApproximateCreationDateTime": time,
        "Keys": {"p_key": {"S": key}, "s_key": {"S": "ORDER"}},
        "SequenceNumber": str(8 * 10**20 + sequence),
        "SizeBytes": 100,
        "StreamViewType": "NEW_AND_OLD_IMAGES",
    }
    body["OldImage" if event == "REMOVE" else "NewImage"] = item(key, **values)
    made: dict[str, Any] = {
        "eventID": f"{sequence:032x}",
        "eventName": event,
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": "us-east-1",
        "dynamodb": body,
        "eventSourceARN": arn,
    }
    if identity:
        made["userIdentity"] = identity
    return made


def remove(key: str, sequence: int, **options: Any) -> dict[str, Any]:
    return record(key, sequence, "REMOVE", **options)


def order_id(key: str | None) -> str:
    """The id of an order by the key of its changes."""
    entity, _, tail = str(key).partition("/")
    assert entity == "order"
    return tail


def echo(key: str, sequence: int, event: str = "INSERT", *, seed: str = "one", **options: Any) -> dict[str, Any]:
    """The record of a change that a seed made."""
    made = record(key, sequence, event, **options)
    body = made["dynamodb"]
    body["NewImage"] = marked(body["NewImage"], "orders", seed)
    return made
