"""What a seed did: numbers for scripts and a page for people. Neither holds row values."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from itertools import islice

from common.bucket import Bucket
from common.layout import RunKeys
from common.mapping import Mapping
from reconciler.output import first_within
from reconciler.progress import read_lanes, read_problems
from reconciler.seed import page
from reconciler.seed.documents import Report
from reconciler.states import RunDescription, RunState

# Entries of a list in report.json; the others are counted.
_IN_REPORT = 10_000
COUNTS = ("rows", "seeded", "reseeded", "same", "existing", "gone", "removed", "unseedable")

# By outcome or by count: what to do next. The order is that of the report.
_ADVICE = {
    "database_down": "MySQL did not answer in time. Nothing is lost. Repair the database, then start the seed again: it"
    " goes on where it was.",
    "incomplete": "Some workers have not finished. Nothing is lost. Start the seed again: it goes on where it was.",
    "planned": "Nothing was changed. Start a seed without dry_run.",
    "unseedable": "Some rows have no item. They are listed under `problems` with the reason. Correct the rows, the"
    " mapping or the table's indexes, then seed again.",
}


def make(bucket: Bucket, mapping: Mapping, keys: RunKeys, state: RunState, now: datetime) -> Report:
    """Write report.json and report.html. Returns the report with its lists shortened."""
    lanes = list(read_lanes(bucket, keys.lanes))
    counts: Counter[str] = Counter()
    for lane in lanes:
        counts += lane.counts
    made = _report(mapping, state["run"], state["arn"], _outcome(state), now)
    made["counts"] = {name: counts[name] for name in COUNTS}
    made["units"] = round(sum(lane.units for lane in lanes), 1)
    made["problems"] = list(islice(read_problems(bucket, lanes), _IN_REPORT))
    if "reason" in state and made["outcome"] != "complete":
        made["reason"] = state["reason"]
    made["next"] = [advice for name, advice in _ADVICE.items() if made["outcome"] == name or counts[name]]
    made["links"] = {"report": f"s3://{bucket.name}/{keys.report}", "page": f"s3://{bucket.name}/{keys.page}"}
    bucket.write_json(keys.report, made)
    bucket.write(keys.page, page.render(made).encode(), "text/html; charset=utf-8")
    return {**made, "problems": first_within(made["problems"])}


def planned(mapping: Mapping, run: RunDescription, arn: str, now: datetime) -> Report:
    """The report of a dry run. It is only the output of the execution, not an object."""
    made = _report(mapping, run, arn, "planned", now)
    made["next"] = [_ADVICE["planned"]]
    return made


def _report(mapping: Mapping, run: RunDescription, arn: str, outcome: str, now: datetime) -> Report:
    return {
        "run": run["name"],
        "execution_arn": arn,
        "outcome": outcome,
        "started": run["started"],
        "ended": now.isoformat(),
        "estimate": run["estimate"],
        "entities": [mapping.entities[index].name for index in run["entities"]],
        "since": run.get("since", {}),
        "counts": dict.fromkeys(COUNTS, 0),
        "units": 0.0,
        "problems": [],
        "next": [],
        "links": {},
    }


def _outcome(state: RunState) -> str:
    return {"done": "complete", "gave_up": "database_down"}.get(state.get("outcome", ""), "incomplete")
