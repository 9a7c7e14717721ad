"""However a seed is killed, stopped or repeated, each row has its item and no row is touched."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from common.inverse import Inverse
from common.layout import open_run_key
from reconciler import ranges
from reconciler.seed.writer import SeedWriter
from reconciler.table import Table
from tests.support.load import LoadExecution
from tests.support.replay import StoppedError
from tests.support.seed import SeedHarness, at, seeded
from tests.support.tables import order

KEYS = [f"k{number:02d}" for number in range(12)]
MakeSeeds = Callable[..., SeedHarness]


def fill(seeds: SeedHarness, keys: list[str] = KEYS) -> SeedHarness:
    for key in keys:
        seeds.legacy(key)
    return seeds


def assert_seeded(seeds: SeedHarness, keys: list[str] = KEYS) -> None:
    """Each row has its item, which was written once, and the echoes leave the rows as they are."""
    assert seeds.seeded_items() == {key: seeded(key) for key in keys}
    assert len(seeds.table.stream) == len(keys)
    assert seeds.load_lock.holder is None
    seeds.consume()
    assert (seeds.tables.orders(), seeds.backstream_writes()) == ([order(key) for key in keys], [])


@pytest.fixture
def small_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranges, "_ROWS", 1)


@pytest.mark.usefixtures("small_ranges")
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_seed_killed_anywhere_is_retried_to_the_end(make_seeds: MakeSeeds, moment: str) -> None:
    """Each call to S3, DynamoDB, the lock and MySQL is in turn the last one of its invocation."""
    seeds = fill(make_seeds())
    seeds.seed()
    total = seeds.faults.calls
    assert total > 50
    for call in range(1, total + 1):
        seeds = fill(make_seeds())
        seeds.faults.kill(call, moment)
        report = seeds.seed()
        assert report["outcome"] == "complete", call
        assert report["counts"]["rows"] == report["counts"]["seeded"] + report["counts"]["same"] == 12, call
        assert_seeded(seeds)


@pytest.mark.usefixtures("small_ranges")
def test_a_seed_of_changes_killed_anywhere_ends_the_same(make_seeds: MakeSeeds) -> None:
    """Also while items are read and replaced."""
    seeds = fill(make_seeds())
    total = 10**6
    call = 0
    while call < total:
        call += 1
        seeds = fill(make_seeds())
        seeds.seed()
        for key in KEYS[:6]:
            seeds.legacy(key, status="PAID", updated_at=at(1))
        before = seeds.faults.calls
        if total < 10**6:
            seeds.faults.kill(call, "after" if call % 2 else "before")
        report = seeds.seed(since={"column": "updated_at"})
        total = min(total, seeds.faults.calls - before)
        assert (report["outcome"], report["counts"]["rows"]) == ("complete", 12), call
        assert len(seeds.table.stream) == 18, call
        assert [seeds.seeded_items()[key] for key in KEYS] == [
            seeded(key, **{"status": "PAID", "updated_at": at(1)} if key < KEYS[6] else {}) for key in KEYS
        ], call


@pytest.mark.usefixtures("small_ranges")
def test_a_stopped_seed_goes_on_in_a_new_execution(make_seeds: MakeSeeds) -> None:
    """The new execution works on the same run, with the same ranges, and leaves out what is done."""
    seeds = fill(make_seeds(concurrency=1))
    first = LoadExecution(seeds, retries=0, job="seed").until("walk")
    seeds.faults.kill(22)
    with pytest.raises(StoppedError):
        first.resume()
    seeds.faults.revive()
    seeds.database.drop()
    done = len(seeds.table.stream)
    assert 0 < done < len(KEYS)
    cut = seeds.bucket.read_json(f"seed/{first.name}/ranges.json")
    second = LoadExecution(seeds, {}, job="seed")
    report = second.resume()
    assert (report["outcome"], report["run"]) == ("complete", first.name)
    assert seeds.bucket.read_json(f"seed/{first.name}/ranges.json") == cut
    assert_seeded(seeds)


def test_restart_and_other_options_begin_anew(make_seeds: MakeSeeds) -> None:
    """A run that is left behind does not come back."""
    seeds = fill(make_seeds())
    LoadExecution(seeds, {}, job="seed").until("next").stop()
    second = LoadExecution(seeds, {"restart": True}, job="seed").until("next")
    assert second.state["run"]["name"] == second.name
    second.stop()
    third = LoadExecution(seeds, {"entities": ["order"]}, job="seed")
    assert (third.resume()["run"], third.state["counts"]["same"]) == (third.name, 12)
    assert seeds.bucket.read_json(open_run_key("seed")) == {"run": ""}
    assert_seeded(seeds)


def test_a_seed_of_changes_begins_anew(make_seeds: MakeSeeds) -> None:
    """It does not go on with a stopped one, which has not seen the latest changes. A call that is killed goes on."""
    seeds = fill(make_seeds())
    seeds.seed()
    given = {"since": {"column": "updated_at"}}
    LoadExecution(seeds, given, job="seed").until("next").stop()
    seeds.legacy("k00", status="PAID")
    execution = LoadExecution(seeds, given, job="seed")
    report = execution.resume()
    assert (report["run"], report["counts"]["reseeded"]) == (execution.name, 1)


def test_a_second_start_finds_the_first_seed(make_seeds: MakeSeeds) -> None:
    """While a seed runs, another one ends at once and names it. A load is another job."""
    seeds = fill(make_seeds())
    first = LoadExecution(seeds, {}, job="seed").until("walk")
    second = LoadExecution(seeds, {}, job="seed").resume()
    assert (second["outcome"], second["running"]) == ("already_running", first.arn)
    assert first.resume()["outcome"] == "complete"
    assert_seeded(seeds)


def test_two_seeds_at_once_end_the_same(make_seeds: MakeSeeds) -> None:
    """If the lock fails, two executions on one run are slower, not wrong."""
    seeds = fill(make_seeds())
    first, second = LoadExecution(seeds, {}, job="seed").until("walk"), LoadExecution(seeds, {}, job="seed")
    first.stop()
    second.until("walk")
    seeds.load_lock.is_broken = True
    pending = [first, second]
    while pending:
        execution = pending.pop(0)
        execution.step()
        pending += [execution] if execution.action else []
    assert [execution.state["outcome"] for execution in (first, second)] == ["complete", "complete"]
    assert_seeded(seeds)


def test_a_late_write_of_a_stopped_seed_is_corrected(make_seeds: MakeSeeds) -> None:
    """It brings the item of an older row over a newer one. The next seed of changes looks an hour back."""
    seeds = fill(make_seeds())
    seeds.seed()
    now = int(seeds.clock.seconds())
    seeds.legacy("k00", status="FIRST", updated_at=now)
    rows = seeds.database.page(0, limit=1).rows
    seeds.legacy("k00", status="SECOND", updated_at=now + 600)
    seeds.clock.advance(900)
    seeds.seed()
    table = Table(seeds.table, seeds.table.name)
    late = SeedWriter(seeds.mapping, Inverse(seeds.mapping), seeds.database, table, "stopped", lambda: True)
    assert late.write(0, rows).counts["reseeded"] == 1
    assert seeds.seeded_items()["k00"]["status"] == {"S": "FIRST"}
    seeds.clock.advance(60)
    assert seeds.counts(since={"column": "updated_at"})["reseeded"] == 1
    assert seeds.seeded_items()["k00"] == seeded("k00", status="SECOND", updated_at=now + 600)


def test_a_seed_waits_for_the_database(make_seeds: MakeSeeds) -> None:
    """It waits before it begins and in the middle, and goes on where it was. After a limit it gives up."""
    seeds = fill(make_seeds())
    execution = LoadExecution(seeds, {}, job="seed").until("walk")
    seeds.server.down = True
    waits = iter(range(10))

    def up_again() -> None:
        if next(waits) == 2:
            seeds.server.down = False

    execution.on_wait = up_again
    assert execution.resume()["outcome"] == "complete"
    assert_seeded(seeds)
    seeds = fill(make_seeds())
    execution = LoadExecution(seeds, {}, job="seed").until("walk")
    seeds.server.down = True
    report = execution.resume()
    assert (report["outcome"], [advice[:12] for advice in report["next"]]) == ("incomplete", ["Some workers"])
    seeds.server.down = False
    assert seeds.seed()["run"] == execution.name
    assert_seeded(seeds)


def test_a_seed_of_many_calls_is_continued(make_seeds: MakeSeeds) -> None:
    """A lane that runs out of time goes on in the next call."""
    seeds = fill(make_seeds())
    moments = iter(range(10**6))
    seeds.out_of_time = lambda: next(moments) % 4 == 3
    report = seeds.seed()
    assert (report["outcome"], report["counts"]["rows"]) == ("complete", 12)
    assert_seeded(seeds)


def test_throttled_writes_are_tried_again(make_seeds: MakeSeeds) -> None:
    """Only the items that were refused, and more slowly. Reads of items, too. No call fails."""
    seeds = fill(make_seeds())
    seeds.table.throttle = {2, 5, 9, 14}
    began = seeds.clock.seconds()
    assert seeds.counts() == {"rows": 12, "seeded": 12}
    assert seeds.clock.seconds() - began > 4
    assert len(seeds.table.asked) == 16
    seeds.table.throttle = {17}
    seeds.table.unprocessed = 7
    assert seeds.counts() == {"rows": 12, "same": 12}
    assert_seeded(seeds)


def test_the_rate_bounds_what_is_consumed(make_seeds: MakeSeeds) -> None:
    """A quarter of the provisioned write units, of which secondary indexes take their share."""
    keys = [f"n{number:04d}" for number in range(400)]
    seeds = fill(make_seeds(concurrency=1), keys)
    seeds.table.write_units, seeds.table.indexes = 80, 1
    began = seeds.clock.seconds()
    report = seeds.seed()
    seconds = seeds.clock.seconds() - began
    assert report["units"] == 800
    assert 0.9 < report["units"] / (seconds * 20) <= 1.1
    assert_seeded(seeds, keys)


@pytest.mark.usefixtures("small_ranges")
def test_ranges_are_shared_by_lanes(make_seeds: MakeSeeds) -> None:
    """Each row is read once, by one of the lanes, a page of each of its ranges in turn."""
    keys = [f"n{number:04d}" for number in range(120)]
    seeds = fill(make_seeds(concurrency=3, on_demand_rate=6), keys)
    report = seeds.seed()
    assert report["counts"]["rows"] == report["counts"]["seeded"] == 120
    lanes = [seeds.bucket.read_json(f"seed/{report['run']}/lanes/0000-0{lane}.json") for lane in range(3)]
    assert [lane["counts"]["rows"] for lane in lanes] == [40, 40, 40]
    assert_seeded(seeds, keys)
