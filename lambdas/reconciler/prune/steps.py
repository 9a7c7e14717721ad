"""The steps of a prune: one walk through the sidecar.

The sidecar keeps a row for each key, also of items that are gone. Such a row keeps older changes out, so it may go only
when none can arrive any more. What can bring one, and for how long:

- the stream, for 24 hours; also a consumer that reads it from its beginning
- a message in the failures queue: its records are in the stream, so for 24 hours
- a failed batch in the bucket, until it is replayed: a prune refuses to begin while one waits
- a replay that was stopped and is redriven, for 14 days: its batches wait, or are under `replayed/`
- a settled batch that a person puts back: the horizon lies before the oldest change of all that are kept
- a parked record, until it is retried or discarded: the rows of its key stay
- a load: it reads an item and writes it in one call, so only a removal of the last minutes can overtake it
- a table that is restored to a time within the last 35 days, and loaded: hence the least horizon
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from reconciler.jobs import JobSteps
from reconciler.prune import report
from reconciler.prune.walk import JOB, PruneWalker
from reconciler.run import InputError
from reconciler.states import Estimate, LaneState, RunDescription, RunInput, RunState
from reconciler.table import TableFacts

# Point-in-time recovery goes back 35 days, the stream one, and clocks differ:
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Point-in-time-recovery.html
LEAST_HORIZON_DAYS = 37
_DEFAULT_RATE = 1_000.0


@dataclass(frozen=True, kw_only=True)
class PruneSteps(JobSteps):
    job = JOB
    schema = Path(__file__).parent / "input.schema.json"

    walker: PruneWalker
    horizon_days: int

    def require(self, checked: RunInput) -> None:
        if self._days(checked) < LEAST_HORIZON_DAYS:
            raise InputError(
                f"invalid input, nothing was changed: older_than_days: less than {LEAST_HORIZON_DAYS} days is not safe:"
                " a load of a table that was restored to a time within the last 35 days would bring deleted items back"
            )
        self.walker.reach.require_nothing_waits()

    def plans_only(self, checked: RunInput) -> bool:  # noqa: ARG002
        """A dry run counts, so it walks, too."""
        return False

    def resolve(self, checked: RunInput, unfinished: RunDescription | None) -> RunInput:
        """Fix the time before which rows go. A run that goes on keeps its own, which is not later."""
        days = self._days(checked)
        before, held_by = self.walker.reach.horizon(self.clock() - timedelta(days=days))
        wanted = {"older_than_days": days, "is_dry": checked.get("dry_run", False)}
        given: Any = {**checked, **wanted, "before": int(before.timestamp()), "held_by": held_by}
        known = unfinished["options"] if unfinished else {}
        if known.items() >= wanted.items() and known["before"] <= given["before"]:
            given |= known
        chosen: RunInput = given
        return chosen

    def _days(self, checked: Any) -> int:
        return int(checked.get("older_than_days", self.horizon_days))

    def rate(self, facts: TableFacts, checked: RunInput) -> float:  # noqa: ARG002
        """In rows of the sidecar."""
        return float(checked.get("rows_per_second", _DEFAULT_RATE))

    def segments(self, facts: TableFacts, lanes: int, checked: RunInput) -> int:  # noqa: ARG002
        """The table is not scanned."""
        return 0

    def extend(self, run: RunDescription, facts: TableFacts) -> RunDescription:  # noqa: ARG002
        return {**run, "lanes": 1}

    def estimate(self, facts: TableFacts, rate: float, run: RunDescription) -> Estimate:  # noqa: ARG002
        size = self.database.sidecar_size()
        return {
            "items": 0,
            "bytes": size.bytes,
            "scans": 1,
            "read_units": 0,
            "sidecar_rows": size.rows,
            "rate": rate,
            "minutes": 0.0,
            "dollars": 0.0,
        }

    def walk_lane(self, lane: LaneState) -> str:
        return "done" if self.walker.walk(lane) else "more"

    def next_stage(self, state: RunState) -> RunState:
        return {**state, "outcome": "done"}

    def make_report(self, state: RunState) -> Mapping[str, Any]:
        return report.make(self.bucket, self.keys(state["run"]), state, self.clock())
