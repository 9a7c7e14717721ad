"""Cuts changes by key into splits: keys are replayed in parallel, the changes of one key in order, in bounded memory.

Each entity has splits of its own, in the order of the mapping. Workers take the splits in this order, so that the rows
of an entity are written before those of the entities behind it, which may refer to them.

Each part of the backlog adds a segment to every split that it has changes for: a file of changes sorted by key and
version. Draining a split puts its segments in order: in memory or, where they are too large, in an external merge sort.

A segment is JSON lines. The first one, the header, has the token of the call that wrote it and says how to read the
others. Each other line is the index of an entity and a list of some of its changes, which is faster than a change a
line. The changes of an entity are together, as their keys begin with its name. A change holds a reference to its
record.
"""

from __future__ import annotations

import hashlib
import heapq
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from itertools import chain, groupby
from operator import itemgetter
from typing import Any, TypedDict

import msgspec

from common.bucket import Bucket
from common.changes import Change, Mark, Reference, Row
from common.layout import ReplayKeys, part_of
from common.mapping import Column, Entity, Mapping

_AT_ONCE = 16
_CHANGES_PER_LINE = 20
# The size of a split that is sorted in memory: as objects it takes about five times that.
_IN_MEMORY = 16 * 1024 * 1024
# Raise this with each change of `Line` or `split_of`.
_FORMAT = 4

# Key, version, source time, row, source and index of the record, whether it created the item, the values of the key's
# columns (None where there is a row, which begins with them), mark, and entity.
Line = tuple[str, str, int, Row | None, str, int, bool, Row | None, Mark, int]

_order, _entity = itemgetter(0, 1, 4, 5), itemgetter(9)
_encode = msgspec.json.Encoder().encode  # a Decimal becomes a string


class OtherBuildError(Exception):
    """A segment was written by another build, or with another mapping. Its values may mean something else."""

    def __init__(self) -> None:
        super().__init__(
            "changes were collected by another build or with another mapping. They stay where they are:"
            " start a new replay"
        )


def split_of(key: str, entity: int, splits: int, entities: int) -> int:
    """Each entity has splits of its own, unless there are fewer splits than entities."""
    own = splits // entities
    number = zlib.crc32(key.encode())
    return entity * own + number % own if own else number % splits


def to_line(change: Change, source: str, index: int) -> Line:
    key, version, row, source_time, _, created, entity, key_values, mark = change
    return key, version, source_time, row, source, index, created, key_values if row is None else None, mark, entity


class SegmentFormat:
    """Writes and reads the lines of segments, with values of the types that `mapping` has."""

    def __init__(self, mapping: Mapping) -> None:
        self._decoders = [_decoder(entity) for entity in mapping.entities]
        self._widths = [len(entity.key) for entity in mapping.entities]
        described = [[entity.name, *map(repr, entity.columns)] for entity in mapping.entities]
        self._mapping = hashlib.sha256(repr(described).encode()).hexdigest()

    def encode(self, lines: Iterable[Line], token: str) -> bytes:
        """A segment of `lines`, which are sorted by key."""
        header: _Header = {"token": token, "format": _FORMAT, "mapping": self._mapping}
        pieces = [_encode(header)]
        for entity, group in groupby(lines, _entity):
            together, prefix = list(group), b"%d" % entity
            starts = range(0, len(together), _CHANGES_PER_LINE)
            pieces += (prefix + _encode(together[start : start + _CHANGES_PER_LINE]) for start in starts)
        return b"\n".join(pieces)

    def token(self, header: bytes) -> str:
        """The token of a segment. Raises OtherBuildError."""
        try:
            read = _decode_header(header)
        except msgspec.ValidationError:  # a token alone, as version 0.1 wrote it
            raise OtherBuildError from None
        if (read["format"], read["mapping"]) != (_FORMAT, self._mapping):
            raise OtherBuildError
        return read["token"]

    def decode(self, line: bytes) -> list[Line]:
        entity, bracket, changes = line.partition(b"[")
        return self._decoders[int(entity)](bracket + changes)

    def change(self, line: Line) -> Change:
        key, version, source_time, row, source, index, created, key_values, mark, entity = line
        if row is not None:
            key_values = row[: self._widths[entity]]
        record = Reference(source, index)
        return _new_change((key, version, row, source_time, record, created, entity, key_values, mark))


_new_change = partial(tuple.__new__, Change)  # Change(*fields), in half the time


class _Header(TypedDict):
    token: str
    format: int
    mapping: str


_decode_header = msgspec.json.Decoder(_Header).decode


def _decoder(entity: Entity) -> Callable[[bytes], list[Line]]:
    row: Any = _values(entity.columns)
    key_values: Any = _values(entity.key)
    line: Any = tuple[str, str, int, row | None, str, int, bool, key_values | None, Mark, int]
    lines: Any = list[line]
    return msgspec.json.Decoder(lines).decode


def _values(columns: Sequence[Column]) -> Any:
    return tuple[tuple(column.type.python | None for column in columns)]  # type: ignore[misc]


@cache
def segment_format(mapping: Mapping) -> SegmentFormat:
    return SegmentFormat(mapping)


def cut(lines: Iterable[Line], splits: int, entities: int) -> Iterator[tuple[int, list[Line]]]:
    """(split, its lines in order) for each split that `lines` have a change for."""
    by_split: dict[int, list[Line]] = {}
    for line in lines:
        by_split.setdefault(split_of(line[0], _entity(line), splits, entities), []).append(line)
    for split, held in by_split.items():
        held.sort(key=_order)
        yield split, held


@dataclass(frozen=True)
class Split:
    """The changes of a split in the order of their keys and versions, each once.

    `tokens` holds the token of each part's segment: a call of Collect that was given up may still overwrite a segment,
    and then what was drained is no longer what is stored.
    """

    tokens: dict[str, str]
    changes: Iterator[Change]


def open_split(bucket: Bucket, keys: ReplayKeys, split: int, form: SegmentFormat) -> Split:
    """Raises OtherBuildError."""
    sizes = dict(bucket.list(keys.segments(split)))
    whole = sum(sizes.values()) <= _IN_MEMORY
    with ThreadPoolExecutor(_AT_ONCE) as pool:  # S3 takes longer to answer than to send
        opened = list(pool.map(lambda key: _open_segment(bucket, key, form, whole=whole), sizes))
    tokens = {part_of(key): token for key, (token, _) in zip(sizes, opened, strict=True)}
    segments = [lines for _, lines in opened]
    # A call that was interrupted may have put a batch into another part than the call that replaced it.
    return Split(tokens, (form.change(line) for line, _ in groupby(_in_order(segments, whole=whole))))


def _in_order(segments: list[Iterator[Line]], *, whole: bool) -> Iterable[Line]:
    if len(segments) == 1:
        return segments[0]
    return sorted(chain.from_iterable(segments), key=_order) if whole else heapq.merge(*segments, key=_order)


def _open_segment(bucket: Bucket, key: str, form: SegmentFormat, *, whole: bool) -> tuple[str, Iterator[Line]]:
    pieces = iter(bucket.read(key).split(b"\n")) if whole else bucket.lines(key)
    return form.token(next(pieces)), chain.from_iterable(map(form.decode, pieces))
