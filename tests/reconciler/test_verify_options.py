"""What a verification makes of its options: whose rows are the truth, and which rows stay."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from common.changes import Mark
from common.mapping import Action, Removal
from tests.support.records import TTL_IDENTITY, item, record, remove
from tests.support.replay import STOCK, applied, change
from tests.support.seed import SeedHarness
from tests.support.stock import stock_change, stock_item, stock_remove
from tests.support.tables import order
from tests.support.verify import VerifyHarness

KEYS = ["k0", "k1", "k2", "k3", "k4"]
# A row that was changed, one that was deleted, and two whose keys the sidecar does not know.
SEEDED_DRIFT = {
    "order/k0": ("columns_differ", "status"),
    "order/k1": ("row_missing",),
    "order/k2": ("columns_differ", "status"),
    "order/k3": ("sidecar_missing",),
}


@pytest.fixture
def cutover(seeds: SeedHarness) -> SeedHarness:
    """Items that only a seed has written, and rows that somebody has changed since. Nobody knows the row of z."""
    for key in KEYS:
        seeds.legacy(key)
    seeds.seed()
    seeds.consume()
    seeds.legacy("k0", status="X")
    seeds.legacy_delete("k1")
    seeds.legacy("k2", status="X")
    seeds.legacy("z")
    seeds.tables.run("DELETE FROM replication_versions WHERE item_key IN ('k2', 'k3')")
    return seeds


def marks(seeds: SeedHarness) -> dict[str, int]:
    return dict(seeds.tables.run("SELECT item_key, deleted FROM replication_versions ORDER BY item_key"))


def with_outcome(outcome: str) -> dict[str, tuple[str, ...]]:
    return {key: (*found, outcome) for key, found in SEEDED_DRIFT.items()}


def test_until_the_cutover_a_seeded_row_is_the_truth(cutover: SeedHarness) -> None:
    """The legacy application wrote it: no row is repaired."""
    before = cutover.tables.orders()
    outdated = {key: ("seed_outdated", *columns, "found") for key, (_, *columns) in SEEDED_DRIFT.items()}
    outdated["order/k3"] = ("sidecar_missing", "repaired")
    assert cutover.found(repair=True) == outdated | {"order/z": ("stranger", "found")}
    assert cutover.tables.orders() == before
    assert cutover.backstream_writes() == []


@pytest.fixture
def lost_echo(seeds: SeedHarness) -> SeedHarness:
    """A seeded item whose row is right and whose echo never arrived."""
    seeds.legacy("k0")
    seeds.seed()
    return seeds


def test_a_seeded_item_whose_echo_was_lost_is_noted(lost_echo: SeedHarness) -> None:
    """The sidecar gets the lowest version with the seed's mark, and the row is not written. The next run is clean."""
    assert lost_echo.found() == {"order/k0": ("sidecar_missing", "found")}
    assert lost_echo.found(repair=True) == {"order/k0": ("sidecar_missing", "repaired")}
    assert (lost_echo.versions(), marks(lost_echo)) == ({"k0": ""}, {"k0": Mark.SEEDED})
    assert (lost_echo.tables.orders(), lost_echo.backstream_writes()) == ([order("k0")], [])
    assert lost_echo.verify(repair=True)["verified_through"]


def test_a_row_changed_while_its_lost_echo_is_noted_stays(lost_echo: SeedHarness) -> None:
    """The legacy application writes between the reading and the repair: its row is the truth."""
    apply = lost_echo.database.apply

    def change_first(*args: Any, **options: Any) -> Any:
        lost_echo.legacy("k0", status="PAID")
        return apply(*args, **options)

    lost_echo.database.apply = change_first  # type: ignore[method-assign]
    assert lost_echo.found(repair=True) == {"order/k0": ("seed_outdated", "status", "found")}
    assert lost_echo.tables.orders() == [order("k0", status="PAID")]
    assert lost_echo.backstream_writes() == []


def test_a_row_deleted_while_its_lost_echo_is_noted_stays_away(lost_echo: SeedHarness) -> None:
    """The legacy application deletes between the reading and the repair. A load of a live item still writes its row."""
    lost_echo.table.write(item("live"))
    apply = lost_echo.database.apply

    def delete_first(*args: Any, **options: Any) -> Any:
        lost_echo.legacy_delete("k0")
        return apply(*args, **options)

    lost_echo.database.apply = delete_first  # type: ignore[method-assign]
    assert lost_echo.found(repair=True) == {
        "order/k0": ("seed_outdated", "found"),
        "order/live": ("row_missing", "repaired"),
    }
    assert lost_echo.tables.orders() == [order("live")]
    assert marks(lost_echo) == {"k0": Mark.SEEDED, "live": Mark.LIVE}


