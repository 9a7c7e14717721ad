"""The steps of a verification: a scan, the rows, the match of both, then suspects until all are decided."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from reconciler.estimate import estimate, segments_of, with_units
from reconciler.jobs import JobSteps, options_of
from reconciler.ranges import Cutter
from reconciler.run import InputError, LostRunError, NotReadyError
from reconciler.states import Estimate, LaneState, RunDescription, RunInput, RunState
from reconciler.table import TableFacts
from reconciler.verify import report
from reconciler.verify.exports import Exports
from reconciler.verify.lane import JOB, PROGRESS, RECHECK, ROWS, SCAN, exported_window, parts_of, slice_of
from reconciler.verify.proof import Proof
from reconciler.verify.slices import NEXT, WHOLE, part_and_parts, tried_longest_ago
from reconciler.verify.spill import partitions_of
from reconciler.verify.walk import SIDECAR_RANGE, VerifyWalker
from reconciler.verify.window import require_window, window_of

# What a sliced table is read in, rounded up to a multiple of the slices.
_SEGMENTS_OF_SLICES = 240
# How often a key that has changed again is read again.
_MOST_STAGES = RECHECK + 20
# An eventually consistent read takes half a unit.
_SHARE_OF_CONSISTENT = 0.5
_MOST_LAG_SECONDS = 3_600


@dataclass(frozen=True, kw_only=True)
class VerifySteps(JobSteps):
    """`reported_lag` is that of a consumer that works. A run may begin before its `proven_lag` is known."""

    job = JOB
    schema = Path(__file__).parent / "input.schema.json"

    walker: VerifyWalker
    exports: Exports
    reported_lag: Callable[[], float | None]

    def require(self, checked: RunInput) -> None:
        given: Any = checked
        require_window(given, self.clock())
        part, parts = part_and_parts(given)
        if part != NEXT and int(part) > parts:
            raise InputError(f"invalid input, nothing was changed: slice: {given['slice']} is not a part of a whole")
        unknown = set(given.get("columns", ())) - {
            column.name for entity in self.mapping.entities for column in entity.columns[len(entity.key) :]
        }
        if unknown:
            names = ", ".join(sorted(unknown))
            raise InputError(f"invalid input, nothing was changed: columns: the mapping has no column {names}")
        for name in ("delete_strangers", "delete_removed", "keep_removed", "columns"):
            if given.get(name) and not given.get("repair"):
                raise InputError(f"invalid input, nothing was changed: {name}: has no meaning without repair")
            if given.get(name) and given.get("columns") and name != "columns":
                raise InputError(f"invalid input, nothing was changed: {name}: has no meaning with columns")
        if given.get("keep_removed") and given.get("delete_removed"):
            raise InputError("invalid input, nothing was changed: keep_removed: has no meaning with delete_removed")
        lag = self.reported_lag()
        if lag is not None and lag > _MOST_LAG_SECONDS:
            raise NotReadyError(
                f"the consumer is {lag:.0f} seconds behind, so nearly everything is in flight: start the verification"
                " again when it has caught up"
            )
        if lag is None:
            raise NotReadyError(
                "the consumer fails, is throttled, or CloudWatch does not say how far it is behind, so nothing can be"
                " told from what is in flight: see the logs of the consumer and of this function, then start the"
                " verification again"
            )

    def resolve(self, checked: RunInput, unfinished: RunDescription | None) -> RunInput:
        """Choose the next slice: that of the unfinished run if its other options are the same, else by `slices`.

        An option that is off, and a slice that is the whole, mean the same as none. A window has one notation.
        """
        given: Any = {name: value for name, value in checked.items() if value}
        given |= require_window(given, self.clock())
        part, parts = part_and_parts(given)
        if part == NEXT:
            left = _slice_to_finish(given, unfinished)
            given["slice"] = left or f"{tried_longest_ago(self.bucket, parts, self.mapping.digest)}/{parts}"
        if given.get("slice") == WHOLE:
            del given["slice"]
        chosen: RunInput = given
        return chosen

    def segments(self, facts: TableFacts, lanes: int, checked: RunInput) -> int:
        """Of slices always the same number: another one would cut the table in other places."""
        parts = parts_of(checked)
        return segments_of(facts, lanes) if parts == 1 else parts * math.ceil(_SEGMENTS_OF_SLICES / parts)

    def extend(self, run: RunDescription, facts: TableFacts) -> RunDescription:
        """Fix the number of partitions: a call that is retried must divide keys alike. Note what waits for a replay.

        A window also has the keys of items that are gone, of which the sidecar has tombstones.
        """
        rows = sum(self.database.size(entity).rows for entity in range(len(self.mapping.entities)))
        parts = slice_of(run)[1]
        # In a slice, the rows of items that the scan does not meet are read by key.
        by_key = 0 if parts == 1 else math.ceil(rows * (1 - 1 / parts) / parts)
        known = self.database.sidecar_size().rows if window_of(run["options"]) else 0
        return {
            **run,
            "partitions": partitions_of(max(facts.items, rows, known)),
            "reads_by_key": by_key,
            "batches_waited": bool(self.walker.rechecker.pending.batches()),
            "records_parked": bool(self.walker.rechecker.pending.parked()),
        }

    def estimate(self, facts: TableFacts, rate: float, run: RunDescription) -> Estimate:
        made = estimate(facts, rate, 1, _SHARE_OF_CONSISTENT / slice_of(run)[1])
        return with_units(made, run["reads_by_key"], on_demand=not facts.read_units)

    def planned(self, run: RunDescription, arn: str) -> Mapping[str, Any]:
        return report.planned(run, arn, self.clock())

    def walk_lane(self, lane: LaneState) -> str:
        return self.walker.walk(lane)

    def prepare_stage(self, run: RunDescription, stage: int) -> str:
        """Wait for the exports of a window, or cut the ranges of the target tables, and add those of the sidecar.

        Each stage reads what those before it have written. A key that has expired would be taken for one that agrees.
        """
        if self.is_old(run):
            raise LostRunError(
                "the verification began so long ago that the bucket expires its first files: start it again, and it"
                " begins anew; give it a higher rate, or verify slices"
            )
        window = window_of(run["options"])
        if stage == SCAN and window:
            return "go" if self.exports.prepare(self.keys(run), window) else "waiting"
        if stage != ROWS:
            return "go"
        cutter = Cutter(self.bucket, self.mapping, self.database, self.walker.invocation.out_of_time)
        entities = range(len(self.mapping.entities))
        sidecar = [(entity, None, SIDECAR_RANGE) for entity in entities]
        tables = () if exported_window(self.bucket, run) else entities
        return "go" if cutter.cut(self.keys(run), tables, sidecar) else "more"

    def next_stage(self, state: RunState) -> RunState:
        run, stage = state["run"], state["stage"]
        if stage < RECHECK - 1:
            return {**state, "outcome": "more", "stage": stage + 1}
        before = range(RECHECK) if stage < RECHECK else (stage,)
        waiting = sum(self.waiting_keys(run, one) for one in before)
        more = bool(waiting) and stage < _MOST_STAGES
        return {**state, "outcome": "more" if more else "done", "stage": stage + more, "waiting": waiting}

    def make_report(self, state: RunState) -> Mapping[str, Any]:
        proof = Proof(self.walker.rechecker.pending, self.walker.rechecker.deletions)
        made = report.make(self.bucket, self.keys(state["run"]), state, self.clock(), proof)
        if made["outcome"] == "complete":
            self.meter.progress(PROGRESS, 100.0)
        if made["verified_through"]:
            self.meter.gauge(
                "verified_through", datetime.fromisoformat(made["verified_through"]).timestamp(), seconds=True
            )
        return made


def _slice_to_finish(given: Mapping[str, Any], unfinished: RunDescription | None) -> str:
    """The slice of the unfinished run, if a run of the next of as many slices with these options goes on with it."""
    if unfinished is None:
        return ""
    mine, left = options_of(given), unfinished["options"]
    same = _without_slice(mine) == _without_slice(left) and part_and_parts(mine)[1] == part_and_parts(left)[1]
    return str(left.get("slice", WHOLE)) if same else ""


def _without_slice(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name != "slice"}
