"""What a seed does: to an empty table, beside a legacy application that writes, to rows that have no item."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from common.layout import LAST_SEEDS, open_run_key
from tests.support.load import LoadExecution
from tests.support.records import TTL_IDENTITY
from tests.support.replay import STOCK
from tests.support.seed import SeedHarness, at, seeded
from tests.support.source_table import key_text
from tests.support.tables import order

KEYS = [f"k{number:02d}" for number in range(40)]
DAY = 86_400


def fill(seeds: SeedHarness) -> None:
    for key in KEYS:
        seeds.legacy(key)


def test_every_row_becomes_its_item(seeds: SeedHarness) -> None:
    """Each item is that of its row, with a mark. Its echo claims a version and writes no row."""
    fill(seeds)
    report = seeds.seed()
    assert seeds.seeded_items() == {key: seeded(key) for key in KEYS}
    assert report["outcome"] == "complete"
    assert report["counts"] == {
        "rows": 40, "seeded": 40, "reseeded": 0, "same": 0, "existing": 0, "gone": 0, "removed": 0, "unseedable": 0,
    }  # fmt: skip
    assert report["units"] == seeds.table.units == 40
    assert (report["next"], report["problems"], report["entities"], report["since"]) == ([], [], ["order"], {})
    assert (seeds.load_lock.holder, seeds.bucket.read_json(open_run_key("seed"))) == (None, {"run": ""})
    assert seeds.meter.counts["seed_seeded"] == 40
    seeds.consume()
    assert seeds.tables.orders() == [order(key) for key in KEYS]
    assert list(seeds.versions()) == KEYS
    assert seeds.backstream_writes() == []


def test_a_second_seed_writes_nothing(seeds: SeedHarness) -> None:
    """Items that are as their rows are written once, before and after their echoes have arrived."""
    fill(seeds)
    seeds.seed()
    written = len(seeds.table.stream)
    assert seeds.counts() == {"rows": 40, "same": 40}
    seeds.consume()
    assert seeds.counts() == {"rows": 40, "same": 40}
    assert len(seeds.table.stream) == written


def test_a_changed_row_is_seeded_again(seeds: SeedHarness) -> None:
    """Its item is replaced, as long as only seeds have written it. The echo leaves the row alone."""
    fill(seeds)
    seeds.seed()
    seeds.legacy("k00", status="PAID")
    seeds.legacy("k01", status="PAID")
    seeds.api_put("k01", status="API")
    assert seeds.counts() == {"rows": 40, "same": 38, "reseeded": 1, "existing": 1}
    assert seeds.seeded_items()["k00"] == seeded("k00", status="PAID")
    assert seeds.item("k01")["status"] == {"S": "API"}
    seeds.legacy("k00", status="SHIPPED")
    seeds.consume()
    assert seeds.tables.orders()[:2] == [order("k00", status="SHIPPED"), order("k01", status="API")]
    assert seeds.backstream_writes() == [("order/k01", "update")]


def test_items_of_the_api_are_left(seeds: SeedHarness) -> None:
    """An item that somebody else wrote is never overwritten, whether its change has arrived or not."""
    fill(seeds)
    seeds.api_put("k00", status="API")
    seeds.api_put("k01", status="API")
    seeds.consume(1)
    assert seeds.counts() == {"rows": 40, "seeded": 38, "existing": 2}
    seeds.consume()
    assert seeds.tables.orders()[:2] == [order("k00", status="API"), order("k01", status="API")]
    assert [seeds.item(key)["status"] for key in ("k00", "k01")] == [{"S": "API"}] * 2
    assert seeds.backstream_writes() == [("order/k00", "update"), ("order/k01", "update")]


def test_an_item_that_is_gone_stays_gone(seeds: SeedHarness) -> None:
    """Its row may still be there: the removal has not arrived, or leaves the row. No seed brings the item back."""
    fill(seeds)
    seeds.seed()
    seeds.consume()
    seeds.api_delete("k00")
    seeds.api_delete("k01", userIdentity=TTL_IDENTITY)
    assert seeds.counts() == {"rows": 40, "same": 38, "gone": 2}
    seeds.consume()
    assert [row[0] for row in seeds.tables.orders()] == KEYS[1:]  # an expiry leaves the row
    assert seeds.counts() == {"rows": 39, "same": 38, "gone": 1}
    assert seeds.item("k00") is seeds.item("k01") is None


def test_a_seed_takes_the_rows_that_have_changed(seeds: SeedHarness) -> None:
    """Since a value, or since the last seed of all rows or of this column began."""
    seeds.clock.advance(10 * DAY)
    for number, key in enumerate(KEYS):
        seeds.legacy(key, updated_at=int(seeds.clock.seconds()) - number * 3_600)
    seeds.seed()
    began = seeds.bucket.read_json(LAST_SEEDS)["entities"]["order"][""]
    seeds.clock.advance(DAY)
    seeds.legacy("k05", status="PAID", updated_at=int(seeds.clock.seconds()))
    seeds.legacy("k06", status="PAID", updated_at=1)  # the application forgot the time
    report = seeds.seed(since={"column": "updated_at"})
    assert (report["counts"]["rows"], report["counts"]["same"], report["counts"]["reseeded"]) == (3, 2, 1)
    assert report["since"]["order"] == str(int(seeds.clock.seconds()) - DAY - 3_600)
    assert seeds.seeded_items()["k05"] == seeded("k05", status="PAID", updated_at=seeds.tables.orders()[5][6])
    last = seeds.bucket.read_json(LAST_SEEDS)["entities"]["order"]
    assert (last[""], last["updated_at"][:10]) == (began, "2026-02-12")
    report = seeds.seed(since={"column": "updated_at", "value": "1"})
    assert (report["counts"]["rows"], report["counts"]["reseeded"]) == (40, 1)
    assert seeds.bucket.read_json(LAST_SEEDS)["entities"]["order"] == last


def test_changed_rows_need_a_seed_of_all_rows(seeds: SeedHarness) -> None:
    """Without one that has finished under this mapping, there is no time to begin with."""
    fill(seeds)
    message = "no seed of all rows of order has finished under this mapping"
    assert message in seeds.seed(since={"column": "updated_at"})["message"]
    LoadExecution(seeds, {}, job="seed").until("next").stop()
    assert message in seeds.seed(since={"column": "updated_at"})["message"]
    assert seeds.seed()["outcome"] == "complete"
    assert seeds.counts(since={"column": "updated_at"}) == {"rows": 40, "same": 40}
    last = seeds.bucket.read_json(LAST_SEEDS)
    seeds.bucket.write_json(LAST_SEEDS, last | {"mapping": "another"})
    assert message in seeds.seed(since={"column": "updated_at"})["message"]


def test_the_legacy_application_writes_throughout(seeds: SeedHarness) -> None:
    """Rows change before each item and each echo. Nothing is overwritten, and the last seed brings every item."""
    fill(seeds)
    clock = iter(range(1, 10_000))

    def legacy(_: str) -> None:
        for key in (KEYS[next(clock) % 40], KEYS[next(clock) * 7 % 40]):
            seeds.legacy(key, status=f"L{next(clock)}", updated_at=at(next(clock)))

    seeds.table.before_write = legacy
    for _ in range(4):
        seeds.seed()
        legacy("")
        seeds.consume(seeds.delivered + (len(seeds.table.stream) - seeds.delivered) // 2)
        seeds.seed(since={"column": "updated_at"})
    seeds.table.before_write = lambda _: None
    rows = seeds.tables.orders()
    seeds.seed(since={"column": "updated_at"})
    seeds.consume(again=20)
    assert (seeds.tables.orders(), seeds.backstream_writes()) == (rows, [])
    assert seeds.seeded_items() == {
        row[0]: seeded(row[0], status=row[4], updated_at=row[6]) for row in seeds.tables.orders()
    }
    assert list(seeds.versions()) == KEYS


def test_a_row_without_an_item_is_reported(seeds: SeedHarness) -> None:
    """It is listed with its key and the reason, without values. All others are seeded."""
    fill(seeds)
    seeds.tables.run(
        "ALTER TABLE tbl_orders MODIFY created_at BIGINT NULL",
        "UPDATE tbl_orders SET created_at = NULL, currency = 'VAL' WHERE order_id = 'k00'",
    )
    seeds.table.invalid = {key_text({"p_key": {"S": "k01"}, "s_key": {"S": "ORDER"}})}
    try:
        report = seeds.seed()
    finally:
        seeds.tables.run("DELETE FROM tbl_orders", "ALTER TABLE tbl_orders MODIFY created_at BIGINT NOT NULL")
    assert seeds.seeded_items() == {key: seeded(key) for key in KEYS[2:]}
    assert sorted(one["key"] + ": " + one["reason"][:49] for one in report["problems"]) == [
        "order/k00: column created_at is NULL, and neither `absent` n",
        "order/k01: DynamoDB refuses the item with ValidationExceptio",
    ]
    assert (report["counts"]["seeded"], report["counts"]["unseedable"]) == (38, 2)
    assert [advice[:9] for advice in report["next"]] == ["Some rows"]
    stored = seeds.bucket.read_json(f"seed/{report['run']}/report.json")
    assert (stored["problems"], "VAL" in str(stored)) == (report["problems"], False)


def test_a_dry_run_only_estimates(seeds: SeedHarness) -> None:
    """It says what a seed would take, and changes nothing: no item, no file, no lock."""
    fill(seeds)
    seeds.tables.run("ANALYZE TABLE tbl_orders")
    seeds.table.write_units, seeds.table.indexes = 400, 1
    report = seeds.seed(dry_run=True)
    rows, size = (report["estimate"].pop(name) for name in ("items", "bytes"))
    assert 30 < rows < 50
    assert size > 0
    assert report["outcome"] == "planned"
    assert report["estimate"] == {
        "scans": 1, "read_units": 0, "write_units": 2 * rows, "rate": 100.0, "minutes": 0.0, "dollars": 0.0,
    }  # fmt: skip
    assert (seeds.table.items, seeds.s3.objects, seeds.load_lock.holder) == ({}, {}, None)
    seeds.table.write_units = 0
    seeds.options["on_demand_rate"] = 500
    assert seeds.seed(dry_run=True)["estimate"]["rate"] == 500
    assert seeds.seed(dry_run=True, write_units_per_second=7)["estimate"]["rate"] == 7


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"entities": ["bill", "order"]}, "entities: the mapping has no entity bill"),
        ({"since": {"column": "changed_at", "value": "1"}}, "no such column: name a column of tbl_orders"),
        ({"since": {"column": "status", "value": "1"}}, "it is varchar(32): name a column of whole numbers"),
        ({"since": {"column": "updated_at", "value": "2026-01-31"}}, "does not fit the column: write a whole number"),
        ({"since": {}}, "since: 'column' is a required property"),
        ({"read_units_per_second": 3}, "'read_units_per_second' was unexpected"),
    ],
)
def test_wrong_input_changes_nothing(seeds: SeedHarness, given: dict[str, Any], message: str) -> None:
    """The message says what is wrong."""
    fill(seeds)
    result = seeds.seed(**given)
    assert result["outcome"] == "wrong_input"
    assert message in result["message"]
    assert (seeds.table.items, seeds.s3.objects, seeds.load_lock.holder) == ({}, {}, None)


def test_what_seeds_left_behind_is_found_by_a_verification(seeds: SeedHarness) -> None:
    """Rows that were changed or deleted since, until they are seeded again. The item of a deleted one stays."""
    fill(seeds)
    seeds.seed()
    seeds.consume()
    seeds.legacy("k00", status="PAID")
    seeds.legacy_delete("k01")
    assert seeds.found(repair=True) == {
        "order/k00": ("seed_outdated", "status", "found"),
        "order/k01": ("seed_outdated", "found"),
    }
    seeds.seed(since={"column": "updated_at", "value": "1"})
    seeds.consume()
    assert seeds.found(repair=True) == {"order/k01": ("seed_outdated", "found")}
    seeds.api_delete("k01")
    seeds.consume()
    assert seeds.found() == {}
    assert seeds.tables.orders() == [order("k00", status="PAID"), *(order(key) for key in KEYS[2:])]


# Several entities


def sale(key: int, seq: int, *, flagged: int = 0) -> str:
    values = f"'a', {key}, X'00', {seq}, {seq}.125, NULL, X'0A', {flagged}, NULL"
    return f"REPLACE INTO stock_sales VALUES ({values})"


def lot(key: int, seq: int) -> str:
    return f"REPLACE INTO stock_lots VALUES (X'00', 'a', {key}, {seq}, '[1, null]')"


def kinds(seeds: SeedHarness) -> dict[str, str]:
    """Kind and sequence of each item, by the end of its key."""
    return {
        item["pk"]["S"].removeprefix("ITEM#"): item["kind"]["S"] + " " + item["seq"]["N"]
        for item in seeds.table.items.values()
    }


@pytest.fixture
def stock(make_seeds: Callable[..., SeedHarness]) -> SeedHarness:
    return make_seeds(dataset=STOCK)


def test_rows_of_several_entities_are_seeded(stock: SeedHarness) -> None:
    """All entities of the mapping, or those that are named."""
    stock.tables.run(sale(1, 1), sale(2, 2), lot(3, 3))
    assert stock.counts(entities=["lot"]) == {"rows": 1, "seeded": 1}
    assert kinds(stock) == {"a#3": "lot 3"}
    assert "no seed of all rows of sale" in stock.seed(since={"column": "seq"})["message"]
    assert stock.counts() == {"rows": 3, "seeded": 2, "same": 1}
    assert kinds(stock) == {"a#1": "sale 1", "a#2": "sale 2", "a#3": "lot 3"}
    stock.consume()
    assert stock.backstream_writes() == []


def test_a_flagged_row_is_not_seeded(stock: SeedHarness) -> None:
    """The flag says that its item was removed. It is counted apart, and needs nobody."""
    stock.tables.run(sale(1, 1, flagged=1), sale(2, 2))
    report = stock.seed()
    assert (report["counts"]["removed"], report["counts"]["seeded"], report["problems"]) == (1, 1, [])
    assert kinds(stock) == {"a#2": "sale 2"}


@pytest.mark.parametrize("with_old_images", [True, False])
def test_two_rows_of_one_item_key_are_not_swapped(stock: SeedHarness, *, with_old_images: bool) -> None:
    """The first one has the item. Replacing it by the other's would delete the first row."""
    stock.tables.run(sale(1, 1), lot(1, 2))
    problem = {"key": "lot/%00/a/1", "reason": "the item of its key is that of a row of another entity"}
    for seq in (1, 3):
        stock.tables.run(sale(1, seq))
        report = stock.seed(concurrency=1)
        assert [(one["reason"], one["key"][:4]) for one in report["problems"]] == [(problem["reason"], "lot/")]
        assert kinds(stock) == {"a#1": f"sale {seq}"}
    for record in stock.table.stream * (not with_old_images):
        record["dynamodb"].pop("OldImage", None)
    stock.consume()
    assert stock.backstream_writes() == []


def test_a_number_that_is_no_time_needs_a_value(stock: SeedHarness) -> None:
    """No row would have changed since any time, if the column counted something else."""
    stock.tables.run(sale(1, 1))
    stock.seed()
    message = stock.seed(since={"column": "seq"})["message"]
    assert "it does not hold epoch seconds: give a value" in message
    assert stock.counts(since={"column": "seq", "value": "1"}) == {"rows": 1, "same": 1}
