"""The keys of items whose rows a verification has repaired, for the verifications of later windows.

A repair leaves no time of its own in the sidecar. An item that was inserted and deleted in a window is in no export. So
where both changes were lost, and a repair came in between, nothing else tells that the row is there.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from common.bucket import Bucket, GoneError
from common.layout import REPAIRED, repaired_key, repaired_since
from common.raw_items import Item
from reconciler.run import LostFileError


@dataclass(frozen=True)
class RepairedKeys:
    """`clock` gives epoch seconds."""

    bucket: Bucket
    clock: Callable[[], float]

    def note(self, item_keys: Sequence[Item]) -> None:
        """Note items whose rows are about to be written."""
        if item_keys:
            self.bucket.write_json(repaired_key(int(self.clock()), secrets.token_hex(8)), item_keys)


def repaired_files(bucket: Bucket, since: datetime) -> list[str]:
    """The objects of the repairs at this time or later.

    A repair that matters to a window is not before it: the insert that it made up for was in the window.
    """
    return [key for key, _ in bucket.list(REPAIRED, after=repaired_since(int(since.timestamp())))]


def repaired_keys(bucket: Bucket, file: str) -> list[Item]:
    """The keys of an object. Raises LostFileError if it is gone: a key that is left out may have a stale row."""
    try:
        found: list[Item] = bucket.read_json(file)
    except GoneError:
        raise LostFileError(
            f"{file}, which names repaired rows, is not there: start the verification again, which lists what is there"
        ) from None
    return found
