"""An execution that is under way while the function is upgraded goes on with what the older release wrote."""

from __future__ import annotations

from typing import Any

import pytest

from dlq_replayer import collect
from tests.support.replay import Execution, World, applied, change


@pytest.fixture
def execution(world: World, monkeypatch: pytest.MonkeyPatch) -> Execution:
    """Three batches, each a part of its own, one of them with an unreadable record."""
    monkeypatch.setattr(collect, "_PART_BATCHES", 1)
    for number, values in enumerate([{}, {"amount": "x"}, {}]):
        world.put_batch([change(f"k{number}", number, **values)])
    return Execution(world, {"concurrency": 1})


def rewrite(world: World, folder: str, names: dict[str, str], **replaced: Any) -> None:
    for key in [key for key in world.s3.objects if f"/{folder}/" in key]:
        stored = world.bucket.read_json(key)
        world.bucket.write_json(key, {names.get(name, name): value for name, value in (stored | replaced).items()})


def assert_done(execution: Execution) -> None:
    report, world = execution.resume(), execution.world
    counts = {name: report["counts"][name] for name in ("batches", "applied", "parked", "settled", "left")}
    assert counts == {"batches": 3, "applied": 2, "parked": 1, "settled": 3, "left": 0}
    assert world.tables.orders() == [applied("k0", 0), applied("k2", 2)]


def test_a_listing_goes_on_behind_an_older_cursor(world: World, execution: Execution):
    execution.until("collect")
    execution.step()
    execution.step()
    cursor = execution.state["collected"]["cursor"]
    execution.state["collected"]["cursor"] = {"prefix": 0, "after": cursor}

    assert_done(execution)


def test_measuring_goes_on_behind_an_older_cursor(world: World, execution: Execution):
    execution.until("collect")
    (first, *_) = world.left()
    measured = {"cursor": {"prefix": 0, "after": first}, "size": 1_000, "batches": 1, "oldest": "2026-01-01T00:00:00"}
    execution.state["collected"] = {"measured": measured | {"oldest": "2026-01-01T00:00:00+00:00"}}

    assert_done(execution)
    assert world.meter.gauges["batches_waiting"][0] == 3


def test_a_split_with_older_progress_starts_over(world: World, execution: Execution):
    execution.until("drain")
    world.out_of_time = lambda: True
    lane = world.steps().drain(execution.lanes[0])
    assert lane["outcome"] == "more"
    rewrite(world, "begun", {"tokens": "runs", "cursor": "after"}, cursor=["token", 1])

    assert_done(execution)


def test_older_results_and_an_older_settle_state_are_read(world: World, execution: Execution):
    execution.until("settle")
    rewrite(world, "done", {"tokens": "runs"})
    world.out_of_time = lambda: True
    execution.step()
    assert execution.action == "settle"
    settled = execution.state["settled"]
    execution.state["settled"] = {"after": settled.pop("cursor"), **settled}

    assert_done(execution)
