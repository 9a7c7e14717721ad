"""What can still bring an old change to MySQL, beside the stream: failed batches, and records that were parked.

The stream keeps a change for 24 hours. A batch or a record in the bucket holds it for longer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain
from typing import NamedTuple

from common.bucket import Bucket, GoneError, UnreadableError
from common.layout import (
    EVER_PARKED,
    PARKED,
    SETTLED_BATCHES,
    failed_at,
    folder_of,
    former_folder,
    unreadable_folder,
)
from common.mapping import Mapping
from common.prefetch import Prefetch
from common.records import parse_states
from reconciler.run import NotReadyError, StageStoppedError
from reconciler.verify.pending import Pending

# The stream forgets a change after a day, so no record of a batch is older than that when it fails.
_OLDEST_RECORD = timedelta(days=2)
# Parked records that are read at once.
_AT_ONCE = 16


class Horizon(NamedTuple):
    """Rows from before the time may go. `held_by` is the settled batch that sets it, empty where it is the operator."""

    before: datetime
    held_by: str = ""


@dataclass(frozen=True)
class Reach:
    """`pending` knows the failed batches that wait. `mapping` tells which rows a parked record may concern."""

    bucket: Bucket
    pending: Pending
    mapping: Mapping

    def require_nothing_waits(self) -> None:
        """Raises NotReadyError while a change of any key and any age may be waiting."""
        if waiting := self.pending.batches():
            raise NotReadyError(f"{waiting}, then prune again; they may hold old changes of any key")
        for prefix in PARKED:
            for name, _ in self.bucket.list(unreadable_folder(prefix)):
                raise NotReadyError(
                    f"the parked record {name} has no readable key, so it may be of any: retry or discard it with"
                    " backstream replay, then prune again"
                )

    def horizon(self, wanted: datetime) -> Horizon:
        """`wanted`, or an earlier time where a settled batch holds older changes: a person may put it back.

        Raises NotReadyError for a settled batch whose time is not known.
        """
        found = Horizon(wanted)
        for name, _ in self.bucket.list(SETTLED_BATCHES):
            failed = failed_at(name)
            if failed is None:
                raise NotReadyError(
                    f"the name of {name} does not say when the batch failed, so it may hold changes of any age: delete"
                    " it, or wait until it expires, then prune again"
                )
            found = min(found, Horizon(failed - _OLDEST_RECORD, name))
        return found

    def parked(self) -> Callable[[str], bool]:
        """A function that tells whether a record with a change of a key is parked, or was parked and is kept.

        All is read once. A record that is parked later comes from the stream, or its keys are known already.

        Raises StageStoppedError for a record that S3 refuses.
        """
        # The digests of many texts take a tenth of their memory.
        held = {hash(text) for text in self._held()}
        return lambda key: hash(key) in held or any(hash(folder) in held for folder in _folders(key))

    def _held(self) -> Iterable[str]:
        """The folder of each parked record, and the keys of its entities where it may have several."""
        names = (name for prefix in EVER_PARKED for name, _ in self.bucket.list(prefix))
        if len(self.mapping.entities) == 1:
            return map(_folder, names)
        return chain.from_iterable(
            (_folder(name), *keys.result())
            for name, keys in Prefetch(self._keys_of, names, threads=_AT_ONCE, room=_AT_ONCE)
        )

    def _keys_of(self, name: str) -> list[str]:
        """The keys of all changes that a retry can make of a parked record; none where it has no key.

        The key of the item tells, and not its image: an image that is refused for now may be any entity's later.
        """
        try:
            document = self.bucket.read_json(name)
        except GoneError:
            return []  # it was moved to a prefix that is listed later
        except UnreadableError as error:
            raise StageStoppedError(
                f"the parked record {name} may hold a change of any key, and {error}. Make it readable or delete it,"
                " then prune again"
            ) from None
        except (ValueError, RecursionError):
            return []
        try:
            key = document["record"]["dynamodb"]["Keys"]
        except (KeyError, TypeError):
            return []
        return [change.key for change in parse_states([(key, None)], self.mapping).changes]


def _folder(name: str) -> str:
    return name[: name.rindex("/") + 1]


def _folders(key: str) -> Iterable[str]:
    for prefix in EVER_PARKED:
        yield folder_of(key, prefix)
        yield former_folder(key, prefix)
