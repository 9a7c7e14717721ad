"""Whether DynamoDB's Time to Live removed an item."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from common.columns.integers import BigintType
from common.poison import PoisonError
from common.stream_clock import source_times

# DynamoDB expires no item whose time is further back than five years, so 0 may stand for "never":
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/time-to-live-ttl-before-you-start.html
_OLDEST_EXPIRY_SECONDS = (5 * 365 + 2) * 86_400


def is_ttl_delete(record: Mapping[str, Any], ttl_attribute: str | None = None) -> bool:
    """Whether DynamoDB expired the item, rather than a user deleting it.

    Only the Region that expired an item names the service. In a global table's other Regions the removal carries no
    identity; there the item's own time, its `ttl_attribute`, tells.
    Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/time-to-live-ttl-streams.html
    """
    if not isinstance(record, dict) or record.get("eventName") != "REMOVE":
        return False
    identity = record.get("userIdentity")
    if not identity:
        return ttl_attribute is not None and _had_expired(record, ttl_attribute)
    return (
        isinstance(identity, dict)
        and identity.get("type") == "Service"
        and identity.get("principalId") == "dynamodb.amazonaws.com"
    )


def _had_expired(record: Mapping[str, Any], ttl_attribute: str) -> bool:
    """Whether the removed item's time had come at the record's time; False where either is malformed."""
    try:
        body = record["dynamodb"]
        [expires_at] = _decode_time([body["OldImage"][ttl_attribute]["N"]])
        [removed_at] = source_times([body["ApproximateCreationDateTime"]])
    except (KeyError, TypeError, AttributeError, PoisonError):
        return False
    return bool(removed_at - _OLDEST_EXPIRY_SECONDS <= expires_at <= removed_at)


_decode_time = BigintType(minimum=0, maximum=10**11 - 1).content_decoder("attribute ttl")
