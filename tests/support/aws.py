"""Stand-ins for boto3 clients, with their method names and error codes: fast, and honest about what hurts."""

# ruff: noqa: N803 - the parameters are named as boto3 names them
from __future__ import annotations

import hashlib
import io
import itertools
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

# When an object was written of which a test says nothing else.
WRITTEN = datetime(2026, 1, 31, 0, 10, tzinfo=UTC)


def refused(code: str, operation: str = "Operation") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": code}}, operation)


class Bodies:
    """The contents of objects: in memory, or in a folder where they must not count as the test's own memory."""

    def __init__(self, folder: Path | None) -> None:
        self._folder, self._held, self._count = folder, {}, itertools.count()

    def keep(self, body: bytes) -> Any:
        if not self._folder:
            return body
        path = self._folder / str(next(self._count))
        path.write_bytes(body)
        return path

    @staticmethod
    def bytes_of(kept: Any) -> bytes:
        return kept.read_bytes() if isinstance(kept, Path) else kept


class S3:
    """One bucket. Listings come in pages of `page_size`; `refusals` names the error of reading an object.

    `now` gives the time of a write, `modified` has that of each object.
    """

    def __init__(self, folder: Path | None = None, page_size: int = 7) -> None:
        self.objects: dict[str, Any] = {}
        self.refusals: dict[str, str] = {}
        self.now: Callable[[], datetime] = lambda: WRITTEN
        self.modified: dict[str, datetime] = {}
        self.listings = 0
        self._bodies, self._page_size, self._lock = Bodies(folder), page_size, threading.Lock()

    def body(self, key: str) -> bytes:
        return self._bodies.bytes_of(self.objects[key])

    def get_object(self, *, Bucket: str, Key: str, Range: str = "", IfMatch: str = "") -> dict[str, Any]:
        if Key in self.refusals:
            raise refused(self.refusals[Key], "GetObject")
        if Key not in self.objects:
            raise refused("NoSuchKey", "GetObject")
        body = self.body(Key)
        tag = self._tag(Key)
        if IfMatch not in ("", tag):
            raise refused("PreconditionFailed", "GetObject")
        answer: dict[str, Any] = {"ETag": tag}
        if Range and not body:
            raise refused("InvalidRange", "GetObject")
        if Range:
            first, last = map(int, Range.removeprefix("bytes=").split("-"))
            last = min(last, len(body) - 1)
            answer["ContentRange"] = f"bytes {first}-{last}/{len(body)}"
            body = body[first : last + 1]
        return answer | {"Body": io.BytesIO(body)}

    def put_object(
        self,
        *,
        Bucket: str,
        Key: str,
        Body: bytes | str,
        ContentType: str = "",
        IfNoneMatch: str = "",
        IfMatch: str = "",
    ) -> dict[str, Any]:
        assert len(Key.encode()) <= 1024, Key
        kept = self._bodies.keep(Body.encode() if isinstance(Body, str) else Body)
        with self._lock:
            if IfNoneMatch == "*" and Key in self.objects:
                raise refused("PreconditionFailed", "PutObject")
            if IfMatch and Key not in self.objects:
                raise refused("NoSuchKey", "PutObject")
            if IfMatch and IfMatch != self._tag(Key):
                raise refused("PreconditionFailed", "PutObject")
            self.objects[Key], self.modified[Key] = kept, self.now()
            return {"ETag": self._tag(Key)}

    def copy_object(
        self, *, Bucket: str, Key: str, CopySource: dict[str, str], CopySourceIfMatch: str = ""
    ) -> dict[str, Any]:
        with self._lock:
            if CopySource["Key"] not in self.objects:
                raise refused("NoSuchKey", "CopyObject")
            if CopySourceIfMatch not in ("", self._tag(CopySource["Key"])):
                raise refused("PreconditionFailed", "CopyObject")
            self.objects[Key], self.modified[Key] = self.objects[CopySource["Key"]], self.now()
        return {}

    def delete_object(self, *, Bucket: str, Key: str, IfMatch: str = "") -> dict[str, Any]:
        with self._lock:
            if IfMatch and Key not in self.objects:
                raise refused("NoSuchKey", "DeleteObject")
            if IfMatch not in ("", self._tag(Key) if IfMatch else ""):
                raise refused("PreconditionFailed", "DeleteObject")
            self.objects.pop(Key, None)
        return {}

    def _tag(self, key: str) -> str:
        return hashlib.md5(self.body(key)).hexdigest()

    def get_paginator(self, operation: str) -> Any:
        assert operation == "list_objects_v2"
        return self

    def paginate(
        self, *, Bucket: str, Prefix: str, StartAfter: str = "", Delimiter: str = ""
    ) -> Iterator[dict[str, Any]]:
        self.listings += 1
        if Delimiter:
            with self._lock:
                below = {key[len(Prefix) :].partition(Delimiter) for key in self.objects if key.startswith(Prefix)}
            yield {"CommonPrefixes": [{"Prefix": Prefix + name + end} for name, end, _ in sorted(below) if end]}
            return
        while True:
            with self._lock:
                keys = sorted(key for key in self.objects if key.startswith(Prefix) and key > StartAfter)
                page = keys[: self._page_size]
                sizes = [len(self.body(key)) for key in page]
            if not page:
                yield {}
                return
            yield {
                "Contents": [
                    {"Key": key, "Size": size, "LastModified": self.modified.get(key, WRITTEN)}
                    for key, size in zip(page, sizes, strict=True)
                ]
            }
            StartAfter = page[-1]  # noqa: N806


