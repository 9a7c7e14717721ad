"""The JSON objects that a replay writes under `replay/<execution>/`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, NotRequired, TypedDict, cast

from common.changes import Change, Parked, Reference


class ShardRange(TypedDict, total=False):
    """What a failed batch or a queue message states of itself: `records` records of one shard."""

    stream_arn: str
    shard: str
    start_sequence_number: str
    end_sequence_number: str
    records: int
    first_arrival: str
    last_arrival: str


class ReplayProblem(ShardRange):
    """`source` is the object, message or queue that could not be taken; the range is that of a message."""

    source: str
    problem: str


class ExpiredRange(ShardRange, total=False):
    """A range that the stream had trimmed before its message was read; `object` is the key of what was saved of it."""

    records_saved: int
    execution: str
    object: str


class CollectedBatch(TypedDict):
    """One failed batch or parked record that was collected.

    `tag` is the ETag that was read. `whole` is false when only some of its records were collected: then it stays.
    `splits` are those that its changes fall into.
    """

    source: str
    tag: str
    records: int
    whole: bool
    splits: list[int]
    failed_at: str
    first_arrival: str
    last_arrival: str


class Manifest(TypedDict):
    """The batches of a part. `token` is random: it tells apart two calls that wrote the same part."""

    token: str
    batches: list[CollectedBatch]


class UnreadableRecords(TypedDict):
    """The records of a part that could not be read as a change: fields of `Parked` with references."""

    token: str
    parked: list[dict[str, Any]]


def reference_of(item: Change | Parked) -> Reference:
    """Of a change or a parked record that was collected: these hold references only."""
    return cast(Reference, item.record)


def to_json(parked: Parked) -> dict[str, Any]:
    return parked._asdict() | {"record": asdict(reference_of(parked))}


def from_json(stored: dict[str, Any]) -> Parked:
    return Parked(**stored | {"record": Reference(**stored["record"])})


class Names(TypedDict):
    """Keys of parked records, and [source, problem] of sources whose records could not be parked.

    The problem is empty where the source had been discarded.
    """

    parked: list[str]
    missed: list[list[str]]


class SplitResult(TypedDict):
    """What became of a split. `tokens` are those of its parts; `files` name the objects with its `Names`."""

    tokens: dict[str, str]
    counts: dict[str, int]
    files: list[str]
    drained_at: str


class Report(TypedDict):
    """The execution's output and report.json, which holds more of the three lists.

    `verification` is the ARN of the one that this replay started for the expired ranges that it found.
    """

    execution: str
    execution_arn: str
    outcome: str
    dry_run: bool
    started: str
    ended: str
    counts: dict[str, int]
    input: dict[str, Any]
    expired: list[ExpiredRange]
    problems: list[ReplayProblem]
    parked_records: list[str]
    next: list[str]
    links: dict[str, str]
    reason: NotRequired[str]
    message: NotRequired[str]
    verification: NotRequired[str]
