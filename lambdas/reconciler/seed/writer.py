"""Writes the items of some rows, and never over what somebody else wrote.

DynamoDB decides for each item. Nothing is locked in MySQL, so a row may change after it was read: the next seed of
changed rows takes it up.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from common.changes import Row
from common.database import Database
from common.inverse import Inverse, Unseedable
from common.item_limits import item_size
from common.keys import key_texts
from common.mapping import Mapping as Declared
from common.matching import image_test
from common.seeds import digest, is_marked, marked
from reconciler.estimate import WRITE_UNIT_BYTES
from reconciler.seed.documents import SeedProblem
from reconciler.table import RefusedError, Table, ThrottledError

# Items that a lane writes at once. The client is thread-safe.
_AT_ONCE = 8
# An item that somebody else changes each time that it was read is theirs.
_MOST_READS = 10
Item = Mapping[str, Mapping[str, Any]]


def units_of(item: Item) -> int:
    """The write units of an item."""
    return math.ceil(item_size(item) / WRITE_UNIT_BYTES)


@dataclass
class PageResult:
    """What became of some rows. `units` were consumed, of writes and reads.

    Not `complete` says that time ran out: the rows must be read again.
    """

    counts: Counter[str] = field(default_factory=Counter)
    problems: list[SeedProblem] = field(default_factory=list)
    units: float = 0.0
    complete: bool = True


@dataclass(frozen=True)
class SeedWriter:
    """`inverse` is that of the mapping. `seed` names the run: with it, each item is marked.

    `wait()` is called after DynamoDB has throttled. It returns False when time runs out.
    """

    mapping: Declared
    inverse: Inverse
    database: Database
    table: Table
    seed: str
    wait: Callable[[], bool]

    @property
    def _keys(self) -> tuple[str, ...]:
        keys = (self.mapping.partition_key, self.mapping.sort_key)
        return tuple(key.attribute for key in keys if key)

    def write(self, entity: int, rows: Sequence[Row]) -> PageResult:
        """Make the items of rows of an entity, and write them.

        Counts `rows`; `seeded`, `reseeded` (only a seed had written the item, and the row has changed) and `same` (the
        item is as the row is); `existing` (somebody else wrote the item), `gone` (there was one before), `removed` (the
        row is flagged) and `unseedable`. Raises HoldError or StopError.
        """
        result = PageResult(Counter(rows=len(rows)))
        made = self.inverse.items(entity, rows)
        texts = self._texts(entity, rows)
        items: dict[str, Item] = {}
        for text, item in zip(texts, made, strict=True):
            if isinstance(item, Unseedable):
                _refuse(result, item)
            else:
                items[text] = marked(item, self.mapping.name, self.seed)
        # A key that the sidecar knows has or had an item. One that is gone must not come back.
        known = self.database.versions(items)
        fresh = {text: item for text, item in items.items() if text not in known}
        met = {text: item for text, item in items.items() if text in known} | self._insert(fresh, result)
        self._renew(entity, met, result)
        return result

    def _texts(self, entity: int, rows: Sequence[Row]) -> list[str]:
        declared = self.mapping.entities[entity]
        width = len(declared.key)
        return key_texts(declared.name, list(zip(*(row[:width] for row in rows), strict=True)))

    def _insert(self, items: Mapping[str, Item], result: PageResult) -> dict[str, Item]:
        """Write items that were never there. Returns those that are there all the same."""
        written = self._write_all(
            {text: partial(self.table.insert, item, self._keys[0]) for text, item in items.items()}, result
        )
        result.counts["seeded"] += sum(units is not None for units in written.values())
        met = {text: items[text] for text, units in written.items() if units is None}
        result.units += sum(map(units_of, met.values()))  # a refused write consumes what it would have written
        return met

    def _renew(self, entity: int, items: Mapping[str, Item], result: PageResult) -> None:
        """Replace those that only a seed has written and that differ. Items that change meanwhile are read again."""
        is_mine = self._is_of(entity)
        for _ in range(_MOST_READS):
            stored = self._read(items, result) if items else {}
            if not result.complete:
                return
            changed: dict[str, Callable[[], float | None]] = {}
            for text, item in items.items():
                old = stored.get(self._place(item))
                if what := self._leaves(item, old):
                    result.counts[what] += 1
                elif old and not is_mine(old):
                    _refuse(result, Unseedable(text, _OF_ANOTHER))
                elif old:
                    changed[text] = partial(self.table.replace, item, old, self._keys)
            written = self._write_all(changed, result)
            result.counts["reseeded"] += sum(units is not None for units in written.values())
            items = {text: items[text] for text, units in written.items() if units is None}
        result.counts["existing"] += len(items)

    def _is_of(self, entity: int) -> Callable[[Item], bool]:
        """Whether an item with a key of the entity is of the entity. Of another one, it may have a row of its own."""
        condition = self.mapping.entities[entity].when.attribute
        return image_test(condition) if condition else lambda _: True

    def _leaves(self, item: Item, old: Item | None) -> str:
        """Why the stored item `old` stays as it is; empty if the seed replaces it."""
        if old is None:
            return "gone"
        if digest(old) == digest(item):
            return "same"
        return "" if is_marked(old, self.mapping.name) else "existing"

    def _read(self, items: Mapping[str, Item], result: PageResult) -> dict[tuple[str, ...], Item]:
        """The stored items by their keys."""
        keys = [{name: dict(item[name]) for name in self._keys} for item in items.values()]
        while True:
            try:
                found, units = self.table.items(keys)
            except ThrottledError:
                if self.wait():
                    continue
                result.complete = False
                return {}
            result.units += units
            return {self._place(item): item for item in found}

    def _place(self, item: Item) -> tuple[str, ...]:
        return tuple(str(content) for name in self._keys for content in item[name].values())

    def _write_all(
        self, writes: Mapping[str, Callable[[], float | None]], result: PageResult
    ) -> dict[str, float | None]:
        """The write units of each item, None where a condition kept it from being written.

        An item that DynamoDB refuses is a problem. Throttled writes are tried again.
        """
        done: dict[str, float | None] = {}
        left = dict(writes)
        while left and result.complete:
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                outcomes = dict(zip(left, pool.map(_attempt, left.values()), strict=True))
            for text, outcome in outcomes.items():
                if isinstance(outcome, ThrottledError):
                    continue
                del left[text]
                if isinstance(outcome, RefusedError):
                    _refuse(result, Unseedable(text, _REASON.format(outcome)))
                else:
                    done[text] = outcome
            if left:
                result.complete = self.wait()
        result.units += sum(units or 0.0 for units in done.values())
        return done


_OF_ANOTHER = "the item of its key is that of a row of another entity"
_REASON = "DynamoDB refuses the item with {}: see the keys of the table's indexes, and the number of attributes"


def _attempt(write: Callable[[], float | None]) -> float | ThrottledError | RefusedError | None:
    try:
        return write()
    except (ThrottledError, RefusedError) as error:
        return error


def _refuse(result: PageResult, row: Unseedable) -> None:
    if row.removed:
        result.counts["removed"] += 1
        return
    result.counts["unseedable"] += 1
    result.problems.append({"key": row.key, "reason": row.reason})
