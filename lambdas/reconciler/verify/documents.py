"""The report of a verification: the execution's output, and an object in the bucket."""

from __future__ import annotations

from typing import NotRequired, TypedDict

from reconciler.states import Estimate
from reconciler.verify.states import StoredFinding


class Report(TypedDict):
    """report.json, which holds more `findings` than the execution's output.

    `kinds` counts the findings that are left, by kind. `verified_through` is the time up to which every change of the
    table is proven to be in MySQL; empty where the run does not prove it. `changed_from` and `changed_until` are the
    window, empty without one; `scan_reason` says why the whole table was read all the same.
    """

    run: str
    execution_arn: str
    outcome: str
    slice: str
    changed_from: str
    changed_until: str
    started: str
    ended: str
    estimate: Estimate
    counts: dict[str, int]
    kinds: dict[str, int]
    read_units: float
    verified_through: str
    findings: list[StoredFinding]
    next: list[str]
    links: dict[str, str]
    scan_reason: NotRequired[str]
    reason: NotRequired[str]
