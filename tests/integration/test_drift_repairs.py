"""The repair that a finding names brings MySQL to the state of the items, and touches nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from common.changes import Change, Mark
from common.database import ApplyOptions
from common.drift import Claim, Finding, Repair, absent, classify
from common.mysql.apply import apply
from common.versions import LOWEST_VERSION
from tests.support.comparisons import compared
from tests.support.item_tables import ItemTables
from tests.support.shop import make_shop, total
from tests.support.tables import Rows, Tables

LIVE = (0, None)
BILL, GONE_BILL = ("ann", "2026-01-31", 1), ("ann", "2026-01-31", 2)
TABLES = ("bills", "customers", "notes")


@pytest.fixture
def shop(tables: Tables, connect: Any) -> ItemTables:
    return make_shop(tables, connect(), ())


def fill(shop: ItemTables) -> list[Change]:
    """Apply items, and the removals of some. Returns the items, and the absence of those that are gone."""
    there = [
        shop.put("customer", ("ann",), 1, "Ann"),
        shop.put("bill", BILL, 2, total("12.5"), 1, *LIVE),
        shop.put("note", ("ann", 1), 3, "note"),
        shop.put("note", ("ann", 2), 4, ""),
    ]
    gone = [
        shop.put("customer", ("deleted",), 1, "x"),
        shop.put("customer", ("expired",), 1, "x"),
        shop.put("bill", GONE_BILL, 2, total("1"), None, *LIVE),
        shop.put("note", ("gone", 1), 3, ""),
    ]
    shop(*there, *gone)
    shop(
        shop.delete("customer", ("deleted",), 7),
        shop.expire("customer", ("expired",), 7),
        shop.delete("bill", GONE_BILL, 7),
        shop.expire("note", ("gone", 1), 7),
    )
    return [*there, *(absent(shop.mapping, change.entity, change.key_values) for change in gone)]


def found(shop: ItemTables, items: Sequence[Change]) -> list[tuple[Change, Finding]]:
    classified = [(one.change, classify(one, shop.mapping)) for one in compared(shop.connection, shop, items)]
    return [(change, finding) for change, finding in classified if finding]


def repair(shop: ItemTables, change: Change, finding: Finding) -> None:
    options = ApplyOptions(rewrite=finding.repair is not Repair.LOAD)
    version = LOWEST_VERSION if finding.repair is Repair.LOAD else finding.version
    if change.row is None:
        expired = finding.claim in (Claim.EXPIRED, Claim.EXPIRY_KEPT)
        change = change._replace(mark=Mark.EXPIRED if expired else Mark.DELETED)
    outcome = apply(shop.connection, shop.targets, [change._replace(version=version)], options)
    assert outcome.parked == []
    assert sum(outcome.counts.values()) == 1
    assert not {"overtaken", "stale", "redelivered"} & outcome.counts.keys()


def rows(shop: ItemTables) -> dict[str, Rows]:
    return {table: shop.rows(table) for table in TABLES}


REPAIRED = {
    "UPDATE bills SET total = 0 WHERE number = 1": Repair.REWRITE,
    "UPDATE bills SET is_deleted = 1, deleted_at = '2026-01-31 00:00:00' WHERE number = 1": Repair.REWRITE,
    "DELETE FROM notes WHERE number = 2": Repair.REWRITE,
    "DELETE FROM replication_versions WHERE item_key = 'shop.note ann/1'": Repair.LOAD,
    "UPDATE replication_versions SET deleted = 1 WHERE item_key = 'shop.note ann/1'": Repair.REWRITE,
    "UPDATE replication_versions SET deleted = 2 WHERE item_key = 'shop.customer ann'": Repair.REWRITE,
    "UPDATE replication_versions SET kept_delete = 'v0009', kept_delete_time = 5 WHERE item_key = 'shop.note ann/1'": (
        Repair.REWRITE
    ),
    "UPDATE bills SET is_deleted = 0 WHERE number = 2": Repair.FLAG,
    "UPDATE bills SET deleted_at = NULL WHERE number = 2": Repair.FLAG,
    "INSERT INTO customers VALUES ('deleted', 'back')": Repair.DELETE,
    "INSERT INTO customers VALUES ('expired', 'back')": Repair.DELETE,
    "UPDATE replication_versions SET deleted = 0 WHERE item_key = 'shop.customer deleted'": Repair.DELETE,
}


@pytest.mark.parametrize("corruption", REPAIRED)
def test_the_repair_of_a_finding_heals_it(shop: ItemTables, corruption: str):
    """All rows are as they were before. A second comparison finds nothing."""
    items = fill(shop)
    assert found(shop, items) == []
    before = rows(shop)
    shop.tables.run(corruption)

    [(change, finding)] = found(shop, items)
    assert finding.repair is REPAIRED[corruption]
    repair(shop, change, finding)

    assert rows(shop) == before
    assert found(shop, items) == []


def test_a_row_and_its_sidecar_that_are_gone_are_loaded(shop: ItemTables):
    items = fill(shop)
    before = rows(shop)
    shop.tables.run(
        "DELETE FROM notes WHERE number = 2", "DELETE FROM replication_versions WHERE item_key LIKE '% ann/2'"
    )

    [(change, finding)] = found(shop, items)
    repair(shop, change, finding)

    assert (finding.repair, rows(shop), found(shop, items)) == (Repair.LOAD, before, [])


def test_a_lost_removal_is_written_under_the_stored_version(shop: ItemTables):
    """The tombstone keeps a redelivered upsert of the same version out."""
    items = fill(shop)
    lost = absent(shop.mapping, 1, ("ann",))
    [(change, finding)] = [pair for pair in found(shop, [lost]) if pair[1].repair is Repair.DELETE]

    repair(shop, change, finding)
    shop(items[0])

    assert shop.rows("customers") == []
    assert found(shop, [lost]) == []


def test_a_live_change_makes_the_repair_stale(shop: ItemTables):
    """A repair is for the version that was compared. Nothing older is put over what came since."""
    items = fill(shop)
    shop.tables.run("UPDATE notes SET body = 'x' WHERE number = 1")
    [(change, finding)] = found(shop, items)
    shop(shop.put("note", ("ann", 1), 8, "newer"))

    outcome = apply(
        shop.connection, shop.targets, [change._replace(version=finding.version)], ApplyOptions(rewrite=True)
    )

    assert outcome.counts == {"overtaken": 1}
    assert ("ann", 1, "newer") in shop.rows("notes")
