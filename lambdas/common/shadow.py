"""Shadow reads: compares both sides for the keys of live requests, as a verification does for the whole table. Pure.

A change may be on its way, so a difference is read again until it agrees, or has stood still for longer than a change
takes to MySQL.
"""

from __future__ import annotations

import json
import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from threading import Lock
from typing import Any, NamedTuple

from common.changes import Change, Parked, Value
from common.database import Comparison, Database
from common.drift import SEED_OUTDATED, Finding, Judgement, Suspect, absent, classify, is_outdated_seed, judge
from common.key_parser import KeyParser, RowKey
from common.mapping import Mapping
from common.raw_items import Item
from common.records import parse_states

# A function from distinct raw keys to the items of those that have one, read consistently.
ReadItems = Callable[[Sequence[Item]], Iterable[Item]]

_log = logging.getLogger(__name__)

# Keys that are read at a time, as many as DynamoDB answers in one request.
_PART = 100
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 5.0
# A key that changes each time that it is read is given up after so many times `wait`, and not before so many seconds.
_PATIENCE, _LEAST_PATIENCE = 10, 30.0


class Difference(NamedTuple):
    """A key whose sides differ. `comparison` holds the values of both sides."""

    finding: Finding
    comparison: Comparison

    @property
    def is_outdated_seed(self) -> bool:
        """Whether the row has changed since its seed: until the cutover it is the truth."""
        return is_outdated_seed(self.finding, self.comparison)

    @property
    def kind(self) -> str:
        """As a verification reports it."""
        return SEED_OUTDATED if self.is_outdated_seed else str(self.finding.kind)

    def values(self, mapping: Mapping) -> dict[str, tuple[Value, Value]]:
        """The values of the differing columns: of the item, then of the row. Empty where a side has none."""
        change, _, row, differing = self.comparison
        if change.row is None or row is None:
            return {}
        names = [column.name for column in mapping.entities[change.entity].columns]
        both = dict(zip(names, zip(change.row, row, strict=True), strict=True))
        return {name: both[name] for name in differing}


@dataclass
class ShadowReport:
    """What a check found. `counts` are by key: `keys`, and what became of each:

    `agreed`, `agreed_later` (a change was on its way), `differs`, `seed_outdated`, `refused` (the item cannot become a
    row), `unsettled` (it changed each time that it was read) and `invalid` (it is the key of no item).
    """

    counts: Counter[str] = field(default_factory=Counter)
    differences: list[Difference] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)  # the reason, by key, without values
    unsettled: list[str] = field(default_factory=list)

    @property
    def findings(self) -> list[Finding]:
        return [one.finding for one in self.differences]

    @property
    def is_equal(self) -> bool:
        """Whether each key was found equal."""
        return self.counts["agreed"] + self.counts["agreed_later"] == self.counts["keys"]


class _Suspect(NamedTuple):
    """The last difference of a key, and when it was read."""

    difference: Difference
    reading: Suspect


