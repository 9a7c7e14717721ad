"""A failed batch, as the event source mapping leaves it behind: pure reading, with a reason when it cannot be read.

Format: https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-errors.html
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypedDict, cast

import msgspec

from common.bucket import UnreadableError
from common.changes import LeanRecord, Record, RemovedRecord
from common.source import Source

# Messages and objects may come from anybody: what these patterns let through fits an object's key and the report.
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
_decode_removed = msgspec.json.Decoder(RemovedRecord).decode


class LeanRecords(Sequence[Record]):
    """Records of which each is read when it is asked for, and only what changes are made of.

    All of a batch at once, old images among them, are more than a processor's cache holds: that was two thirds of a
    replay's own time.
    """

    def __init__(self, raw: list[msgspec.Raw]) -> None:
        self._raw = raw

    def __len__(self) -> int:
        return len(self._raw)

    def __iter__(self) -> Iterator[Record]:
        return map(_lean_record, self._raw)

    def __getitem__(self, index: Any) -> Any:
        return _lean_record(self._raw[index])

    def whole(self, index: int) -> Record:
        """One record with all that it has or, where something that no change is made of cannot be read, without it."""
        try:
            return cast(Record, _json(bytes(self._raw[index])))
        except UnreadableError:
            return _lean_record(self._raw[index])

    def size(self, index: int) -> int:
        """Bytes of one record's text."""
        return len(memoryview(self._raw[index]))


def _lean_record(raw: msgspec.Raw) -> Record:
    """What is not shaped like a record is given as it is: why it is parked must not depend on how it was read.

    Raises UnreadableError.
    """
    try:
        record: Any = _decode_record(raw)
        # Without an identity, the old image tells whether the item had expired.
        if record.get("eventName") == "REMOVE" and not record.get("userIdentity"):
            record = _decode_removed(raw)
        return cast(Record, record)
    except (msgspec.DecodeError, RecursionError):
        return cast(Record, _json(bytes(raw)))


@dataclass(frozen=True, slots=True)
class Pointer:
    """What a failed batch says of itself: a range of one shard, `size` records, when they arrived and failed."""

    stream_arn: str
    shard: str
    start: str
    end: str
    size: int
    first_arrival: str
    last_arrival: str
    failed_at: str

    def describe(self) -> dict[str, Any]:
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
    """Records that were not applied, from a text of `size` bytes. One that was parked has no pointer but `parked`,
    the object that holds it.
    """

    records: Sequence[Record]
    size: int
    pointer: Pointer | None = None
    parked: Mapping[str, Any] | None = None

    @property
    def suspect(self) -> str | None:
        """Why the batch may stand for more than it holds; its records are replayed, the batch stays.

        With bisection Lambda consolidates the metadata of several failed messages into one:
        https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-lambda-eventsourcemapping.html
        """
        if self.pointer and len(self.records) < self.pointer.size:
            return f"it holds {len(self.records)} records but stands for {self.pointer.size}: bisected or consolidated"
        return None

    def whole(self, index: int) -> Record:
        """The record as it is to be parked. Raises UnreadableError."""
        return self.records.whole(index) if isinstance(self.records, LeanRecords) else self.records[index]

    def size_of(self, index: int) -> int:
        """Bytes of the record's text at most."""
        return self.records.size(index) if isinstance(self.records, LeanRecords) else self.size


def parse_object(text: bytes, source: Source) -> FailedBatch:
    """A failure record of the S3 destination, its records whole. Raises UnreadableError."""
    document = _object(text)
    pointer = _pointer(document, source)
    payload = document.get("payload")
    try:
        # AWS documents an escaped string; LocalStack stores the object itself.
        event: Any = json.loads(payload) if isinstance(payload, str) else payload
        records = event["Records"]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise UnreadableError("its payload is no event with Records") from None
    if not isinstance(records, list):
        raise UnreadableError("its payload is no event with Records")
    return FailedBatch(records, len(text), pointer)


def parse_lean(text: bytes, source: Source) -> FailedBatch:
    """The same, its records `LeanRecords`. Raises UnreadableError."""
    try:
        # What is skipped is not looked at for being UTF-8.
        document: Any = _decode_document(text if text.isascii() else text.decode())
        payload = document["payload"]
        event: Any = _decode_event(payload) if isinstance(payload, str) else payload
        records = LeanRecords(event["Records"])
    except (ValueError, KeyError, RecursionError):  # why it is refused must not depend on how it was read
        return parse_object(text, source)
    return FailedBatch(records, len(text), _pointer(document, source))


def parse_message(text: str, source: Source) -> Pointer:
    """A failure record of the SQS destination, whose range must be readable. Raises UnreadableError."""
    pointer = _pointer(_object(text), source)
    if not (_NUMBER.fullmatch(pointer.start) and _NUMBER.fullmatch(pointer.end)):
        raise UnreadableError("its sequence numbers are not decimal strings")
    if int(pointer.start) > int(pointer.end):
        raise UnreadableError("its range ends before it starts")
    return pointer


def parse_parked(text: bytes) -> FailedBatch:
    """The whole record of a parked object. Raises UnreadableError."""
    document = _object(text)
    record = document.get("record")
    if not isinstance(record, dict):
        raise UnreadableError("it holds no quarantined record")
    return FailedBatch([record], len(text), parked=document)


def _object(text: bytes | str) -> dict[str, Any]:
    document = _json(text)
    if not isinstance(document, dict):
        raise UnreadableError("it is not a JSON object")
    return document


def _json(text: bytes | str) -> Any:
    """Python also refuses numbers of more than 4300 digits, and nesting that exhausts its stack."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise UnreadableError("it is not JSON, or was cut off") from None


def _pointer(document: Mapping[str, Any], source: Source) -> Pointer:
    info = document.get("DDBStreamBatchInfo")
    if not isinstance(info, dict):
        raise UnreadableError("it is no failure record of a DynamoDB stream")
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
    # Another Region's or account's table may have the same name.
    label = pointer.stream_arn.removeprefix(f"{source.table_arn}/stream/")
    if not (source.owns(pointer.stream_arn) and _LABEL.fullmatch(label)):
        raise UnreadableError("it belongs to another table")
    if not _SHARD.fullmatch(pointer.shard):
        raise UnreadableError("its shardId is none")
    return pointer


def _time(value: Any) -> str:
    """Only shown, so what is no time is left out."""
    return value if isinstance(value, str) and _TIME.fullmatch(value) else ""


_YEARS = (2012, 2200)  # from the first year of DynamoDB


def moment(text: str) -> datetime | None:
    """None for what is no time, or none of ours: a failed batch may claim any."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return None
    if not _YEARS[0] <= when.year <= _YEARS[1]:
        return None
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def as_event_record(record: Mapping[str, Any], stream_arn: str) -> dict[str, Any]:
    """A record as GetRecords gives it, in the shape in which Lambda delivers it.

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
