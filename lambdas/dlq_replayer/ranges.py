"""Reads the range of a shard that a queue message stands for, in the shape in which Lambda delivers records."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from dlq_replayer.batches import Pointer

# A closed shard ends the walk. An open one may give empty pages before the range and, behind it, without end.
_EMPTY_PAGES = 50
_TRIMMED = "TrimmedDataAccessException"
_GONE = ("ResourceNotFoundException", "ValidationException")


class RangeReader:
    """Iterates over the records of a pointer's range, as GetRecords returns them.

    Records of other batches in the range are included. Where the stream has trimmed the start, the rest is read.
    `whole` and `expired` are valid when the iteration has ended.
    """

    def __init__(self, streams: Any, pointer: Pointer) -> None:
        self._streams, self._pointer = streams, pointer
        self._start, self._end = int(pointer.start), int(pointer.end)
        self._first: int | None = None  # of the range
        self._last: int | None = None
        self._oldest: int | None = None  # that the shard gave since it was last read from its oldest record
        self._from_oldest = self._was_trimmed = self._is_unfinished = False
        self.count = 0

    @property
    def whole(self) -> bool:
        # A range that was trimmed during the walk may have a hole between records that were both read.
        return self._first == self._start and self._last == self._end and not self._was_trimmed

    @property
    def expired(self) -> bool:
        """Whether the stream has trimmed records of the range, as it does after 24 hours."""
        if self._is_unfinished and (self.count or not self._was_trimmed):  # the stream may still hold the rest
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
        """Records from the start of the range to the end of the shard. An iterator expires after 15 minutes."""
        iterator = self._begin()
        empty, last_read = 0, None
        while iterator:
            if empty == _EMPTY_PAGES:
                self._is_unfinished = True
                return
            try:
                page = self._streams.get_records(ShardIterator=iterator, Limit=1000)
            except ClientError as error:
                if _code(error) == "ExpiredIteratorException" and last_read:
                    iterator = self._after(last_read)
                    continue
                if _code(error) != _TRIMMED:
                    raise
                self._was_trimmed = True
                iterator = self._oldest_iterator()
                empty += 1
                continue
            for record in page["Records"]:
                last_read = record["dynamodb"]["SequenceNumber"]
                yield record
            empty = 0 if page["Records"] else empty + 1
            iterator = page.get("NextShardIterator")

    def _begin(self) -> str | None:
        try:
            return self._iterator("AT_SEQUENCE_NUMBER", self._pointer.start)
        except ClientError as error:
            # An emulator answers ValidationException for a number that it does not know.
            if _code(error) not in (_TRIMMED, *_GONE):
                raise
            self._was_trimmed = _code(error) != "ValidationException"
        return self._oldest_iterator()

    def _after(self, last_read: str) -> str | None:
        try:
            return self._iterator("AFTER_SEQUENCE_NUMBER", last_read)
        except ClientError as error:
            if _code(error) != _TRIMMED:
                raise
            self._was_trimmed = True
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


def as_event_record(record: Mapping[str, Any], stream_arn: str) -> dict[str, Any]:
    """Convert a record from the shape of GetRecords to the shape in which Lambda delivers it.

    GetRecords has datetimes, bytes and a PascalCase identity, and leaves out the stream's ARN:
    https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_streams_Record.html
    """
    event = {name: value for name, value in record.items() if name != "userIdentity"}
    event["dynamodb"] = _plain(record["dynamodb"])
    event["eventSourceARN"] = stream_arn
    if identity := record.get("userIdentity"):
        event["userIdentity"] = {
            "type": identity.get("Type", identity.get("type")),
            "principalId": identity.get("PrincipalId", identity.get("principalId")),
        }
    return event


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return int(value.timestamp())
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple | set):
        return [_plain(inner) for inner in value]
    return value
