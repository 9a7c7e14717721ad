"""Parked records, quarantined and deferred, by key: what they are, and out of the way with those that nobody needs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from backstream.reach import Reach
from common.bucket import Bucket, GoneError
from common.changes import Kind
from common.layout import PARKED, discarded_key, folder_of


class Quarantine:
    """`key` is the key of an item, or, for a record whose key cannot be read, the name of its object."""

    def __init__(self, reach: Reach) -> None:
        self._bucket = Bucket(reach.client("s3"), reach.bucket)

    def list(self, key: str | None = None) -> Iterator[dict[str, Any]]:
        """Key, version, kind, since when it waits, reason, hint and object of each record; of one `key` where given.

        Records are left out. An older release did not store the kind: what it parked is poison.
        """
        for parked in self._records(key):
            fields = ("key", "version", "kind", "since", "reason", "hint", "object")
            yield {field: parked.get(field) for field in fields} | {"kind": parked.get("kind", Kind.POISON)}

    def show(self, key: str) -> list[dict[str, Any]]:
        """The records of `key`, whole: these hold row values."""
        return list(self._records(key))

    def discard(self, key: str) -> list[str]:
        """Move the records of `key` away; returns where they are now. One that a replay has taken meanwhile is its."""
        moves = [(name, discarded_key(name)) for name in self.names(key)]
        self._bucket.move_all(moves)
        return [target for _, target in moves]

    def names(self, key: str | None) -> list[str]:
        """Of the objects."""
        if key is None:
            return self._listed(*PARKED)
        if key.startswith(PARKED):
            return [name for name in self._listed(key) if name == key]
        return self._listed(*(folder_of(key, prefix) for prefix in PARKED))

    def _listed(self, *prefixes: str) -> list[str]:
        return [name for prefix in prefixes for name, _ in self._bucket.list(prefix)]

    def _records(self, key: str | None) -> Iterator[dict[str, Any]]:
        for name in self.names(key):
            try:
                yield self._bucket.read_json(name) | {"object": name}
            except GoneError:  # replayed or discarded since it was listed
                continue
