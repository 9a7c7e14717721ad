"""An execution that runs during an upgrade goes on with what the older release wrote."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from common.changes import Kind, Parked
from common.versions import version
from dlq_replayer import collect
from dlq_replayer.splits import OtherBuildError
from tests.support.records import ARN
from tests.support.replay import ReplayExecution, ReplayHarness, applied, change


@pytest.fixture
def execution(harness: ReplayHarness, monkeypatch: pytest.MonkeyPatch) -> ReplayExecution:
    """Three batches, each a part of its own, one of them with an unreadable record."""
    monkeypatch.setattr(collect, "_PART_BATCHES", 1)
    for number, values in enumerate([{}, {"amount": "x"}, {}]):
        harness.put_batch([change(f"k{number}", number, **values)])
    return ReplayExecution(harness, {"concurrency": 1})


def rewrite(harness: ReplayHarness, folder: str, names: dict[str, str], **replaced: Any) -> None:
    for key in [key for key in harness.s3.objects if f"/{folder}/" in key]:
        stored = harness.bucket.read_json(key)
        harness.bucket.write_json(key, {names.get(name, name): value for name, value in (stored | replaced).items()})


def assert_done(execution: ReplayExecution) -> None:
    report, harness = execution.resume(), execution.harness
    counts = {name: report["counts"][name] for name in ("batches", "applied", "parked", "settled", "left")}
    assert counts == {"batches": 3, "applied": 2, "parked": 1, "settled": 3, "left": 0}
    assert harness.tables.orders() == [applied("k0", 0), applied("k2", 2)]


def test_a_listing_goes_on_behind_an_older_cursor(harness: ReplayHarness, execution: ReplayExecution):
    execution.until("collect")
    execution.step()
    execution.step()
    cursor = execution.state["collected"]["cursor"]
    execution.state["collected"]["cursor"] = {"prefix": 0, "after": cursor}

    assert_done(execution)


def test_measuring_goes_on_behind_an_older_cursor(harness: ReplayHarness, execution: ReplayExecution):
    """What was measured of the objects before it counts: one split for each eight megabytes."""
    execution.until("collect")
    (first, *_) = harness.left()
    measured = {"cursor": {"prefix": 0, "after": first}, "size": 30_000_000, "batches": 1}
    execution.state["collected"] = {"measured": measured | {"oldest": "2026-01-01T00:00:00+00:00"}}
    execution.step()

    assert execution.state["collected"]["splits"] == 4
    assert_done(execution)


class TestOtherBuild:
    """What another build has collected is not applied: its lines, or its columns, may mean something else."""

    @staticmethod
    def collected_by_another(harness: ReplayHarness, execution: ReplayExecution, header: Callable[[Any], Any]) -> None:
        """The header of each segment is replaced; the lines of version 0.1 cannot be read at all."""
        for key in [key for key in harness.s3.objects if "/splits/" in key]:
            first, *lines = harness.s3.body(key).split(b"\n")
            changed = json.dumps(header(json.loads(first))).encode()
            harness.bucket.write(key, b"\n".join([changed, *lines]))

    @pytest.mark.parametrize(
        "header",
        [
            lambda header: header["token"],
            lambda header: header | {"format": header["format"] + 1},
            lambda header: header | {"mapping": "another"},
        ],
        ids=["version 0.1", "another format", "another mapping"],
    )
    def test_its_segments_are_left_to_a_new_replay(
        self, harness: ReplayHarness, execution: ReplayExecution, header: Callable[[Any], Any]
    ):
        execution.until("drain")
        self.collected_by_another(harness, execution, header)
        report = execution.resume()
        assert (report["outcome"], report["counts"]["settled"], harness.tables.orders()) == ("incomplete", 1, [])
        assert report["reason"].startswith("changes were collected by another build")
        assert len(harness.left()) == 2, "the unreadable record is parked"
        report = harness.replay()
        assert (report["outcome"], report["counts"]["settled"]) == ("complete", 2)
        assert harness.tables.orders() == [applied("k0", 0), applied("k2", 2)]

    def test_a_dry_run_stops_there(self, harness: ReplayHarness):
        harness.put_batch([change("a", 1)])
        execution = ReplayExecution(harness, {"dry_run": True}).until("plan")
        self.collected_by_another(harness, execution, lambda header: header["token"])
        with pytest.raises(OtherBuildError, match="start a new replay"):
            execution.resume()

    def test_unreadable_records_of_version_0_1_are_parked(self, harness: ReplayHarness, execution: ReplayExecution):
        """Their key has no entity. The next replay that tries them again knows it."""
        execution.until("drain")
        [part] = [key for key in harness.s3.objects if "/poison/" in key and harness.bucket.read_json(key)["parked"]]
        unreadable = harness.bucket.read_json(part)
        unreadable["parked"] = [one | {"key": one["key"].removeprefix("order/")} for one in unreadable["parked"]]
        harness.bucket.write_json(part, unreadable)
        harness.batches.clear()  # the harness would look for the record by the name of today
        execution.resume()
        assert [key.rpartition("/")[0] for key in harness.keys("quarantine/")] == ["quarantine/k1"]
        harness.replay({"include_quarantine": True, "keys": ["order/k1"]})
        assert [key.rpartition("/")[0] for key in harness.keys("quarantine/")] == ["quarantine/order/k1"]


@pytest.mark.parametrize("kind", [Kind.POISON, Kind.DEFERRED])
def test_records_that_version_0_1_parked_are_drained(harness: ReplayHarness, kind: Kind):
    """Neither their folder nor their key has an entity."""
    prefix = "quarantine" if kind == Kind.POISON else "deferred"
    good, bad = change("a", 1), change("b", 2, amount="x")
    for record in (good, bad):
        key, number = record["dynamodb"]["Keys"]["p_key"]["S"], record["dynamodb"]["SequenceNumber"]
        parked = Parked(key, version(ARN, number), "an older reason", "wait", None, record, kind)
        stored = parked._asdict() | {"since": 1_700_000_000}
        harness.bucket.write_json(f"{prefix}/{key}/{parked.version}.json", stored)
    report = harness.replay({"include_quarantine": True})
    assert report["outcome"] == "complete"
    assert harness.tables.orders() == [applied("a", 1)]
    name = f"quarantine/order/b/{version(ARN, bad['dynamodb']['SequenceNumber'])}.json"
    assert harness.keys("quarantine/") + harness.keys("deferred/") == [name]
    assert (harness.bucket.read_json(name)["key"], harness.bucket.read_json(name)["since"]) == (
        "order/b",
        1_700_000_000,
    )


def test_a_split_with_older_progress_starts_over(harness: ReplayHarness, execution: ReplayExecution):
    execution.until("drain")
    harness.out_of_time = lambda: True
    lane = harness.steps().drain(execution.lanes[0])
    assert lane["outcome"] == "more"
    rewrite(harness, "begun", {"tokens": "runs", "cursor": "after"}, cursor=["token", 1])

    assert_done(execution)


def test_older_results_and_an_older_settle_state_are_read(harness: ReplayHarness, execution: ReplayExecution):
    execution.until("settle")
    rewrite(harness, "done", {"tokens": "runs"})
    harness.out_of_time = lambda: True
    execution.step()
    assert execution.action == "settle"
    settled = execution.state["settled"]
    execution.state["settled"] = {"after": settled.pop("cursor"), **settled}

    assert_done(execution)
