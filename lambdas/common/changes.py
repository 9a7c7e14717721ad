"""A DynamoDB stream record becomes a change: pure, exact, and refused with a reason when it cannot.

Record format: https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Context, Decimal, InvalidOperation
from enum import StrEnum
from functools import cache
from typing import Any, NamedTuple, TypedDict

from common.mapping import Column, Table
from common.source import Source

Record = Mapping[str, Any]
Value = str | int | Decimal | None
Row = tuple[Value, ...]
Reader = Callable[[Mapping[str, Any]], Value]

# Sorts before the version of every stream record: a row loaded by a backfill never wins over a live change.
LOWEST_VERSION = ""


class RecordBody(TypedDict, total=False):
    Keys: Any
    SequenceNumber: Any
    ApproximateCreationDateTime: Any
    NewImage: Any


class RemovedBody(RecordBody, total=False):
    OldImage: Any


class LeanRecord(TypedDict, total=False):
    """What of a record its change is made of, so that a reader may leave out the rest, old images above all."""

    eventName: Any
    eventSourceARN: Any
    userIdentity: Any
    dynamodb: RecordBody


class RemovedRecord(TypedDict, total=False):
    """The same of a removal whose old image tells whether the item had expired."""

    eventName: Any
    eventSourceARN: Any
    userIdentity: Any
    dynamodb: RemovedBody


@dataclass(slots=True)
class Reference:
    """Stands for a record: the object that holds it and its index there. json.dumps() refuses to store one.

    `time` is the source time of a record that could not be read as a change, where it has one.
    """

    source: str
    index: int
    time: int | None = None


class Change(NamedTuple):
    """One change of one key. `row` holds the columns in mapping order, None for a delete;
    `source_time` is the stream's clock in whole epoch seconds; `record` is the record as received, or a reference to
    it. `created` says that the item was new, so that its row is likely to be: a hint that spares a look, never what
    correctness rests on.
    """

    key: str
    version: str
    row: Row | None
    source_time: int
    record: Record | Reference
    created: bool = False


class Kind(StrEnum):
    """Why a record is parked, which decides who tries it again."""

    POISON = "poison"  # can never be written as it is: waits for a person
    DEFERRED = "deferred"  # waits for another row: every replay tries it again, for a day
    UNKNOWN = "unknown"  # refused with an error number that is not in the table: every replay tries it again


class Parked(NamedTuple):
    """A record that could not be applied, whole, with the reason and what a person can do about it."""

    key: str | None
    version: str | None
    reason: str
    hint: str
    errno: int | None
    record: Record | Reference
    kind: Kind = Kind.POISON


_CORRECT = "correct the item; its next version supersedes this one"
_OTHER_TABLE = "the function is given a stream of another table: check STREAM_ARN and its event source mapping"
_NEW_KEY = "a key cannot be corrected: write the item anew under a valid one, delete this one, then discard its records"


class PoisonError(Exception):
    """This record can never be written as it is. The message names the attribute, never its value."""

    def __init__(self, message: str, hint: str = _CORRECT) -> None:
        super().__init__(message)
        self.hint = hint


@dataclass
class Batch:
    """What a list of records holds: changes in stream order, what to park, and what to skip, by reason."""

    changes: list[Change] = field(default_factory=list)
    parked: list[Parked] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)


def read(
    records: Iterable[Record], table: Table, *, mirror_ttl_deletes: bool = False, source: Source | None = None
) -> Batch:
    """Sort the records of a stream event into changes, poison and skips. Every record ends in one of them."""
    batch = Batch()
    for result in map(reader(table, mirror_ttl_deletes=mirror_ttl_deletes, source=source), records):
        if isinstance(result, Change):
            batch.changes.append(result)
        elif isinstance(result, Parked):
            batch.parked.append(result)
        else:
            batch.skipped[result] += 1
    return batch


def reader(
    table: Table, *, mirror_ttl_deletes: bool = False, source: Source | None = None
) -> Callable[[Record], Change | Parked | str]:
    """A function that tells what a record is: a change, poison to park, or the reason why it is skipped.

    Records of another table than `source` are poison.
    """
    decode = decoder(table, source)

    def read_record(record: Record) -> Change | Parked | str:
        try:
            if not mirror_ttl_deletes and is_ttl_delete(record, table.ttl_attribute):
                return "ttl_delete"
            return decode(record) or "other_item"
        except PoisonError as error:
            return _park(record, table, error, source)

    return read_record


def is_ttl_delete(record: Record, ttl_attribute: str | None = None) -> bool:
    """Whether DynamoDB expired the item, rather than somebody deleting it.

    Only the Region that expired an item names the service. In a global table's other Regions the removal carries no
    identity; there the item's own time, its `ttl_attribute`, tells.
    Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/time-to-live-ttl-streams.html
    """
    if not isinstance(record, dict) or record.get("eventName") != "REMOVE":
        return False
    identity = record.get("userIdentity")
    if not identity:
        return ttl_attribute is not None and _had_expired(record, ttl_attribute)
    return (
        isinstance(identity, dict)
        and identity.get("type") == "Service"
        and identity.get("principalId") == "dynamodb.amazonaws.com"
    )


# DynamoDB expires no item whose time is further back than five years, so 0 may stand for "never":
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/time-to-live-ttl-before-you-start.html
_OLDEST_EXPIRY_SECONDS = (5 * 365 + 2) * 86_400


def _had_expired(record: Record, ttl_attribute: str) -> bool:
    """Whether the removed item's time had come at the record's time; False where either is malformed."""
    try:
        body = record["dynamodb"]
        text = body["OldImage"][ttl_attribute]["N"]
        removed_at = _seconds(body["ApproximateCreationDateTime"])
        is_time = text.isascii() and text.isdigit() and len(text) <= EPOCH_DIGITS
        return bool(is_time and removed_at - _OLDEST_EXPIRY_SECONDS <= int(text) <= removed_at)
    except (KeyError, TypeError, AttributeError, PoisonError):
        return False


def version(stream_arn: str, sequence_number: str, source: Source | None = None) -> str:
    """A string that orders the changes of one item: `<stream label>_<digits of the number>_<number>`.

    A generation of `source` above 0 comes first, `g0001_`, and so sorts after every lower one.

    A re-created stream's label is later, so its records sort after the old one's. Sequence numbers are
    decimal strings of varying length (21 to 40 digits on AWS); the count in front makes plain string
    order their numeric order, in Python as in an ascii_bin column.

    Raises PoisonError when either part is malformed, or of another table than `source`.
    """
    digits = sequence_number.lstrip("0")
    if not (sequence_number.isascii() and sequence_number.isdigit() and len(digits) < 100):  # noqa: PLR2004
        raise PoisonError("SequenceNumber is not a decimal string of at most 99 digits")
    return _prefix(stream_arn, len(digits), source) + digits


@cache
def _prefix(stream_arn: str, digits: int, source: Source | None) -> str:
    match = re.fullmatch(r"arn:.+/stream/(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3})", stream_arn)
    if not match:
        raise PoisonError("eventSourceARN does not end in a stream label such as 2026-01-31T00:00:00.000")
    if source and not source.owns(stream_arn):
        raise PoisonError("eventSourceARN belongs to another table", _OTHER_TABLE)
    return f"{source.prefix if source else ''}{match[1]}_{digits:02d}_"


@cache
def decoder(table: Table, source: Source | None = None) -> Callable[[Record], Change | None]:
    """A function from a stream record to its change, or None for an item of another kind.

    Raises PoisonError for a record that can never be written.
    """
    readers = [(column.attribute, _READERS[column.type](column), column.nullable) for column in table.columns]
    read_key = _READERS["key"](table.key)
    key_attribute, sort_key = table.key.attribute, {"S": table.sort_key}

    def decode(record: Record) -> Change | None:
        try:
            body = record["dynamodb"]
            keys = body["Keys"]
            if keys.get("s_key", sort_key) != sort_key:
                return None
            key = read_key(keys[key_attribute])
            which = version(record["eventSourceARN"], body["SequenceNumber"], source)
            when = _seconds(body["ApproximateCreationDateTime"])
            row = None if _is_delete(record) else _row(body["NewImage"], readers)
        except KeyError as error:
            raise PoisonError(f"the record lacks {error.args[0]}") from None
        except (TypeError, AttributeError):
            raise PoisonError("the record is not shaped like a DynamoDB stream record") from None
        return Change(key, which, row, when, record, record["eventName"] == "INSERT")  # type: ignore[arg-type]

    return decode


def _is_delete(record: Record) -> bool:
    name = record["eventName"]
    if name not in ("INSERT", "MODIFY", "REMOVE"):
        raise PoisonError("eventName is none of INSERT, MODIFY and REMOVE")
    return bool(name == "REMOVE")


def _row(image: Mapping[str, Any], readers: list[tuple[str, Reader, bool]]) -> Row:
    try:
        return tuple([read_value(image[attribute]) for attribute, read_value, _ in readers])
    except KeyError:  # an attribute is absent, or of another type: its dict lacks the type that the column needs
        return tuple([_nullable_value(image, *reader) for reader in readers])


def _nullable_value(image: Mapping[str, Any], attribute: str, read_value: Reader, nullable: bool) -> Value:
    if nullable and image.get(attribute, _NULL) == _NULL:
        return None
    try:
        return read_value(image[attribute])
    except KeyError:
        what = "has the wrong type" if attribute in image else "is missing"
        raise PoisonError(f"attribute {attribute} {what}") from None


_NULL = {"NULL": True}


def source_time(record: Record) -> int | None:
    """The stream's clock in whole epoch seconds, as far as the record has it."""
    try:
        return _seconds(record["dynamodb"]["ApproximateCreationDateTime"])
    except (KeyError, TypeError, PoisonError):
        return None


