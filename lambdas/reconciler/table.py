"""The DynamoDB table: what it says of itself, pages of its items, items by key, and the writes of a seed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from common.raw_items import Item, key_for_request, require_raw
from common.seed_writes import Image, insertion, replacement

# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html
_MOST_KEYS = 100
_THROTTLED = (
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "ThrottlingException",
)
# Errors of one item: of its values under the table's indexes, or of its size.
_REFUSED = ("ValidationException", "ItemCollectionSizeLimitExceededException")
# The item is in a transaction of somebody else: it is tried again, as a throttled one is.
_BUSY = (*_THROTTLED, "TransactionConflictException")


# Some emulators do not say what a write has consumed.
_UNCOUNTED = {"CapacityUnits": 1.0}


class ThrottledError(Exception):
    """DynamoDB refuses the request for now: others use the table's capacity."""


class RefusedError(Exception):
    """DynamoDB refuses to write this item. The message is the name of the error, which holds no value."""


class Page(NamedTuple):
    """Items, where the next page begins (None after the last one), and the read units that were consumed."""

    items: Sequence[Item]
    cursor: Item | None
    units: float


class TableFacts(NamedTuple):
    """`items` and `bytes` are up to six hours old. `read_units` and `write_units` are provisioned, 0 on demand.

    `stream_arn` is empty where the stream is off. `indexes` counts the secondary ones.
    """

    items: int
    bytes: int
    read_units: int
    stream_arn: str
    write_units: int = 0
    indexes: int = 0


@dataclass(frozen=True)
class Table:
    """`client` is a boto3 client whose items are raw, see `common.raw_items`."""

    client: Any
    name: str

    def facts(self) -> TableFacts:
        found = self.client.describe_table(TableName=self.name)["Table"]
        is_on = found.get("StreamSpecification", {}).get("StreamEnabled", False)
        return TableFacts(
            found.get("ItemCount", 0),
            found.get("TableSizeBytes", 0),
            found.get("ProvisionedThroughput", {}).get("ReadCapacityUnits", 0),
            found.get("LatestStreamArn", "") if is_on else "",
            found.get("ProvisionedThroughput", {}).get("WriteCapacityUnits", 0),
            sum(len(found.get(f"{kind}SecondaryIndexes", ())) for kind in ("Global", "Local")),
        )

    def page(self, segment: int, segments: int, cursor: Item | None, limit: int, *, consistent: bool = True) -> Page:
        """The next items of a segment, at most `limit`. Raises ThrottledError."""
        start = {"ExclusiveStartKey": key_for_request(cursor)} if cursor else {}
        answer = self._ask(
            "scan",
            TableName=self.name,
            Segment=segment,
            TotalSegments=segments,
            Limit=limit,
            ConsistentRead=consistent,
            ReturnConsumedCapacity="TOTAL",
            **start,
        )
        return Page(answer["Items"], answer.get("LastEvaluatedKey"), answer["ConsumedCapacity"]["CapacityUnits"])

    def items(self, keys: Sequence[Item]) -> tuple[list[Item], float]:
        """The items of those of the raw `keys` that have one, read consistently, and the units consumed.

        DynamoDB refuses a request that names a key twice. Raises ThrottledError.
        """
        found: list[Item] = []
        units = 0.0
        distinct = {json.dumps(key, sort_keys=True): key for key in keys}
        asked = [key_for_request(key) for key in distinct.values()]
        while asked:
            part, asked = asked[:_MOST_KEYS], asked[_MOST_KEYS:]
            request = {self.name: {"Keys": part, "ConsistentRead": True}}
            answer = self._ask("batch_get_item", RequestItems=request, ReturnConsumedCapacity="TOTAL")
            found += answer["Responses"].get(self.name, ())
            # An emulator may not count them.
            units += sum(one["CapacityUnits"] for one in answer.get("ConsumedCapacity", ()))
            left = [
                key_for_request(key) for key in answer.get("UnprocessedKeys", {}).get(self.name, {}).get("Keys", ())
            ]
            if len(left) == len(part):
                raise ThrottledError
            asked = left + asked
        return found, units

    def insert(self, item: Image, partition_key: str) -> float | None:
        """Write an item if there is none with its key. Returns the write units, None where there is one.

        Raises ThrottledError, RefusedError.
        """
        return self._write("put_item", insertion(item, partition_key))

    def replace(self, item: Image, old: Image, keys: tuple[str, ...]) -> float | None:
        """Write `item` in place of `old`, see `common.seed_writes`. Returns as `insert`, None where it has changed.

        Raises ThrottledError, RefusedError.
        """
        return self._write("update_item", replacement(item, old, keys))

    def _write(self, operation: str, arguments: Mapping[str, Any]) -> float | None:
        call = getattr(self.client, operation)
        try:
            answer = call(TableName=self.name, ReturnConsumedCapacity="TOTAL", **arguments)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code == "ConditionalCheckFailedException":
                return None
            if code in _BUSY:
                raise ThrottledError from None
            if code in _REFUSED:
                raise RefusedError(code) from None
            raise
        return float(answer.get("ConsumedCapacity", _UNCOUNTED)["CapacityUnits"])

    def _ask(self, operation: str, **request: Any) -> Mapping[str, Any]:
        try:
            answer: Mapping[str, Any] = getattr(self.client, operation)(**request)
        except ClientError as error:
            if error.response["Error"]["Code"] in _THROTTLED:
                raise ThrottledError from None
            raise
        require_raw(answer)
        return answer
