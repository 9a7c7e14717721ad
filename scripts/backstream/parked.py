"""Parked records, quarantined and deferred, by key."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from backstream.deployment import Deployment
from backstream.errors import UsageError
from common.bucket import Bucket, GoneError, UnreadableError
from common.changes import Kind
from common.layout import PARKED, current_key, discarded_key, folder_of, former_folder, key_with_value

_LISTED = ("key", "version", "kind", "since", "reason", "hint", "object")


class ParkedRecords:
    """`key` is the text of a key, as in order/8f14, or, for a record with no readable key, the name of its object.

    Version 0.1 parked a record under the key of its order alone: 8f14, and order/8f14 as well, finds such records.
    """

    def __init__(self, deployment: Deployment) -> None:
        self._bucket = Bucket(deployment.client("s3"), deployment.bucket)

    def keys_of(self, texts: Sequence[str]) -> list[str]:
        """The keys that an operator means. A value alone, as 8f14, is the key of the entity that has it parked.

        A value that no entity has stays as it is. Raises UsageError for one that several have.
        """
        names = [] if all("/" in text for text in texts) else self.names(None)
        return list(dict.fromkeys(text if "/" in text else self._key_of(text, names) for text in texts))

    def _key_of(self, value: str, names: list[str]) -> str:
        keys = {key for name in names if (key := key_with_value(name, value))}
        former = {current_key(value)} if self.names(value) else set()
        if len(keys | former) > 1:
            raise UsageError(f"{value} is parked for several entities: give one of {', '.join(sorted(keys | former))}")
        return keys.pop() if keys else value

    def describe(self, key: str | None = None) -> Iterator[dict[str, Any]]:
        """What is known of each record, or of those of `key`, without the record itself.

        The fields are key, version, kind, since (epoch seconds), reason, hint and object (its name).
        An older release did not store the kind: what it parked is poison.
        """
        for parked in self._read(key):
            yield {field: parked.get(field) for field in _LISTED} | {"kind": parked.get("kind", Kind.POISON)}

    def show(self, key: str) -> list[dict[str, Any]]:
        """The records of `key`, whole: these hold row values."""
        return list(self._read(key))

    def discard(self, key: str) -> list[str]:
        """Move the records of `key` away; returns their new names. Skips records that a replay has moved."""
        moves = [(name, discarded_key(name)) for name in self.names(key)]
        self._bucket.move_all(moves)
        return [target for _, target in moves]

    def names(self, key: str | None) -> list[str]:
        """The names of the objects."""
        if key is None:
            return self._names_under(*PARKED)
        if key.startswith(PARKED) and (named := [name for name in self._names_under(key) if name == key]):
            return named
        return list(dict.fromkeys(name for prefix in PARKED for name in self._names_of(key, prefix)))

    def _names_of(self, key: str, prefix: str) -> Iterator[str]:
        """The names of the records of `key` under `prefix`. An entity of that name has a folder of folders."""
        for folder in (folder_of(key, prefix), former_folder(key, prefix)):
            yield from (name for name in self._names_under(folder) if "/" not in name.removeprefix(folder))

    def _names_under(self, *prefixes: str) -> list[str]:
        return [name for prefix in prefixes for name, _ in self._bucket.list(prefix)]

    def _read(self, key: str | None) -> Iterator[dict[str, Any]]:
        for name in self.names(key):
            try:
                parked = self._bucket.read_json(name)
            except GoneError:  # replayed or discarded since it was listed
                continue
            except UnreadableError as error:
                raise UnreadableError(f"cannot read {name}: {error}") from None
            except ValueError:
                parked = None
            if not isinstance(parked, dict):
                raise UnreadableError(f"{name} is not a parked record: move it out of the folder")
            yield parked | {"object": name}
