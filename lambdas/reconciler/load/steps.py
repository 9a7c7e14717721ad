"""The steps of a load: a scan for each level of tables, then the keys that wait, as long as that helps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reconciler.estimate import estimate, segments_of
from reconciler.jobs import JobSteps
from reconciler.load import report
from reconciler.load.walk import JOB, PROGRESS, Walker, stage_of
from reconciler.states import Estimate, LaneState, RunDescription, RunInput, RunState
from reconciler.table import TableFacts

_MOST_STAGES = 100


@dataclass(frozen=True, kw_only=True)
class LoadSteps(JobSteps):
    job = JOB
    schema = Path(__file__).parent / "input.schema.json"

    walker: Walker

    def segments(self, facts: TableFacts, lanes: int, checked: RunInput) -> int:  # noqa: ARG002
        return segments_of(facts, lanes)

    def estimate(self, facts: TableFacts, rate: float, run: RunDescription) -> Estimate:
        return estimate(facts, rate, _scans(run))

    def planned(self, run: RunDescription, arn: str) -> Mapping[str, Any]:
        return report.planned(run, arn, self.clock())

    def walk_lane(self, lane: LaneState) -> str:
        return "done" if self.walker.walk(lane) else "more"

    def next_stage(self, state: RunState) -> RunState:
        run, stage = state["run"], state["stage"]
        scans = _scans(run)
        if stage < scans - 1:
            return {**state, "outcome": "more", "stage": stage + 1}
        before = range(scans) if stage < scans else (stage,)
        waiting = sum(self.waiting_keys(run, one) for one in before)
        helped = waiting < state.get("waiting", waiting + 1)
        more = waiting and helped and stage < scans + _MOST_STAGES
        return {**state, "outcome": "more" if more else "done", "stage": stage + bool(more), "waiting": waiting}

    def make_report(self, state: RunState) -> Mapping[str, Any]:
        left = stage_of(stage_of(state["stage"], state["run"]["levels"]).next_waiting, state["run"]["levels"]).before
        made = report.make(self.bucket, self.keys(state["run"]), state, left, self.clock())
        if made["outcome"] == "complete":
            self.meter.progress(PROGRESS, 100.0)
        return made


def _scans(run: RunDescription) -> int:
    return max(run["levels"]) + 1
