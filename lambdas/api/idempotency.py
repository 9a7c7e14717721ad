"""`Idempotency-Key`: its syntax, and the DynamoDB item that records its use.

Syntax and responses follow draft-ietf-httpapi-idempotency-key-header; a key without quotes is accepted too.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from api import money
from api.order import NewOrder
from api.problems import bad_request

HEADER = "idempotency-key"
MAX_LENGTH = 255

_QUOTED = re.compile(r'"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"')
_BARE = re.compile(r'[^\x00-\x20",;\\\x7f-\U0010ffff]+')


@dataclass(frozen=True)
class IdempotencyRecord:
    """Hash of a client and its key, and hash of the order that they were sent with."""

    p_key: str
    fingerprint: str


def record(headers: Mapping[str, str], client: str, order: NewOrder) -> IdempotencyRecord | None:
    """Return the record of a request, None without the header; raise 400 for a malformed key."""
    if HEADER not in headers:
        return None
    return IdempotencyRecord(
        p_key=_hash(client, _key(headers[HEADER].strip())),
        fingerprint=_hash(*_content(order)),
    )


def to_item(record: IdempotencyRecord, order_id: str, record_ttl: int) -> dict[str, Any]:
    return {
        "p_key": {"S": record.p_key},
        "fingerprint": {"S": record.fingerprint},
        "order_id": {"S": order_id},
        "record_ttl": {"N": str(record_ttl)},
    }


def _key(header: str) -> str:
    quoted = _QUOTED.fullmatch(header)
    key = re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else header if _BARE.fullmatch(header) else ""
    if not 1 <= len(key) <= MAX_LENGTH:
        message = (
            f"must be 1 to {MAX_LENGTH} printable ASCII characters, "
            "in double quotes if they include a space, comma, semicolon or backslash"
        )
        raise bad_request("Idempotency-Key is invalid.", HEADER, message)
    return key


def _content(order: NewOrder) -> list[str]:
    """Every field that was sent. Equal orders give equal texts, however their JSON was written.

    Fields other than the first three are added only where they were sent, so that recorded keys stay valid when a
    release adds a field.
    """
    first = {
        "merchant_id": order.merchant_id,
        "amount": money.text(order.amount, order.currency),
        "currency": order.currency,
    }
    more = {name: value for name, value in vars(order).items() if name not in first and value is not None}
    return [*first.values(), *([json.dumps(more, sort_keys=True)] if more else [])]


def _hash(*parts: str) -> str:
    # No part contains the separator, so different parts never give the same text.
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()
