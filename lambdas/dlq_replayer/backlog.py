"""Lists and measures what has failed: batches, those that a dry run hydrated, and parked records."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import dropwhile
from typing import NamedTuple

from common.bucket import Bucket, Entry
from common.layout import DEFERRED, FAILED, QUARANTINE
from dlq_replayer.replay import Replay
from dlq_replayer.states import MeasuredState

_SPLIT_BYTES = 8 * 1024 * 1024
_MOST_SPLITS = 2_000
_PAGE = 1_000  # objects in a page of a listing


class Backlog(NamedTuple):
    """The failed objects that have been listed so far.

    `cursor` is the key of the last object, None when all are listed. `size` is in bytes. `batches` counts failed
    batches.
    """

    cursor: str | None = None
    size: int = 0
    batches: int = 0

    def plus(self, entry: Entry) -> Backlog:
        return Backlog(entry.key, self.size + entry.size, self.batches + entry.key.startswith(FAILED))

    def to_state(self) -> MeasuredState:
        return {"cursor": self.cursor, "size": self.size, "batches": self.batches}

    def splits(self, workers: int, entities: int) -> int:
        """A split is bounded in size, a backlog is not: a larger backlog has more splits. Each entity has its own.

        A backlog of parked records alone has as few splits as possible: rows that wait for each other, such as those of
        unique values that move from one key to another, fit only when one call of apply() gets their keys.
        """
        needed = -(-self.size // _SPLIT_BYTES)
        if not self.batches and needed <= 1:
            return 1
        own = max(workers if self.batches else 1, needed)
        return entities * min(own, max(1, _MOST_SPLITS // entities))


def prefixes_of(replay: Replay) -> list[str]:
    """What a replay collects from, in this order."""
    prefixes = [FAILED]
    if replay.dry:
        prefixes.append(replay.keys.hydrated)
    if replay.input.get("include_quarantine"):
        prefixes.append(QUARANTINE)
    return [*prefixes, DEFERRED]


def list_backlog(bucket: Bucket, prefixes: Sequence[str], cursor: str = "") -> Iterator[Entry]:
    """The objects under `prefixes` behind the key `cursor`, one prefix after the other."""
    for prefix in dropwhile(lambda prefix: cursor and not cursor.startswith(prefix), prefixes):
        yield from bucket.entries(prefix, cursor if cursor.startswith(prefix) else "")


def measure(bucket: Bucket, prefixes: Sequence[str], so_far: Backlog, out_of_time: Callable[[], bool]) -> Backlog:
    """Go on from `so_far`. Ten million objects are ten thousand pages, more than one call has time for."""
    measured = so_far
    for seen, entry in enumerate(list_backlog(bucket, prefixes, so_far.cursor or ""), start=1):
        measured = measured.plus(entry)
        if seen % _PAGE == 0 and out_of_time():
            return measured
    return measured._replace(cursor=None)
