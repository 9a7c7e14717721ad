"""Pointers in the failures queue become whole batches in the bucket, before the stream forgets them.

A message leaves the queue only after its records, or the pointer that came too late, are safe in the bucket.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from botocore.exceptions import ClientError, ParamValidationError

from common.bucket import Bucket, UnreadableError
from common.layout import EXPIRED, HYDRATED, ReplayKeys, expired_key, hydrated_key, message_key
from common.source import Source
from dlq_replayer.batches import Pointer, as_event_record, moment, parse_message

_VISIBILITY_SECONDS = 180
# A closed shard ends the walk; an open one may give empty pages before the range and, behind it, for ever.
_EMPTY_PAGES = 50
# What one object holds: with parallelization a range also holds what other batches of the shard stood for.
_OBJECT_RECORDS = 5_000
_OBJECT_BYTES = 4_000_000
# What is wrong with the queue rather than with one of its messages has this source.
QUEUE = "the queue"
_TRIMMED = "TrimmedDataAccessException"
_GONE = ("ResourceNotFoundException", "ValidationException")


class Reading:
    """Iterates over the records of a pointer's range, as GetRecords gives them; tells afterwards whether that was all.

    Records of other keys in between are included. Where the stream has forgotten the start, the rest is read.
    """

    def __init__(self, streams: Any, pointer: Pointer) -> None:
        self._streams, self._pointer = streams, pointer
        self._start, self._end = int(pointer.start), int(pointer.end)
        self._first: int | None = None  # of the range
        self._last: int | None = None
        self._oldest: int | None = None  # that the shard gave since it was last read from its oldest record
        self._from_oldest = self._forgotten = self._unfinished = False
        self.count = 0

    @property
    def whole(self) -> bool:
        # Trimmed while it was read, the range may have a hole between records that were both there.
        return self._first == self._start and self._last == self._end and not self._forgotten

    @property
    def expired(self) -> bool:
        """Whether the stream has trimmed records of the range: it forgets after 24 hours."""
        if self._unfinished and (self.count or not self._forgotten):  # the rest may be there all the same
            return False
        return self._from_oldest and (self._oldest is None or self._oldest > self._start)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for record in self._walk():
            number = int(record["dynamodb"]["SequenceNumber"])
            self._oldest = number if self._oldest is None else self._oldest
            if number > self._end:
                return
            if number < self._start or (self._last is not None and number <= self._last):
                continue
            self._first = number if self._first is None else self._first
            self._last = number
            self.count += 1
            yield record
            if number == self._end:
                return

    def _walk(self) -> Iterator[dict[str, Any]]:
        """Records from the range's start to the end of the shard. An iterator lives 15 minutes; then it is renewed."""
        iterator = self._begin()
        empty, seen = 0, None
        while iterator:
            if empty == _EMPTY_PAGES:
                self._unfinished = True
                return
            try:
                page = self._streams.get_records(ShardIterator=iterator, Limit=1000)
            except ClientError as error:
                if _code(error) == "ExpiredIteratorException" and seen:
                    iterator = self._after(seen)
                    continue
                if _code(error) != _TRIMMED:
                    raise
                self._forgotten = True
                iterator = self._oldest_iterator()
                empty += 1
                continue
            for record in page["Records"]:
                seen = record["dynamodb"]["SequenceNumber"]
                yield record
            empty = 0 if page["Records"] else empty + 1
            iterator = page.get("NextShardIterator")

    def _begin(self) -> str | None:
        try:
            return self._iterator("AT_SEQUENCE_NUMBER", self._pointer.start)
        except ClientError as error:
            # The last one is also what an emulator says of a number that it does not know.
            if _code(error) not in (_TRIMMED, *_GONE):
                raise
            self._forgotten = _code(error) != "ValidationException"
        return self._oldest_iterator()

    def _after(self, seen: str) -> str | None:
        try:
            return self._iterator("AFTER_SEQUENCE_NUMBER", seen)
        except ClientError as error:
            if _code(error) != _TRIMMED:
                raise
            self._forgotten = True
        return self._oldest_iterator()

    def _oldest_iterator(self) -> str | None:
        self._from_oldest, self._oldest = True, None
        try:
            return self._iterator("TRIM_HORIZON")
        except ClientError as error:
            if _code(error) in _GONE:  # the shard itself is gone
                return None
            raise

    def _iterator(self, kind: str, sequence_number: str | None = None) -> str:
        at = {"SequenceNumber": sequence_number} if sequence_number else {}
        answer = self._streams.get_shard_iterator(
            StreamArn=self._pointer.stream_arn, ShardId=self._pointer.shard, ShardIteratorType=kind, **at
        )
        return str(answer["ShardIterator"])


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", "")).rpartition("#")[2]


@dataclass
class Hydrated:
    """What one call did: messages whose records are safe, and why others stay. `more`: time ran out first.

    `oldest` is the first arrival of any record that a message seen stands for.
    """

    messages: int = 0
    oldest: datetime | None = None
    saved: list[str] = field(default_factory=list)  # their sources, as `problems` name them
    problems: list[dict[str, Any]] = field(default_factory=list)
    more: bool = False

    def see(self, pointer: Pointer) -> None:
        arrived = moment(pointer.first_arrival)
        self.oldest = min(filter(None, (self.oldest, arrived)), default=None)


