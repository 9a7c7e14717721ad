"""Keys in the sidecar that the key columns cannot have: they had another type, and the table was made anew."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from common.changes import Mark
from tests.support.item_tables import mapping_of
from tests.support.prune import HORIZON, PruneHarness
from tests.support.replay import Dataset

WINDOW = {"changed_from": "2026-01-20T12:00:00+00:00", "changed_until": "2026-01-20T13:00:00+00:00"}
INSIDE = "2026-01-20T12:30:00+00:00"
VERSION = "2026-01-31T00:00:00.000_21_800000000000000000001"


def numbered(kind: str) -> Any:
    return mapping_of(
        "num",
        {
            "partition_key": {"attribute": "pk", "type": "string"},
            "entities": {
                "thing": {
                    "target": {
                        "table": "num_things",
                        "key": {"partition_key": "{id}"},
                        "key_columns": [{"column": "id", "type": kind}],
                    },
                    "columns": [{"column": "nickname", "from": ["nickname"], "type": "string", "length": 40}],
                }
            },
        },
    )


@pytest.fixture
def harness(server: Any, tables: Any) -> Iterator[PruneHarness]:
    made = PruneHarness(server, tables, dataset=Dataset(numbered("int"), {}, None))
    yield made
    made.tables.run("DROP TABLE num_things")
    made.database.drop()


def store(harness: PruneHarness, key: str, mark: Mark, time: int = 0) -> None:
    harness.tables.run(
        "INSERT INTO replication_versions (item_key, version, deleted, source_time, token)"
        f" VALUES ('num.thing {key}', '{VERSION}', {int(mark)}, {time or int(harness.now)}, 0)"
    )


@pytest.mark.parametrize("key", ["abc", "1.5", "a/b"])
def test_a_key_of_an_earlier_type_is_no_row(harness: PruneHarness, key: str) -> None:
    """A verification ends, and proves its time."""
    store(harness, key, Mark.LIVE)
    harness.clock.advance(60)
    report = harness.verify()
    assert (report["outcome"], report["findings"], bool(report["verified_through"])) == ("complete", [], True)


def test_a_key_of_an_earlier_type_was_not_cut(harness: PruneHarness) -> None:
    """A window settles its expired ranges. A key that was cut, whose item only an export can tell, keeps them."""
    store(harness, "abc", Mark.LIVE, time=int(datetime.fromisoformat(INSIDE).timestamp()))
    harness.clock.advance(60)
    report = harness.verify(**WINDOW)
    assert (report["outcome"], report["findings"], report["counts"]["cut_keys"]) == ("complete", [], 0)


def test_a_key_of_an_earlier_type_stops_no_prune(harness: PruneHarness) -> None:
    """Its own row stays: nothing tells whether the target has a row of it."""
    for key in ("abc", "a/b", "7"):
        store(harness, key, Mark.DELETED)
    harness.pass_days(HORIZON + 1)
    report = harness.prune()
    counts = report["counts"]
    assert (report["outcome"], counts["pruned"], counts["kept"]) == ("complete", 1, 2)
