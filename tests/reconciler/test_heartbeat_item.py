"""Load and verification take no notice of the heartbeat in the table."""

from __future__ import annotations

from typing import Any

import pytest

from common.heartbeat import TIME
from tests.support.heartbeats import beat
from tests.support.replay import applied, change
from tests.support.verify import VerifyHarness


@pytest.fixture
def harness(server: Any, tables: Any) -> Any:
    made = VerifyHarness(server, tables)
    yield made
    made.database.drop()


def put(harness: VerifyHarness, record: dict[str, Any]) -> None:
    harness.table.put(record["dynamodb"]["NewImage"])


def test_a_load_brings_no_heartbeat_into_mysql(harness: VerifyHarness) -> None:
    put(harness, change("a", 1))
    put(harness, beat())
    report = harness.load()
    assert (report["outcome"], report["next"]) == ("complete", [])
    assert {name: report["counts"][name] for name in ("loaded", "unmapped_item", "refused", "waiting")} == {
        "loaded": 1,
        "unmapped_item": 0,
        "refused": 0,
        "waiting": 0,
    }
    assert harness.tables.orders() == [applied("a", 1)]
    assert TIME not in str(report)


def test_a_heartbeat_is_no_drift(harness: VerifyHarness) -> None:
    put(harness, change("a", 1))
    harness.deliver(change("a", 1))
    put(harness, beat())
    report = harness.verify()
    assert (report["outcome"], report["findings"], report["next"]) == ("complete", [], [])
    assert {name: report["counts"][name] for name in ("suspects", "unmapped_item", "rows")} == {
        "suspects": 0,
        "unmapped_item": 0,
        "rows": 1,
    }
    assert report["verified_through"]
