"""A DynamoDB table: its keys, a sample of its items, and one item. Reads only."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any

from botocore.exceptions import ClientError

from backstream.errors import UsageError
from backstream.mapping.items import Item, from_boto3, to_boto3
from common.heartbeat import TIME
from common.mapping import KeyAttribute

# A sample from several segments comes from several partitions of the table.
_SEGMENTS = 8


@dataclass(frozen=True)
class Sample:
    """Items of a table, and the read units that they took."""

    items: list[Item]
    read_units: float


@dataclass
class _Segment:
    """A part of a parallel scan; `cursor` is where it continues, None before the first page and after the last."""

    number: int
    cursor: dict[str, Any] | None = None


class SourceTable:
    """A DynamoDB table. Raises UsageError if it does not exist; otherwise botocore's errors."""

    def __init__(self, client: Any, name: str) -> None:
        self.name = name
        self._client = client

    @cached_property
    def partition_key(self) -> KeyAttribute:
        return self._key("HASH")  # type: ignore[return-value]  # every table has one

    @cached_property
    def sort_key(self) -> KeyAttribute | None:
        return self._key("RANGE")

    @cached_property
    def ttl_attribute(self) -> str | None:
        """The attribute by which items expire; None where Time to Live is off."""
        found = self._client.describe_time_to_live(TableName=self.name)["TimeToLiveDescription"]
        return found["AttributeName"] if found.get("TimeToLiveStatus") in ("ENABLED", "ENABLING") else None

    @cached_property
    def index_attributes(self) -> frozenset[str]:
        """The key attributes of its secondary indexes."""
        indexes = chain(
            self._description.get("GlobalSecondaryIndexes", ()), self._description.get("LocalSecondaryIndexes", ())
        )
        return frozenset(part["AttributeName"] for index in indexes for part in index["KeySchema"])

    def sample(self, size: int) -> Sample:
        """About `size` items: as many of each of several segments, fewer where the table has no more. No heartbeat."""
        segments = [_Segment(number) for number in range(_SEGMENTS)]
        items: list[Item] = []
        units = 0.0
        while segments and len(items) < size:
            share = -(-(size - len(items)) // len(segments))
            pages = [self._scan(segment, share) for segment in segments]
            items += [from_boto3(item) for page in pages for item in page["Items"] if TIME not in item]
            units += sum(page.get("ConsumedCapacity", {}).get("CapacityUnits", 0.0) for page in pages)
            segments = [segment for segment in segments if segment.cursor]
        return Sample(items[:size], units)

    def item(self, key: Item) -> Item | None:
        """By its key, read consistently; None where there is none. Raises UsageError for a key of another shape."""
        needed = {one.attribute: one.type for one in (self.partition_key, self.sort_key) if one}
        if {name: next(iter(value)) for name, value in key.items()} != needed:
            shape = ", ".join(f"{name} ({kind})" for name, kind in needed.items())
            raise UsageError(f"the key of {self.name} is {shape}: give exactly these attributes as --key")
        found = self._client.get_item(TableName=self.name, Key=to_boto3(key), ConsistentRead=True).get("Item")
        return None if found is None else from_boto3(found)

    def _scan(self, segment: _Segment, limit: int) -> dict[str, Any]:
        begin = {"ExclusiveStartKey": segment.cursor} if segment.cursor else {}
        page: dict[str, Any] = self._client.scan(
            TableName=self.name,
            Segment=segment.number,
            TotalSegments=_SEGMENTS,
            Limit=limit,
            ReturnConsumedCapacity="TOTAL",
            **begin,
        )
        segment.cursor = page.get("LastEvaluatedKey")
        return page

    @cached_property
    def _description(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = self._client.describe_table(TableName=self.name)["Table"]
        except ClientError as error:
            if error.response["Error"]["Code"] != "ResourceNotFoundException":
                raise
            region = self._client.meta.region_name
            raise UsageError(f"no DynamoDB table {self.name} in {region}: check --table, --region and --env") from None
        return found

    def _key(self, kind: str) -> KeyAttribute | None:
        types = {one["AttributeName"]: one["AttributeType"] for one in self._description["AttributeDefinitions"]}
        names = [part["AttributeName"] for part in self._description["KeySchema"] if part["KeyType"] == kind]
        return KeyAttribute(names[0], types[names[0]]) if names else None