@dataclass
class Message:
    id: str
    body: str
    visible_at: float = 0.0
    handle: str = ""
    receives: int = 0


class SQS:
    """A standard queue on a clock of the test's own; a message comes back when its time is over."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.messages: dict[str, Message] = {}
        self._now, self._count = now, itertools.count(1)

    def send(self, body: str) -> str:
        number = f"{next(self._count):08d}-0000-4000-8000-000000000000"
        self.messages[number] = Message(number, body)
        return number

    @property
    def visible(self) -> list[str]:
        return [message.id for message in self.messages.values() if message.visible_at <= self._now()]

    def receive_message(
        self, *, QueueUrl: str, MaxNumberOfMessages: int, VisibilityTimeout: int, WaitTimeSeconds: int
    ) -> dict[str, Any]:
        assert 1 <= MaxNumberOfMessages <= 10
        given = []
        for number in self.visible[:MaxNumberOfMessages]:
            message = self.messages[number]
            message.receives += 1
            message.visible_at, message.handle = self._now() + VisibilityTimeout, f"{number}#{message.receives}"
            given.append({"MessageId": number, "ReceiptHandle": message.handle, "Body": message.body})
        return {"Messages": given} if given else {}

    def delete_message(self, *, QueueUrl: str, ReceiptHandle: str) -> dict[str, Any]:
        message = self.messages.get(ReceiptHandle.partition("#")[0])
        if message and message.handle == ReceiptHandle:  # an older handle is accepted, and deletes nothing
            del self.messages[message.id]
        return {}

    def change_message_visibility(self, *, QueueUrl: str, ReceiptHandle: str, VisibilityTimeout: int) -> dict[str, Any]:
        message = self.messages.get(ReceiptHandle.partition("#")[0])
        if not message or message.handle != ReceiptHandle or message.visible_at <= self._now():
            raise refused("MessageNotInflight", "ChangeMessageVisibility")
        message.visible_at = self._now() + VisibilityTimeout
        return {}

    def get_queue_attributes(self, *, QueueUrl: str, AttributeNames: list[str]) -> dict[str, Any]:
        visible = len(self.visible)
        hidden = len(self.messages) - visible
        counts = {"ApproximateNumberOfMessages": visible, "ApproximateNumberOfMessagesNotVisible": hidden}
        return {"Attributes": {name: str(counts[name]) for name in AttributeNames}}


@dataclass
class Shard:
    """`trimmed` records from the start are forgotten; `gone` is a shard that is no longer listed."""

    records: list[dict[str, Any]] = field(default_factory=list)
    closed: bool = False
    trimmed: int = 0
    gone: bool = False


class Streams:
    """Pages of `page_size`, each preceded by `empty_pages` empty ones; an iterator serves `iterator_life` pages."""

    def __init__(self, page_size: int = 1000, empty_pages: int = 0) -> None:
        self.shards: dict[tuple[str, str], Shard] = {}
        self.page_size, self.empty_pages = page_size, empty_pages
        self.expire_once: set[int] = set()  # calls of get_records that find their iterator expired
        self.before_page: Callable[[int], None] = lambda _: None
        self.knows_numbers = True  # an emulator may not
        self.calls = 0

    def shard(self, arn: str, name: str) -> Shard:
        return self.shards.setdefault((arn, name), Shard())

    def get_shard_iterator(
        self, *, StreamArn: str, ShardId: str, ShardIteratorType: str, SequenceNumber: str = ""
    ) -> dict[str, Any]:
        shard = self.shards.get((StreamArn, ShardId))
        if shard is None or shard.gone:
            raise refused("ResourceNotFoundException")
        if ShardIteratorType == "TRIM_HORIZON":
            return {"ShardIterator": f"{StreamArn}|{ShardId}|{shard.trimmed}|0"}
        numbers = [int(record["dynamodb"]["SequenceNumber"]) for record in shard.records]
        if int(SequenceNumber) not in numbers or not self.knows_numbers:
            raise refused("ValidationException")
        at = numbers.index(int(SequenceNumber)) + (ShardIteratorType == "AFTER_SEQUENCE_NUMBER")
        if at < shard.trimmed:
            raise refused("TrimmedDataAccessException")
        return {"ShardIterator": f"{StreamArn}|{ShardId}|{at}|0"}

    def get_records(self, *, ShardIterator: str, Limit: int) -> dict[str, Any]:
        self.calls += 1
        self.before_page(self.calls)
        if self.calls in self.expire_once:
            raise refused("ExpiredIteratorException")
        arn, name, at, empties = ShardIterator.split("|")
        shard, start = self.shards[arn, name], int(at)
        if start < shard.trimmed:
            raise refused("TrimmedDataAccessException")
        if int(empties) < self.empty_pages:
            return {"Records": [], "NextShardIterator": f"{arn}|{name}|{at}|{int(empties) + 1}"}
        end = min(start + min(self.page_size, Limit), len(shard.records))
        page: dict[str, Any] = {"Records": [as_got(record) for record in shard.records[start:end]]}
        if not (shard.closed and end == len(shard.records)):
            page["NextShardIterator"] = f"{arn}|{name}|{end}|0"
        return page


def as_got(record: dict[str, Any]) -> dict[str, Any]:
    """A record as Lambda receives it, in the shape in which GetRecords gives it."""
    body = record["dynamodb"]
    created = datetime.fromtimestamp(body["ApproximateCreationDateTime"], UTC)
    got = {name: value for name, value in record.items() if name not in ("eventSourceARN", "userIdentity")}
    got["dynamodb"] = body | {"ApproximateCreationDateTime": created}
    if identity := record.get("userIdentity"):
        got["userIdentity"] = {"PrincipalId": identity["principalId"], "Type": identity["type"]}
    return got


class LockTable:
    """A DynamoDB table with the one item of the lock, and the conditions that the lock uses.

    `is_broken` lets everybody in.
    """

    is_broken = False

    def __init__(self) -> None:
        self.item: dict[str, Any] | None = None
        self._lock = threading.Lock()

    @property
    def holder(self) -> str | None:
        return self.item["holder"]["S"] if self.item else None

    def _holds(self, condition: str, values: dict[str, Any]) -> bool:
        clauses = condition.split(" OR ")
        assert all(clause == "attribute_not_exists(p_key)" or clause.startswith("holder = :") for clause in clauses)
        absent = "attribute_not_exists(p_key)" in clauses and self.item is None
        equal = [clause.partition(" = ")[2] for clause in clauses if clause.startswith("holder = ")]
        return absent or any(self.holder == values[name]["S"] for name in equal)

    def _demand(self, condition: str, values: dict[str, Any]) -> None:
        if not self.is_broken and not self._holds(condition, values):
            raise refused("ConditionalCheckFailedException")

    def put_item(
        self, *, TableName: str, Item: dict[str, Any], ConditionExpression: str, ExpressionAttributeValues: Any
    ) -> None:
        with self._lock:
            self._demand(ConditionExpression, ExpressionAttributeValues)
            self.item = Item

    def delete_item(
        self, *, TableName: str, Key: Any, ConditionExpression: str, ExpressionAttributeValues: Any
    ) -> None:
        with self._lock:
            self._demand(ConditionExpression, ExpressionAttributeValues)
            self.item = None

    def get_item(self, *, TableName: str, Key: Any, ConsistentRead: bool) -> dict[str, Any]:
        return {"Item": self.item} if self.item else {}


class Executions:
    """Step Functions, as far as the lock asks it."""

    def __init__(self) -> None:
        self.status: dict[str, str] = {}

    def describe_execution(self, *, executionArn: str, includedData: str = "ALL_DATA") -> dict[str, Any]:
        assert includedData == "METADATA_ONLY"  # all else needs the right to decrypt
        if executionArn not in self.status:
            raise refused("ExecutionDoesNotExist")
        return {"status": self.status[executionArn]}
