"""An order and its representations: request fields, DynamoDB item, JSON, ETag."""

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

# A DynamoDB item in the low-level client's form: {"p_key": {"S": "..."}, ...}
Item = Mapping[str, Any]


@dataclass(frozen=True)
class NewOrder:
    """What a client sends to create an order: the properties of OrderCreate."""

    merchant_id: str
    amount: Decimal
    currency: str


@dataclass(frozen=True)
class OrderPatch:
    """What a client sends to change an order: the properties of OrderPatch. None leaves a field as it is."""

    amount: Decimal | None = None
    currency: str | None = None
    status: str | None = None


@dataclass(frozen=True)
class Order:
    """Field names are attribute names in DynamoDB, except `order_id`, which is `p_key` there."""

    order_id: str
    merchant_id: str
    amount: Decimal
    currency: str
    status: str
    created_at: int
    updated_at: int


def from_new(new: NewOrder, order_id: str, now: int) -> Order:
    return Order(order_id=order_id, **vars(new), status=NEW, created_at=now, updated_at=now)


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
    """Tell whether the item has expired; DynamoDB may take days to delete it."""
    return "record_ttl" in item and Decimal(item["record_ttl"]["N"]) <= now


def to_json(order: Order) -> str:
    """Write the amount by hand: `json` writes a Decimal only as a float or a string. A field of None is left out."""
    others = {name: value for name, value in vars(order).items() if name != "amount" and value is not None}
    return f'{json.dumps(others)[:-1]}, "amount": {money.text(order.amount, order.currency)}}}'


def etag(item: Item) -> str:
    """Strong tag over every attribute, known or not; equal numbers give equal tags however they are written."""
    content = json.dumps(sorted((name, *_plain(value)) for name, value in item.items()))
    return f'"{hashlib.sha256(content.encode()).hexdigest()[:32]}"'


def _plain(value: Mapping[str, Any]) -> tuple[str, str]:
    kind, content = next(iter(value.items()))
    return kind, str(Decimal(content).normalize()) if kind == "N" else repr(content)