_LATEST = 253_402_300_799  # the end of the year 9999


def _seconds(when: Any) -> int:
    """Lambda gives a JSON number; the guide prints a string in places."""
    if type(when) is int and 0 <= when <= _LATEST:
        return when
    try:
        exact = Decimal(when)
        if 0 <= exact <= _LATEST:  # before it becomes an int, which may have as many digits as its exponent says
            return int(exact)
    except (InvalidOperation, ValueError):
        pass
    raise PoisonError("ApproximateCreationDateTime is not a time") from None


def _key_reader(column: Column) -> Reader:
    # Printable ASCII without blanks: no two such keys are equal to MySQL unless they are equal here, whatever
    # padding the collation does; case is looked after by the writer.
    limit = column.length

    def read_value(value: Mapping[str, Any]) -> str:
        text: str = value["S"]
        if not (text.isascii() and text.isprintable() and 0 < len(text) <= limit and " " not in text):
            raise PoisonError(f"key {column.attribute} is not 1 to {limit} printable ASCII characters", _NEW_KEY)
        return text

    return read_value


def _string_reader(column: Column) -> Reader:
    limit = column.length

    def read_value(value: Mapping[str, Any]) -> str:
        text: str = value["S"]
        if len(text) > limit:
            raise PoisonError(f"attribute {column.attribute} is longer than {limit} characters")
        if not text.isascii():
            try:
                text.encode()
            except UnicodeEncodeError:
                raise PoisonError(f"attribute {column.attribute} is not valid Unicode") from None
        return text

    return read_value


