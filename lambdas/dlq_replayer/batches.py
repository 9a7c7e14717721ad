"""Reads failed batches as the event source mapping writes them, and parked records.

Format: https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-errors.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict, cast

import msgspec

from common.bucket import UnreadableError
from common.changes import LeanRecord, OldImageRecord, OldMarkRecord, Record
from common.layout import is_parked
from common.source import Source
from dlq_replayer.documents import ShardRange

# Anybody may write messages and objects: what these patterns accept is safe in an object key and in the report.
_SHARD = re.compile(r"[\w.-]{1,100}", re.ASCII)
_NUMBER = re.compile(r"\d{1,99}", re.ASCII)
_LABEL = re.compile(r"[\w:.-]{1,40}", re.ASCII)
_TIME = re.compile(r"[\w:.+-]{1,40}", re.ASCII)


class _Event(TypedDict, total=False):
    Records: list[msgspec.Raw]


class _Document(TypedDict, total=False):
    DDBStreamBatchInfo: Any
    timestamp: Any
    payload: str | _Event


_decode_document = msgspec.json.Decoder(_Document).decode
_decode_event = msgspec.json.Decoder(_Event).decode
_decode_record = msgspec.json.Decoder(LeanRecord).decode
_decode_with_old_mark = msgspec.json.Decoder(OldMarkRecord).decode
_decode_with_old_image = msgspec.json.Decoder(OldImageRecord).decode


class LeanRecords(Sequence[Record]):
    """Records that are decoded one at a time, on demand, and only with the fields that a change needs.

    Decoding a whole batch with its old images overflows the processor's cache and tripled the replay's own time. So
    they are read only with `old_images`, which is for a mapping that needs them. Otherwise only the mark of a seed is
    read of them.
    """

    def __init__(self, raw: list[msgspec.Raw], *, old_images: bool) -> None:
        self._raw, self._old_images = raw, old_images

    def __len__(self) -> int:
        return len(self._raw)

    def __iter__(self) -> Iterator[Record]:
        return map(self._lean, self._raw)

    def __getitem__(self, index: Any) -> Any:
        return self._lean(self._raw[index])

    def _lean(self, raw: msgspec.Raw) -> Record:
        return _lean_record(raw, old_image=self._old_images)

    def whole(self, index: int) -> Record:
        """One record with every field; without those that no change needs where one of these cannot be decoded."""
        try:
            return cast(Record, _json(bytes(self._raw[index])))
        except UnreadableError:
            return self._lean(self._raw[index])

    def size(self, index: int) -> int:
        """Bytes of one record's text."""
        return len(memoryview(self._raw[index]))


def _lean_record(raw: msgspec.Raw, *, old_image: bool) -> Record:
    """What is not shaped like a record is returned as it is: the reason it is parked must not depend on the decoder.

    Raises UnreadableError.
    """
    try:
        record: Any = _decode_with_old_image(raw) if old_image else _with_old_mark(raw)
        # Without an identity, the old image says whether the item had expired.
        if not old_image and record.get("eventName") == "REMOVE" and not record.get("userIdentity"):
            record = _decode_with_old_image(raw)
        return cast(Record, record)
    except (msgspec.DecodeError, RecursionError):
        return cast(Record, _json(bytes(raw)))


def _with_old_mark(raw: msgspec.Raw) -> Any:
    """Raises msgspec.DecodeError, but not for an old image that cannot be decoded: no change needs it."""
    try:
        return _decode_with_old_mark(raw)
    except msgspec.DecodeError:
        return _decode_record(raw)


@dataclass(frozen=True, slots=True)
class Pointer:
    """What a failed batch states of itself: a range of one shard with `size` records, when they arrived and failed."""

    stream_arn: str
    shard: str
    start: str
    end: str
    size: int
    first_arrival: str
    last_arrival: str
    failed_at: str

    def describe(self) -> ShardRange:
        return {
            "stream_arn": self.stream_arn,
            "shard": self.shard,
            "start_sequence_number": self.start,
            "end_sequence_number": self.end,
            "records": self.size,
            "first_arrival": self.first_arrival,
            "last_arrival": self.last_arrival,
        }


