"""What a replay did, as numbers for a script and as a page for a person. No row values in either."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from common.bucket import Bucket, GoneError, UnreadableError
from common.layout import EXPIRED, QUARANTINE
from dlq_replayer import page
from dlq_replayer.notes import read_done, read_names
from dlq_replayer.run import Run, State

# How much of a list goes into the execution's output, which Step Functions limits to 256 KiB.
_LISTED = 50
# How much of it goes into `report.json`; the rest is counted.
_KEPT = 10_000
# A range that a replay has kept names itself and holds its message, which SQS limits to 1 MiB.
_LARGEST_RANGE = 2 * 1024 * 1024
_RANGE_FIELDS = (
    "stream_arn", "shard", "start_sequence_number", "end_sequence_number", "records", "first_arrival", "last_arrival",
    "records_saved", "execution",
)  # fmt: skip
_LONGEST_FIELD = 300

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


def make(bucket: Bucket, run: Run, state: State, now: datetime) -> State:
    """Write `report.json` and `report.html` under the run's prefix; returns the report with its lists cut short."""
    notes = list(read_done(bucket, run).values())
    report = _numbers(run, state, notes, now) | {"input": _asked(run)}
    problems, names = _Problems(), _Names()
    for found in _each(bucket, run.keys.problems):
        problems.add(found)
    for parked, missed in read_names(bucket, run, (file for note in notes for file in note["files"])):
        names.add(parked)
        problems.add({"source": source, "problem": problem} for source, problem in missed if problem)
    report["expired"] = list(_expired(bucket, run, problems))
    report["parked_records"] = names.first()
    shown = list(_parked(bucket, report["parked_records"][: page.SHOWN], problems))
    report["problems"] = problems.first
    report["counts"] |= {"expired": len(report["expired"]), "problems": problems.count}
    if "reason" in state and report["outcome"] in ("database_down", "incomplete"):
        report["reason"] = state["reason"]
    report["next"] = [_ADVICE[name] for name in _ADVICE if _applies(name, report)]
    report["links"] = {
        "report": f"s3://{bucket.name}/{run.keys.report}",
        "page": f"s3://{bucket.name}/{run.keys.page}",
        "quarantine": f"s3://{bucket.name}/{QUARANTINE}",
    }
    bucket.write_json(run.keys.report, report)
    batches = (batch for manifest in _each(bucket, run.keys.manifests) for batch in manifest["batches"])
    document = page.render(report, batches, notes, shown)
    bucket.write(run.keys.page, document.encode(), "text/html; charset=utf-8")
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
    counts["quarantined"] = counts["parked"] - counts["deferred"] - counts["unknown"]
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
    "clock_tripped", "expired", "problems", "settled", "left", "splits", "splits_drained",
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


def _expired(bucket: Bucket, run: Run, problems: _Problems) -> Iterator[dict[str, Any]]:
    """Every range that still waits for a person, whichever replay found it: that one may not have come to report it."""
    for prefix in (EXPIRED, run.keys.expired):
        for key, size in bucket.list(prefix):
            try:
                yield _range(bucket, key, size) | {"object": key}
            except GoneError:  # seen to meanwhile
                continue
            except UnreadableError as error:
                problems.add([{"source": key, "problem": str(error)}])


def _range(bucket: Bucket, key: str, size: int) -> dict[str, Any]:
    """What lies under `expired/` may be anybody's. Raises GoneError or UnreadableError."""
    if size > _LARGEST_RANGE:
        raise UnreadableError(_NO_RANGE)
    kept = _read_object(bucket, key)
    found = {name: kept[name] for name in _RANGE_FIELDS if name in kept}
    is_ours = isinstance(kept.get("message"), str) and isinstance(kept.get("shard"), str)
    if not is_ours or any(len(json.dumps(value)) > _LONGEST_FIELD for value in found.values()):
        raise UnreadableError(_NO_RANGE)
    return found


_NO_RANGE = "it is no range that a replay has kept"


def _read_object(bucket: Bucket, key: str) -> dict[str, Any]:
    """Raises GoneError, or UnreadableError for what is no JSON object."""
    try:
        found = json.loads(bucket.read(key))
    except (ValueError, RecursionError):
        raise UnreadableError("it is not JSON, or was cut off") from None
    if not isinstance(found, dict):
        raise UnreadableError("it is not a JSON object")
    return found


class _Problems:
    """Each once, as a step that was called again names what it finds again. The `first` are kept, all are counted."""

    def __init__(self) -> None:
        self.first: list[dict[str, Any]] = []
        self._seen: set[int] = set()

    @property
    def count(self) -> int:
        return len(self._seen)

    def add(self, problems: Iterable[dict[str, Any]]) -> None:
        for problem in problems:
            known = hash(json.dumps(problem, sort_keys=True))
            if known not in self._seen and self.count < _KEPT:
                self.first.append(problem)
            self._seen.add(known)


class _Names:
    """The first names in their order, each once, of however many."""

    def __init__(self) -> None:
        self._held: set[str] = set()

    def add(self, names: Iterable[str]) -> None:
        self._held.update(names)
        if len(self._held) > 2 * _KEPT:
            self._held = set(self.first())

    def first(self) -> list[str]:
        return sorted(self._held)[:_KEPT]


def _parked(bucket: Bucket, names: Iterable[str], problems: _Problems) -> Iterator[dict[str, Any]]:
    """Key, kind, reason and hint of parked records; the record itself is not shown."""
    for name in names:
        try:
            parked = _read_object(bucket, name)
        except GoneError:  # retried or discarded meanwhile
            continue
        except UnreadableError as error:
            problems.add([{"source": name, "problem": str(error)}])
            continue
        yield {field: parked.get(field) for field in ("key", "version", "kind", "reason", "hint")} | {"object": name}
