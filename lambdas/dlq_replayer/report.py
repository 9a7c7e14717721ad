"""What a replay did, as numbers for a script and as a page for a person. No row values in either."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import islice
from typing import Any

from common.quarantine import PREFIX as QUARANTINE
from dlq_replayer import page
from dlq_replayer.bucket import EXPIRED, Bucket, GoneError
from dlq_replayer.collect import is_parked
from dlq_replayer.run import Run, State

# How much of a list goes into the execution's output, which Step Functions limits to 256 KiB.
_LISTED = 50

_ADVICE = {
    "database_down": "MySQL did not answer in time. Nothing was applied; what failed is where it was, or saved from the"
    " queue into the bucket. Mend it, then start the replay again.",
    "incomplete": "MySQL went away while changes were applied. What was applied is settled, the rest is where it was:"
    " start the replay again.",
    "planned": "Nothing was changed. Start the replay without dry_run to apply what was counted.",
    "quarantined": "Records under quarantine/ can never be written as they are: see their reasons, correct the items,"
    " then retry or discard the records.",
    "unknown": "Records wait under deferred/ because MySQL refuses them with an error that Backstream does not know:"
    " see their reasons and the server's log. Every replay tries them again.",
    "deferred": "Records wait under deferred/ for another row, or for a unique value to become free. Every replay tries"
    " them again, for a day: start another one once the other row is there.",
    "expired": "The stream had forgotten ranges before their pointers were read, named under `expired`: compare"
    " the table with MySQL for items changed between those times, touch those"
    " that differ, then delete the object of the range.",
    "problems": "Some batches or messages are not what they should be, named under `problems`; they are in place. The"
    " runbook's section on problems says what to do about each.",
    "left": "Some batches stay because not all of their records were asked for or accounted for.",
}


_VANISHED = "it was moved away while it was replayed, before a record of it could be parked"


def make(bucket: Bucket, run: Run, state: State, now: datetime) -> State:
    """Write `report.json` and `report.html` under the run's prefix; returns the report with its lists cut short."""
    notes = list(_each(bucket, f"{run.prefix}done/"))
    report = _numbers(run, state, notes, now) | {"input": _asked(run)}
    report["expired"] = _expired(bucket, run)
    found = [item for items in _each(bucket, f"{run.prefix}problems/") for item in items]
    moved = (key for note in notes for key in note["vanished"] if not is_parked(key))  # else discarded
    report["problems"] = _once(found + [{"source": key, "problem": _VANISHED} for key in moved])
    report["parked_records"] = sorted({name for note in notes for name in note["parked"]})
    for name in ("expired", "problems"):
        report["counts"][name] = len(report[name])
    if "reason" in state and report["outcome"] in ("database_down", "incomplete"):
        report["reason"] = state["reason"]
    report["next"] = [_ADVICE[name] for name in _ADVICE if _applies(name, report)]
    report["links"] = {
        "report": f"s3://{bucket.name}/{run.prefix}report.json",
        "page": f"s3://{bucket.name}/{run.prefix}report.html",
        "quarantine": f"s3://{bucket.name}/{QUARANTINE}",
    }
    bucket.write_json(f"{run.prefix}report.json", report)
    batches = (batch for manifest in _each(bucket, f"{run.prefix}manifest/") for batch in manifest["batches"])
    document = page.render(report, batches, notes, _parked(bucket, report))
    bucket.write(f"{run.prefix}report.html", document.encode(), "text/html; charset=utf-8")
    return report | {name: report[name][:_LISTED] for name in ("expired", "problems", "parked_records")}


def _asked(run: Run) -> State:
    """The input, its lists as their lengths: they may hold a thousand names."""
    return {name: len(value) if isinstance(value, list) else value for name, value in run.input.items()}


def nothing(run: Run, now: datetime) -> State:
    """The report of a run that found nothing; it is only the output, and no object in the bucket."""
    report = _numbers(run, {"outcome": "nothing"}, [], now)
    report["message"] = "no batch has left the stream; what waits there goes on by itself when MySQL answers"
    return report | {"input": _asked(run), "expired": [], "problems": [], "parked_records": [], "next": [], "links": {}}


def _numbers(run: Run, state: State, notes: list[dict[str, Any]], now: datetime) -> dict[str, Any]:
    collected = state.get("collected", {})
    counts = Counter(collected.get("counts", {}))
    for note in notes:
        counts.update(note["counts"])
    counts.update(
        {name: state.get("surveyed", {}).get("counts", {}).get(name, 0) for name in ("changes", "keys", "stale")}
    )
    if run.dry:
        counts["deferred"] = counts["tried_again"]
    settled = state.get("settled", {})
    counts["settled"], counts["left"] = settled.get("settled", 0), settled.get("left", 0)
    counts["applied"] = counts["upserted"] + counts["deleted"]
    counts["messages"] = state.get("hydrated", {}).get("messages", 0)
    counts["splits"] = collected.get("splits", 0)
    counts["splits_drained"] = sum("drained_at" in note for note in notes)
    return {
        "execution": run.name,
        "execution_arn": run.arn,
        "outcome": _outcome(run, state, notes),
        "dry_run": run.dry,
        "started": run.started,
        "ended": now.isoformat(),
        "counts": {name: counts[name] for name in _COUNTS},
    }


_COUNTS = (
    "messages", "batches", "records", "changes", "keys", "applied", "upserted", "deleted", "stale", "redelivered",
    "superseded", "ttl_delete", "other_item", "unreadable", "parked", "quarantined", "deferred", "unknown",
    "expired", "problems", "settled", "left", "splits", "splits_drained",
)  # fmt: skip


def _outcome(run: Run, state: State, notes: list[dict[str, Any]]) -> str:
    if state["outcome"] == "gave_up":
        return "database_down"
    if state["outcome"] == "nothing":
        return "nothing_to_do"
    if run.dry:
        return "planned"
    # one note a split, and one for the records that could not be read
    return "complete" if len(notes) == state["collected"]["splits"] + 1 else "incomplete"


def _applies(name: str, report: dict[str, Any]) -> bool:
    return report["outcome"] == name or bool(report["counts"].get(name))


def _each(bucket: Bucket, prefix: str) -> Iterator[Any]:
    return (bucket.read_json(key) for key, _ in bucket.list(prefix))


def _expired(bucket: Bucket, run: Run) -> list[dict[str, Any]]:
    """Every range that still waits for a person, whichever replay found it: that one may not have come to report it."""
    found = []
    for prefix in (EXPIRED, f"{run.prefix}{EXPIRED}"):
        for key, _ in bucket.list(prefix):
            kept = bucket.read_json(key)
            del kept["message"]
            found.append(kept | {"object": key})
    return found


def _once(items: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """A step that was called again names what it finds again."""
    return list({json.dumps(item, sort_keys=True): item for item in items}.values())


def _parked(bucket: Bucket, report: dict[str, Any]) -> list[dict[str, Any]]:
    """Key, kind, reason and hint of the first parked records; the record itself is not shown."""
    shown = []
    for name in islice(report["parked_records"], page.SHOWN):
        try:
            parked = bucket.read_json(name)
        except GoneError:  # retried or discarded meanwhile
            continue
        shown.append(
            {field: parked.get(field) for field in ("key", "version", "kind", "reason", "hint")} | {"object": name}
        )
    return shown
