"""Turns the messages of the failures queue into failed batches in the bucket, before the stream trims their records.

A message, or pointer, names a range of a shard. It is deleted only after its records are stored in the bucket. Where
the stream has trimmed them, the pointer itself is stored.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from botocore.exceptions import ClientError, ParamValidationError

from common.arrivals import parse_time
from common.bucket import Bucket, UnreadableError
from common.layout import EXPIRED, HYDRATED, expired_key, hydrated_key, message_key
from common.source import Source
from dlq_replayer.batches import Pointer, parse_message
from dlq_replayer.documents import ReplayProblem
from dlq_replayer.ranges import RangeReader, as_event_record
from dlq_replayer.replay import Replay

_VISIBILITY_SECONDS = 180
# The bounds of one object: a range also holds records of other batches when the mapping reads a shard in parallel.
_OBJECT_RECORDS = 5_000
_OBJECT_BYTES = 4_000_000
# The source of a problem of the queue itself.
QUEUE = "the queue"
_UNREAD = "not every message was read: the messages that stay took all the time of a call"
_INVALID = "its stream ARN, shardId or sequence numbers are invalid"
_PARTIAL = "the stream returned only a part of its range, although it has trimmed none of it"


@dataclass
class Hydrated:
    """What one call has done. `messages` is how many were stored; `problems` say why others stay.

    `more` says that time ran out first. `oldest` is the earliest arrival that a message states.
    """

    messages: int = 0
    oldest: datetime | None = None
    saved: list[str] = field(default_factory=list)  # sources, as `problems` name them
    problems: list[ReplayProblem] = field(default_factory=list)
    more: bool = False

    def see(self, pointer: Pointer) -> None:
        arrived = parse_time(pointer.first_arrival)
        self.oldest = min(filter(None, (self.oldest, arrived)), default=None)


@dataclass(frozen=True)
class Hydrator:
    """A dry run leaves the queue as it is, and writes under the keys of the replay."""

    sqs: Any
    streams: Any
    queue_url: str
    bucket: Bucket
    source: Source
    replay: Replay

    def has_messages(self) -> bool:
        """Whether the queue holds a message, without taking it.

        The queue's counts lag by up to a minute, so they are used only for messages in flight: those of a killed call
        return to the queue. A long poll asks every server of the queue:
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

    def hydrate(self, limit: int, out_of_time: Callable[[], bool]) -> Hydrated:
        """Take messages until the queue returns no new one, `limit` are stored or time runs out.

        `more` is set only where a message was deleted: otherwise the next call would read the same messages again.
        """
        done = Hydrated()
        left: dict[str, str] = {}  # message id -> receipt handle
        is_late = False
        while done.messages < limit and not is_late:
            received = self._receive(min(10, limit - done.messages))
            new = [message for message in received if message["MessageId"] not in left]
            left.update((message["MessageId"], message["ReceiptHandle"]) for message in received)
            if not new:
                break
            while new and not is_late:
                message = new.pop(0)
                if self._take(message, done):
                    del left[message["MessageId"]]
                is_late = out_of_time()
            self._give_back(message["ReceiptHandle"] for message in new)
        deleted = 0 if self.replay.dry else done.messages
        if is_late and not deleted:
            done.problems.append({"source": QUEUE, "problem": _UNREAD})
        done.more = is_late and deleted > 0
        if not done.more:  # otherwise the next call would receive them first
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
        """Whether the message was deleted."""
        source = f"message {message['MessageId']}"
        try:
            pointer = parse_message(message["Body"], self.source)
        except UnreadableError as error:
            done.problems.append({"source": source, "problem": str(error)})
            return False
        done.see(pointer)
        shards = self.replay.input.get("shards")
        if shards and pointer.shard not in shards:
            return False
        problem = self._save(message, pointer)
        if problem:
            done.problems.append({"source": source, "problem": problem, **pointer.describe()})
            return False
        if not self.replay.dry:
            self.sqs.delete_message(QueueUrl=self.queue_url, ReceiptHandle=message["ReceiptHandle"])
        done.messages += 1
        done.saved.append(source)
        return not self.replay.dry

    def _save(self, message: dict[str, Any], pointer: Pointer) -> str | None:
        """Store the records, or the expired pointer. Returns why the message must still stay, or None."""
        records = RangeReader(self.streams, pointer)
        try:
            for chunk in _chunks(records, pointer.stream_arn):
                self._write_batch(message, pointer, chunk)
        except ParamValidationError:
            return _INVALID
        if records.expired:
            self._write_expired(message, pointer, records.count)
        elif not records.whole:
            return _PARTIAL
        elif records.count < pointer.size:
            return f"its range holds {records.count} records but it stands for {pointer.size}: bisected or consolidated"
        return None

    def _write_batch(self, message: dict[str, Any], pointer: Pointer, chunk: list[_Text]) -> None:
        """The key states what the object holds: a message that is taken twice never overwrites it with less."""
        document = json.loads(message["Body"])
        first, last = chunk[0].number, chunk[-1].number
        document["DDBStreamBatchInfo"] |= {
            "startSequenceNumber": first,
            "endSequenceNumber": last,
            "batchSize": len(chunk),
        }
        document["payload"] = f'{{"Records":[{",".join(record.json for record in chunk)}]}}'
        folder = self.replay.keys.hydrated if self.replay.dry else HYDRATED
        key = message_key(folder, pointer.shard, pointer.failed_at, message["MessageId"])
        self.bucket.write_json(hydrated_key(key, first, len(chunk)), document)

    def _write_expired(self, message: dict[str, Any], pointer: Pointer, saved: int) -> None:
        folder = self.replay.keys.expired if self.replay.dry else EXPIRED
        key = message_key(folder, pointer.shard, pointer.failed_at, message["MessageId"])
        document = {
            **pointer.describe(),
            "records_saved": saved,
            "execution": self.replay.name,
            "message": message["Body"],
        }
        self.bucket.write_json(expired_key(key), document)

    def _give_back(self, handles: Iterable[str]) -> None:
        """Make messages visible at once. SQS refuses a handle whose time has run out: that message is visible."""
        for handle in handles:
            with suppress(ClientError):
                self.sqs.change_message_visibility(QueueUrl=self.queue_url, ReceiptHandle=handle, VisibilityTimeout=0)


class _Text(NamedTuple):
    """A record as JSON, with its sequence number."""

    number: str
    json: str


def _chunks(records: Iterable[dict[str, Any]], stream_arn: str) -> Iterator[list[_Text]]:
    """Records are kept as text: as objects they may take thirty times the memory."""
    chunk: list[_Text] = []
    size = 0
    for record in records:
        text = json.dumps(as_event_record(record, stream_arn), separators=(",", ":"))
        chunk.append(_Text(record["dynamodb"]["SequenceNumber"], text))
        size += len(text)
        if len(chunk) >= _OBJECT_RECORDS or size >= _OBJECT_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk
