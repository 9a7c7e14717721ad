"""Stream records, the changes that they become, and records that are parked.

Record format: https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import IntEnum, StrEnum
from typing import Any, NamedTuple, TypedDict

Record = Mapping[str, Any]
# Dates, times, JSON and enums are canonical text, booleans are 0 and 1.
Value = str | int | Decimal | bytes | None
Row = tuple[Value, ...]


class RecordBody(TypedDict, total=False):
    Keys: Any
    SequenceNumber: Any
    ApproximateCreationDateTime: Any
    NewImage: Any


class OldMark(TypedDict, total=False):
    """What is kept of an old image: the mark of a seed, see `common.seeds`."""

    backstream_seed: Any


class OldMarkBody(RecordBody, total=False):
    OldImage: OldMark


class OldImageBody(RecordBody, total=False):
    OldImage: Any


class LeanRecord(TypedDict, total=False):
    """The fields of a record that its change is made of. A reader may leave out all others, such as old images."""

    eventName: Any
    eventSourceARN: Any
    userIdentity: Any
    dynamodb: RecordBody


class OldMarkRecord(TypedDict, total=False):
    """The same with the mark of the old image."""

    eventName: Any
    eventSourceARN: Any
    userIdentity: Any
    dynamodb: OldMarkBody


class OldImageRecord(TypedDict, total=False):
    """The same where the old image counts: for a removal it tells whether the item had expired."""

    eventName: Any
    eventSourceARN: Any
    userIdentity: Any
    dynamodb: OldImageBody


@dataclass(slots=True)
class Reference:
    """A record by the object that holds it and its index there. json.dumps() refuses one in place of a record.

    `time` is the source time of a record that could not be read as a change, where it has one and its key fits a row.
    """

    source: str
    index: int
    time: int | None = None


class Mark(IntEnum):
    """What a change makes of its item, and what the sidecar keeps of it."""

    LIVE = 0  # the item exists
    DELETED = 1  # a tombstone: somebody deleted the item, or it stopped matching its entity
    EXPIRED = 2  # DynamoDB's Time to Live removed the item
    SEEDED = 3  # the item exists, and so far only the seed has written it: see common.seeds

    @property
    def exists(self) -> bool:
        """Whether the item exists."""
        return self in (Mark.LIVE, Mark.SEEDED)


class Change(NamedTuple):
    """One change of one item of one entity.

    `key` is the text of entity and key, see `common.keys`; it is the change's identity everywhere. `entity` is the
    index of the entity in its mapping. `key_values` holds the values of the entity's key columns. `row` holds all
    columns of the entity in mapping order, its key columns first; None for a removal, where `mark` is DELETED or
    EXPIRED. SEEDED marks a change that the seed made: its row is written only where the item had another writer before.

    `source_time` is the stream's clock in whole epoch seconds; `record` is the record as received, or a reference to
    it. `created` says that the item was new, so its row probably does not exist yet. This hint saves a read;
    correctness does not depend on it.
    """

    key: str
    version: str
    row: Row | None
    source_time: int
    record: Record | Reference
    created: bool
    entity: int
    key_values: Row
    mark: Mark


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


@dataclass
class Batch:
    """A list of records, classified: changes in stream order, records to park, and counts of skipped ones by reason.

    `unmapped_attributes` has, as `<entity>.<attribute>`, the attributes that no column takes and that the process sees
    for the first time. `heartbeat` is when the oldest heartbeat among the records was written, in epoch seconds; None
    without one: see `common.heartbeat`.
    """

    changes: list[Change] = field(default_factory=list)
    parked: list[Parked] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    unmapped_attributes: list[str] = field(default_factory=list)
    heartbeat: float | None = None