class ShadowReads:
    """`wait` is the longest that a change takes from the table to MySQL, in seconds. `clock` gives epoch seconds."""

    def __init__(  # noqa: PLR0913 - both sides, and how to wait
        self,
        mapping: Mapping,
        database: Database,
        items: ReadItems,
        *,
        wait: float = 30.0,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.parse = KeyParser(mapping)
        self._mapping, self._database, self._items = mapping, database, items
        self._wait, self._clock, self._sleep = wait, clock, sleep
        self._key = [one.attribute for one in (mapping.partition_key, mapping.sort_key) if one]

    def check(self, keys: Iterable[RowKey]) -> ShadowReport:
        """Compare both sides of each key. Returns at once where they agree, else waits: never call it in a request.

        Raises HoldError, StopError, or what reading items raises.
        """
        asked = {key.text: key for key in keys}
        report = ShadowReport(Counter(keys=len(asked)))
        suspects = self._read(asked.values(), report)
        report.counts["agreed"] = len(asked) - len(suspects) - len(report.refused)
        patience = self._clock() + max(_PATIENCE * self._wait, _LEAST_PATIENCE)
        pause = _FIRST_PAUSE
        while suspects and self._clock() <= patience:
            self._sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
            suspects = self._judge(suspects, self._read([asked[text] for text in suspects], report), report)
        report.unsettled = list(suspects)
        report.counts["unsettled"] += len(suspects)
        return report

    def _read(self, keys: Iterable[RowKey], report: ShadowReport) -> dict[str, _Suspect]:
        """The keys whose sides differ, and in `report` those whose items cannot become rows."""
        remaining = iter(keys)
        suspects: dict[str, _Suspect] = {}
        while part := list(islice(remaining, _PART)):
            began = self._clock()
            changes = self._changes(part, report)
            found = self._database.compare(changes) if changes else []
            ended = self._clock()
            for comparison in found:
                finding = classify(comparison, self._mapping)
                if finding:
                    reading = Suspect(finding, began, ended)
                    suspects[finding.key] = _Suspect(Difference(finding, comparison), reading)
        return suspects

    def _changes(self, keys: Sequence[RowKey], report: ShadowReport) -> list[Change]:
        """What makes each row as its item is now."""
        item_keys = {_text(key.item_key): key.item_key for key in keys}
        items = {_text({name: item[name] for name in self._key}): item for item in self._items([*item_keys.values()])}
        batch = parse_states([(key, items.get(text)) for text, key in item_keys.items()], self._mapping)
        asked = {key.text: key for key in keys}
        changes = {change.key: change for change in batch.changes}
        reasons = {
            text: reason
            for text, reason in self._reasons(batch.parked).items()
            if text in asked.keys() - changes.keys()
        }
        for text, reason in reasons.items():
            report.refused[text] = reason
            report.counts["refused"] += 1
        # An item has several rows, or one: that of an entity that it cannot be is of no item.
        return [
            changes.get(text) or absent(self._mapping, key.entity, key.values)
            for text, key in asked.items()
            if text not in reasons
        ]

    def _reasons(self, parked: Sequence[Parked]) -> dict[str, str]:
        """Why items are refused, by the key of each row that they may have: one reason may be that of all entities."""
        reason_of = {_text(_item_key(one)): one.reason for one in parked}
        rows = parse_states([(_item_key(one), None) for one in parked], self._mapping).changes
        return {row.key: reason_of[_text(_item_key(row))] for row in rows} | {
            str(one.key): one.reason for one in parked
        }

    def _judge(
        self, firsts: dict[str, _Suspect], seconds: dict[str, _Suspect], report: ShadowReport
    ) -> dict[str, _Suspect]:
        """The suspects that must be read again."""
        left: dict[str, _Suspect] = {}
        for text, first in firsts.items():
            if text in report.refused:
                continue
            second = seconds.get(text)
            judgement = judge(first.reading, second and second.reading, self._wait)
            if judgement is Judgement.DRIFT:
                report.differences.append(first.difference)
                report.counts[SEED_OUTDATED if first.difference.is_outdated_seed else "differs"] += 1
            elif judgement is Judgement.WAITING:
                left[text] = first
            elif second:
                left[text] = second
            else:
                report.counts["agreed_later"] += 1
        return left


class ShadowSample:
    """A share of the keys of live requests, kept until they are compared.

    A request calls `observe`. Something else calls `check`: a thread of its own, or a schedule. Neither raises.
    """

    def __init__(
        self, reads: ShadowReads, rate: float, *, most: int = 1_000, chance: Callable[[], float] = random.random
    ) -> None:
        """`rate` is the share, from 0 to 1. No more than `most` keys wait for a check: others are not kept."""
        self._reads, self._rate, self._most, self._chance = reads, rate, most, chance
        self._texts: set[str] = set()
        self._lock = Lock()

    def observe(self, key: str) -> None:
        """Note a key, see `KeyParser`, with the probability `rate`. Reads nothing."""
        if self._chance() < self._rate:
            with self._lock:
                if len(self._texts) < self._most:
                    self._texts.add(str(key))

    def check(self) -> ShadowReport:
        """Compare the keys that were noted since the last check.

        Where a side does not answer, the keys are counted as `failed`, and the error is logged without its message.
        """
        with self._lock:
            texts, self._texts = self._texts, set()
        keys = list(self._parsed(texts))
        try:
            report = self._reads.check(keys)
        except Exception as error:  # noqa: BLE001 - a comparison never harms the service that makes it
            _log.warning("shadow reads failed: %s", type(error).__name__)
            report = ShadowReport(Counter(keys=len(keys), failed=len(keys)))
        report.counts["keys"] = len(texts)
        report.counts["invalid"] = len(texts) - len(keys)
        return report

    def _parsed(self, texts: Iterable[str]) -> Iterator[RowKey]:
        for text in sorted(texts):
            try:
                yield self._reads.parse(text)
            except ValueError:
                continue


def _text(item_key: Item) -> str:
    return json.dumps(item_key, sort_keys=True)


def _item_key(one: Change | Parked) -> Item:
    record: Any = one.record
    key: Item = record["dynamodb"]["Keys"]
    return key
