"""Changes cut by key into splits, so that keys go in parallel and each key in sequence, in bounded memory.

Collecting writes runs: a part of the backlog, sorted by key and version, one file a split. Draining a split merges its
runs as it reads them, an external merge sort. A change's line holds no record, only where to find it. A run's file is
JSON lines: the token of the call that wrote it, then some lines of changes in each, as JSON is cheap by the piece.
"""

from __future__ import annotations

import heapq
import json
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from itertools import chain, groupby
from operator import itemgetter
from typing import Any

from common.changes import Change, Row
from common.mapping import Table
from dlq_replayer.bucket import Bucket

Line = list[Any]
_TOGETHER = 20

# key, version, source object, index of the record in it
_order = itemgetter(0, 1, 4, 5)


def split_of(key: str, splits: int) -> int:
    return zlib.crc32(key.encode()) % splits


def to_line(change: Change, source: str, index: int) -> Line:
    """`[key, version, source time, row or None, source object, index of the record in it]`"""
    row = None if change.row is None else [str(v) if isinstance(v, Decimal) else v for v in change.row]
    return [change.key, change.version, change.source_time, row, source, index]


class LineReader:
    """Turns lines back into changes whose `record` is `{"source", "index"}`: the whole one is read when needed."""

    def __init__(self, table: Table) -> None:
        self._decimals = [i for i, column in enumerate(table.columns) if column.type == "decimal"]

    def change(self, line: Line) -> Change:
        key, version, source_time, row, source, index = line
        return Change(key, version, self._row(row), source_time, {"source": source, "index": index})

    def _row(self, row: list[Any] | None) -> Row | None:
        if row is None:
            return None
        for i in self._decimals:
            if row[i] is not None:
                row[i] = Decimal(row[i])
        return tuple(row)


def run_files(lines: Iterable[Line], prefix: str, part: int, splits: int, token: str) -> Iterator[tuple[str, bytes]]:
    """(object key, content) of the sorted run of each split that `lines` touch."""
    by_split: dict[int, list[Line]] = {}
    for line in lines:
        by_split.setdefault(split_of(line[0], splits), []).append(line)
    encode = json.JSONEncoder(separators=(",", ":")).encode
    for split, held in by_split.items():
        held.sort(key=_order)
        together = [held[i : i + _TOGETHER] for i in range(0, len(held), _TOGETHER)]
        yield f"{split_prefix(prefix, split)}{part:06d}.jsonl", "\n".join(map(encode, [token, *together])).encode()


def split_prefix(prefix: str, split: int) -> str:
    return f"{prefix}splits/{split:05d}/"


@dataclass(frozen=True)
class Split:
    """The changes of a split ordered by key and version, streamed, each once; memory holds a piece of each run.

    `tokens` names, part by part, the runs that these changes come from: a call of the collecting step that was thought
    dead may write a run anew, and what has been drained is then no longer what lies there.
    """

    tokens: dict[str, str]
    changes: Iterator[Change]


def open_split(bucket: Bucket, prefix: str, split: int, reader: LineReader) -> Split:
    tokens, runs = {}, []
    for key, _ in bucket.list(split_prefix(prefix, split)):
        pieces = map(json.loads, bucket.lines(key))
        tokens[part_of(key)] = next(pieces)
        runs.append(chain.from_iterable(pieces))
    ordered = runs[0] if len(runs) == 1 else heapq.merge(*runs, key=_order)
    # An interrupted call may have put a batch into another part than the call that took its place.
    return Split(tokens, (reader.change(line) for _, (line, *_) in groupby(ordered, key=_order)))


def part_of(key: str) -> str:
    """The number of the part, from the key of any of its objects."""
    return key.rpartition("/")[2].partition(".")[0]
