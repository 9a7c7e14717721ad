"""Between the stages of a job: an outage of MySQL is waited for, and a large table is cut in many calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from reconciler import ranges
from tests.support.load import LoadExecution
from tests.support.records import item
from tests.support.seed import SeedHarness

JOBS = ("load", "verify", "seed")
CUT = ("verify", "seed")
CUTTING = "reading boundaries of tbl_orders"
MakeSeeds = Callable[..., SeedHarness]

each_job = pytest.mark.parametrize("job", JOBS)
each_cut = pytest.mark.parametrize("job", CUT)


@pytest.fixture(autouse=True)
def small_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranges, "_ROWS", 1)
    monkeypatch.setattr(ranges, "_STATEMENTS", 2)


def fill(seeds: SeedHarness, job: str) -> SeedHarness:
    for number in range(9):
        key = f"k{number:02d}"
        if job != "seed":
            seeds.table.put(item(key))
        if job != "load":
            seeds.legacy(key)
    return seeds


def begin(seeds: SeedHarness, job: str) -> LoadExecution:
    """No call is tried again: an error fails the execution."""
    return LoadExecution(seeds, {}, job=job, retries=0)


def at_cutting(seeds: SeedHarness, job: str) -> LoadExecution:
    """An execution whose next step cuts ranges."""
    execution = begin(seeds, job).until("check")
    while job == "verify" and execution.state["stage"] == 0:
        execution.step()
    return execution


def cut_ranges(seeds: SeedHarness, execution: LoadExecution) -> Any:
    return seeds.bucket.read_json(f"{execution.job}/{execution.state['run']['name']}/ranges.json")


@each_job
def test_an_outage_after_any_stage_is_waited_for(seeds: SeedHarness, job: str) -> None:
    """MySQL is away when the lanes have ended, and comes back. No call fails."""
    execution = begin(fill(seeds, job), job)

    def back() -> None:
        seeds.server.down = False

    execution.on_wait = back
    while execution.action:
        if execution.action == "next":
            seeds.server.down = True
        execution.step()
    assert execution.state["outcome"] == "complete"


@each_cut
def test_an_outage_while_ranges_are_cut_is_waited_for(seeds: SeedHarness, job: str) -> None:
    """It gives up after a limit, also where MySQL answers all else, and says why. The next one goes on."""
    execution = at_cutting(fill(seeds, job), job)
    operations: list[str] = []

    def third(operation: str) -> None:
        operations.append(operation)
        seeds.server.down = operation == CUTTING and operations.count(CUTTING) > 2

    seeds.database.before_execute = third
    report = execution.resume()
    assert (report["outcome"], seeds.load_lock.holder) == ("database_down", None)
    assert CUTTING in report["reason"]
    assert execution.trail.count("check") > 3
    seeds.database.before_execute = operations.append
    seeds.server.down = False
    operations.clear()
    second = LoadExecution(seeds, {}, job=job)
    assert (second.resume()["outcome"], second.state["run"]) == ("complete", execution.name)
    assert operations.count(CUTTING) == 3


@each_cut
def test_each_outage_is_waited_for_as_long(seeds: SeedHarness, job: str) -> None:
    """Ranges that are cut between two outages end the first one."""
    execution = at_cutting(fill(seeds, job), job)
    looks = iter(range(10**6))
    seeds.out_of_time = lambda: next(looks) % 2 == 1
    for _ in range(2):
        seeds.server.down = True
        for _ in range(9):  # 270 seconds of 300
            execution.step()
            assert execution.state["outcome"] == "down"
        seeds.server.down = False
        execution.step()
        assert execution.state["outcome"] == "more"
    seeds.out_of_time = lambda: False
    assert execution.resume()["outcome"] == "complete"


@each_cut
@pytest.mark.parametrize("moment", ["before", "after"])
def test_calls_that_die_cut_the_same_ranges(make_seeds: MakeSeeds, job: str, moment: str) -> None:
    """Each call has time for one step of the cutting, and each of its calls to S3 and MySQL is in turn its last one."""
    expected, call, last = None, 0, 1
    while call < last:
        seeds = fill(make_seeds(), job)
        execution = at_cutting(seeds, job)
        execution.retries = 6
        looks = iter(range(10**6))
        seeds.out_of_time = lambda looks=looks: next(looks) % 2 == 1
        before = seeds.faults.calls
        if call:
            seeds.faults.kill(call, moment)
        execution.until("walk")
        last = last if call else seeds.faults.calls - before
        expected = expected or cut_ranges(seeds, execution)
        assert cut_ranges(seeds, execution) == expected, call
        assert execution.trail.count("check") >= 5
        call += 1
    assert last > 20
    assert len(expected or ()) == (6 if job == "verify" else 5)
    seeds.out_of_time = lambda: False
    assert execution.resume()["outcome"] == "complete"
