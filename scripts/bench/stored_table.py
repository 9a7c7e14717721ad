"""A DynamoDB table in a file, for load and verification: boto3's requests are answered without HTTP and an emulator.

The answers are the JSON text that DynamoDB sends, so the worker decodes them as it would on AWS. The items are on disk,
because the memory of the worker is measured.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import boto3
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.config import Config

from common.raw_items import keep_items_raw
from reconciler.page_items import decode_scan
from scripts.bench.orders import ARN, KEY_ATTRIBUTES, START, STREAM

NAME = STREAM.table_arn.rpartition("/")[2]
# Names and values of an item, as DynamoDB counts them.
ITEM_BYTES, UNIT_BYTES = 160, 4096
# The keys of items that do not exist begin so.
GONE = "gone-"
_STATUSES = ("OPEN", "PAID", "SENT")
_HEADERS = {"Content-Type": "application/x-amz-json-1.0"}

Item = dict[str, Any]


def item_of(key: str) -> Item:
    """An order whose values come from its key, which begins with eight hexadecimal digits. All have the same length."""
    number = int(key[:8], 16)
    return {
        "p_key": {"S": key},
        "s_key": {"S": "ORDER"},
        "merchant_id": {"S": f"merchant-{100 + number % 900}"},
        "amount": {"N": f"{100_000 + number % 900_000}.{11 + number % 9}"},
        "currency": {"S": "INR"},
        "status": {"S": _STATUSES[number % 3]},
        "created_at": {"N": str(START)},
        "updated_at": {"N": str(START + number % 1000)},
        "record_ttl": {"N": str(START + 259_200)},
    }


class StoredTable:
    """The items of a file, a line each. A segment of a scan is a part of the file."""

    def __init__(self, file: Path) -> None:
        self.file, self.units = file, 0.0
        self._line = len(_line(item_of("0" * 36)))
        self._count = file.stat().st_size // self._line if file.exists() else 0
        # Where the page after each of these keys begins: a key for each segment that is being read.
        self._places: dict[tuple[int, str], int] = {}

    def __len__(self) -> int:
        return self._count

    def fill(self, keys: Iterable[str]) -> StoredTable:
        """With the items of `keys`, in this order."""
        with self.file.open("wb") as file:
            file.writelines(_line(item_of(key)) for key in keys)
        return StoredTable(self.file)

    def client(self) -> Any:
        """A DynamoDB client as the reconciler has it."""
        made = keep_items_raw(boto3.client("dynamodb", config=Config(retries={"total_max_attempts": 1})), decode_scan)
        made.meta.events.register("before-send.dynamodb", self._answer)
        return made

    def _answer(self, request: Any, **_: object) -> AWSResponse:
        target = request.headers["X-Amz-Target"]
        operation = (target if isinstance(target, str) else target.decode()).rpartition(".")[2]
        answers = {"Scan": self._scan, "BatchGetItem": self._get, "DescribeTable": self._describe}
        body = answers[operation](json.loads(request.body))
        return AWSResponse(request.url, 200, HTTPHeaders.from_dict(_HEADERS), _Raw(body))

    def _scan(self, request: dict[str, Any]) -> bytes:
        segment, segments = request["Segment"], request["TotalSegments"]
        first, end = (self._count * number // segments for number in (segment, segment + 1))
        start = (
            self._places.pop((segment, _text(request["ExclusiveStartKey"])), None)
            if ("ExclusiveStartKey" in request)
            else first
        )
        if start is None:
            raise RuntimeError("the scan goes on after a key that it has not reached")
        stop = min(start + request["Limit"], end)
        with self.file.open("rb") as file:
            file.seek(start * self._line)
            items = file.read((stop - start) * self._line)[: -len(b",\n")]
        left: dict[str, Any] = {}
        if stop < end:
            last = json.loads(items[1 - self._line :].lstrip(b"\n"))
            left = {"LastEvaluatedKey": {name: last[name] for name in KEY_ATTRIBUTES}}
            self._places[segment, _text(left["LastEvaluatedKey"])] = stop
        units = math.ceil((stop - start) * ITEM_BYTES / UNIT_BYTES)
        used = self._consume(units if request["ConsistentRead"] else units / 2)
        head = json.dumps({**left, "Count": stop - start, "ConsumedCapacity": used})
        return head[:-1].encode() + b',"Items":[' + items + b"]}"

    def _get(self, request: dict[str, Any]) -> bytes:
        """Every key has an item unless it begins with `GONE`."""
        asked = request["RequestItems"][NAME]
        items = [item_of(key["p_key"]["S"]) for key in asked["Keys"] if not key["p_key"]["S"].startswith(GONE)]
        used = self._consume(len(asked["Keys"]))
        return json.dumps({"Responses": {NAME: items}, "UnprocessedKeys": {}, "ConsumedCapacity": [used]}).encode()

    def _describe(self, _: dict[str, Any]) -> bytes:
        table = {
            "ItemCount": self._count,
            "TableSizeBytes": self._count * ITEM_BYTES,
            "LatestStreamArn": ARN,
            "StreamSpecification": {"StreamEnabled": True},
        }
        return json.dumps({"Table": table}).encode()

    def _consume(self, units: float) -> dict[str, Any]:
        self.units += units
        return {"TableName": NAME, "CapacityUnits": units}


class _Raw(io.BytesIO):
    def stream(self, *_: object, **__: object) -> Iterator[bytes]:
        yield self.read()


def _line(item: Item) -> bytes:
    return json.dumps(item, separators=(",", ":")).encode() + b",\n"


def _text(key: Item) -> str:
    return json.dumps(key, sort_keys=True)
