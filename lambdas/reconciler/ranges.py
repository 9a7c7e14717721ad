"""The ranges into which a walk cuts the target tables, as JSON.

To cut a table is to walk over all of its keys, which may take many calls. How far a call came is stored. The ranges are
written once, when all tables are cut: lanes know ranges by their numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from common.bucket import Bucket, GoneError
from common.changes import Row, Value
from common.database import Database
from common.layout import RunKeys
from common.mapping import Column, Mapping

# Rows that a statement walks over: few enough for a slow disk and the read timeout.
_ROWS = 20_000
# Statements of a step, between two looks at the time. The smallest range is that of a step.
_STATEMENTS = 5
# A table has fewer ranges: the progress of a lane names its ranges. A lane takes several of them.
_MOST_RANGES = 400

StoredKey = list[str | int | None]
# Entity, the key that a range begins after, and its last key; None is open.
StoredRange = Sequence[Any]


@dataclass
class _Cuts:
    """How far the tables are cut. `ranges` are those of tables that are done.

    The first of `entities` is under way: `cuts` end its ranges, and `cursor` is the last key that was walked over.
    `steps` counts those since the last cut, and a range has `steps_of_range`.
    """

    entities: list[int]
    ranges: list[StoredRange]
    cuts: list[StoredKey] = field(default_factory=list)
    cursor: StoredKey | None = None
    steps: int = 0
    steps_of_range: int = 1

    def advance(self, key: StoredKey) -> None:
        """Cut at the key if a range is full. A table that has too many ranges gets half as many, twice as long."""
        self.cursor, self.steps = key, self.steps + 1
        if self.steps == self.steps_of_range:
            self.cuts.append(key)
            self.steps = 0
        if len(self.cuts) == _MOST_RANGES:
            self.cuts, self.steps_of_range = self.cuts[1::2], 2 * self.steps_of_range

    def without_first(self) -> _Cuts:
        """After the end of a table."""
        entity, *others = self.entities
        ends = zip([None, *self.cuts], [*self.cuts, None], strict=True)
        return _Cuts(others, [*self.ranges, *((entity, *one) for one in ends)])


@dataclass(frozen=True)
class Cutter:
    bucket: Bucket
    mapping: Mapping
    database: Database
    out_of_time: Callable[[], bool]

    def cut(self, keys: RunKeys, entities: Iterable[int], others: Iterable[StoredRange] = ()) -> bool:
        """Write the ranges of a run, those of `entities` behind `others`, if they are not there.

        Returns False when time ran out: then call it again. Raises HoldError or StopError.
        """
        if self._read(keys.ranges) is not None:
            return True
        stored = self._read(keys.cuts)
        cuts = _Cuts(**stored) if stored else _Cuts(list(entities), list(others))
        while cuts.entities:
            if self.out_of_time():
                return False
            cuts = self._go_on(cuts)
            self.bucket.write_json(keys.cuts, vars(cuts))
        # A call of an execution that was stopped may end late, when lanes have read the ranges of another call.
        self.bucket.write_json_once(keys.ranges, cuts.ranges)
        return True

    def _go_on(self, cuts: _Cuts) -> _Cuts:
        entity = cuts.entities[0]
        after = from_json(cuts.cursor, self.mapping.entities[entity].key) if cuts.cursor else None
        found = self.database.boundaries(entity, every=_ROWS, most=_STATEMENTS, after=after)
        if len(found) < _STATEMENTS:
            return cuts.without_first()
        cuts.advance(to_json(found[-1]))
        return cuts

    def _read(self, key: str) -> Any:
        """None if it is not there."""
        try:
            return self.bucket.read_json(key)
        except GoneError:
            return None


def to_json(key: Row) -> StoredKey:
    return [_plain(value) for value in key]


def from_json(stored: Sequence[Any], columns: Sequence[Column]) -> Row:
    return tuple(_value(plain, column.type.python) for plain, column in zip(stored, columns, strict=True))


def _plain(value: Value) -> str | int | None:
    if isinstance(value, bytes):
        return value.hex()
    return str(value) if isinstance(value, Decimal) else value


def _value(plain: Any, kind: type) -> Value:
    if kind is bytes:
        return bytes.fromhex(plain)
    return Decimal(plain) if kind is Decimal else plain
