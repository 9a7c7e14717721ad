"""The report of a load: the execution's output, and an object in the bucket."""

from __future__ import annotations

from typing import NotRequired, TypedDict

from reconciler.progress import RunProblem
from reconciler.states import Estimate


class Report(TypedDict):
    """report.json, which holds more `problems` than the execution's output.

    `run` is the name of the execution that began the run; `execution_arn` is the one that ended it.
    """

    run: str
    execution_arn: str
    outcome: str
    started: str
    ended: str
    estimate: Estimate
    counts: dict[str, int]
    read_units: float
    problems: list[RunProblem]
    next: list[str]
    links: dict[str, str]
    reason: NotRequired[str]
