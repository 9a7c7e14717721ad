"""What a prune did: numbers for scripts and a page for people. Neither holds keys of items."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

from common.bucket import Bucket
from common.layout import RunKeys
from reconciler.progress import read_lanes
from reconciler.prune import page
from reconciler.prune.documents import Report
from reconciler.states import RunState

COUNTS = ("rows", "pruned", "prunable", "parked", "kept")

# By outcome, field or count: what to do next. The order is that of the report.
_ADVICE = {
    "database_down": "MySQL did not answer in time. Nothing is lost. Repair the database, then start the prune again:"
    " it goes on where it was.",
    "incomplete": "The prune has not finished. Nothing is lost. Start it again: it goes on where it was.",
    "dry_run": "Nothing was deleted. Start a prune without dry_run.",
    "held_by": "A person may put the batch in `held_by` back, and it holds changes from before the horizon. So only"
    " rows from before these went. They go when the batch has expired.",
    "parked": "Rows of keys with a parked record stay. Retry or discard the records: backstream replay list. Those that"
    " were settled are kept under replayed/ until they expire.",
}


def make(bucket: Bucket, keys: RunKeys, state: RunState, now: datetime) -> Report:
    """Write report.json and report.html, and return the report."""
    run = state["run"]
    counts: Counter[str] = Counter()
    for lane in read_lanes(bucket, keys.lanes):
        counts += lane.counts
    options = run["options"]
    made: Report = {
        "run": run["name"],
        "execution_arn": state["arn"],
        "outcome": _outcome(state),
        "started": run["started"],
        "ended": now.isoformat(),
        "dry_run": options["is_dry"],
        "older_than_days": options["older_than_days"],
        "before": datetime.fromtimestamp(options["before"], UTC).isoformat(),
        "held_by": options["held_by"],
        "estimate": run["estimate"],
        "counts": {name: counts[name] for name in COUNTS},
        "next": [],
        "links": {"report": f"s3://{bucket.name}/{keys.report}", "page": f"s3://{bucket.name}/{keys.page}"},
    }
    if "reason" in state and made["outcome"] != "complete":
        made["reason"] = state["reason"]
    holds = {"dry_run": made["dry_run"], "held_by": bool(made["held_by"]), "parked": bool(counts["parked"])}
    made["next"] = [advice for name, advice in _ADVICE.items() if made["outcome"] == name or holds.get(name)]
    bucket.write_json(keys.report, made)
    bucket.write(keys.page, page.render(made).encode(), "text/html; charset=utf-8")
    return made


def _outcome(state: RunState) -> str:
    return {"done": "complete", "gave_up": "database_down"}.get(state.get("outcome", ""), "incomplete")
