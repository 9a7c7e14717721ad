"""Why a run that found both sides equal proves no time, or leaves the expired ranges.

A repair that deletes rows may take others along, which a run had compared before, or which a window does not have. So
everything that was found equal before it is to be compared again.

An insert may wait whose delete is in an expired range, and was lost. Then there is neither item nor row, so there is
nothing to find. The insert would come after the verification, and write the row of an item that is gone.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from reconciler.states import RunDescription
from reconciler.verify.deletions import Deletions
from reconciler.verify.pending import Pending

_BATCHES_WAIT = "Nothing is proven: {}, then verify again. What waits may write the row of an item that is gone."
_BATCHES_WAITED = (
    "Nothing is proven: failed batches waited when the verification began, and were replayed meanwhile. Verify again."
)
_ROWS_DELETED = (
    "Nothing is proven: a repair deleted rows, the last at {}, and rows that refer to them may have gone with them."
    " Verify the whole table."
)
_RECORDS_WAIT = (
    "No expired range is settled: {}. A parked record may write the row of an item that is gone. Start a replay, retry"
    " or discard what it leaves, then verify again."
)
_RECORDS_WAITED = (
    "No expired range is settled: records were parked when the verification began, and have left meanwhile. Verify"
    " again."
)


@dataclass(frozen=True)
class Proof:
    pending: Pending
    deletions: Deletions

    def why_no_time(self, run: RunDescription, since: datetime | None) -> list[str]:
        """Why the run proves no time and settles no range, and what to do; empty where it may.

        Failed batches count that wait now, or waited when the run was planned, and rows that a repair has deleted
        since the time `since`; None is for never.
        """
        reasons = []
        if waiting := self.pending.batches():
            reasons.append(_BATCHES_WAIT.format(waiting))
        elif run.get("batches_waited"):
            reasons.append(_BATCHES_WAITED)
        if deleted := self.deleted_since(since):
            reasons.append(_ROWS_DELETED.format(deleted.isoformat()))
        return reasons

    def deleted_since(self, time: datetime | None) -> datetime | None:
        """When a repair last deleted rows, if that is not before `time`: then what was equal before may not be now."""
        deleted = self.deletions.last()
        return deleted if deleted and (time is None or deleted >= time) else None

    def why_no_range(self, run: RunDescription) -> list[str]:
        """Why a run that proves a time settles no range all the same, and what to do; empty where it may.

        Records count that are parked now, or were when the run was planned.
        """
        if parked := self.pending.parked():
            return [_RECORDS_WAIT.format(parked)]
        return [_RECORDS_WAITED] if run.get("records_parked") else []
