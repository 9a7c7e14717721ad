"""A DynamoDB table in memory with its stream, and the calls of boto3 that the reconciler makes. Items are raw.

A write by the reconciler or an API leaves a record in the stream, which tests deliver. `put` and `delete` leave none.
"""

# ruff: noqa: N803 - the parameters are named as boto3 names them
from __future__ import annotations

import json
import math
import re
import threading
import zlib
from base64 import b64encode
from collections.abc import Callable, Iterable
from typing import Any

from common.seeds import digest
from tests.support.aws import refused
from tests.support.records import ARN, START

Item = dict[str, Any]
_UNIT, _WRITE_UNIT = 4096, 1024


def key_text(key: Item) -> str:
    """One text for a key in boto3's form and in DynamoDB's."""
    return json.dumps(
        {
            name: {kind: b64encode(content).decode() if isinstance(content, bytes) else content}
            for name, value in key.items()
            for kind, content in value.items()
        },
        sort_keys=True,
    )


class SourceTable:
    """`throttle` lists the numbers of calls that are refused; `unprocessed`, how many keys a batch leaves.

    `counts_reads_by_key` is off for MiniStack. `before_page` is called before each page is returned, with the number of
    the call, and `before_write` before each conditional write, with its key. `invalid` has the texts of keys whose
    items the table refuses.
    """

    def __init__(self, name: str = "orders", key: Iterable[str] = ("p_key", "s_key"), read_units: int = 0) -> None:
        self.name, self.key, self.read_units, self.write_units, self.indexes = name, tuple(key), read_units, 0, 0
        self.stream_arn = ARN
        self.items: dict[str, Item] = {}
        self.calls = 0
        self.throttle: set[int] = set()
        self.unprocessed = 0
        self.counts_reads_by_key = True
        self.units = 0.0
        self.asked: list[dict[str, Any]] = []
        self.before_page = lambda _: None
        self.before_write: Callable[[str], None] = lambda _: None
        self.invalid: set[str] = set()
        self.stream: list[Item] = []
        self._writing = threading.RLock()

    def put(self, *items: Item) -> None:
        for item in items:
            self.items[self._name_of(item)] = item

    def delete(self, item: Item) -> None:
        self.items.pop(self._name_of(item), None)

    def write(self, item: Item) -> None:
        """Put an item, whatever is there, as an API does."""
        self._store(self._name_of(item), item)

    def remove(self, key: Item, **identity: Any) -> None:
        """Delete an item, as an API does, or with the identity of the TTL process."""
        self._store(key_text({name: key[name] for name in self.key}), None, **identity)

    def _store(self, name: str, item: Item | None, **identity: Any) -> None:
        """Write or remove an item, with its record."""
        old = self.items.get(name)
        if item is None:
            del self.items[name]
        else:
            self.items[name] = item
        body = {
            "ApproximateCreationDateTime": START,
            "Keys": json.loads(name),
            "SequenceNumber": str(8 * 10**20 + len(self.stream)),
        }
        images = {"OldImage": old, "NewImage": item}
        event = "REMOVE" if item is None else "MODIFY" if old else "INSERT"
        body |= {kind: image for kind, image in images.items() if image}
        self.stream.append({"eventName": event, "eventSourceARN": self.stream_arn, "dynamodb": body} | identity)

    def _has_valid_key(self, key: Item) -> bool:
        """Texts alone are looked at."""
        sizes = [len(key[name].get("S", "x").encode()) for name in self.key]
        return all(1 <= size <= most for size, most in zip(sizes, (2048, 1024), strict=False))

    def _name_of(self, item: Item) -> str:
        return key_text({name: item[name] for name in self.key})

    def describe_table(self, *, TableName: str) -> dict[str, Any]:
        assert TableName == self.name
        size = sum(len(json.dumps(item)) for item in self.items.values())
        table = {
            "ItemCount": len(self.items),
            "TableSizeBytes": size,
            "ProvisionedThroughput": {
                "ReadCapacityUnits": self.read_units,
                "WriteCapacityUnits": self.write_units,
            },
            "GlobalSecondaryIndexes": [{}] * self.indexes,
        }
        stream = {"StreamSpecification": {"StreamEnabled": True}, "LatestStreamArn": self.stream_arn}
        return {"Table": table | (stream if self.stream_arn else {})}

    def scan(
        self,
        *,
        TableName: str,
        Segment: int,
        TotalSegments: int,
        Limit: int,
        ConsistentRead: bool,
        ReturnConsumedCapacity: str,
        ExclusiveStartKey: Item | None = None,
    ) -> dict[str, Any]:
        assert (TableName, ReturnConsumedCapacity) == (self.name, "TOTAL")
        self._count("scan", segment=Segment, limit=Limit, consistent=ConsistentRead)
        mine = sorted(
            (zlib.crc32(name.encode()), name)
            for name in self.items
            if zlib.crc32(name.encode()) % TotalSegments == Segment
        )
        if ExclusiveStartKey:
            name = key_text(ExclusiveStartKey)
            mine = [place for place in mine if place > (zlib.crc32(name.encode()), name)]
        page = [self.items[name] for _, name in mine[:Limit]]
        answer = {"Items": page, "IsRaw": True, "ConsumedCapacity": {"CapacityUnits": self._units(page)}}
        if len(page) == Limit and page:
            answer["LastEvaluatedKey"] = {name: page[-1][name] for name in self.key}
        self.before_page(self.calls)
        return answer

    def batch_get_item(self, *, RequestItems: dict[str, Any], ReturnConsumedCapacity: str) -> dict[str, Any]:
        [(name, request)] = RequestItems.items()
        assert (name, ReturnConsumedCapacity, request["ConsistentRead"]) == (self.name, "TOTAL", True)
        assert 0 < len(request["Keys"]) <= 100
        if len(set(map(key_text, request["Keys"]))) < len(request["Keys"]):
            raise refused("ValidationException", "BatchGetItem")
        if not all(map(self._has_valid_key, request["Keys"])):
            raise refused("ValidationException", "BatchGetItem")
        self._count("get", keys=len(request["Keys"]))
        keys = request["Keys"][: max(1, len(request["Keys"]) - self.unprocessed)]
        left = request["Keys"][len(keys) :]
        found = [self.items[key_text(key)] for key in keys if key_text(key) in self.items]
        return {
            "Responses": {name: found},
            "UnprocessedKeys": {name: {"Keys": left}} if left else {},
            "IsRaw": True,
        } | (
            {"ConsumedCapacity": [{"TableName": name, "CapacityUnits": sum(self._units([item]) for item in found)}]}
            if self.counts_reads_by_key
            else {}
        )

    def put_item(self, *, TableName: str, ReturnConsumedCapacity: str, **given: Any) -> dict[str, Any]:
        assert (TableName, ReturnConsumedCapacity) == (self.name, "TOTAL")
        assert given.pop("ConditionExpression") == "attribute_not_exists(#key)"
        assert given.pop("ExpressionAttributeNames") == {"#key": self.key[0]}
        item = _raw(given.pop("Item"))
        assert not given
        return self._conditional(self._name_of(item), lambda old: None if old else item)

    def update_item(self, *, TableName: str, ReturnConsumedCapacity: str, **given: Any) -> dict[str, Any]:
        assert (TableName, ReturnConsumedCapacity) == (self.name, "TOTAL")
        names, values = given["ExpressionAttributeNames"], _raw(given["ExpressionAttributeValues"])

        def updated(old: Item | None) -> Item | None:
            for condition in given["ConditionExpression"].split(" AND "):
                if absent := re.fullmatch(r"attribute_not_exists\((.*)\)", condition):
                    if names[absent[1]] in (old or {}):
                        return None
                    continue
                place, value = condition.split(" = ")
                found = (old or {}).get(names[place])
                if found is None or digest({"v": found}) != digest({"v": values[value]}):
                    return None
            [(sets, removes)] = re.findall(r"^(?:SET (.*?))? ?(?:REMOVE (.*))?$", given["UpdateExpression"])
            pairs = [one.split(" = ") for one in sets.split(", ") if one]
            gone = {names[place] for place in removes.split(", ") if place}
            new = dict(old or {}) | {names[place]: values[value] for place, value in pairs}
            return {name: value for name, value in new.items() if name not in gone}

        return self._conditional(key_text(given["Key"]), updated)

    def _conditional(self, name: str, made: Callable[[Item | None], Item | None]) -> dict[str, Any]:
        """`made` gives the new item by the old one, None where the condition fails."""
        with self._writing:
            self._count("write", key=name)
            self.before_write(name)
            if name in self.invalid:
                raise refused("ValidationException")
            new = made(self.items.get(name))
            if new is None:
                raise refused("ConditionalCheckFailedException")
            self._store(name, new)
            units = float(math.ceil(len(json.dumps(new)) / _WRITE_UNIT)) * (1 + self.indexes)
            self.units += units
        return {"ConsumedCapacity": {"TableName": self.name, "CapacityUnits": units}}

    def _count(self, what: str, **asked: Any) -> None:
        self.calls += 1
        self.asked.append({"what": what} | asked)
        if self.calls in self.throttle:
            raise refused("ProvisionedThroughputExceededException", what)

    def _units(self, items: list[Item]) -> float:
        units = float(max(1, math.ceil(sum(len(json.dumps(item)) for item in items) / _UNIT)))
        self.units += units
        return units


def _raw(image: Any) -> Any:
    """An image of boto3 as DynamoDB has it."""
    if isinstance(image, bytes):
        return b64encode(image).decode()
    if isinstance(image, dict):
        return {name: _raw(value) for name, value in image.items()}
    return list(map(_raw, image)) if isinstance(image, list) else image