def test_after_the_cutover_a_seeded_row_is_drift(cutover: SeedHarness) -> None:
    """It is named and repaired as any other. Rows of strangers stay, and the items stay the seed's."""
    before = cutover.tables.orders()
    stranger = {"order/z": ("stranger", "found")}
    assert cutover.found(after_cutover=True) == with_outcome("found") | stranger
    assert cutover.tables.orders() == before
    report = cutover.verify(after_cutover=True, repair=True)
    repaired = {one["key"]: (one["kind"], *one["columns"], one["outcome"]) for one in report["findings"]}
    assert repaired == with_outcome("repaired") | stranger
    assert report["counts"]["moved_on"] == 0  # each repair is enough
    assert cutover.tables.orders() == [*map(order, KEYS), order("z")]
    assert marks(cutover) == dict.fromkeys(KEYS, Mark.SEEDED)
    assert cutover.found(after_cutover=True) == cutover.found() == stranger


def test_only_given_columns_of_seeded_rows_are_filled(cutover: SeedHarness) -> None:
    """The rule of other rows: one that differs elsewhere, too, is reported."""
    cutover.legacy("k4", status="X", currency="X")
    found = cutover.found(after_cutover=True, repair=True, columns=["status"])
    assert found == {
        "order/k0": ("columns_differ", "status", "repaired"),
        "order/k1": ("row_missing", "found"),
        "order/k2": ("columns_differ", "status", "repaired"),
        "order/k3": ("sidecar_missing", "found"),
        "order/k4": ("columns_differ", "currency", "status", "found"),
        "order/z": ("stranger", "found"),
    }


def test_the_echo_of_a_seed_after_the_way_back_leaves_the_row(cutover: SeedHarness) -> None:
    """The legacy application writes again, and changes a row between its seed and the echo."""
    cutover.found(after_cutover=True, repair=True)
    for key in ("k0", "k2"):
        cutover.legacy(key, status="PAID")
    assert cutover.counts(since={"column": "updated_at", "value": "1"})["reseeded"] == 2
    for key in ("k0", "k2"):
        cutover.legacy(key, status="SHIPPED")
    before: Any = cutover.tables.orders()
    cutover.consume()
    assert cutover.tables.orders() == before


# Rows that stay


def lose_removal(harness: VerifyHarness) -> None:
    """The rows of k1 and k2 are there; the item of k1 is gone, and nobody knows how it went."""
    for key, sequence in (("k1", 1), ("k2", 2)):
        harness.table.put(change(key, sequence)["dynamodb"]["NewImage"])
        harness.deliver(change(key, sequence))
    harness.table.delete(item("k1"))


ROWS = [applied("k1", 1), applied("k2", 2)]
SALE = ("a", 1, b"\x00")
KEPT = {"order/k1": ("removal_lost", "repaired")}


@pytest.fixture
def lost(make_verify: Callable[..., VerifyHarness]) -> VerifyHarness:
    harness = make_verify()
    lose_removal(harness)
    return harness


def test_rows_of_lost_removals_stay_where_asked(lost: VerifyHarness) -> None:
    """The sidecar notes that the item is gone and its row stays. The next verification is clean and proves a time."""
    assert lost.found(repair=True) == {"order/k1": ("removal_lost", "found")}
    report = lost.verify(repair=True, keep_removed=True)
    assert {one["key"]: (one["kind"], one["outcome"]) for one in report["findings"]} == KEPT
    assert (report["counts"]["repaired"], report["counts"]["deleted_rows"]) == (1, 0)
    assert report["verified_through"]
    notes = "SELECT item_key, deleted, kept_delete, kept_expiry = CONCAT(version, '!') FROM replication_versions"
    assert lost.tables.run(f"{notes} ORDER BY item_key") == [("k1", 0, None, 1), ("k2", 0, None, None)]
    again = lost.verify()
    assert (again["findings"], bool(again["verified_through"])) == ([], True)
    assert lost.tables.orders() == ROWS


@pytest.mark.parametrize(
    ("late", "rows"),
    [
        (change("k1", 1), ROWS),
        (record("k1", 3, "REMOVE", identity=TTL_IDENTITY), ROWS),
        (remove("k1", 3), ROWS[1:]),
        (change("k1", 3), [applied("k1", 3), *ROWS[1:]]),
    ],
    ids=["redelivered", "expired", "deleted", "back"],
)
def test_a_live_change_of_a_row_that_stayed_wins(lost: VerifyHarness, late: Any, rows: Any) -> None:
    """The removal that was lost may still come, and the item may come back."""
    lost.found(repair=True, keep_removed=True)
    lost.deliver(late)
    assert lost.tables.orders() == rows
    if image := late["dynamodb"].get("NewImage") if late != change("k1", 1) else None:
        lost.table.put(image)
    assert lost.found() == {}


