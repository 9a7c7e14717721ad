"""The progress of a load and a verification as a metric, and the reconciler's table of docs/metrics.md."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pymysql
import pytest

from common.meter import CloudWatchMeter
from common.mysql import errors
from reconciler.load import report as load_report
from reconciler.seed import report as seed_report
from reconciler.verify import report as verify_report
from tests.support.emissions import documented_of, seen
from tests.support.load import LoadHarness
from tests.support.records import item
from tests.support.replay import change
from tests.support.seed import SeedHarness
from tests.support.verify import VerifyHarness

KEYS = [f"k{number:02d}" for number in range(40)]
# Counts of a report that are of no page, so that no metric has them.
_NO_PAGE = {
    *("verify_mysql_rows", "verify_suspects", "verify_keys_without_item", "verify_unsettled"),
    *("verify_ranges_proven", "verify_exported", "verify_cut_keys"),
}


def fill(harness: LoadHarness) -> None:
    harness.table.put(*(item(key) for key in KEYS))


def test_the_progress_of_a_load_is_gauged(make_harness: Callable[..., LoadHarness]) -> None:
    """In percent of the estimated read units, at once and then each minute: never back, and 100 at the end only."""
    harness = make_harness(concurrency=1)
    harness.table.put(*(item(f"k{number:03d}") for number in range(300)))
    harness.options["on_demand_rate"] = 4  # read units a second: pages are small
    harness.table.before_page = lambda _: harness.clock.advance(30)
    harness.load()
    percents = harness.meter.gauges["load_progress"]
    assert percents == sorted(percents)
    assert percents[-1] == 100.0
    assert all(percent <= 99.0 for percent in percents[:-1])
    assert len({percent for percent in percents if 0 < percent < 99}) > 2


def test_a_load_of_unknown_size_makes_progress_at_its_end(
    harness: LoadHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DynamoDB tells the size of a table only hours later."""
    described = harness.table.describe_table(TableName="orders")
    monkeypatch.setattr(harness.table, "describe_table", lambda **_: described)
    fill(harness)
    harness.load()
    assert set(harness.meter.gauges["load_progress"]) == {0.0, 100.0}


@pytest.mark.parametrize("job", ["load", "verify"])
def test_a_run_that_gives_up_is_not_done(make_verify: Callable[..., VerifyHarness], job: str) -> None:
    harness = make_verify()
    fill(harness)

    def before_execute(operation: str) -> None:
        """MySQL goes away once the run is planned."""
        harness.server.down = harness.server.down or operation.startswith(("loading", "comparing"))

    harness.database.before_execute = before_execute
    report = harness.verify() if job == "verify" else harness.load()
    assert report["outcome"] != "complete"
    assert 100.0 not in harness.meter.gauges.get(f"{job}_progress", [])


def test_the_progress_of_a_verification_is_gauged(make_verify: Callable[..., VerifyHarness]) -> None:
    """Through its stages: never back, and 100 at the end only."""
    harness = make_verify(concurrency=1)
    made = [change(f"k{number:03d}", number + 1) for number in range(300)]
    harness.table.put(*(one["dynamodb"]["NewImage"] for one in made))
    harness.deliver(*made)
    harness.tables.run("DELETE FROM tbl_orders WHERE order_id < 'k005'")
    harness.options["on_demand_rate"] = 4
    harness.table.before_page = lambda _: harness.clock.advance(30)
    harness.verify()
    percents = harness.meter.gauges["verify_progress"]
    assert percents == sorted(percents)
    assert percents[-1] == 100.0
    assert all(percent <= 99.0 for percent in percents[:-1])
    assert {0, 50, 90} <= {max(begin for begin in (0, 50, 75, 90) if begin <= percent) for percent in percents}


def test_the_reconcilers_table_is_complete(
    make_verify: Callable[..., VerifyHarness],
    seeds: SeedHarness,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """docs/metrics.md lists what the reconciler emits, and nothing that no job counts."""
    documented = documented_of("reconciler")
    counts = {"load": load_report.COUNTS, "verify": verify_report.COUNTS, "seed": seed_report.COUNTS}
    known = {f"{job}_{name}" for job, names in counts.items() for name in names} - _NO_PAGE
    known |= {"pruned"}  # tests/reconciler/test_prune.py
    others = {rule.metric for rule in errors.RULES.values()} - {""}
    others |= {"held", "stopped", "verified_through", "load_progress", "verify_progress"}
    assert {one.metric for one in documented} == known | others
    harness = make_verify()
    harness.meter = CloudWatchMeter()  # type: ignore[assignment]
    fill(harness)
    harness.load()
    harness.verify()
    harness.tables.run("DELETE FROM tbl_orders WHERE order_id < 'k05'")
    harness.verify(repair=True)
    seeds.meter = CloudWatchMeter()  # type: ignore[assignment]
    seeds.legacy("z")
    seeds.seed()
    for errno in errors.RULES:
        monkeypatch.setattr(harness.database, "ping", _raising(errno))
        steps: Any = harness.steps_of("verify")
        run = {"mapping": steps.mapping.digest, "stream": steps.stream_arn}
        steps.check({"arn": "execution", "run": run, "waiting_since": None})
    found = seen("reconciler", capsys.readouterr().out)
    assert found - documented == set()
    assert {one.metric for one in found} >= others | {"load_loaded", "verify_repaired", "seed_seeded"}


def _raising(errno: int) -> Callable[[], None]:
    def ping() -> None:
        raise errors.database_error("asking", pymysql.OperationalError(errno, ""))

    return ping
