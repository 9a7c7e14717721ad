"""`Idempotency-Key`: which request it names, and the item that remembers it.

Syntax and answers follow draft-ietf-httpapi-idempotency-key-header; a key without quotes is accepted too.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from api import money
from api.payloads import NewOrder
from api.problems import bad_request

HEADER = "idempotency-key"
MAX_LENGTH = 255

_QUOTED = re.compile(r'"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"')
_BARE = re.compile(r'[^\x00-\x20",;\\\x7f-\U0010ffff]+')


@dataclass(frozen=True)
class Claim:
    """A key of one client together with what it was sent for; neither can be read back from the hashes."""

    p_key: str
    fingerprint: str


def claim(headers: Mapping[str, str], client: str, order: NewOrder) -> Claim | None:
    if HEADER not in headers:
        return None
    return Claim(
        p_key=_hash(client, _key(headers[HEADER].strip())),
        fingerprint=_hash(order.merchant_id, money.text(order.amount, order.currency), order.currency),
    )


def to_item(claim: Claim, order_id: str, record_ttl: int) -> dict[str, Any]:
    return {
        "p_key": {"S": claim.p_key},
        "fingerprint": {"S": claim.fingerprint},
        "order_id": {"S": order_id},
        "record_ttl": {"N": str(record_ttl)},
    }


def _key(header: str) -> str:
    quoted = _QUOTED.fullmatch(header)
    key = re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else header if _BARE.fullmatch(header) else ""
    if not 1 <= len(key) <= MAX_LENGTH:
        message = f"must be a string in double quotes, or bare, of 1 to {MAX_LENGTH} printable ASCII characters"
        raise bad_request("The Idempotency-Key is malformed.", HEADER, message)
    return key


def _hash(*parts: str) -> str:
    # The separator is in no key, amount, currency or merchant id, so different parts never look alike.
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()
