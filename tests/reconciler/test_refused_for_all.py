"""Items that no entity can take for one reason: nobody can tell whose rows they are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests.support.item_tables import mapping_of
from tests.support.prune import HORIZON, PruneHarness
from tests.support.records import record
from tests.support.replay import Dataset
from tests.support.verify import VerifyHarness


def entity(kind: str) -> dict[str, Any]:
    return {
        "when": {"attribute": {"path": ["kind"], "equals": kind}},
        "target": {
            "table": f"club_{kind}",
            "key": {"partition_key": "{id}"},
            "key_columns": [{"column": "id", "type": "string", "length": 8, "ascii": True}],
        },
        "columns": [{"column": "nickname", "from": ["nickname"], "type": "string", "length": 40}],
    }


def prepare(item: dict[str, Any]) -> dict[str, Any]:
    """The consumer cannot tell what an item without a nickname is."""
    return item | {"nickname": item["nickname"]}


MAPPING = replace(
    mapping_of(
        "club",
        {
            "partition_key": {"attribute": "pk", "type": "string"},
            "entities": {"member": entity("member"), "guest": entity("guest")},
        },
    ),
    prepare=prepare,
)


@pytest.fixture
def club(server: Any, tables: Any) -> Iterator[VerifyHarness]:
    harness = VerifyHarness(server, tables, dataset=Dataset(MAPPING, {}, None))
    yield harness
    harness.tables.run("DROP TABLE club_member", "DROP TABLE club_guest")
    harness.database.drop()


@pytest.mark.parametrize("kind", ["member", "guest"])
def test_the_row_of_a_refused_item_is_not_deleted(club: VerifyHarness, kind: str) -> None:
    """The item exists, so its row is not that of an item that is gone."""
    club.table.put({"pk": {"S": "a"}, "kind": {"S": kind}, "nickname": {"S": "ann"}})
    club.load()
    club.table.put({"pk": {"S": "a"}, "kind": {"S": kind}})
    report = club.verify(repair=True)
    assert club.tables.run(f"SELECT * FROM club_{kind}") == [("a", "ann")]
    assert {(one["kind"], one["outcome"]) for one in report["findings"]} == {("item_refused", "found")}


def test_a_parked_record_holds_every_row_that_it_may_bring(server: Any, tables: Any) -> None:
    """Once `prepare` is corrected, a retry makes it a change of the entity that its object does not name."""
    pruning = PruneHarness(server, tables, dataset=Dataset(MAPPING, {}, None))
    parked = record("a", 1, "MODIFY", time=pruning.now)
    parked["dynamodb"] |= {"Keys": {"pk": {"S": "a"}}, "NewImage": {"pk": {"S": "a"}, "kind": {"S": "guest"}}}
    removal = record("a", 2, "REMOVE", time=pruning.now)
    removal["dynamodb"]["Keys"] = {"pk": {"S": "a"}}
    assert pruning.put_quarantined(parked).startswith("quarantine/member/")
    pruning.deliver(removal)
    pruning.pass_days(HORIZON + 1)
    counts = pruning.prune()["counts"]
    pruning.tables.run("DROP TABLE club_member", "DROP TABLE club_guest")
    pruning.database.drop()
    assert (counts["pruned"], counts["parked"]) == (0, 2)
