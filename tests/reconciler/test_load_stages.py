"""Tables that refer to each other: parents are loaded before children, and what waits is tried again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.item_tables import ItemTables, mapping_of
from tests.support.load import LoadExecution, LoadHarness
from tests.support.records import record
from tests.support.replay import Dataset
from tests.support.shop import FOREIGN_KEY, SHOP, make_shop
from tests.support.tables import Tables

TREE: dict[str, Any] = {
    "partition_key": {"attribute": "pk", "type": "string"},
    "entities": {
        "node": {
            "target": {
                "table": "nodes",
                "key": {"partition_key": "{node}"},
                "key_columns": [{"column": "node", "type": "string", "length": 10, "ascii": True}],
            },
            "columns": [
                {"column": "parent", "from": ["parent"], "type": "string", "length": 10, "absent": "null"},
            ],
        }
    },
}
_SELF = (
    "ALTER TABLE nodes MODIFY node VARCHAR(10) CHARACTER SET ascii COLLATE ascii_bin NOT NULL",
    "ALTER TABLE nodes MODIFY parent VARCHAR(10) CHARACTER SET ascii COLLATE ascii_bin NULL",
    "ALTER TABLE nodes ADD CONSTRAINT fk_parent FOREIGN KEY (parent) REFERENCES nodes (node)",
)


@pytest.fixture
def shop(tables: Tables, make_harness: Callable[..., LoadHarness]) -> Iterator[LoadHarness]:
    tables.drop_all()
    made = make_shop(tables, tables.admin)
    yield _harness(tables, make_harness, Dataset(made.mapping, {}, None))  # type: ignore[arg-type]
    tables.drop_all()


@pytest.fixture
def tree(tables: Tables, make_harness: Callable[..., LoadHarness]) -> Iterator[LoadHarness]:
    tables.drop_all()
    made = ItemTables(tables, tables.admin, mapping_of("tree", TREE), *_SELF)
    yield _harness(tables, make_harness, Dataset(made.mapping, {}, None))  # type: ignore[arg-type]
    tables.drop_all()


def _harness(tables: Tables, make_harness: Callable[..., LoadHarness], dataset: Dataset) -> LoadHarness:
    return make_harness(dataset=dataset, concurrency=3)


def customer(number: int) -> dict[str, Any]:
    return {"pk": {"S": f"C#{number}"}, "sk": {"S": "CUSTOMER"}, "name": {"S": f"name {number}"}}


def bill(number: int) -> dict[str, Any]:
    return {"pk": {"S": f"C#{number}"}, "sk": {"S": f"BILL#2026-01-31#{number}"}, "total": {"N": "12.5"}}


def node(name: str, parent: str = "") -> dict[str, Any]:
    return {"pk": {"S": name}} | ({"parent": {"S": parent}} if parent else {})


def test_children_are_loaded_after_their_parents(shop: LoadHarness) -> None:
    """A scan for each level: no child is tried before the rows that it refers to are there."""
    shop.table.put(*(customer(number) for number in range(30)), *(bill(number) for number in range(30)))
    execution = LoadExecution(shop)
    report = execution.resume()
    assert report["counts"] == {
        "items": 60, "loaded": 60, "seeded": 0, "live": 0, "known": 0, "unmapped_item": 0, "waiting": 0,
        "refused": 0,
    }  # fmt: skip
    assert shop.tables.run("SELECT COUNT(*), SUM(total), SUM(is_deleted) FROM bills") == [(30, 375, 0)]
    assert execution.trail.count("next") == report["estimate"]["scans"] == 2
    assert not [asked for asked in shop.table.asked if asked["what"] == "get"]


def test_a_missing_parent_is_waited_for_and_reported(shop: LoadHarness) -> None:
    """A child whose parent is nowhere is tried once more, and then reported as waiting."""
    shop.table.put(*(customer(number) for number in range(3)), *(bill(number) for number in range(5)))
    report = shop.load()
    assert (report["outcome"], report["counts"]["loaded"], report["counts"]["waiting"]) == ("complete", 6, 2)
    assert [advice[:15] for advice in report["next"]] == ["Some items wait"]
    shop.table.put(customer(3), customer(4))
    report = shop.load()
    assert (report["counts"]["loaded"], report["counts"]["waiting"]) == (4, 0)


def test_a_tree_is_loaded_from_its_root(tree: LoadHarness) -> None:
    """Rows of a table that refers to itself wait for each other: they are tried again while that helps."""
    chain = [node("n00"), *(node(f"n{number:02d}", f"n{number - 1:02d}") for number in range(1, 40))]
    tree.table.put(*chain)
    tree.table.unprocessed = 1
    report = tree.load()
    assert report["counts"]["waiting"] == 0
    assert tree.tables.run("SELECT COUNT(*) FROM nodes") == [(40,)]
    assert {asked["what"] for asked in tree.table.asked} == {"scan", "get"}


def test_a_waiting_item_is_read_again(tree: LoadHarness) -> None:
    """What is loaded later is the item as it is then; an item that is gone waits no longer."""
    tree.table.put(node("b", "z"), node("c", "z"))
    pages = iter(range(100))

    def change_after_the_scan(_: int) -> None:
        if next(pages) == 23:
            tree.table.put(node("b", "a"), node("a"))
            tree.table.delete(node("c"))
            tree.deliver(_inserted("a"))

    tree.table.before_page = change_after_the_scan
    report = tree.load()
    assert tree.tables.run("SELECT node, parent FROM nodes ORDER BY node") == [("a", None), ("b", "a")]
    assert report["counts"]["waiting"] == 0


def _inserted(name: str) -> dict[str, Any]:
    made = record(name, 1, "INSERT")
    made["dynamodb"] |= {"Keys": node(name), "NewImage": node(name)}
    return made


@pytest.mark.parametrize("moment", ["before", "after"])
def test_waiting_keys_survive_a_kill_at_any_call(tree: LoadHarness, moment: str) -> None:
    """Each call of the stages that try waiting keys is in turn the last one of its invocation."""
    tree.table.put(*(node(name, parent) for name, parent in ("a ", "ba", "cb", "dc", "ed")))
    tree.table.put(node("a"))
    tree.load()
    total = tree.faults.calls
    for call in range(total // 2, total + 1, 3):
        tree.tables.run("SET foreign_key_checks = 0", "DELETE FROM nodes", "SET foreign_key_checks = 1")
        tree.tables.run("DELETE FROM replication_versions")
        tree.faults.calls = 0
        tree.faults.kill(call, moment)
        assert tree.load()["counts"]["waiting"] == 0, call
        assert tree.tables.run("SELECT COUNT(*) FROM nodes") == [(5,)], call


def test_the_levels_follow_the_foreign_keys(shop: LoadHarness) -> None:
    """An entity is one level above those that its table refers to."""
    assert [entity["target"]["table"] for entity in SHOP["entities"].values()] == ["bills", "customers", "notes"]
    assert "REFERENCES customers" in FOREIGN_KEY
    assert shop.database.levels() == (1, 0, 0)
