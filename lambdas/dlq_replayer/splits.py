"""Changes cut by key into splits, so that keys go in parallel and each key in sequence, in bounded memory.

Collecting writes runs: a part of the backlog, sorted by key and version, one file a split. Draining a split puts its
runs together: in memory, or, where they are too much for it, by merging them as they are read, an external merge sort.
A change's line holds no record, only where to find it. A run's file is JSON lines: the token of the call that wrote
it, then some lines of changes in each, as JSON is cheap by the piece.
"""

from __future__ import annotations

import heapq
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from itertools import chain, groupby
from operator import itemgetter
from typing import Any

import msgspec

from common.bucket import Bucket
from common.changes import Change, Row
from common.layout import ReplayKeys, part_of
from common.mapping import Table

_AT_ONCE = 16
_TOGETHER = 20
# Of a split's runs, read as a whole: lines take about five times that as objects.
_IN_MEMORY = 16 * 1024 * 1024


# Key, version, source time, row, the record's object and its place in there, whether it created the item.
Line = tuple[str, str, int, Row | None, str, int, bool]

_order = itemgetter(0, 1, 4, 5)
_encode = msgspec.json.Encoder().encode  # a Decimal becomes a string


def split_of(key: str, splits: int) -> int:
    return zlib.crc32(key.encode()) % splits


def to_line(change: Change, source: str, index: int) -> Line:
    return change.key, change.version, change.source_time, change.row, source, index, change.created


_TYPES: dict[str, Any] = {"key": str, "string": str, "decimal": Decimal, "epoch": int}


def line_reader(table: Table) -> Callable[[bytes], list[Line]]:
    """A function from a piece of a run's file to its lines, their values such as `table` has them."""
    row: Any = tuple[tuple(_TYPES[column.type] | None for column in table.columns)]  # type: ignore[misc]
    line: Any = tuple[str, str, int, row | None, str, int, bool]
    lines: Any = list[line]
    return msgspec.json.Decoder(lines).decode


def run_files(
    lines: Iterable[Line], keys: ReplayKeys, part: str, splits: int, token: str
) -> Iterator[tuple[str, bytes]]:
    """(object key, content) of the sorted run of each split that `lines` touch."""
    by_split: dict[int, list[Line]] = {}
    for line in lines:
        by_split.setdefault(split_of(line[0], splits), []).append(line)
    for split, held in by_split.items():
        held.sort(key=_order)
        together = [held[i : i + _TOGETHER] for i in range(0, len(held), _TOGETHER)]
        yield keys.segment(split, part), b"\n".join(map(_encode, [token, *together]))


@dataclass(frozen=True)
class Split:
    """The changes of a split ordered by key and version, streamed, each once; `record` is `{"source", "index"}`.

    `tokens` names, part by part, the runs that these changes come from: a call of the collecting step that was thought
    dead may write a run anew, and what has been drained is then no longer what lies there.
    """

    tokens: dict[str, str]
    changes: Iterator[Change]


def open_split(bucket: Bucket, keys: ReplayKeys, split: int, decode: Callable[[bytes], list[Line]]) -> Split:
    """`decode` is what `line_reader` gives for the table."""
    sizes = dict(bucket.list(keys.segments(split)))
    whole = sum(sizes.values()) <= _IN_MEMORY
    with ThreadPoolExecutor(_AT_ONCE) as pool:  # a read takes longer than what it brings
        opened = list(pool.map(lambda key: _open_run(bucket, key, decode, whole=whole), sizes))
    tokens = {part_of(key): token for key, (token, _) in zip(sizes, opened, strict=True)}
    runs = [lines for _, lines in opened]
    # An interrupted call may have put a batch into another part than the call that took its place.
    return Split(tokens, (_change(line) for line, _ in groupby(_in_order(runs, whole=whole))))


def _in_order(runs: list[Iterator[Line]], *, whole: bool) -> Iterable[Line]:
    if len(runs) == 1:
        return runs[0]
    return sorted(chain.from_iterable(runs), key=_order) if whole else heapq.merge(*runs, key=_order)


def _open_run(
    bucket: Bucket, key: str, decode: Callable[[bytes], list[Line]], *, whole: bool
) -> tuple[str, Iterator[Line]]:
    pieces = iter(bucket.read(key).split(b"\n")) if whole else bucket.lines(key)
    token: str = msgspec.json.decode(next(pieces))
    return token, chain.from_iterable(map(decode, pieces))


def _change(line: Line) -> Change:
    key, version, source_time, row, source, index, created = line
    return Change(key, version, row, source_time, {"source": source, "index": index}, created)
