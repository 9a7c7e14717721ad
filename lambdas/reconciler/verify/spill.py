"""The keys of items and of rows, divided by a digest, so that a worker of bounded memory can compare the two sets.

An item's key leaves its digest alone, eight bytes. A row's key leaves its digest and the key of its item.
"""

from __future__ import annotations

import hashlib
import json
from binascii import unhexlify
from collections import defaultdict
from collections.abc import Container, Iterator, Sequence

from common.bucket import Bucket
from common.layout import RunKeys
from common.prefetch import Prefetch
from common.raw_items import Item

DIGEST_BYTES = 8
# Keys that a worker compares at a time. Their digests take some 60 MB.
_KEYS_OF_PARTITION = 500_000
# What a lane holds before it writes.
_MOST_BYTES = 8 * 1024 * 1024
# Files that are read at a time.
_AT_ONCE = 8

# Made once: json.dumps makes one for each call that asks for separators.
_encode = json.JSONEncoder(separators=(",", ":")).encode


def partitions_of(keys: int) -> int:
    return max(1, -(-keys // _KEYS_OF_PARTITION))


def digests(texts: Sequence[str]) -> list[bytes]:
    """Of texts of keys, see `common.keys`.

    The chance that a row without an item has the digest of one of 100 million items is about 1 in 10^11.
    """
    make = hashlib.blake2b
    return [make(text.encode(), digest_size=DIGEST_BYTES).digest() for text in texts]


def in_slice(digest: bytes, part: int, parts: int) -> bool:
    """Whether a row is in the `part`-th of `parts` slices, counted from 0."""
    return int.from_bytes(digest) % parts == part


class Spill:
    """What a lane writes to the partitions of one kind of key: `items` or `rows`."""

    def __init__(self, bucket: Bucket, keys: RunKeys, kind: str, lane: int, partitions: int) -> None:
        self._bucket, self._keys, self._kind, self._lane, self._partitions = bucket, keys, kind, lane, partitions
        self._held: dict[int, list[bytes]] = defaultdict(list)
        self._bytes = 0

    @property
    def is_empty(self) -> bool:
        return not self._bytes

    @property
    def is_full(self) -> bool:
        return self._bytes >= _MOST_BYTES

    def add(self, digest: bytes, content: bytes) -> None:
        self._held[int.from_bytes(digest) % self._partitions].append(content)
        self._bytes += len(content)

    def flush(self, name: str) -> None:
        """Write what is held, to objects of this name. What a killed call has written is read twice, and is true."""
        self._bucket.write_all(
            (self._keys.spilled(self._kind, partition, self._lane, name), b"".join(contents))
            for partition, contents in sorted(self._held.items())
        )
        self._held.clear()
        self._bytes = 0


def row_line(digest: bytes, item_key: Item | None) -> bytes:
    """`item_key` is None for a key whose item is not known."""
    return f"{digest.hex()}{_encode(item_key)}\n".encode()


def item_digests(bucket: Bucket, keys: RunKeys, partition: int) -> set[bytes]:
    """Of the keys of all items of a partition."""
    found: set[bytes] = set()
    for content in _contents(bucket, keys.spills("items", partition)):
        found.update(content[start : start + DIGEST_BYTES] for start in range(0, len(content), DIGEST_BYTES))
    return found


def row_keys(
    bucket: Bucket, keys: RunKeys, partition: int, known: Container[bytes]
) -> Iterator[tuple[bytes, Item | None]]:
    """Digest and the item's key, as `row_line` has it, of each key of a partition whose digest is not in `known`.

    Only these are decoded: most rows have an item.
    """
    end = 2 * DIGEST_BYTES
    for content in _contents(bucket, keys.spills("rows", partition)):
        for line in content.splitlines():
            digest = unhexlify(line[:end])
            if digest not in known:
                yield digest, json.loads(line[end:])


def _contents(bucket: Bucket, folder: str) -> Iterator[bytes]:
    names = (key for key, _ in bucket.list(folder))
    for _, future in Prefetch(bucket.read, names, threads=_AT_ONCE, room=_AT_ONCE):
        yield future.result()
