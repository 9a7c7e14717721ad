"""The progress of a split is saved cheaply, found after a killed call, and made however slow MySQL is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from common.changes import Change, Kind, Parked
from common.database import ApplyOptions, Outcome
from common.histories import CLOCK_REASON
from common.mysql import database as mysql_database
from common.mysql.apply import apply as apply_changes
from common.records import parse_records
from dlq_replayer import collect, drain, progress
from dlq_replayer.steps import Steps
from tests.support.records import order_id
from tests.support.replay import Killed, LazyDatabase, ReplayExecution, ReplayHarness, change, last_states

CALL_SECONDS, MARGIN_SECONDS = 300, 60  # as modules/pipeline/replay.tf and the handler have it
BAD = {"amount": "12345678901234567890"}


class SlowServer:
    """Replaces `apply`. A change takes `seconds(key)`; Lambda kills a call that takes too long."""

    def __init__(
        self, harness: ReplayHarness, monkeypatch: pytest.MonkeyPatch, seconds: Callable[[str], float]
    ) -> None:
        self.harness, self.seconds, self.sizes = harness, seconds, list[int]()
        self.started = harness.clock.seconds()
        self._steps = harness.steps
        monkeypatch.setattr(harness, "steps", self._call)
        monkeypatch.setattr(mysql_database, "apply", self._apply)
        harness.out_of_time = lambda: self._spent() > CALL_SECONDS - MARGIN_SECONDS

    def _call(self) -> Steps:
        self.started = self.harness.clock.seconds()
        return self._steps()

    def _spent(self) -> float:
        return self.harness.clock.seconds() - self.started

    def _apply(
        self, connection: Any, target: Any, changes: list[Change], options: ApplyOptions, *more: Any, **seams: Any
    ) -> Outcome:
        self.sizes.append(len(changes))
        self.harness.clock.advance(sum(self.seconds(order_id(change.key)) for change in changes))
        if self._spent() > CALL_SECONDS:
            raise Killed
        return apply_changes(connection, target, changes, options, *more, **seams)


def keys(count: int) -> list[dict[str, Any]]:
    return [change(f"k{n:03d}", n + 1) for n in range(count)]


def saved_progress(harness: ReplayHarness) -> list[dict[str, Any]]:
    """The progress that is saved from now on, in that order."""
    saved: list[dict[str, Any]] = []
    write = harness.s3.put_object

    def put_object(**given: Any) -> Any:
        if "/begun/0" in given["Key"]:
            saved.append(given)
        return write(**given)

    harness.s3.put_object = put_object
    return saved


@pytest.mark.parametrize("seconds", [1, 12, 70, 230])
def test_a_chunk_that_fits_no_call_gets_smaller(
    harness: ReplayHarness, monkeypatch: pytest.MonkeyPatch, seconds: float
):
    """A lane whose calls time out comes to its end within the retries of the state machine."""
    monkeypatch.setattr(drain, "_CHUNK", 400)
    records = keys(400 if seconds < 70 else 20)
    harness.put_batch(records)
    slow = SlowServer(harness, monkeypatch, lambda _: seconds)
    execution = ReplayExecution(harness, {"concurrency": 1})
    counts = execution.resume()["counts"]
    assert (counts["changes"], counts["keys"], counts["upserted"]) == (len(records), len(records), len(records))
    assert counts["redelivered"] == 0
    assert harness.tables.orders() == last_states(records)
    assert execution.crashes <= 5
    assert len(slow.sizes) < 2 * len(records)


def test_a_slow_chunk_after_fast_ones_is_found(harness: ReplayHarness, monkeypatch: pytest.MonkeyPatch):
    """Unsaved work of a killed call does not hide the chunk in which it died."""
    monkeypatch.setattr(drain, "_CHUNK", 10)
    records = keys(150)
    harness.put_batch(records)
    slow = SlowServer(harness, monkeypatch, lambda key: 40.0 if "k070" <= key < "k080" else 0.01)
    execution = ReplayExecution(harness, {"concurrency": 1})
    counts = execution.resume()["counts"]
    assert harness.tables.orders() == last_states(records)
    assert counts["changes"] == 150
    assert execution.crashes <= 2
    assert slow.sizes[-2] == 10  # grown again


def test_after_a_kill_it_goes_on_from_the_saved_progress(harness: ReplayHarness, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(drain, "_CHUNK", 10)
    harness.put_batch(keys(60))
    slow = SlowServer(harness, monkeypatch, lambda key: 100.0 if "k040" <= key < "k050" else 0.6)
    execution = ReplayExecution(harness, {"concurrency": 1}).until("drain")
    with pytest.raises(Killed):
        harness.steps().drain(execution.lanes[0])
    assert slow.sizes == [10] * 5
    harness.faults.revive()
    slow.seconds = lambda _: 0.6
    assert harness.steps().drain(execution.lanes[0])["outcome"] == "done"
    assert slow.sizes[5:] == [2, 4, 4, 10]  # a part of what was read together
    assert execution.resume()["counts"]["redelivered"] == 0


@pytest.mark.parametrize(("seconds", "expected"), [(0.0, 1), (0.1, 1 + 3), (0.6, 1 + 19)])
def test_a_healthy_replay_saves_its_progress_rarely(
    harness: ReplayHarness, monkeypatch: pytest.MonkeyPatch, seconds: float, expected: int
):
    """It saves once when a call begins a split, and every few seconds."""
    monkeypatch.setattr(drain, "_CHUNK", 10)
    harness.put_batch(keys(195))
    SlowServer(harness, monkeypatch, lambda _: seconds)
    saved = saved_progress(harness)
    ReplayExecution(harness, {"concurrency": 1}).resume()
    assert len(saved) == expected


def test_a_slow_chunk_is_followed_by_smaller_ones(harness: ReplayHarness, monkeypatch: pytest.MonkeyPatch):
    """The chunk shrinks before a call times out, and grows again after a fast one."""
    monkeypatch.setattr(drain, "_CHUNK", 16)
    harness.put_batch(keys(40))
    slow = SlowServer(harness, monkeypatch, lambda key: 2.0 if key < "k020" else 0.1)
    ReplayExecution(harness, {"concurrency": 1}).resume()
    assert slow.sizes == [16, 8, 8, 8]
    assert harness.tables.orders() == last_states(keys(40))


def test_after_an_outage_the_chunks_are_smaller(harness: ReplayHarness, monkeypatch: pytest.MonkeyPatch):
    """A timeout looks like an outage, but the size of the chunk may be the cause."""
    monkeypatch.setattr(drain, "_CHUNK", 40)
    records = keys(40)
    harness.put_batch(records)
    asked: list[str] = []
    execution = ReplayExecution(harness, {"concurrency": 1})

    def before_run(operation: str) -> None:
        if "replaying" in operation:
            asked.append(operation.partition(" changes")[0])
            harness.server.down = len(asked) < 3

    harness.database.before_execute = before_run
    harness.database.drop()
    execution.on_wait = lambda: setattr(harness.server, "down", False)
    assert execution.resume()["outcome"] == "complete"
    assert asked == ["replaying 40", "replaying 10", "replaying 2", "replaying 4", "replaying 8", "replaying 16",
                     "replaying 10"]  # fmt: skip
    assert harness.tables.orders() == last_states(records)


class LeavesSome:
    """Replaces `apply`. Time runs out after `most` keys; the others are left."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
        self.most, self.given = most, list[list[str]]()
        monkeypatch.setattr(mysql_database, "apply", self._apply)

    def _apply(
        self, connection: Any, target: Any, changes: Sequence[Change], options: ApplyOptions, *more: Any, **seams: Any
    ) -> Outcome:
        self.given.append([order_id(change.key) for change in changes])
        done = sorted({change.key for change in changes})[: self.most] if options.out_of_time() else None
        taken = [change for change in changes if done is None or change.key in done]
        outcome = apply_changes(connection, target, taken, replace(options, out_of_time=lambda: False), *more, **seams)
        outcome.left = [change for change in changes if change not in taken]
        return outcome


