"""What is on its way to MySQL outside the stream: failed batches, and parked records of keys."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from common.bucket import Bucket
from common.layout import DEFERRED, FAILED, PARKED, folder_of, former_folder

# More parked records than that are not listed as a whole, but asked for by key.
_FEW = 2_000
_AT_ONCE = 16
# Failed batches or parked records that are counted: as many as one request lists.
_COUNTED = 1_000
_FIX = "see why with backstream replay list, correct the item, then retry or discard the record"


class ParkedName(NamedTuple):
    """A parked record: its version, and the name of its object."""

    version: str
    name: str

    @property
    def reason(self) -> str:
        """Why its key is not repaired, and what to do."""
        if self.name.startswith(DEFERRED):
            return f"a newer change waits for another row, in {self.name}: start a replay, which tries it again"
        return f"a newer change is parked, in {self.name}: {_FIX}"


@dataclass(frozen=True)
class Pending:
    """`queue_messages` counts those of a failure destination that is a queue."""

    bucket: Bucket
    queue_messages: Callable[[], int] = lambda: 0

    def batches(self) -> str:
        """Which failed batches wait, and what to do; empty if none waits. They may hold changes of any key."""
        objects, messages = len(list(islice(self.bucket.list(FAILED), _COUNTED))), self.queue_messages()
        more = " or more" if objects == _COUNTED else ""
        waiting = [f"{objects}{more} under {FAILED}"] * bool(objects)
        waiting += [f"about {messages} in the queue"] * bool(messages)
        return f"failed batches wait, {' and '.join(waiting)}: start a replay" if waiting else ""

    def parked(self) -> str:
        """How many records are parked; empty if none is."""
        count = len(list(islice(self._all(), _COUNTED)))
        more = " or more" if count == _COUNTED else ""
        return f"records are parked, {count}{more} under {' and '.join(PARKED)}" if count else ""

    def newest(self, keys: Iterable[str]) -> dict[str, ParkedName]:
        """The newest parked record of each of `keys` that has any."""
        parked = list(islice(self._all(), _FEW + 1))
        folders = {key: set(_folders(key)) for key in keys}
        if len(parked) <= _FEW:
            by_folder: dict[str, list[str]] = {}
            for name in parked:
                by_folder.setdefault(name[: name.rindex("/") + 1], []).append(name)
            found = {key: [name for one in mine for name in by_folder.get(one, ())] for key, mine in folders.items()}
        else:
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                found = dict(zip(folders, pool.map(self._of_folders, folders.values()), strict=True))
        return {key: max(map(_parked_name, names)) for key, names in found.items() if names}

    def _all(self) -> Iterator[str]:
        return (name for prefix in PARKED for name, _ in self.bucket.list(prefix))

    def _of_folders(self, folders: Iterable[str]) -> list[str]:
        return [name for folder in folders for name, _ in self.bucket.list(folder)]


def _parked_name(name: str) -> ParkedName:
    return ParkedName(name.rpartition("/")[2].removesuffix(".json"), name)


def _folders(key: str) -> Iterator[str]:
    """Those of the parked records of a key, that of version 0.1 too."""
    for prefix in PARKED:
        yield folder_of(key, prefix)
        yield former_folder(key, prefix)
