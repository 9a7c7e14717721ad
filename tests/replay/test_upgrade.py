"""An execution that runs during an upgrade goes on with what the older release wrote."""

from __future__ import annotations

from typing import Any

import pytest

from dlq_replayer import collect
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
    execution.until("collect")
    (first, *_) = harness.left()
    measured = {"cursor": {"prefix": 0, "after": first}, "size": 1_000, "batches": 1, "oldest": "2026-01-01T00:00:00"}
    execution.state["collected"] = {"measured": measured | {"oldest": "2026-01-01T00:00:00+00:00"}}

    assert_done(execution)
    assert harness.meter.gauges["batches_waiting"][0] == 3


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
