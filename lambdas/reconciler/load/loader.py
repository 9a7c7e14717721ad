"""Loads items into MySQL: each page is one transaction, and a live change always wins."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from common.changes import Kind, Parked
from common.database import ApplyOptions, Database
from common.mapping import Mapping
from common.raw_items import Item
from common.records import UNMAPPED_ITEM, parse_items
from reconciler.progress import RunProblem

# What the counts of apply() mean for a load.
_NAMES = {"upserted": "loaded", "stale": "live", "redelivered": "known"}


@dataclass
class PageResult:
    """What became of some items. `waiting` has those that wait for another row.

    Not `complete` says that time ran out: the items must be read again.
    """

    counts: Counter[str] = field(default_factory=Counter)
    waiting: list[RunProblem] = field(default_factory=list)
    problems: list[RunProblem] = field(default_factory=list)
    unmapped_attributes: list[str] = field(default_factory=list)
    complete: bool = True


@dataclass(frozen=True)
class Loader:
    """`options` are those of the pipeline."""

    mapping: Mapping
    database: Database
    options: ApplyOptions

    def load(
        self, items: Sequence[Item], entities: Container[int], out_of_time: Callable[[], bool], *, first: bool
    ) -> PageResult:
        """Load those of `items` that are of `entities`, in one transaction.

        Counts `loaded`, `seeded` (it is as a seed wrote it, and has a row), `live` (a live change was there already),
        `known` (loaded before), `refused` and `waiting`.
        With `first`, also `items`, `unmapped_item` and the items that cannot be read as a change. Raises HoldError or
        StopError.
        """
        batch = parse_items(items, self.mapping)
        changes = [change for change in batch.changes if change.entity in entities]
        result = PageResult()
        parked: list[Parked] = []
        if first:
            result.counts.update(items=len(items), unmapped_item=batch.skipped[UNMAPPED_ITEM])
            parked += batch.parked
            result.unmapped_attributes = batch.unmapped_attributes
        if changes:
            outcome = self.database.apply(changes, replace(self.options, out_of_time=out_of_time), purpose="loading")
            result.counts.update({_NAMES.get(name, name): count for name, count in outcome.counts.items()})
            result.complete = not outcome.left
            parked += outcome.parked
        waiting = {one.key: one for one in parked if one.kind is not Kind.POISON}
        result.waiting = list(map(_problem, waiting.values()))
        result.problems = [_problem(one) for one in parked if one.kind is Kind.POISON]
        result.counts.update(waiting=len(result.waiting), refused=len(result.problems))
        return result


def _item_key(one: Parked) -> Item:
    record: Any = one.record
    key: Item = record["dynamodb"]["Keys"]
    return key


def _problem(parked: Parked) -> RunProblem:
    return {"key": parked.key, "item_key": _item_key(parked), "reason": parked.reason, "hint": parked.hint}
