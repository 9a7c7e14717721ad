"""A legacy table may have further unique keys. A clash parks the record and never touches the row of another key."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from common.changes import Kind
from common.database import Outcome
from tests.support.records import order_id, record, remove
from tests.support.tables import Tables, order
from tests.support.writes import ORDER, Applier

COLUMNS = ", ".join(column.name for column in ORDER.columns)
LEGACY = """CREATE TABLE tbl_orders (
  {first}
  merchant_id VARCHAR(64) NOT NULL, amount DECIMAL(19,4) NOT NULL, currency VARCHAR(3) NOT NULL,
  status VARCHAR(32) NOT NULL, created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL{more}
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4"""
BY_ORDER_ID = "order_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,"
NUMBERED = (
    "id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,"
    " order_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,"
)
FOLDING = "order_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci NOT NULL PRIMARY KEY,"

# The other unique key before and after the one of the key column, as the server checks them in order.
SHAPES = {
    "order_id is primary": (BY_ORDER_ID, ", UNIQUE KEY uq_status (status)"),
    "numbered, order_id first": (NUMBERED, ", UNIQUE KEY uq_order (order_id), UNIQUE KEY uq_status (status)"),
    "numbered, order_id last": (NUMBERED, ", UNIQUE KEY uq_status (status), UNIQUE KEY uq_order (order_id)"),
    "folds case": (FOLDING, ", UNIQUE KEY uq_status (status)"),
}
both_ways = pytest.mark.parametrize("every_change", [False, True], ids=["last change", "every change"])


@pytest.fixture(params=SHAPES.values(), ids=SHAPES.keys())
def unique_status(request: Any, tables: Tables, connect: Any) -> Applier:
    first, more = request.param
    tables.replace_target(LEGACY.format(first=first, more=more))
    return Applier(connect())


def orders(tables: Tables) -> list[tuple[Any, ...]]:
    return tables.run(f"SELECT {COLUMNS} FROM tbl_orders ORDER BY order_id, status")


@both_ways
def test_a_new_row_never_takes_the_row_of_another_key(unique_status: Applier, tables: Tables, *, every_change: bool):
    unique_status(record("a", 1, status="ONE"))
    clash = record("b", 1, status="ONE")

    outcome = unique_status(clash, record("c", 1, status="TWO"), every_change=every_change)

    assert [(order_id(p.key), p.record) for p in outcome.parked] == [("b", clash)]
    assert outcome.counts == Counter(upserted=1)
    assert orders(tables) == [order("a", status="ONE"), order("c", status="TWO")]
    assert tables.sidecar() == [("a", 1, 0), ("c", 1, 0)]


@both_ways
def test_a_changed_row_never_takes_the_value_of_another(unique_status: Applier, tables: Tables, *, every_change: bool):
    unique_status(record("a", 1, status="ONE"), record("b", 1, status="TWO"))

    outcome = unique_status(record("b", 2, status="ONE"), every_change=every_change)

    assert [order_id(p.key) for p in outcome.parked] == ["b"]
    assert orders(tables) == [order("a", status="ONE"), order("b", status="TWO")]
    assert tables.sidecar() == [("a", 1, 0), ("b", 1, 0)]


@pytest.mark.parametrize("exists", [False, True], ids=["new row", "changed row"])
def test_the_reason_names_the_clash_and_no_value(unique_status: Applier, *, exists: bool):
    unique_status(record("a", 1, status="4111"), *([record("b", 1, status="TWO")] if exists else []))

    (parked,) = unique_status(record("b", 2, status="4111")).parked

    assert parked.reason == "another row holds the same value of uq_status"
    assert parked.hint.startswith("another row holds the same unique value; every replay tries it again for a day")
    assert (parked.errno, parked.kind) == (1062, Kind.DEFERRED)
    assert "4111" not in parked.reason


def test_two_rows_of_a_batch_with_the_same_value_park_the_second(unique_status: Applier, tables: Tables):
    outcome = unique_status(record("a", 1, status="ONE"), record("b", 1, status="ONE"))

    assert [order_id(p.key) for p in outcome.parked] == ["b"]
    assert orders(tables) == [order("a", status="ONE")]


def test_a_retry_wins_once_the_value_is_free(unique_status: Applier, tables: Tables):
    clash = record("b", 1, status="ONE")
    unique_status(record("a", 1, status="ONE"), clash)
    unique_status(remove("a", 2))

    assert unique_status(clash) == Outcome(Counter(upserted=1))
    assert orders(tables) == [order("b", status="ONE")]


def test_an_update_with_the_same_value_is_no_clash(unique_status: Applier, tables: Tables):
    unique_status(record("a", 1, status="ONE"))

    assert unique_status(record("a", 2, status="ONE", amount="7")) == Outcome(Counter(upserted=1))
    assert orders(tables) == [order("a", status="ONE", amount="7")]


@both_ways
@pytest.mark.parametrize("taker", ["a", "z"], ids=["taker first", "taker last"])
@pytest.mark.parametrize("how", ["change", "delete"])
def test_a_value_freed_in_the_batch_may_be_taken_in_it(
    unique_status: Applier, tables: Tables, taker: str, how: str, *, every_change: bool
):
    unique_status(record("m", 1, status="ONE"))
    free = record("m", 2, status="TWO") if how == "change" else remove("m", 2)

    outcome = unique_status(free, record(taker, 3, status="ONE"), every_change=every_change)

    assert outcome.parked == []
    left = [order("m", status="TWO")] if how == "change" else []
    assert orders(tables) == sorted([*left, order(taker, status="ONE")])


def test_a_chain_of_freed_values_goes_through(unique_status: Applier, tables: Tables):
    unique_status(*(record(f"k{i}", 1, status=f"S{i}") for i in range(5)))

    outcome = unique_status(*(record(f"k{i}", 2, status=f"S{i + 1}") for i in range(5)))

    assert outcome == Outcome(Counter(upserted=5))
    assert orders(tables) == [order(f"k{i}", status=f"S{i + 1}") for i in range(5)]


@both_ways
def test_two_rows_may_swap_their_values_over_a_third(unique_status: Applier, tables: Tables, *, every_change: bool):
    """The application did it in three steps: one row steps aside, the other moves, the first takes its place."""
    unique_status(record("a", 1, status="ONE"), record("b", 1, status="TWO"))

    outcome = unique_status(
        record("a", 2, status="ASIDE"),
        record("b", 3, status="ONE"),
        record("a", 4, status="TWO"),
        every_change=every_change,
    )

    assert outcome.parked == []
    assert orders(tables) == [order("a", status="TWO"), order("b", status="ONE")]
    assert tables.sidecar() == [("a", 4, 0), ("b", 3, 0)]


class TestCase:
    """A collation that folds case must not make one order out of two."""

    @pytest.fixture
    def folding(self, tables: Tables, connect: Any) -> Applier:
        tables.replace_target(LEGACY.format(first=FOLDING, more=""))
        return Applier(connect())

    def test_a_key_of_another_case_is_parked(self, folding: Applier, tables: Tables):
        folding(record("order-a", 1))

        (parked,) = folding(record("ORDER-A", 2, status="PAID"), record("b", 1)).parked

        assert (
            parked.reason
            == "another row holds the same value of its key, except for upper and lower case or trailing spaces"
        )
        assert orders(tables) == [order("b"), order("order-a")]
        assert tables.sidecar() == [("b", 1, 0), ("order-a", 1, 0)]

    def test_its_deletion_does_not_touch_the_other(self, folding: Applier, tables: Tables):
        folding(record("order-a", 1), record("b", 1))

        folding(remove("ORDER-A", 2), remove("b", 2))

        assert orders(tables) == [order("order-a")]
        assert tables.sidecar() == [("ORDER-A", 2, 1), ("b", 2, 1), ("order-a", 1, 0)]

    def test_both_cases_in_one_batch_park_one(self, folding: Applier, tables: Tables):
        outcome = folding(record("order-a", 1), record("ORDER-A", 1))

        assert len(outcome.parked) == 1
        assert [row[0] for row in orders(tables)] == ["ORDER-A"]

    def test_one_may_take_the_place_of_the_other(self, folding: Applier, tables: Tables):
        folding(record("order-a", 1))

        assert folding(remove("order-a", 2), record("ORDER-A", 3)) == Outcome(Counter(upserted=1, deleted=1))
        assert orders(tables) == [order("ORDER-A")]

    def test_many_deletes_are_exact(self, folding: Applier, tables: Tables):
        folding(*(record(f"k{i}", 1) for i in range(50)))

        folding(*(remove(f"{'kK'[i % 2]}{i}", 2) for i in range(50)), statement_bytes=1000)

        assert [row[0] for row in orders(tables)] == sorted(f"k{i}" for i in range(50) if i % 2)


class TestNumbered:
    """A legacy primary key of its own and columns that Backstream does not know."""

    @pytest.fixture
    def numbered(self, tables: Tables, connect: Any) -> Applier:
        more = ", note VARCHAR(20) NULL, seen INT NOT NULL DEFAULT 7, UNIQUE KEY uq_order (order_id)"
        tables.replace_target(LEGACY.format(first=NUMBERED, more=more))
        return Applier(connect())

    def test_updates_keep_the_number_and_the_columns_of_others(self, numbered: Applier, tables: Tables):
        numbered(record("a", 1), record("b", 1))
        tables.run("UPDATE tbl_orders SET note = 'legacy', seen = 8 WHERE order_id = 'a'")
        before = tables.run("SELECT id FROM tbl_orders WHERE order_id = 'a'")

        numbered(record("a", 2, status="PAID"), record("c", 1))

        assert tables.run("SELECT id FROM tbl_orders WHERE order_id = 'a'") == before
        assert tables.run("SELECT order_id, status, note, seen FROM tbl_orders ORDER BY order_id") == [
            ("a", "PAID", "legacy", 8),
            ("b", "NEW", None, 7),
            ("c", "NEW", None, 7),
        ]

    def test_deletes_go_by_the_key(self, numbered: Applier, tables: Tables):
        numbered(record("a", 1), record("b", 1))

        numbered(remove("a", 2))

        assert orders(tables) == [order("b")]


@pytest.mark.parametrize("collation", ["utf8mb4_bin", "utf8mb4_general_ci"])
def test_a_nullable_key_column_fits(tables: Tables, connect: Any, collation: str):
    nullable = NUMBERED.replace("utf8mb4_bin NOT NULL", f"{collation} NULL")
    more = ", UNIQUE KEY uq_status (status), UNIQUE KEY uq_order (order_id)"
    tables.replace_target(LEGACY.format(first=nullable, more=more))
    writer = Applier(connect())
    writer(record("a", 1, status="ONE"))

    outcome = writer(record("b", 1, status="ONE"))

    assert [(order_id(p.key), p.kind) for p in outcome.parked] == [("b", Kind.DEFERRED)]
    assert orders(tables) == [order("a", status="ONE")]
