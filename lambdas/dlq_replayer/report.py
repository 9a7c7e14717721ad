"""What a replay did: numbers for scripts and a page for people. Neither holds row values."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from common.bucket import Bucket, GoneError, UnreadableError
from common.layout import EXPIRED, QUARANTINE
from common.report_page import SHOWN
from dlq_replayer import page, verification
from dlq_replayer.documents import ExpiredRange, Manifest, ReplayProblem, Report, SplitResult
from dlq_replayer.progress import read_names, read_results
from dlq_replayer.replay import Replay
from dlq_replayer.states import ReplayState

# Entries of a list in the execution's output, which Step Functions limits to 256 KiB.
_IN_OUTPUT = 50
# Entries of a list in report.json; the others are counted.
_IN_REPORT = 10_000
# An expired range holds its message, which SQS limits to 1 MiB.
_LARGEST_RANGE = 2 * 1024 * 1024
_RANGE_FIELDS = (
    "stream_arn", "shard", "start_sequence_number", "end_sequence_number", "records", "first_arrival", "last_arrival",
    "records_saved", "execution",
)  # fmt: skip
_LONGEST_FIELD = 300
_NOT_A_RANGE = "it is not an expired range that a replay wrote"

# By outcome or by count: what to do next. The order is that of the report.
_ADVICE = {
    "database_down": "MySQL did not answer in time, so nothing was applied. Failed batches are where they were; queue"
    " messages may have become batches in the bucket. Repair the database, then start a new replay.",
    "incomplete": "Some splits were not applied, because MySQL became unavailable or the code changed. Batches that"
    " were applied are settled, the others are where they were. Start a new replay.",
    "planned": "Nothing was changed. Start a replay without dry_run to apply what was counted.",
    "quarantined": "Records under quarantine/ can never be written as they are. Read their reasons and correct the"
    " items, then retry or discard the records.",
    "unknown": "Records wait under deferred/ because MySQL refuses them with an error that Backstream does not know."
    " Read their reasons and the log of the server. Every replay tries them again.",
    "deferred": "Records wait under deferred/ for another row, or for a unique value to become free. Every replay tries"
    " them again for a day. Start one when the other row is there.",
    "expired": "The stream had trimmed ranges before their messages were read. They are listed under `expired`. A"
    " replay started a verification with repair. A range leaves when a verification has found both sides equal. See"
    " what the last one left, and start another one.",
    "problems": "Some batches or messages are not valid. They are listed under `problems` and stay where they are. The"
    " section Problems of the runbook says what to do about each.",
    "left": "Some batches stay because not all of their records were selected or accounted for.",
}


# Starts a verification of a name, with an input, unless there was one of the name. Returns its ARN.
Verify = Callable[[str, Mapping[str, Any]], str]


def make(bucket: Bucket, replay: Replay, state: ReplayState, now: datetime, verify: Verify) -> Report:
    """Write report.json and report.html. Returns the report with its lists shortened.

    Where it names expired ranges, it starts a verification with repair of what has changed in their time.
    """
    keys = replay.keys
    results = list(read_results(bucket, replay).values())
    problems, names = _Problems(), _Names()
    for found in _documents(bucket, keys.problems):
        problems.add(found)
    for missed in read_names(bucket, replay, (file for result in results for file in result["files"])):
        names.add(missed["parked"])
        problems.add({"source": source, "problem": problem} for source, problem in missed["missed"] if problem)
    report = _numbers(replay, state, results, now)
    report["expired"] = list(_expired(bucket, replay, problems))
    if report["expired"] and not replay.dry:
        name = verification.name_of(replay, report["expired"], now)
        report["verification"] = verify(name, verification.input_of(report["expired"], now))
    report["parked_records"] = names.first()
    shown = list(_parked(bucket, report["parked_records"][:SHOWN], problems))
    report["problems"] = problems.first
    report["counts"] |= {"expired": len(report["expired"]), "problems": problems.count}
    if "reason" in state and report["outcome"] in ("database_down", "incomplete"):
        report["reason"] = state["reason"]
    report["next"] = [advice for name, advice in _ADVICE.items() if _applies(name, report)]
    report["links"] = {
        "report": f"s3://{bucket.name}/{keys.report}",
        "page": f"s3://{bucket.name}/{keys.page}",
        "quarantine": f"s3://{bucket.name}/{QUARANTINE}",
    }
    bucket.write_json(keys.report, report)
    manifests: Iterator[Manifest] = _documents(bucket, keys.manifests)
    document = page.render(report, (batch for manifest in manifests for batch in manifest["batches"]), results, shown)
    bucket.write(keys.page, document.encode(), "text/html; charset=utf-8")
    return {
        **report,
        "expired": report["expired"][:_IN_OUTPUT],
        "problems": report["problems"][:_IN_OUTPUT],
        "parked_records": report["parked_records"][:_IN_OUTPUT],
    }


def nothing_to_do(replay: Replay, now: datetime) -> Report:
    """The report of a replay that found nothing. It is only the output of the execution, not an object."""
    report = _numbers(replay, None, [], now)
    report["message"] = "no batch has failed; a batch that the stream still holds continues when MySQL answers"
    return report


def _numbers(replay: Replay, state: ReplayState | None, results: Sequence[SplitResult], now: datetime) -> Report:
    """The report with its lists empty."""
    return {
        "execution": replay.name,
        "execution_arn": replay.arn,
        "outcome": _outcome(replay, state, results),
        "dry_run": replay.dry,
        "started": replay.started,
        "ended": now.isoformat(),
        "counts": _counts(replay, state, results),
        # A list is replaced by its length: it may hold a thousand names.
        "input": {name: len(value) if isinstance(value, list) else value for name, value in replay.input.items()},
        "expired": [],
        "problems": [],
        "parked_records": [],
        "next": [],
        "links": {},
    }


def _counts(replay: Replay, state: ReplayState | None, results: Sequence[SplitResult]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    if state:
        collected = state.get("collected", {})
        counts.update(collected.get("counts", {}))
        counts["splits"] = collected.get("splits", 0)
        counts["messages"] = state["hydrated"]["messages"]
    for result in results:
        counts.update(result["counts"])
    if state and "surveyed" in state:
        counts.update({name: state["surveyed"]["counts"].get(name, 0) for name in ("changes", "keys", "stale")})
    if state and "settled" in state:
        counts.update(settled=state["settled"]["settled"], left=state["settled"]["left"])
    counts["quarantined"] = counts["parked"] - counts["deferred"] - counts["unknown"]
    if replay.dry:
        counts["deferred"] = counts["tried_again"]
    counts["applied"] = counts["upserted"] + counts["deleted"]
    counts["splits_drained"] = len(results)
    return {name: counts[name] for name in _COUNTS}


_COUNTS = (
    "messages", "batches", "records", "changes", "keys", "applied", "upserted", "deleted", "seeded", "stale",
    "redelivered", "superseded", "ttl_delete", "ignored_delete", "unmapped_item", "unreadable", "parked", "quarantined",
    "deferred", "unknown", "clock_tripped", "expired", "problems", "settled", "left", "splits", "splits_drained",
)  # fmt: skip


def _outcome(replay: Replay, state: ReplayState | None, results: Sequence[SplitResult]) -> str:
    if state is None or state["outcome"] == "nothing":
        return "nothing_to_do"
    if state["outcome"] == "gave_up":
        return "database_down"
    if replay.dry:
        return "planned"
    # A result for each split, and one for the unreadable records.
    return "complete" if len(results) == state["collected"]["splits"] + 1 else "incomplete"


def _applies(name: str, report: Report) -> bool:
    return report["outcome"] == name or bool(report["counts"].get(name))


def _documents(bucket: Bucket, folder: str) -> Iterator[Any]:
    return (bucket.read_json(key) for key, _ in bucket.list(folder))


def _expired(bucket: Bucket, replay: Replay, problems: _Problems) -> Iterator[ExpiredRange]:
    """Every range that waits for a person, whichever replay wrote it: that replay may have ended without a report."""
    for folder in (EXPIRED, replay.keys.expired):
        for key, size in bucket.list(folder):
            try:
                yield {**_range(bucket, key, size), "object": key}
            except GoneError:  # a person has deleted it since it was listed
                continue
            except UnreadableError as error:
                problems.add([{"source": key, "problem": str(error)}])


def _range(bucket: Bucket, key: str, size: int) -> ExpiredRange:
    """Anybody may write an object under `expired/`. Raises GoneError or UnreadableError."""
    if size > _LARGEST_RANGE:
        raise UnreadableError(_NOT_A_RANGE)
    stored = _read_object(bucket, key)
    found = {name: stored[name] for name in _RANGE_FIELDS if name in stored}
    is_ours = isinstance(stored.get("message"), str) and isinstance(stored.get("shard"), str)
    if not is_ours or any(len(json.dumps(value)) > _LONGEST_FIELD for value in found.values()):
        raise UnreadableError(_NOT_A_RANGE)
    return cast(ExpiredRange, found)


def _read_object(bucket: Bucket, key: str) -> dict[str, Any]:
    """Raises GoneError, or UnreadableError for anything but a JSON object."""
    try:
        found = json.loads(bucket.read(key))
    except (ValueError, RecursionError):
        raise UnreadableError("it is not JSON, or was cut off") from None
    if not isinstance(found, dict):
        raise UnreadableError("it is not a JSON object")
    return found


class _Problems:
    """Each problem once: a step that runs twice finds it twice. The `first` ones are kept, all are counted."""

    def __init__(self) -> None:
        self.first: list[ReplayProblem] = []
        self._seen: set[int] = set()

    @property
    def count(self) -> int:
        return len(self._seen)

    def add(self, problems: Iterable[ReplayProblem]) -> None:
        for problem in problems:
            known = hash(json.dumps(problem, sort_keys=True))
            if known not in self._seen and self.count < _IN_REPORT:
                self.first.append(problem)
            self._seen.add(known)


class _Names:
    """The first names in sorted order, each once; bounded, however many there are."""

    def __init__(self) -> None:
        self._held: set[str] = set()

    def add(self, names: Iterable[str]) -> None:
        self._held.update(names)
        if len(self._held) > 2 * _IN_REPORT:
            self._held = set(self.first())

    def first(self) -> list[str]:
        return sorted(self._held)[:_IN_REPORT]


def _parked(bucket: Bucket, names: Iterable[str], problems: _Problems) -> Iterator[dict[str, Any]]:
    """Key, kind, reason and hint of parked records, without the records."""
    for name in names:
        try:
            parked = _read_object(bucket, name)
        except GoneError:  # retried or discarded since
            continue
        except UnreadableError as error:
            problems.add([{"source": name, "problem": str(error)}])
            continue
        yield {field: parked.get(field) for field in ("key", "version", "kind", "reason", "hint")} | {"object": name}
