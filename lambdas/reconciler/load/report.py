"""What a load did: numbers for scripts and a page for people. Neither holds row values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from itertools import chain, islice

from common.bucket import Bucket
from common.layout import RunKeys
from reconciler.load import page
from reconciler.load.documents import Report
from reconciler.output import first_within
from reconciler.progress import read_lanes, read_problems, waiting_files
from reconciler.states import RunDescription, RunState

# Entries of a list in report.json; the others are counted.
_IN_REPORT = 10_000
COUNTS = ("items", "loaded", "seeded", "live", "known", "unmapped_item", "waiting", "refused")

# By outcome or by count: what to do next. The order is that of the report.
_ADVICE = {
    "database_down": "MySQL did not answer in time. Nothing is lost. Repair the database, then start the load again: it"
    " goes on where it was.",
    "incomplete": "Some workers have not finished. Nothing is lost. Start the load again: it goes on where it was.",
    "planned": "Nothing was changed. Start a load without dry_run.",
    "refused": "Some items cannot be written to MySQL. They are listed under `problems`, and stay in DynamoDB. Correct"
    " the items: the stream brings them. Or correct the mapping or the table, then start the load again.",
    "waiting": "Some items wait for a row of another table that is not there, or for a unique value that another row"
    " holds. They are listed under `problems`. Write that row, then start the load again, or touch the items.",
}


def make(bucket: Bucket, keys: RunKeys, state: RunState, left: Sequence[int], now: datetime) -> Report:
    """Write report.json and report.html. Returns the report with its lists shortened.

    `left` are the stages that have left what still waits.
    """
    run = state["run"]
    lanes = list(read_lanes(bucket, keys.lanes))
    counts: Counter[str] = Counter()
    for lane in lanes:
        counts += lane.counts
    counts["waiting"] = state.get("waiting", counts["waiting"])
    made = _report(run, state["arn"], _outcome(state), now)
    made["counts"] = {name: counts[name] for name in COUNTS}
    made["read_units"] = round(sum(lane.units for lane in lanes), 1)
    waiting = waiting_files(bucket, keys, left) if state.get("outcome") == "done" else []
    problems = chain(read_problems(bucket, lanes), chain.from_iterable(map(bucket.read_json, waiting)))
    made["problems"] = list(islice(problems, _IN_REPORT))
    if "reason" in state and made["outcome"] != "complete":
        made["reason"] = state["reason"]
    made["next"] = [advice for name, advice in _ADVICE.items() if made["outcome"] == name or counts[name]]
    made["links"] = {"report": f"s3://{bucket.name}/{keys.report}", "page": f"s3://{bucket.name}/{keys.page}"}
    bucket.write_json(keys.report, made)
    bucket.write(keys.page, page.render(made).encode(), "text/html; charset=utf-8")
    return {**made, "problems": first_within(made["problems"])}


def planned(run: RunDescription, arn: str, now: datetime) -> Report:
    """The report of a dry run. It is only the output of the execution, not an object."""
    made = _report(run, arn, "planned", now)
    made["next"] = [_ADVICE["planned"]]
    return made


def _report(run: RunDescription, arn: str, outcome: str, now: datetime) -> Report:
    return {
        "run": run["name"],
        "execution_arn": arn,
        "outcome": outcome,
        "started": run["started"],
        "ended": now.isoformat(),
        "estimate": run["estimate"],
        "counts": dict.fromkeys(COUNTS, 0),
        "read_units": 0.0,
        "problems": [],
        "next": [],
        "links": {},
    }


def _outcome(state: RunState) -> str:
    return {"done": "complete", "gave_up": "database_down"}.get(state.get("outcome", ""), "incomplete")
