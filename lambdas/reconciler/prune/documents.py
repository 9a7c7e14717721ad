"""The report of a prune: the execution's output, and an object in the bucket."""

from __future__ import annotations

from typing import NotRequired, TypedDict

from reconciler.states import Estimate


class Report(TypedDict):
    """`run` is the name of the execution that began the run; `execution_arn` is the one that ended it.

    Rows from before the time `before` were pruned, or counted with `dry_run`. `held_by` is the settled batch because of
    which it is earlier than the operator's horizon, empty where it is not.
    """

    run: str
    execution_arn: str
    outcome: str
    started: str
    ended: str
    dry_run: bool
    older_than_days: int
    before: str
    held_by: str
    estimate: Estimate
    counts: dict[str, int]
    next: list[str]
    links: dict[str, str]
    reason: NotRequired[str]
