"""The orders of a merchant, newest first, page by page."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from api.order import Item, Order, from_item, key
from api.problems import bad_request

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

# Enough to get past a tail of expired items in few round trips.
CATCH_UP = 1000

_PLACE = re.compile(r"(?P<created_at>[0-9]{1,15}) (?P<order_id>[^ ]{1,64}) (?P<merchant_id>.+)", re.DOTALL)


@dataclass(frozen=True)
class Page:
    orders: list[Order]
    next_cursor: str | None


class Listing:
    def __init__(self, client: DynamoDBClient, table: str, index: str, now: Callable[[], int]) -> None:
        self._client: Any = client
        self._table = table
        self._index = index
        self._now = now

    def page(self, merchant_id: str, limit: int, cursor: str | None) -> Page:
        start = _decode(cursor, merchant_id) if cursor is not None else None
        orders: list[Order] = []
        for item in self._alive(merchant_id, start, limit + 1):
            if len(orders) == limit:
                return Page(orders, _encode(orders[-1]))
            orders.append(from_item(item))
        return Page(orders, None)

    def _alive(self, merchant_id: str, start: Item | None, limit: int) -> Iterator[Item]:
        """Go on behind the items that only wait for the TTL process: a page is short at the end alone."""
        query = {
            "TableName": self._table,
            "IndexName": self._index,
            "KeyConditionExpression": "merchant_id = :merchant_id",
            "FilterExpression": "attribute_not_exists(record_ttl) OR record_ttl > :now",
            "ExpressionAttributeValues": {
                ":merchant_id": {"S": merchant_id},
                ":now": {"N": str(self._now())},
            },
            "ScanIndexForward": False,
        }
        while True:
            answer = self._client.query(**query, Limit=limit, **({"ExclusiveStartKey": start} if start else {}))
            yield from answer["Items"]
            start, limit = answer.get("LastEvaluatedKey"), CATCH_UP
            if not start:
                return


def _encode(order: Order) -> str:
    place = f"{order.created_at} {order.order_id} {order.merchant_id}"
    return base64.urlsafe_b64encode(place.encode()).decode().rstrip("=")


def _decode(cursor: str, merchant_id: str) -> Item:
    """Where to go on, as DynamoDB's ExclusiveStartKey; only ever inside the list of `merchant_id`."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        place = _PLACE.fullmatch(base64.b64decode(padded, altchars=b"-_", validate=True).decode())
    except ValueError:
        place = None
    if place is None or place["merchant_id"] != merchant_id:
        raise bad_request("The cursor is of no use here.", "cursor", "must be a next_cursor of this same list")
    return {
        **key(place["order_id"]),
        "merchant_id": {"S": merchant_id},
        "created_at": {"N": place["created_at"]},
    }