_WIDE = Context(prec=80)  # DynamoDB has 38 digits, MySQL 65: nothing is rounded here


def _decimal_reader(column: Column) -> Reader:
    digits, scale = column.precision - column.scale, column.scale
    fraction = rf"(?:\.\d{{1,{scale}}})?" if scale else ""
    fits = re.compile(rf"-?\d{{1,{digits}}}{fraction}", re.ASCII).fullmatch
    step = Decimal(1).scaleb(-scale)

    def read_value(value: Mapping[str, Any]) -> Decimal:
        text = value["N"]
        if fits(text):
            return Decimal(text)
        try:
            exact = Decimal(text)
            plain = exact.quantize(step, context=_WIDE)  # also turns 2E+2 into 200: an exponent in SQL text is a float
        except (InvalidOperation, ValueError):
            plain = exact = Decimal("NaN")
        if plain != exact or abs(plain) >= Decimal(10) ** digits:
            raise PoisonError(f"attribute {column.attribute} does not fit DECIMAL({column.precision},{scale})")
        return plain

    return read_value


EPOCH_DIGITS = 11


def _epoch_reader(column: Column) -> Reader:
    def read_value(value: Mapping[str, Any]) -> int:
        text = value["N"]
        if not (text.isascii() and text.isdigit() and len(text) <= EPOCH_DIGITS):
            raise PoisonError(f"attribute {column.attribute} is not a time in whole epoch seconds")
        return int(text)

    return read_value


_READERS: dict[str, Callable[[Column], Reader]] = {
    "key": _key_reader,
    "string": _string_reader,
    "decimal": _decimal_reader,
    "epoch": _epoch_reader,
}


def _park(record: Record, table: Table, error: PoisonError, source: Source | None) -> Parked:
    """Key and version as far as the record gives them, so that a person can find it."""
    key = which = None
    try:
        body = record["dynamodb"]
        key = str(body["Keys"][table.key.attribute]["S"])
        which = version(record["eventSourceARN"], body["SequenceNumber"], source)
    except (KeyError, TypeError, AttributeError, PoisonError):
        pass  # the record is parked whole all the same; these only name it
    return Parked(key, which, str(error), error.hint, None, record)
