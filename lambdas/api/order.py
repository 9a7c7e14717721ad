"""An order, and its three shapes: DynamoDB item, JSON answer, ETag."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from api import money

SORT_KEY = "ORDER"
NEW = "NEW"

# A DynamoDB item as the low-level client gives and takes it: {"p_key": {"S": "..."}, ...}
Item = Mapping[str, Any]


@dataclass(frozen=True)
class Order:
    order_id: str
    merchant_id: str
    amount: Decimal
    currency: str
    status: str
    created_at: int
    updated_at: int


def key(order_id: str) -> dict[str, Any]:
    return {"p_key": {"S": order_id}, "s_key": {"S": SORT_KEY}}


def to_item(order: Order, record_ttl: int) -> dict[str, Any]:
    return {
        **key(order.order_id),
        "merchant_id": {"S": order.merchant_id},
        "amount": {"N": money.text(order.amount, order.currency)},
        "currency": {"S": order.currency},
        "status": {"S": order.status},
        "created_at": {"N": str(order.created_at)},
        "updated_at": {"N": str(order.updated_at)},
        "record_ttl": {"N": str(record_ttl)},
    }


def from_item(item: Item) -> Order:
    return Order(
        order_id=item["p_key"]["S"],
        merchant_id=item["merchant_id"]["S"],
        amount=Decimal(item["amount"]["N"]),
        currency=item["currency"]["S"],
        status=item["status"]["S"],
        created_at=int(item["created_at"]["N"]),
        updated_at=int(item["updated_at"]["N"]),
    )


def expired(item: Item, now: int) -> bool:
    """Tell whether the item only waits for the TTL process, which comes up to days late."""
    return "record_ttl" in item and Decimal(item["record_ttl"]["N"]) <= now


def to_json(order: Order) -> str:
    """Write the order by hand: `json` can write a Decimal only by way of a float or a string."""
    strings = json.dumps(
        {
            "order_id": order.order_id,
            "merchant_id": order.merchant_id,
            "currency": order.currency,
            "status": order.status,
            "created_at": order.created_at,
            "updated_at": order.updated_at,
        }
    )
    return f'{strings[:-1]}, "amount": {money.text(order.amount, order.currency)}}}'


def etag(item: Item) -> str:
    """Strong tag over every attribute, known or not; equal numbers give equal tags however they are written."""
    content = json.dumps(sorted((name, *_plain(value)) for name, value in item.items()))
    return f'"{hashlib.sha256(content.encode()).hexdigest()[:32]}"'


def _plain(value: Mapping[str, Any]) -> tuple[str, str]:
    kind, content = next(iter(value.items()))
    return kind, str(Decimal(content).normalize()) if kind == "N" else repr(content)
