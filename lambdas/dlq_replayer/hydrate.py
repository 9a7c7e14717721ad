"""Pointers in the failures queue become whole batches in the bucket, before the stream forgets them.

A message leaves the queue only after its records, or the pointer that came too late, are safe in the bucket.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from dlq_replayer.batches import Pointer, UnreadableError, as_event_records, parse_message
from dlq_replayer.bucket import EXPIRED, FAILED, Bucket

_VISIBILITY_SECONDS = 180
# A closed shard ends the walk; an open one may give empty pages before the range and, behind it, for ever.
_EMPTY_PAGES = 50


class ExpiredError(Exception):
    """The stream has trimmed the range, or a part of it. `records` holds what was left."""

    def __init__(self, records: list[dict[str, Any]]) -> None:
        self.records = records
        super().__init__("the stream no longer holds the whole range: it forgets after 24 hours")


def read_range(streams: Any, pointer: Pointer) -> list[dict[str, Any]]:
    """The records of `pointer`'s range, in order, as GetRecords gives them; those of other keys in between included.

    Raises ExpiredError when the stream no longer has all of it.
    """
    records: list[dict[str, Any]] = []
    first, last = int(pointer.start), int(pointer.end)
    whole = True
    iterator: str | None
    try:
        iterator = _iterator(streams, pointer, "AT_SEQUENCE_NUMBER", pointer.start)
    except ClientError as error:
        if _code(error) not in ("TrimmedDataAccessException", "ResourceNotFoundException", "ValidationException"):
            raise
        whole = False
        iterator = _oldest(streams, pointer)
    for record in _walk(streams, pointer, iterator):
        number = int(record["dynamodb"]["SequenceNumber"])
        if number > last:
            break
        if number >= first:
            records.append(record)
        if number == last:
            break
    if not whole or not records or int(records[-1]["dynamodb"]["SequenceNumber"]) < last:
        raise ExpiredError(records)
    return records


def _oldest(streams: Any, pointer: Pointer) -> str | None:
    try:
        return _iterator(streams, pointer, "TRIM_HORIZON")
    except ClientError as error:
        if _code(error) in ("ResourceNotFoundException", "ValidationException"):  # the shard itself is gone
            return None
        raise


def _walk(streams: Any, pointer: Pointer, iterator: str | None) -> Iterator[dict[str, Any]]:
    """Records from `iterator` to the end of the shard. An iterator lives 15 minutes; one that died is renewed."""
    empty, seen = 0, None
    while iterator and empty < _EMPTY_PAGES:
        try:
            page = streams.get_records(ShardIterator=iterator, Limit=1000)
        except ClientError as error:
            if _code(error) == "ExpiredIteratorException" and seen:
                iterator = _iterator(streams, pointer, "AFTER_SEQUENCE_NUMBER", seen)
                continue
            if _code(error) == "TrimmedDataAccessException":
                return
            raise
        for record in page["Records"]:
            seen = record["dynamodb"]["SequenceNumber"]
            yield record
        empty = 0 if page["Records"] else empty + 1
        iterator = page.get("NextShardIterator")


def _iterator(streams: Any, pointer: Pointer, kind: str, sequence_number: str | None = None) -> str:
    at = {"SequenceNumber": sequence_number} if sequence_number else {}
    answer = streams.get_shard_iterator(
        StreamArn=pointer.stream_arn, ShardId=pointer.shard, ShardIteratorType=kind, **at
    )
    return str(answer["ShardIterator"])


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", "")).rpartition("#")[2]


@dataclass
class Hydrated:
    """What one call did; `problems` says why a message stays in the queue, `expired` names what is lost."""

    messages: int
    problems: list[dict[str, Any]]
    expired: list[dict[str, Any]]
    more: bool


@dataclass(frozen=True)
class Hydrator:
    """`keep` leaves the queue as it is and writes the batches under `prefix` all the same: a dry run."""

    sqs: Any
    streams: Any
    queue_url: str
    bucket: Bucket
    table_name: str
    prefix: str = FAILED
    keep: bool = False
    shards: tuple[str, ...] = ()

    def anything(self) -> bool:
        """Whether the queue holds a message, without taking it.

        The queue's counts lag by up to a minute, so they are believed only for messages in flight: those of a call
        that was killed come back. A long poll asks every server of the queue:
        https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-short-and-long-polling.html
        """
        seen = self.sqs.receive_message(
            QueueUrl=self.queue_url, MaxNumberOfMessages=1, VisibilityTimeout=0, WaitTimeSeconds=1
        )
        if seen.get("Messages"):
            return True
        name = "ApproximateNumberOfMessagesNotVisible"
        counts = self.sqs.get_queue_attributes(QueueUrl=self.queue_url, AttributeNames=[name])["Attributes"]
        return int(counts[name]) > 0

    def run(self, limit: int, out_of_time: Callable[[], bool]) -> Hydrated:
        """Messages until the queue gives no new ones, `limit` is reached or time runs out (then `more`)."""
        done = Hydrated(0, [], [], more=False)
        left: dict[str, str] = {}  # message id -> receipt handle
        while done.messages < limit and not done.more:
            new = [
                message for message in self._receive(min(10, limit - done.messages)) if message["MessageId"] not in left
            ]
            if not new:
                break
            for message in new:
                if not self._take(message, done):
                    left[message["MessageId"]] = message["ReceiptHandle"]
            done.more = out_of_time()
        if not done.more:  # otherwise the next call would only get the same ones
            self._give_back(left)
        return done

    def _receive(self, count: int) -> list[dict[str, Any]]:
        answer = self.sqs.receive_message(
            QueueUrl=self.queue_url,
            MaxNumberOfMessages=count,
            VisibilityTimeout=_VISIBILITY_SECONDS,
            WaitTimeSeconds=1,
        )
        messages: list[dict[str, Any]] = answer.get("Messages", [])
        return messages

    def _take(self, message: dict[str, Any], done: Hydrated) -> bool:
        """Whether the message has left the queue."""
        source = f"message {message['MessageId']}"
        try:
            pointer = parse_message(message["Body"], self.table_name)
        except UnreadableError as error:
            done.problems.append({"source": source, "problem": str(error)})
            return False
        if self.shards and pointer.shard not in self.shards:
            return False
        done.messages += 1
        records, whole = self._fetch(pointer)
        if records:
            self._write_batch(message, pointer, records)
        if not whole:
            done.expired.append(pointer.describe() | {"records_saved": len(records)})
            self._write_expired(message, pointer)
        elif len(records) < pointer.size:
            problem = (
                f"its range holds {len(records)} records but it stands for {pointer.size}: bisected or consolidated"
            )
            done.problems.append({"source": source, "problem": problem, **pointer.describe()})
            return False
        if not self.keep:
            self.sqs.delete_message(QueueUrl=self.queue_url, ReceiptHandle=message["ReceiptHandle"])
        return not self.keep

    def _fetch(self, pointer: Pointer) -> tuple[list[dict[str, Any]], bool]:
        """The records that the stream still has, and whether these are all of the range."""
        try:
            return read_range(self.streams, pointer), True
        except ExpiredError as error:
            return error.records, False

    def _write_batch(self, message: dict[str, Any], pointer: Pointer, records: list[dict[str, Any]]) -> None:
        """Named by the message, so that a message taken twice writes the same object. Its size is what it holds:
        the range was complete, or what is missing has been reported."""
        document = json.loads(message["Body"])
        document["DDBStreamBatchInfo"]["batchSize"] = len(records)
        document["payload"] = {"Records": as_event_records(records, pointer.stream_arn)}
        self.bucket.write_json(_name(self.prefix + "hydrated/", message, pointer), document)

    def _write_expired(self, message: dict[str, Any], pointer: Pointer) -> None:
        if not self.keep:
            self.bucket.write(_name(EXPIRED, message, pointer), message["Body"].encode())

    def _give_back(self, left: dict[str, str]) -> None:
        for handle in left.values():
            self.sqs.change_message_visibility(QueueUrl=self.queue_url, ReceiptHandle=handle, VisibilityTimeout=0)


def _name(prefix: str, message: dict[str, Any], pointer: Pointer) -> str:
    return f"{prefix}{pointer.shard}/{pointer.failed_at or 'undated'}-{message['MessageId']}"