def test_a_change_during_the_keeping_wins(lost: VerifyHarness) -> None:
    """The item comes back between the second reading and the repair: nothing is noted."""

    def overtake(operation: str) -> None:
        if operation.startswith("repairing"):
            lost.database.before_execute = lambda _: None
            lost.table.put(change("k1", 3)["dynamodb"]["NewImage"])
            lost.deliver(change("k1", 3))

    lost.database.before_execute = overtake
    lost.found(repair=True, keep_removed=True)
    assert lost.tables.run("SELECT COUNT(kept_expiry) FROM replication_versions") == [(0,)]
    assert lost.tables.orders() == [applied("k1", 3), *ROWS[1:]]
    assert lost.found() == {}


def test_a_row_that_any_removal_deletes_does_not_stay(make_verify: Callable[..., VerifyHarness]) -> None:
    """With mirror_ttl_deletes there is nothing to decide. Other repairs are as ever."""
    mirroring = make_verify(mirror_ttl_deletes=True)
    lose_removal(mirroring)
    mirroring.tables.run("UPDATE tbl_orders SET status = 'X' WHERE order_id = 'k2'")
    report = mirroring.verify(repair=True, keep_removed=True)
    assert (report["counts"]["repaired"], report["counts"]["deleted_rows"]) == (2, 1)
    assert mirroring.tables.orders() == ROWS[1:]


def test_a_row_whose_removal_is_known_is_not_kept(lost: VerifyHarness) -> None:
    """Its item expired under a mapping that deleted the row. Somebody has put the row back."""
    lost.table.delete(item("k2"))
    lost.tables.run("UPDATE replication_versions SET deleted = 2 WHERE item_key = 'k2'")
    before = lost.tables.whole_sidecar()[1:]
    assert lost.found(repair=True, keep_removed=True) == KEPT | {"order/k2": ("expired_row", "found")}
    assert (lost.tables.whole_sidecar()[1:], lost.tables.orders()) == (before, ROWS)


def repaired_kinds(harness: VerifyHarness) -> list[str]:
    """The kinds that a verification has repaired. It has deleted no row, so it proves a time."""
    report = harness.verify(repair=True)
    assert {one["outcome"] for one in report["findings"]} == {"repaired"}
    assert (report["counts"]["deleted_rows"], bool(report["verified_through"])) == (0, True)
    return [one["kind"] for one in report["findings"]]


def test_a_repair_without_a_row_deletes_none(lost: VerifyHarness) -> None:
    """Only the sidecar is corrected."""
    lost.tables.run("DELETE FROM tbl_orders WHERE order_id = 'k1'")
    assert repaired_kinds(lost) == ["sidecar_live"]


def test_a_row_that_is_flagged_again_is_not_deleted(make_verify: Callable[..., VerifyHarness]) -> None:
    """Somebody took the flag away."""
    stock = make_verify(dataset=STOCK)
    stock.deliver(stock_change(SALE, 1))
    stock.deliver(stock_remove(SALE, 2))
    stock.tables.run("UPDATE stock_sales SET is_deleted = 0, deleted_at = NULL")
    assert repaired_kinds(stock) == ["flag_changed"]


def test_the_row_of_an_item_of_another_kind_is_of_a_deletion(
    make_verify: Callable[..., VerifyHarness],
) -> None:
    """An item that stopped matching its entity counts as deleted, so its row is flagged, and not left as it is."""
    sale, lot = STOCK.mapping.entities
    ignoring = replace(STOCK.mapping, entities=(replace(sale, ttl=Removal(Action.IGNORE)), lot))
    stock = make_verify(dataset=replace(STOCK, mapping=ignoring))
    stock.deliver(stock_change(SALE, 1))
    stock.table.put(stock_item(SALE, 2, "lot"))
    assert stock.found(repair=True, keep_removed=True) == {
        "sale/a/1/00": ("removal_lost", "repaired"),
        "lot/00/a/1": ("row_missing", "repaired"),
    }
    assert stock.tables.run("SELECT is_deleted FROM stock_sales") == [(1,)]
    assert stock.found() == {}


def test_a_flagged_row_stays_with_the_time_of_its_verification(make_verify: Callable[..., VerifyHarness]) -> None:
    """Where any removal flags the row, so does the note. When the item went is not known."""
    stock = make_verify(dataset=STOCK)
    stock.deliver(stock_change(SALE, 1))
    began = stock.clock.seconds()
    assert stock.found(repair=True) == {"sale/a/1/00": ("removal_lost", "found")}
    assert stock.found(repair=True, keep_removed=True) == {"sale/a/1/00": ("removal_lost", "repaired")}
    [(flag, at)] = stock.tables.run(
        "SELECT is_deleted, TIMESTAMPDIFF(SECOND, '1970-01-01', deleted_at) FROM stock_sales"
    )
    assert flag == 1
    assert began < at <= stock.clock.seconds()
    assert stock.found() == {}
