"""Cuts changes by key into splits: keys are replayed in parallel, the changes of one key in order, in bounded memory.

Each part of the backlog adds a segment to every split that it has changes for: a file of changes sorted by key and
version. Draining a split puts its segments in order: in memory or, where they are too large, in an external merge sort.

A segment is JSON lines: the token of the call that wrote it, then lists of some changes each, which is faster than a
change a line. A change holds a reference to its record.
"""

from __future__ import annotations

import heapq
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, groupby
from operator import itemgetter
from typing import Any

import msgspec

from common.bucket import Bucket
from common.changes import Change, Reference, Row
from common.layout import ReplayKeys, part_of
from common.mapping import Table

_AT_ONCE = 16
_CHANGES_PER_LINE = 20
# The size of a split that is sorted in memory: as objects it takes about five times that.
_IN_MEMORY = 16 * 1024 * 1024


# Key, version, source time, row, source and index of the record, whether it created the item.
Line = tuple[str, str, int, Row | None, str, int, bool]

_order = itemgetter(0, 1, 4, 5)
_encode = msgspec.json.Encoder().encode  # a Decimal becomes a string


def split_of(key: str, splits: int) -> int:
    return zlib.crc32(key.encode()) % splits


def to_line(change: Change, source: str, index: int) -> Line:
    return change.key, change.version, change.source_time, change.row, source, index, change.created


def line_reader(table: Table) -> Callable[[bytes], list[Line]]:
    """A function from a line of a segment to its changes, with values of the types that `table` has."""
    row: Any = tuple[tuple(column.type.python | None for column in table.columns)]  # type: ignore[misc]
    line: Any = tuple[str, str, int, row | None, str, int, bool]
    lines: Any = list[line]
    return msgspec.json.Decoder(lines).decode


def segment_files(
    lines: Iterable[Line], keys: ReplayKeys, part: str, splits: int, token: str
) -> Iterator[tuple[str, bytes]]:
    """(object key, content) of the segment of each split that `lines` have a change for."""
    by_split: dict[int, list[Line]] = {}
    for line in lines:
        by_split.setdefault(split_of(line[0], splits), []).append(line)
    for split, held in by_split.items():
        held.sort(key=_order)
        together = [held[i : i + _CHANGES_PER_LINE] for i in range(0, len(held), _CHANGES_PER_LINE)]
        yield keys.segment(split, part), b"\n".join(map(_encode, [token, *together]))


@dataclass(frozen=True)
class Split:
    """The changes of a split in the order of their keys and versions, each once.

    `tokens` holds the token of each part's segment: a call of Collect that was given up may still overwrite a segment,
    and then what was drained is no longer what is stored.
    """

    tokens: dict[str, str]
    changes: Iterator[Change]


def open_split(bucket: Bucket, keys: ReplayKeys, split: int, decode: Callable[[bytes], list[Line]]) -> Split:
    """`decode` is what `line_reader` returns for the table."""
    sizes = dict(bucket.list(keys.segments(split)))
    whole = sum(sizes.values()) <= _IN_MEMORY
    with ThreadPoolExecutor(_AT_ONCE) as pool:  # S3 takes longer to answer than to send
        opened = list(pool.map(lambda key: _open_segment(bucket, key, decode, whole=whole), sizes))
    tokens = {part_of(key): token for key, (token, _) in zip(sizes, opened, strict=True)}
    segments = [lines for _, lines in opened]
    # A call that was interrupted may have put a batch into another part than the call that replaced it.
    return Split(tokens, (_change(line) for line, _ in groupby(_in_order(segments, whole=whole))))


def _in_order(segments: list[Iterator[Line]], *, whole: bool) -> Iterable[Line]:
    if len(segments) == 1:
        return segments[0]
    return sorted(chain.from_iterable(segments), key=_order) if whole else heapq.merge(*segments, key=_order)


def _open_segment(
    bucket: Bucket, key: str, decode: Callable[[bytes], list[Line]], *, whole: bool
) -> tuple[str, Iterator[Line]]:
    pieces = iter(bucket.read(key).split(b"\n")) if whole else bucket.lines(key)
    token: str = msgspec.json.decode(next(pieces))
    return token, chain.from_iterable(map(decode, pieces))


def _change(line: Line) -> Change:
    key, version, source_time, row, source, index, created = line
    return Change(key, version, row, source_time, Reference(source, index), created)
