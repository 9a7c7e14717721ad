"""The report of a seed: the execution's output, and an object in the bucket."""

from __future__ import annotations

from typing import NotRequired, TypedDict

from reconciler.states import Estimate


class SeedProblem(TypedDict):
    """A row that has no item. `key` is its text, see `common.keys`; `reason` holds no value of the row."""

    key: str
    reason: str


class Report(TypedDict):
    """report.json, which holds more `problems` than the execution's output.

    `run` is the name of the execution that began the run; `execution_arn` is the one that ended it. `since` has the
    first value of the column by entity, empty where all rows were read. `units` counts those of writes and reads.
    """

    run: str
    execution_arn: str
    outcome: str
    started: str
    ended: str
    estimate: Estimate
    entities: list[str]
    since: dict[str, str]
    counts: dict[str, int]
    units: float
    problems: list[SeedProblem]
    next: list[str]
    links: dict[str, str]
    reason: NotRequired[str]
