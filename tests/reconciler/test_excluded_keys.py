"""Keys that the templates can make, and that the conditions of their entity exclude."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.item_tables import mapping_of
from tests.support.replay import Dataset
from tests.support.verify import VerifyHarness

MAPPING = mapping_of(
    "region",
    {
        "partition_key": {"attribute": "pk", "type": "string"},
        "entities": {
            "euro": {
                "when": {"partition_key": {"starts_with": "ORDER#EU-"}},
                "target": {
                    "table": "region_euro",
                    "key": {"partition_key": "ORDER#{id}"},
                    "key_columns": [{"column": "id", "type": "string", "length": 20, "ascii": True}],
                },
                "columns": [{"column": "nickname", "from": ["nickname"], "type": "string", "length": 40}],
            }
        },
    },
)
VERSION = "2026-01-31T00:00:00.000_21_800000000000000000001"


@pytest.fixture
def region(server: Any, tables: Any) -> Iterator[VerifyHarness]:
    harness = VerifyHarness(server, tables, dataset=Dataset(MAPPING, {}, None))
    harness.table.put({"pk": {"S": "ORDER#EU-1"}, "nickname": {"S": "ann"}})
    harness.load()
    yield harness
    harness.tables.run("DROP TABLE region_euro")
    harness.database.drop()


@pytest.mark.parametrize("is_stored", [False, True], ids=["never written", "written under an earlier condition"])
def test_a_row_whose_key_a_condition_excludes_is_a_strangers(region: VerifyHarness, *, is_stored: bool) -> None:
    """No item can have it, so nothing ever writes or deletes it. It is named once."""
    region.tables.run("INSERT INTO region_euro VALUES ('US-1', 'x')")
    if is_stored:
        store(region)
    report = region.verify(repair=True, delete_strangers=True)
    assert [(one["key"], one["kind"], one["outcome"]) for one in report["findings"]] == [
        ("euro/US-1", "stranger", "found")
    ]
    assert (report["counts"]["strangers"], report["counts"]["mysql_rows"]) == (1, 2)


def test_the_sidecar_may_keep_an_excluded_key_without_a_row(region: VerifyHarness) -> None:
    """Its row was deleted by hand when the condition was changed, as the docs say."""
    store(region)
    assert region.verify()["findings"] == []


def store(region: VerifyHarness) -> None:
    """A live change of an earlier condition."""
    region.tables.run(
        "INSERT INTO replication_versions (item_key, version, deleted, source_time, token)"
        f" VALUES ('region.euro US-1', '{VERSION}', 0, {int(region.clock.seconds())}, 0)"
    )
