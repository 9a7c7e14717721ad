"""Up to when the table was found equal to MySQL: what verifications keep in the failures bucket of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import NotRequired, TypedDict

from common.bucket import Bucket, GoneError
from common.layout import LAST_DELETION, VERIFIED, verified_parts


class Tried(TypedDict):
    """Both times are in ISO format. `equal` is the start of the run that found the slice equal; empty without one.

    `stream` is the ARN of the stream that the table had.
    """

    tried: str
    equal: str
    stream: NotRequired[str]


def read_slices(bucket: Bucket, key: str) -> dict[str, Tried]:
    """By part; a slice that was never tried is not there."""
    try:
        found: dict[str, Tried] = bucket.read_json(key)
    except GoneError:
        return {}
    return found


def all_equal(found: Mapping[str, Tried], parts: int) -> datetime | None:
    """The earliest time at which a slice was last found equal; None until each of them was."""
    times = [one["equal"] for one in found.values()]
    return datetime.fromisoformat(min(times)) if len(times) == parts and all(times) else None


def whole_equal(bucket: Bucket, mapping: str) -> datetime | None:
    """When the whole table was last found equal under a mapping, which is given by its digest; None if it never was.

    In slices, that is the earliest time at which one of them was last found equal.
    """
    keys = [(key, verified_parts(key, mapping)) for key, _ in bucket.list(VERIFIED)]
    times = [all_equal(read_slices(bucket, key), parts) for key, parts in keys if parts]
    return max(filter(None, times), default=None)


def last_deletion(bucket: Bucket) -> datetime | None:
    """When a repair last deleted rows; None where none ever did."""
    return next((entry.modified for entry in bucket.entries(LAST_DELETION)), None)


def verified_through(bucket: Bucket, mapping: str) -> datetime | None:
    """The time before which every change is proven to be in MySQL; None without a proof.

    A repair that deletes rows takes back what was proven before it: other rows may have gone with them.
    """
    through, deleted = whole_equal(bucket, mapping), last_deletion(bucket)
    return None if through is None or (deleted and deleted >= through) else through
