"""Suspects and findings as JSON."""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict

from common.drift import Claim, Finding, Kind, Repair, Suspect
from common.raw_items import Item

# Names of columns in a finding.
_MOST_COLUMNS = 20


class StoredSuspect(TypedDict):
    """A key that is to be read again: its text, and the key of its item.

    `finding` is what the last reading found; None where it was not read yet. `began` and `ended` are the times of that
    reading, in epoch seconds. `tries` counts repairs that wait for another row.
    """

    key: str
    item_key: Item
    finding: list[Any] | None
    began: float
    ended: float
    tries: NotRequired[int]


class StoredFinding(TypedDict):
    """A difference in the report. `outcome` is `found`, `repaired`, `pending` (a change is known that has not arrived;
    then `reason` says where it waits and what to do) or `refused` (the repair did not help; then `reason` says why).
    """

    key: str | None
    item_key: Item
    kind: str
    columns: list[str]
    repair: str
    outcome: str
    reason: NotRequired[str]


def unread(key: str, item_key: Item) -> StoredSuspect:
    """A suspect that was not read yet."""
    return {"key": key, "item_key": item_key, "finding": None, "began": 0.0, "ended": 0.0}


def read_once(item_key: Item, suspect: Suspect) -> StoredSuspect:
    """A suspect that was read."""
    return {
        "key": suspect.finding.key,
        "item_key": item_key,
        "finding": list(suspect.finding),
        "began": suspect.began,
        "ended": suspect.ended,
    }


def suspect_of(stored: StoredSuspect) -> Suspect | None:
    if stored["finding"] is None:
        return None
    key, kind, repair, claim, columns, version, digest = stored["finding"]
    finding = Finding(key, Kind(kind), Repair(repair), Claim(claim), tuple(columns), version, digest)
    return Suspect(finding, stored["began"], stored["ended"])


def finding_of(finding: Finding, item_key: Item, outcome: str) -> StoredFinding:
    return {
        "key": finding.key,
        "item_key": item_key,
        "kind": str(finding.kind),
        "columns": list(finding.columns[:_MOST_COLUMNS]),
        "repair": str(finding.repair),
        "outcome": outcome,
    }


def strange_key(key: str) -> StoredFinding:
    """A row that no item can have; `key` is the text of its key."""
    return {
        "key": key,
        "item_key": {},
        "kind": str(Kind.STRANGER),
        "columns": [],
        "repair": str(Repair.REPORT),
        "outcome": "found",
        "reason": "no item can have this key under the mapping",
    }