@dataclass(frozen=True)
class Hydrator:
    """`keep` leaves the queue as it is and writes under the keys of `execution` instead: a dry run.

    `execution` is named in what is kept of an expired pointer.
    """

    sqs: Any
    streams: Any
    queue_url: str
    bucket: Bucket
    source: Source
    keep: bool = False
    shards: tuple[str, ...] = ()
    execution: str = ""

    @property
    def _keys(self) -> ReplayKeys:
        return ReplayKeys(self.execution)

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
        """Messages until the queue gives no new ones, `limit` is reached or time runs out.

        There is `more` only where a message has left: a queue of messages that stay must not be gone through for ever.
        """
        done = Hydrated()
        left: dict[str, str] = {}  # message id -> receipt handle
        late = False
        while done.messages < limit and not late:
            received = self._receive(min(10, limit - done.messages))
            new = [message for message in received if message["MessageId"] not in left]
            left.update((message["MessageId"], message["ReceiptHandle"]) for message in received)
            if not new:
                break
            while new and not late:
                message = new.pop(0)
                if self._take(message, done):
                    del left[message["MessageId"]]
                late = out_of_time()
            self._give_back(message["ReceiptHandle"] for message in new)
        left_the_queue = 0 if self.keep else done.messages
        if late and not left_the_queue:
            problem = "not every message was looked at: those that stay took all the time of a call"
            done.problems.append({"source": QUEUE, "problem": problem})
        done.more = late and left_the_queue > 0
        if not done.more:  # otherwise the next call would only get the same ones
            self._give_back(left.values())
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
        source = {"source": f"message {message['MessageId']}"}
        try:
            pointer = parse_message(message["Body"], self.source)
        except UnreadableError as error:
            done.problems.append(source | {"problem": str(error)})
            return False
        done.see(pointer)
        if self.shards and pointer.shard not in self.shards:
            return False
        problem = self._save(message, pointer)
        if problem:
            done.problems.append(source | {"problem": problem} | pointer.describe())
            return False
        if not self.keep:
            self.sqs.delete_message(QueueUrl=self.queue_url, ReceiptHandle=message["ReceiptHandle"])
        done.messages += 1
        done.saved.append(source["source"])
        return not self.keep

    def _save(self, message: dict[str, Any], pointer: Pointer) -> str | None:
        """Records, or the expired pointer, into the bucket; why the message must stay all the same, or None."""
        reading = Reading(self.streams, pointer)
        try:
            for chunk in _chunks(reading, pointer.stream_arn):
                self._write_batch(message, pointer, chunk)
        except ParamValidationError:
            return "its stream, shard or sequence numbers are not such as DynamoDB Streams gives"
        if reading.expired:
            self._write_expired(message, pointer, reading.count)
        elif not reading.whole:
            return "the stream did not give the whole range, yet has forgotten none of it"
        elif reading.count < pointer.size:
            return f"its range holds {reading.count} records but it stands for {pointer.size}: bisected or consolidated"
        return None

    def _write_batch(self, message: dict[str, Any], pointer: Pointer, chunk: list[Text]) -> None:
        """Named by what it holds: a message taken twice writes the same object, and never one with less over it."""
        document = json.loads(message["Body"])
        first, last = chunk[0].number, chunk[-1].number
        document["DDBStreamBatchInfo"] |= {
            "startSequenceNumber": first,
            "endSequenceNumber": last,
            "batchSize": len(chunk),
        }
        document["payload"] = f'{{"Records":[{",".join(record.json for record in chunk)}]}}'
        folder = self._keys.hydrated if self.keep else HYDRATED
        key = message_key(folder, pointer.shard, pointer.failed_at, message["MessageId"])
        self.bucket.write_json(hydrated_key(key, first, len(chunk)), document)

    def _write_expired(self, message: dict[str, Any], pointer: Pointer, saved: int) -> None:
        folder = self._keys.expired if self.keep else EXPIRED
        key = message_key(folder, pointer.shard, pointer.failed_at, message["MessageId"])
        found = {"records_saved": saved, "execution": self.execution, "message": message["Body"]}
        self.bucket.write_json(expired_key(key), pointer.describe() | found)

    def _give_back(self, handles: Iterable[str]) -> None:
        """Visible again at once; those whose time has run out are so already, and refuse."""
        for handle in handles:
            with suppress(ClientError):
                self.sqs.change_message_visibility(QueueUrl=self.queue_url, ReceiptHandle=handle, VisibilityTimeout=0)


class Text(NamedTuple):
    """A record as JSON, with its sequence number."""

    number: str
    json: str


def _chunks(records: Iterable[dict[str, Any]], stream_arn: str) -> Iterator[list[Text]]:
    """By count and by size, which is that of their texts: as objects they may be thirty times as large."""
    chunk: list[Text] = []
    size = 0
    for record in records:
        text = json.dumps(as_event_record(record, stream_arn), separators=(",", ":"))
        chunk.append(Text(record["dynamodb"]["SequenceNumber"], text))
        size += len(text)
        if len(chunk) >= _OBJECT_RECORDS or size >= _OBJECT_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk
