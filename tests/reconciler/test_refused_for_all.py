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


def entity(kind: str, length: int) -> dict[str, Any]:
    return {
        "when": {"attribute": {"path": ["kind"], "equals": kind}},
        "target": {
            "table": f"club_{kind}",
            "key": {"partition_key": "{id}"},
            "key_columns": [{"column": "id", "type": "string", "length": length, "ascii": True}],
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
            "entities": {"member": entity("member", 8), "guest": entity("guest", 20)},
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


def of_club(key: str, sequence: int, event: str, image: dict[str, Any] | None, **options: Any) -> dict[str, Any]:
    made = record(key, sequence, event, **options)
    made["dynamodb"]["Keys"] = {"pk": {"S": key}}
    made["dynamodb"].pop("NewImage", None)
    made["dynamodb"] |= {"NewImage": {"pk": {"S": key}} | image} if image else {}
    return made


def guest(**values: str) -> dict[str, Any]:
    return {"kind": {"S": "guest"}} | {name: {"S": value} for name, value in values.items()}


def test_a_parked_record_holds_every_row_that_it_may_bring(server: Any, tables: Any) -> None:
    """Once `prepare` is corrected, a retry makes it a change of the entity that its object does not name."""
    pruning = PruneHarness(server, tables, dataset=Dataset(MAPPING, {}, None))
    parked = of_club("a", 1, "MODIFY", guest(), time=pruning.now)
    removal = of_club("a", 2, "REMOVE", None, time=pruning.now)
    assert pruning.put_quarantined(parked).startswith("quarantine/member/")
    pruning.deliver(removal)
    pruning.pass_days(HORIZON + 1)
    counts = pruning.prune()["counts"]
    pruning.tables.run("DROP TABLE club_member", "DROP TABLE club_guest")
    pruning.database.drop()
    assert (counts["pruned"], counts["parked"]) == (0, 2)


@pytest.mark.parametrize("key", ["a", "no_members_key"])
@pytest.mark.parametrize("is_gone", [False, True], ids=["changed", "deleted"])
def test_a_row_waits_for_a_record_of_another_entity(club: VerifyHarness, key: str, *, is_gone: bool) -> None:
    """The record is parked under the first entity alone, whether its row can have the key or not.

    A retry may write every row of the item, so it would undo a repair under an older version.
    """
    club.deliver(of_club(key, 1, "INSERT", guest(nickname="one")))
    parked = club.put_quarantined(of_club(key, 2, "MODIFY", guest()))
    assert parked.startswith("quarantine/member/")
    if not is_gone:
        club.table.put({"pk": {"S": key}} | guest(nickname="three"))  # the record of this change is lost
    report = club.verify(repair=True, delete_removed=True)
    assert [(one["key"], one["outcome"]) for one in report["findings"]] == [(f"guest/{key}", "pending")]
    assert parked in report["findings"][0]["reason"]
    assert club.tables.run("SELECT * FROM club_guest") == [(key, "one")]
