"""A database that is away again and again, for less than a run waits for it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.load import LoadExecution
from tests.support.replay import change
from tests.support.verify import VerifyHarness

ITEMS = 150
WAITS = 90  # seconds; a lane waits 30 between two calls


@pytest.fixture
def harness(server: Any, tables: Any) -> Any:
    made = VerifyHarness(server, tables, concurrency=1, database_wait_seconds=WAITS, on_demand_rate=1)
    records = [change(f"k{number:03d}", number + 1) for number in range(ITEMS)]
    made.table.put(*(record["dynamodb"]["NewImage"] for record in records))
    made.deliver(*records)
    yield made
    made.database.drop()


def fail_after_pages(harness: VerifyHarness, pages: int) -> LoadExecution:
    """A verification whose database goes away after so many pages, each time, and is back when the lane waits."""
    execution = LoadExecution(harness, {}, job="verify")
    read = 0

    def before_page(_: int) -> None:
        nonlocal read
        read += 1
        harness.server.down = read % (pages + 1) == 0

    def on_wait() -> None:
        harness.server.down = False

    harness.table.before_page, execution.on_wait = before_page, on_wait
    return execution


def scans(harness: VerifyHarness) -> int:
    return sum(asked["what"] == "scan" for asked in harness.table.asked)


def test_an_outage_in_a_scan_costs_one_page(harness: VerifyHarness) -> None:
    """What was compared before it is kept, and each key is spilled."""
    harness.verify(restart=True)
    undisturbed = scans(harness)
    report = fail_after_pages(harness, 9).resume()
    assert (report["outcome"], report["findings"], report["counts"]["items"]) == ("complete", [], ITEMS)
    outages = scans(harness) - 2 * undisturbed
    assert 0 < outages <= undisturbed // 8


def test_short_outages_do_not_end_a_run(harness: VerifyHarness) -> None:
    """All of them together are longer than the limit. It is for one, in which nothing is compared."""
    execution = fail_after_pages(harness, 4)
    report = execution.resume()
    assert (report["outcome"], report["counts"]["items"]) == ("complete", ITEMS)
    assert execution.trail.count("walk") * 30 > 2 * WAITS


def test_an_outage_without_an_end_ends_a_run(harness: VerifyHarness) -> None:
    """A page that is read and cannot be compared is no progress."""
    execution = fail_after_pages(harness, 4)
    execution.on_wait = lambda: None
    harness.table.before_page = lambda _: setattr(harness.server, "down", True)
    report = execution.resume()
    assert (report["outcome"], execution.trail.count("walk")) == ("incomplete", 1 + WAITS // 30)