def test_the_next_call_begins_with_what_is_left_of_a_chunk(harness: ReplayHarness, monkeypatch: pytest.MonkeyPatch):
    """Each change is applied once, and the counts are those of one long call."""
    records = [change(key, n) for n, key in enumerate("aabbbccdeef", start=1)]
    harness.put_batch(records)
    harness.out_of_time = lambda: True
    some = LeavesSome(monkeypatch, 2)
    counts = ReplayExecution(harness, {"concurrency": 1}).resume()["counts"]
    assert ["".join(given) for given in some.given] == ["aabbbccdeef", "ccdeef", "eef"]
    assert {name: counts[name] for name in ("changes", "keys", "upserted", "superseded", "redelivered")} == {
        "changes": 11, "keys": 6, "upserted": 6, "superseded": 5, "redelivered": 0,
    }  # fmt: skip
    assert harness.tables.orders() == last_states(records)
    assert harness.left() == []


def test_a_change_that_is_left_is_not_parked(
    harness: ReplayHarness, three_letters: None, monkeypatch: pytest.MonkeyPatch
):
    """A record may be found to be poison before its key's turn. It is parked, and counted, in its turn."""
    harness.put_batch([change(key, n, currency="R") for n, key in enumerate("abcd", start=1)])
    harness.out_of_time = lambda: True
    some = LeavesSome(monkeypatch, 2)
    early = some._apply  # noqa: SLF001

    def with_the_last(
        connection: Any, target: Any, changes: list[Change], options: ApplyOptions, *more: Any, **seams: Any
    ) -> Outcome:
        outcome = early(connection, target, changes, options, *more, **seams)
        last = changes[-1]
        if last in outcome.left:
            outcome.parked.append(Parked(last.key, last.version, "early", "", None, last.record))
        return outcome

    monkeypatch.setattr(mysql_database, "apply", with_the_last)
    report = ReplayExecution(harness, {"concurrency": 1}).resume()
    assert report["counts"]["parked"] == len(report["parked_records"]) == 4
    assert "early" not in {harness.bucket.read_json(key)["reason"] for key in report["parked_records"]}