@dataclass(frozen=True, slots=True)
class FailedBatch:
    """Records that were not applied, from a text of `size` bytes.

    A parked record is a batch of one record, without a pointer; `parked` is its object.
    """

    records: Sequence[Record]
    size: int
    pointer: Pointer | None = None
    parked: Mapping[str, Any] | None = None

    @property
    def suspect(self) -> str | None:
        """Why the batch may stand for more records than it holds. Its records are replayed, and it stays.

        With bisection Lambda consolidates the metadata of several failed messages into one:
        https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-lambda-eventsourcemapping.html
        """
        if self.pointer and len(self.records) < self.pointer.size:
            return f"it holds {len(self.records)} records but stands for {self.pointer.size}: bisected or consolidated"
        return None

    def whole(self, index: int) -> Record:
        """One record with every field, to be parked. Raises UnreadableError."""
        return self.records.whole(index) if isinstance(self.records, LeanRecords) else self.records[index]

    def size_of(self, index: int) -> int:
        """The size of the record's text in bytes, or of the batch's where the record's is unknown."""
        return self.records.size(index) if isinstance(self.records, LeanRecords) else self.size


def parse_object(text: bytes, source: Source) -> FailedBatch:
    """A failure record of the S3 destination, its records decoded whole. Raises UnreadableError."""
    document = _object(text)
    pointer = _pointer(document, source)
    payload = document.get("payload")
    try:
        # AWS writes an escaped string; LocalStack writes the object itself.
        event: Any = json.loads(payload) if isinstance(payload, str) else payload
        records = event["Records"]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise UnreadableError("its payload is not an event with Records") from None
    if not isinstance(records, list):
        raise UnreadableError("its payload is not an event with Records")
    return FailedBatch(records, len(text), pointer)


def parse_lean(text: bytes, source: Source, *, old_images: bool = False) -> FailedBatch:
    """The same with `LeanRecords`. Raises UnreadableError."""
    try:
        # msgspec does not check that skipped text is UTF-8.
        document: Any = _decode_document(text if text.isascii() else text.decode())
        payload = document["payload"]
        event: Any = _decode_event(payload) if isinstance(payload, str) else payload
        records = LeanRecords(event["Records"], old_images=old_images)
    except (ValueError, KeyError, RecursionError):  # the reason must not depend on the decoder
        return parse_object(text, source)
    return FailedBatch(records, len(text), _pointer(document, source))


def parse_message(text: str, source: Source) -> Pointer:
    """A failure record of the SQS destination, its range checked. Raises UnreadableError."""
    pointer = _pointer(_object(text), source)
    if not (_NUMBER.fullmatch(pointer.start) and _NUMBER.fullmatch(pointer.end)):
        raise UnreadableError("its sequence numbers are not decimal strings")
    if int(pointer.start) > int(pointer.end):
        raise UnreadableError("its range ends before it starts")
    return pointer


def parse_parked(text: bytes) -> FailedBatch:
    """The record of a parked object. Raises UnreadableError."""
    document = _object(text)
    record = document.get("record")
    if not isinstance(record, dict):
        raise UnreadableError("it holds no parked record")
    return FailedBatch([record], len(text), parked=document)


def _object(text: bytes | str) -> dict[str, Any]:
    document = _json(text)
    if not isinstance(document, dict):
        raise UnreadableError("it is not a JSON object")
    return document


def _json(text: bytes | str) -> Any:
    """Raises UnreadableError, also for numbers of more than 4300 digits and for nesting that exhausts the stack."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise UnreadableError("it is not JSON, or was cut off") from None


def _pointer(document: Mapping[str, Any], source: Source) -> Pointer:
    info = document.get("DDBStreamBatchInfo")
    if not isinstance(info, dict):
        raise UnreadableError("it is not a failure record of a DynamoDB stream")
    try:
        pointer = Pointer(
            stream_arn=str(info["streamArn"]),
            shard=str(info["shardId"]),
            start=str(info["startSequenceNumber"]),
            end=str(info["endSequenceNumber"]),
            size=int(info["batchSize"]),
            first_arrival=_time(info.get("approximateArrivalOfFirstRecord")),
            last_arrival=_time(info.get("approximateArrivalOfLastRecord")),
            failed_at=_time(document.get("timestamp")),
        )
    except (KeyError, ValueError, TypeError, OverflowError):
        raise UnreadableError("its DDBStreamBatchInfo is incomplete") from None
    # A table of another Region or account may have the same name.
    label = pointer.stream_arn.removeprefix(f"{source.table_arn}/stream/")
    if not (source.owns(pointer.stream_arn) and _LABEL.fullmatch(label)):
        raise UnreadableError("it belongs to another table")
    if not _SHARD.fullmatch(pointer.shard):
        raise UnreadableError("its shardId is invalid")
    return pointer


def _time(value: Any) -> str:
    """Times are only shown: an invalid one is left out."""
    return value if isinstance(value, str) and _TIME.fullmatch(value) else ""


def parse(key: str, text: bytes, source: Source, *, old_images: bool = False) -> FailedBatch:
    """The batch or the parked record at `key`. Raises UnreadableError."""
    return parse_parked(text) if is_parked(key) else parse_lean(text, source, old_images=old_images)
