"""A run whose first files the bucket may have expired does not go on."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from reconciler.verify import walk
from tests.support.load import LoadExecution
from tests.support.records import item
from tests.support.verify import VerifyHarness

KEYS = [f"k{number}" for number in range(8)]
DAY = 86_400


def expire_files(harness: VerifyHarness) -> None:
    """What the lifecycle rule of the bucket does."""
    oldest = harness.clock() - timedelta(days=30)
    for key, modified in list(harness.s3.modified.items()):
        if modified < oldest:
            harness.s3.objects.pop(key, None)


def test_a_row_whose_key_has_expired_is_found(
    make_verify: Callable[..., VerifyHarness], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The keys of rows are spilled at the start, and compared after a pause of weeks, by executions that all stop."""
    harness = make_verify(concurrency=1)
    monkeypatch.setattr(walk, "_ROWS", 2)
    harness.table.put(*map(item, KEYS))
    harness.load()
    harness.table.delete(item(KEYS[0]))

    def begin(action: str, stage: int) -> LoadExecution:
        execution = LoadExecution(harness, {}, job="verify")
        while (execution.action, execution.state.get("stage")) != (action, stage):
            execution.step()
        return execution

    first = begin("walk", 1)
    lane: Any = first.state["lanes"][0]
    looks = iter([False, False, True])
    harness.out_of_time = lambda: next(looks)
    assert harness.verify_steps().step("walk", lane)["outcome"] == "more"
    harness.out_of_time = lambda: False
    first.stop()
    harness.clock.advance(20 * DAY)
    begin("check", 2).stop()
    harness.clock.advance(11 * DAY)
    expire_files(harness)
    assert harness.found() == {"order/k0": ("removal_lost", "found")}


def test_a_verification_that_takes_too_long_ends(make_verify: Callable[..., VerifyHarness]) -> None:
    """It says why, calls nothing equal, and the next one begins anew."""
    harness = make_verify(concurrency=1)
    harness.table.put(*map(item, KEYS))
    harness.load()
    execution = LoadExecution(harness, {}, job="verify").until("next")
    harness.clock.advance(28 * DAY)
    report: Any = execution.resume()
    assert (report["outcome"], report["verified_through"]) == ("incomplete", "")
    assert "expires its first files" in report["reason"]
    assert harness.verify()["run"] != report["run"]
