"""What a verification found: numbers for scripts and a page for people. Neither holds row values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from collections.abc import Mapping as Json
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from common.arrivals import parse_time
from common.bucket import Bucket, Entry, GoneError, UnreadableError
from common.layout import EXPIRED, RunKeys, settled_key
from common.prefetch import Prefetch
from common.verified import whole_equal
from reconciler.output import first_within
from reconciler.progress import read_lanes, read_problems
from reconciler.states import RunDescription, RunState
from reconciler.verify import page
from reconciler.verify.documents import Report
from reconciler.verify.exports import decision_of
from reconciler.verify.proof import Proof
from reconciler.verify.slices import note
from reconciler.verify.states import StoredFinding
from reconciler.verify.window import FROM, UNTIL, Window, window_of

# Entries of a list in report.json; the others are counted.
_IN_REPORT = 10_000
COUNTS = (
    "items", "rows", "mysql_rows", "unmapped_item", "suspects", "keys_without_item", "agreed", "moved_on", "drift",
    "strangers", "pending", "repaired", "deleted_rows", "refused", "item_refused", "unsettled", "ranges_proven",
    "exported", "cut_keys",
)  # fmt: skip
# What keeps a run from proving that every change is in MySQL; `proof` has more.
_OPEN = ("drift", "pending", "refused", "item_refused", "unsettled", "cut_keys")
# An expired range holds its message, which SQS limits to 1 MiB.
_LARGEST_RANGE = 2 * 1024 * 1024
# Expired ranges that are read at a time, and that are moved at a time.
_AT_ONCE, _MOVED = 16, 500
# The scan is eventually consistent, and clocks differ.
_SLACK = timedelta(seconds=10)

# By outcome or by count: what to do next. The order is that of the report.
_ADVICE = {
    "database_down": "MySQL did not answer in time. Nothing is lost. Repair the database, then start the verification"
    " again: it goes on where it was.",
    "incomplete": "Some workers have not finished. Start the verification again: it goes on where it was, or begins"
    " anew where `reason` says so.",
    "planned": "Nothing was compared. Start a verification without dry_run.",
    "drift": "Some rows are not what their items are. They are listed under `findings`. Start a verification with"
    " repair; what it leaves is for a person, see the table of kinds in docs/verify.md.",
    "strangers": "There are rows of which there never was an item. They are listed under `findings`, and contradict no"
    " change of the table. Start a verification with repair and delete_strangers to delete them.",
    "pending": "Some rows differ because changes wait elsewhere. The reason of each finding says where, and what to do."
    " Start a replay, then verify again.",
    "refused": "MySQL refuses to write some rows as their items are. They are listed under `findings` with the reason."
    " Correct the items, or the table.",
    "item_refused": "Some items cannot become rows under the mapping. They are listed under `findings`. Correct the"
    " items, or the mapping.",
    "cut_keys": "Some keys of the window are too long for the sidecar, so that nothing tells their items. Verify the"
    " whole table.",
    "unsettled": "Some items changed each time that they were read. Verify again when there is less traffic.",
}


def make(bucket: Bucket, keys: RunKeys, state: RunState, now: datetime, proof: Proof) -> Report:
    """Write report.json and report.html. Returns the report with its lists shortened."""
    made = _report(state["run"], state["arn"], _outcome(state), now)
    _add_findings(made, bucket, keys, state)
    if "reason" in state and made["outcome"] != "complete":
        made["reason"] = state["reason"]
    made["next"] = [advice for name, advice in _ADVICE.items() if made["outcome"] == name or made["counts"].get(name)]
    made["links"] = {"report": f"s3://{bucket.name}/{keys.report}", "page": f"s3://{bucket.name}/{keys.page}"}
    _add_proof(made, bucket, keys, state["run"], proof)
    bucket.write_json(keys.report, made)
    bucket.write(keys.page, page.render(made).encode(), "text/html; charset=utf-8")
    return {**made, "findings": first_within(made["findings"])}


def _add_findings(made: Report, bucket: Bucket, keys: RunKeys, state: RunState) -> None:
    """What the lanes have counted and found."""
    lanes = list(read_lanes(bucket, keys.lanes))
    counts: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    for lane in lanes:
        counts += lane.counts
        kinds += lane.kinds
    counts["unsettled"] = state.get("waiting", 0)
    made["counts"] = {name: counts[name] for name in COUNTS}
    made["kinds"] = dict(sorted((+kinds).items()))
    made["read_units"] = round(sum(lane.units for lane in lanes), 1)
    findings: Iterator[StoredFinding] = read_problems(bucket, lanes)
    made["findings"] = list(islice(findings, _IN_REPORT))


def _add_proof(made: Report, bucket: Bucket, keys: RunKeys, run: RunDescription, proof: Proof) -> None:
    """Note what the run proves of its slice, claim a time and settle expired ranges, or say why not."""
    is_complete = made["outcome"] == "complete"
    started = datetime.fromisoformat(run["started"]) - _SLACK
    window, scan_reason = _covered(bucket, keys, run)
    if scan_reason:
        made["scan_reason"] = scan_reason
    # What the repair of a window takes along may be outside of it.
    since = whole_equal(bucket, run["mapping"]) if window else started
    unproven = proof.why_no_time(run, since) if is_complete else []
    made["next"] += unproven
    proven = is_complete and not unproven and not any(made["counts"][name] for name in _OPEN)
    if window is None:
        through = note(bucket, run, tried=made["ended"], equal=started.isoformat() if proven else "")
        if proven and through and not proof.deleted_since(through):
            made["verified_through"] = through.isoformat()
    if proven and not made["slice"] and any(bucket.list(EXPIRED)):
        unsettled = proof.why_no_range(run)
        made["next"] += unsettled
        made["counts"]["ranges_proven"] = 0 if unsettled else _settle_expired(bucket, started, window)


def _covered(bucket: Bucket, keys: RunKeys, run: RunDescription) -> tuple[Window | None, str]:
    """The window that the run covers, None for all that a scan does, and why it has scanned in place of a window."""
    window = window_of(run["options"])
    decision = decision_of(bucket, keys) if window else None
    if decision and decision.scan_reason:
        return None, decision.scan_reason
    return window, ""


def _settle_expired(bucket: Bucket, through: datetime, window: Window | None) -> int:
    """Move the expired ranges that were found before `through`: their changes are in MySQL, or were overtaken.

    With a window, only those whose changes are all in it. They may be many: what a call that dies has moved stays
    moved.
    """
    entries = (entry for entry in bucket.entries(EXPIRED) if entry.modified < through)
    read = Prefetch(lambda entry: _is_proven(bucket, entry, window), entries, threads=_AT_ONCE, room=_AT_ONCE)
    proven = (entry.key for entry, is_proven in read if is_proven.result())
    count = 0
    while part := list(islice(proven, _MOVED)):
        bucket.move_all((key, settled_key(key)) for key in part)
        count += len(part)
    return count


def _is_proven(bucket: Bucket, entry: Entry, window: Window | None) -> bool:
    """Whether a replay wrote the object, for a range in the window.

    Anybody may write others there; the next replay reports them.
    """
    if entry.size > _LARGEST_RANGE:
        return False
    try:
        stored = bucket.read_json(entry.key)
    except (GoneError, UnreadableError, ValueError, RecursionError):
        return False
    if not isinstance(stored, dict) or not all(isinstance(stored.get(name), str) for name in ("message", "shard")):
        return False
    return window is None or _is_in(window, stored)


def _is_in(window: Window, stored: Json[str, Any]) -> bool:
    """A range whose times are not known may be anywhere."""
    first, last = (parse_time(stored.get(name)) for name in ("first_arrival", "last_arrival"))
    return first is not None and last is not None and window.covers(first, last)


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
        "slice": run["options"].get("slice", ""),
        "changed_from": run["options"].get(FROM, ""),
        "changed_until": run["options"].get(UNTIL, ""),
        "started": run["started"],
        "ended": now.isoformat(),
        "estimate": run["estimate"],
        "counts": dict.fromkeys(COUNTS, 0),
        "kinds": {},
        "read_units": 0.0,
        "verified_through": "",
        "findings": [],
        "next": [],
        "links": {},
    }


def _outcome(state: RunState) -> str:
    return {"done": "complete", "gave_up": "database_down"}.get(state.get("outcome", ""), "incomplete")
