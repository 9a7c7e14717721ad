"""However a load is killed, stopped or repeated, each item is loaded and nothing is loaded twice."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from common.layout import open_run_key
from tests.support.load import LoadExecution, LoadHarness
from tests.support.records import item
from tests.support.replay import StoppedError, change
from tests.support.tables import order

KEYS = [f"k{number:02d}" for number in range(12)]


def fill(harness: LoadHarness) -> LoadHarness:
    harness.table.put(*(item(key) for key in KEYS))
    return harness


def assert_loaded(harness: LoadHarness) -> None:
    assert harness.tables.orders() == [order(key) for key in KEYS]
    assert harness.versions() == dict.fromkeys(KEYS, "")
    assert harness.tables.run("SELECT COUNT(*) FROM target_log") == [(len(KEYS),)]
    assert harness.load_lock.holder is None


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_load_killed_anywhere_is_retried_to_the_end(make_harness: Callable[..., LoadHarness], moment: str) -> None:
    """Each call to S3, DynamoDB, the lock and MySQL is in turn the last one of its invocation."""
    harness = fill(make_harness())
    harness.load()
    total = harness.faults.calls
    assert total > 60
    for call in range(1, total + 1):
        harness = fill(make_harness())
        harness.faults.kill(call, moment)
        report = harness.load()
        assert report["outcome"] == "complete", call
        assert report["counts"]["items"] == len(KEYS), call
        assert_loaded(harness)


def test_a_stopped_load_goes_on_in_a_new_execution(make_harness: Callable[..., LoadHarness]) -> None:
    """The new execution works on the same run, and reads only the segments that are left."""
    harness = fill(make_harness())
    whole = harness.load()["read_units"]
    harness = fill(make_harness())
    first = LoadExecution(harness, retries=0).until("walk")
    harness.faults.kill(30)
    with pytest.raises(StoppedError):
        first.resume()
    harness.faults.revive()
    harness.database.drop()
    before = harness.table.units
    assert 0 < len(harness.tables.orders()) < len(KEYS)
    second = LoadExecution(harness)
    report = second.resume()
    assert report["outcome"] == "complete"
    assert report["run"] == first.name != second.name
    assert harness.table.units - before < whole
    assert_loaded(harness)


def test_a_redriven_execution_goes_on(make_harness: Callable[..., LoadHarness]) -> None:
    """Redrive repeats the state that failed."""
    harness = fill(make_harness())
    execution = LoadExecution(harness, retries=0).until("walk")
    harness.faults.kill(50)
    with pytest.raises(StoppedError):
        execution.resume()
    harness.faults.revive()
    harness.database.drop()
    assert execution.resume()["outcome"] == "complete"
    assert_loaded(harness)


def test_restart_begins_at_the_start_of_the_table(make_harness: Callable[..., LoadHarness]) -> None:
    """With restart, an unfinished run is left behind."""
    harness = fill(make_harness())
    first = LoadExecution(harness).until("next")
    first.stop()
    second = LoadExecution(harness, {"restart": True})
    report = second.resume()
    assert (report["run"], report["counts"]["known"]) == (second.name, len(KEYS))
    assert harness.bucket.read_json(open_run_key("load")) == {"run": ""}
    assert_loaded(harness)


def test_a_load_waits_for_the_database(make_harness: Callable[..., LoadHarness]) -> None:
    """It waits before it begins and in the middle, and goes on where it was."""
    harness = fill(make_harness())
    execution = LoadExecution(harness)
    execution.until("check")
    harness.server.down = True
    waits = iter(range(10))

    def up_again() -> None:
        if next(waits) in (1, 4):
            harness.server.down = False

    execution.on_wait = up_again
    execution.until("walk")
    harness.database.before_execute = lambda operation: _down_once(harness, operation)
    assert execution.resume()["outcome"] == "complete"
    assert_loaded(harness)
    assert execution.trail.count("check") == 3


def _down_once(harness: LoadHarness, operation: str) -> None:
    if operation.startswith("loading") and "order/" in operation and not harness.meter.counts["held_once"]:
        harness.meter.count({"held_once": 1})
        harness.server.down = True


def test_a_load_gives_up_and_goes_on_later(make_harness: Callable[..., LoadHarness]) -> None:
    """A database that stays away ends the execution; the next one goes on. Nothing is lost."""
    harness = fill(make_harness())
    execution = LoadExecution(harness).until("walk")
    harness.server.down = True
    report = execution.resume()
    assert report["outcome"] == "incomplete"
    assert "MySQL" in report["reason"] or "connect" in report["reason"]
    assert [advice[:12] for advice in report["next"]] == ["Some workers"]
    harness.server.down = False
    assert harness.load()["run"] == execution.name
    assert_loaded(harness)


def test_calls_that_run_out_of_time_are_continued(make_harness: Callable[..., LoadHarness]) -> None:
    """A lane that needs many calls reads each page once."""
    harness = fill(make_harness())
    moments = iter(range(10**6))
    harness.out_of_time = lambda: next(moments) % 4 == 3
    report = harness.load()
    assert (report["outcome"], report["counts"]["items"]) == ("complete", len(KEYS))
    assert_loaded(harness)


def test_two_loads_at_once_end_the_same(make_harness: Callable[..., LoadHarness]) -> None:
    """If the lock fails, two executions on one run are slower, not wrong."""
    harness = fill(make_harness())
    first, second = LoadExecution(harness).until("walk"), LoadExecution(harness)
    first.stop()
    second.until("walk")
    harness.load_lock.is_broken = True
    pending = [first, second]
    while pending:
        execution = pending.pop(0)
        execution.step()
        pending += [execution] if execution.action else []
    assert [execution.state["outcome"] for execution in (first, second)] == ["complete", "complete"]
    assert_loaded(harness)


def test_throttled_reads_are_tried_again_more_slowly(make_harness: Callable[..., LoadHarness]) -> None:
    """A table whose capacity others use is read more slowly. No call fails."""
    harness = fill(make_harness())
    harness.table.throttle = {2, 3, 5}
    began = harness.clock.seconds()
    execution = LoadExecution(harness)
    assert execution.resume()["outcome"] == "complete"
    assert harness.clock.seconds() - began > 6
    assert execution.trail.count("walk") == 2
    assert_loaded(harness)


def test_a_batch_that_kills_its_call_gets_smaller(make_harness: Callable[..., LoadHarness]) -> None:
    """After a call that died, a lane reads fewer items at a time."""
    harness = fill(make_harness(concurrency=1))
    harness.table.items.clear()
    harness.table.put(*(item(f"n{number:04d}") for number in range(400)))
    limits: list[int] = []

    def die(_: int) -> None:
        limits.append(harness.table.asked[-1]["limit"])
        if limits[-1] > 70:
            harness.faults.kill(1)

    harness.table.before_page = die
    assert harness.load()["counts"]["loaded"] == 400
    assert limits[:3] == [1000, 250, 62]


def test_a_changed_mapping_begins_anew(make_harness: Callable[..., LoadHarness]) -> None:
    """A run does not go on under another mapping: half of the rows would lack a column."""
    harness = fill(make_harness())
    first = LoadExecution(harness).until("next")
    first.stop()
    run = harness.bucket.read_json(f"load/{first.name}/run.json")
    harness.bucket.write_json(f"load/{first.name}/run.json", run | {"mapping": "another"})
    second = LoadExecution(harness)
    assert second.resume()["run"] == second.name


def test_a_load_beside_traffic_never_undoes_it(make_harness: Callable[..., LoadHarness]) -> None:
    """Each page is followed by live changes of its items; each key ends with its last change."""
    harness = fill(make_harness())
    sequence = iter(range(1, 10_000))
    last: dict[str, int] = {}

    def live(_: int) -> None:
        for key in KEYS[::2]:
            last[key] = next(sequence)
            harness.deliver(change(key, last[key]))

    harness.table.before_page = live
    harness.load()
    assert {key: int(number or 0) for key, number in harness.versions().items()} == dict.fromkeys(KEYS, 0) | last