def test_a_call_whose_whole_chunk_is_left_tries_fewer_changes(harness: ReplayHarness, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(drain, "_CHUNK", 16)
    records = keys(16)
    harness.put_batch(records)
    harness.out_of_time = lambda: True
    some = LeavesSome(monkeypatch, 0)
    assert ReplayExecution(harness, {"concurrency": 1}).resume()["counts"]["changes"] == 16
    assert [len(given) for given in some.given][:3] == [16, 4, 1]
    assert harness.tables.orders() == last_states(records)


def test_versions_are_read_without_an_open_view(harness: ReplayHarness):
    """An open read view would show an old sidecar and delay the server's purge."""
    before = harness.database.versions(["order/a"])
    consumer = LazyDatabase(harness.server, harness.database._settings.ca_pem)  # noqa: SLF001
    consumer.apply(parse_records([change("a", 1)], harness.mapping).changes, ApplyOptions())
    consumer.drop()
    after = harness.database.versions(["order/a"])
    assert (before, list(after)) == ({}, ["order/a"])


# names


@pytest.mark.parametrize("values", [BAD, {"currency": "R"}], ids=["by the mapping", "by MySQL"])
def test_names_of_parked_records_are_in_bounded_files(
    harness: ReplayHarness, three_letters: None, monkeypatch: pytest.MonkeyPatch, values: dict[str, Any]
):
    """The saved progress stays small, and Settle finds the quarantined records that must stay."""
    monkeypatch.setattr(progress, "_NAMES", 3)
    monkeypatch.setattr(drain, "_CHUNK", 4)
    kept = [harness.put_quarantined(change(f"q{n}", n, **values)) for n in range(20)]
    gone = harness.put_quarantined(change("good", 50))
    harness.put_batch([change(f"b{n:02d}", 100 + n, **values) for n in range(10)])
    report = harness.replay({"include_quarantine": True, "concurrency": 1})
    assert report["counts"]["parked"] == len(report["parked_records"]) == 30
    assert harness.keys("quarantine/") == report["parked_records"]
    assert set(kept) < set(report["parked_records"])
    assert gone not in harness.s3.objects
    assert (report["counts"]["settled"], report["counts"]["left"]) == (2, 0)
    prefix = f"replay/{report['execution']}/"
    files = [harness.bucket.read_json(key)["parked"] for key in harness.keys(f"{prefix}named/")]
    assert max(map(len, files)) < 3 + 4
    assert not [key for key in harness.keys(f"{prefix}done/") if b"quarantine/" in harness.s3.body(key)]


def test_settling_reads_the_names_of_a_part_once(harness: ReplayHarness, monkeypatch: pytest.MonkeyPatch):
    """Settling a part reads only the names of the unreadable records of that part."""
    monkeypatch.setattr(collect, "_PART_BATCHES", 1)
    kept = [harness.put_quarantined(change(f"q{n}", n, **BAD)) for n in range(5)]
    execution = ReplayExecution(harness, {"include_quarantine": True}).until("settle")
    read_objects: list[str] = []
    get = harness.s3.get_object

    def get_object(**given: Any) -> Any:
        read_objects.append(given["Key"])
        return get(**given)

    harness.s3.get_object = get_object
    execution.until("report")
    files = harness.keys(f"replay/{execution.name}/named/")
    assert len(files) == 5
    assert sorted(key for key in read_objects if "/named/" in key) == files
    execution.resume()
    assert harness.keys("quarantine/") == sorted(kept)


def test_a_report_lists_the_first_parked_records(harness: ReplayHarness, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("dlq_replayer.report._IN_REPORT", 3)
    monkeypatch.setattr(progress, "_NAMES", 2)
    monkeypatch.setattr(drain, "_CHUNK", 2)
    harness.put_batch([change(f"b{n}", n, **BAD) for n in (5, 3, 8, 1, 7, 2, 6, 4)])
    for n in range(5):
        harness.s3.put_object(Bucket="", Key=f"aws/lambda/z{n}", Body="x")
    report = harness.replay()
    stored = harness.bucket.read_json(f"replay/{report['execution']}/report.json")
    assert (report["counts"]["parked"], report["counts"]["problems"]) == (8, 5)
    assert [name.split("/")[2] for name in stored["parked_records"]] == ["b1", "b2", "b3"]
    assert len(stored["problems"]) == 3


def test_kinds_of_parked_records_are_counted_apart(harness: ReplayHarness, monkeypatch: pytest.MonkeyPatch):
    """Deferred records and unknown errors are retried without a person."""
    kinds = {"a": Kind.DEFERRED, "b": Kind.UNKNOWN, "c": Kind.POISON, "d": Kind.POISON}

    def park_all(_connection: Any, _target: Any, changes: list[Change], *_: Any, **__: Any) -> Outcome:
        reasons = {"d": CLOCK_REASON}
        parked = [
            Parked(*c[:2], reasons.get(order_id(c.key), "r"), "", None, c.record, kinds[order_id(c.key)])
            for c in changes
        ]
        return Outcome(parked=parked)

    monkeypatch.setattr(mysql_database, "apply", park_all)
    harness.put_batch([change(key, n) for n, key in enumerate(kinds)])
    report = harness.replay()
    names = ("parked", "deferred", "unknown", "clock_tripped")
    assert [report["counts"][name] for name in names] == [4, 1, 1, 1]
    assert [harness.meter.counts[name] for name in names] == [4, 1, 1, 1]
    assert len(report["parked_records"]) == 4
    assert len(report["next"]) == 3
