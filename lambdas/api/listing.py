"""Pages of a merchant's orders, newest first."""

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

# Items a follow-up query reads: enough to get past many expired items in few round trips.
FOLLOW_UP_LIMIT = 1000

_CURSOR = re.compile(r"(?P<created_at>[0-9]{1,15}) (?P<order_id>[^ ]{1,64}) (?P<merchant_id>.+)", re.DOTALL)


@dataclass(frozen=True)
class OrderPage:
    orders: list[Order]
    next_cursor: str | None


class Listing:
    def __init__(self, client: DynamoDBClient, table: str, index: str, now: Callable[[], int]) -> None:
        self._client: Any = client
        self._table = table
        self._index = index
        self._now = now

    def page(self, merchant_id: str, limit: int, cursor: str | None) -> OrderPage:
        start = _decode(cursor, merchant_id) if cursor is not None else None
        orders: list[Order] = []
        for item in self._unexpired(merchant_id, start, limit + 1):
            if len(orders) == limit:
                return OrderPage(orders, _encode(orders[-1]))
            orders.append(from_item(item))
        return OrderPage(orders, None)

    def _unexpired(self, merchant_id: str, start: Item | None, limit: int) -> Iterator[Item]:
        """Skip expired items that DynamoDB has not deleted yet, and query again until the page is full."""
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
            start, limit = answer.get("LastEvaluatedKey"), FOLLOW_UP_LIMIT
            if not start:
                return


def _encode(order: Order) -> str:
    position = f"{order.created_at} {order.order_id} {order.merchant_id}"
    return base64.urlsafe_b64encode(position.encode()).decode().rstrip("=")


def _decode(cursor: str, merchant_id: str) -> Item:
    """DynamoDB's ExclusiveStartKey; raises 400 for a malformed cursor or one of another merchant."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        position = _CURSOR.fullmatch(base64.b64decode(padded, altchars=b"-_", validate=True).decode())
    except ValueError:
        position = None
    if position is None or position["merchant_id"] != merchant_id:
        detail = "The cursor belongs to another list." if position else "The cursor is invalid."
        raise bad_request(detail, "cursor", "must be the next_cursor of a page of this merchant's orders")
    return {
        **key(position["order_id"]),
        "merchant_id": {"S": merchant_id},
        "created_at": {"N": position["created_at"]},
    }
