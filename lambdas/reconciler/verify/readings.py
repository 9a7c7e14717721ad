"""Reads both sides of some keys: items, then sidecar and rows."""

from __future__ import annotations

import json
from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from common.changes import Change, Mark, Parked
from common.database import Comparison, Database
from common.drift import Finding, Known, classify
from common.mapping import Mapping
from common.raw_items import Item
from common.records import UNMAPPED_ITEM, item_classifier, parse_items, parse_states
from reconciler.verify.states import StoredFinding

ITEM_REFUSED = "item_refused"


class Reading(NamedTuple):
    """A row that does not agree with its item. `change` would make it so."""

    change: Change
    finding: Finding
    comparison: Comparison


class Scanned(NamedTuple):
    """The changes of scanned items, the readings of those that do not agree, and the items without a change.

    `refused_rows` are the texts of the rows of refused items.
    """

    changes: Sequence[Change]
    readings: Sequence[Reading]
    refused: list[StoredFinding]
    refused_rows: list[str]
    unmapped: int


class States(NamedTuple):
    """The change of each row of some items, by the text of its key, and the items without a change.

    `existing` are the keys whose items exist. `refused` has an item whose key fits no row by `text_of_item`.
    """

    changes: dict[str, Change]
    existing: set[str]
    refused: dict[str, StoredFinding]


def item_key_of(change: Change | Parked) -> Item:
    """The raw key of the item that the change was made of."""
    record: Any = change.record
    key: Item = record["dynamodb"]["Keys"]
    return key


def text_of_item(item_key: Item) -> str:
    """A text for the key of an item that fits no row. No row has it: the text of its key begins with an entity."""
    return json.dumps(item_key, sort_keys=True)


@dataclass(frozen=True)
class Readings:
    mapping: Mapping
    database: Database

    def of_items(self, items: Sequence[Item]) -> Scanned:
        """Raises HoldError or StopError."""
        batch = parse_items(items, self.mapping)
        readings, refused = self.of_changes(batch.changes), list(map(_refused, batch.parked))
        rows = [one.key for one in batch.parked if one.key and self._can_have_row(one)]
        return Scanned(batch.changes, readings, refused, rows, batch.skipped[UNMAPPED_ITEM])

    def row_keys(self, item_keys: Sequence[Item]) -> list[tuple[str, Item]]:
        """The text of the key of each row that an item of these keys may have, with the key of the item.

        A key that does not fit the row of an entity has `text_of_item`, too: its item may be refused.
        """
        batch = parse_states([(key, None) for key in item_keys], self.mapping)
        rows = [(change.key, item_key_of(change)) for change in batch.changes]
        return rows + [(text_of_item(key), key) for key in item_classifier(self.mapping).unfit(item_keys)]

    def texts(self, item_key: Item) -> list[str]:
        """The texts under which a record of the item may be parked."""
        return item_classifier(self.mapping).texts(item_key)

    def states(self, items: Sequence[Item], item_keys: Sequence[Item]) -> States:
        """The change of each row that the items of the keys have, or that they had if they are gone.

        Keys and items are matched by what the mapping makes of their keys: a number has many notations.
        """
        gone = parse_states([(key, None) for key in item_keys], self.mapping)
        names = list(item_keys[0]) if item_keys else []
        live = parse_states([({name: item[name] for name in names}, item) for item in items], self.mapping)
        found = {change.key: change for change in live.changes}
        changes = {change.key: change for change in gone.changes} | found
        refused = {self._text_of(one): _refused(one) for one in live.parked}
        return States(changes, set(found), self._refused_rows(live.parked, found) | refused)

    def _refused_rows(self, parked: Sequence[Parked], found: Container[str]) -> dict[str, StoredFinding]:
        """All rows that refused items may have: one reason may keep an item from every entity, and names one of them.

        An item that exists and is refused is not gone.
        """
        of_item = {text_of_item(item_key_of(one)): _refused(one) for one in parked}
        rows = parse_states([(item_key_of(one), None) for one in parked], self.mapping).changes
        return {
            row.key: {**of_item[text_of_item(item_key_of(row))], "key": row.key} for row in rows if row.key not in found
        }

    def _text_of(self, parked: Parked) -> str:
        return parked.key if parked.key and self._can_have_row(parked) else text_of_item(item_key_of(parked))

    def _can_have_row(self, parked: Parked) -> bool:
        """The text of a key that does not fit may be that of another item's row."""
        return item_classifier(self.mapping).can_have_row(parked)

    def of_changes(self, changes: Sequence[Change], existing: set[str] | None = None) -> list[Reading]:
        """The readings of the changes whose rows do not agree.

        `existing` are the keys whose items exist, and match another entity: these rows were not left by an expiry.
        Raises HoldError or StopError.
        """
        found = self.database.compare(changes) if changes else []
        findings = ((one, self.finding(one, existing)) for one in found)
        return [Reading(one.change, finding, one) for one, finding in findings if finding]

    def finding(
        self, comparison: Comparison, existing: set[str] | None = None, newest: str | None = None
    ) -> Finding | None:
        """What a comparison found. `newest` is the newest version that is parked of the item, if any is."""
        removal = Mark.DELETED if existing and comparison.change.key in existing else None
        return classify(comparison, self.mapping, Known(newest, removal))


def _refused(parked: Parked) -> StoredFinding:
    """The item has no row that can be compared."""
    return {
        "key": parked.key,
        "item_key": item_key_of(parked),
        "kind": ITEM_REFUSED,
        "columns": [],
        "repair": "report",
        "outcome": "found",
        "reason": parked.reason,
    }
