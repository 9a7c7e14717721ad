"""Unique values that move between the rows of one batch are written, in time linear in their number."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from common.changes import Kind
from common.database import Outcome
from tests.support.legacy import mapped_orders, orders_table
from tests.support.records import order_id, record, remove
from tests.support.tables import Rows, Tables, order
from tests.support.writes import Applier, round_trips

SHAPES = {
    "nullable": orders_table("UNIQUE KEY uq_status (status)", status="VARCHAR(32) NULL"),
    "not null": orders_table("UNIQUE KEY uq_status (status)"),
    "composite": orders_table("UNIQUE KEY uq_status (merchant_id, status)"),
    "with the key": orders_table("UNIQUE KEY a_pair (order_id, merchant_id)", "UNIQUE KEY uq_status (status)"),
    "surrogate id": orders_table("UNIQUE KEY uq_status (status)", id_type="INT"),
}
SIZES = (10, 40, 160)
both_ways = pytest.mark.parametrize("every_change", [False, True], ids=["last change", "every change"])


@pytest.fixture(params=SHAPES.values(), ids=SHAPES.keys())
def writer(request: Any, tables: Tables, connect: Any) -> Applier:
    tables.replace_target(request.param)
    return Applier(connect())


def key(i: int) -> str:
    return f"k{i:03}"


def value(i: int) -> str:
    return f"S{i}"


def state(n: int, shift: int = 0) -> Rows:
    return [order(key(i), status=value(i + shift)) for i in range(n)]


def fill(writer: Applier, n: int) -> None:
    writer(*(record(key(i), 1, status=value(i)) for i in range(n)))


def move(n: int, shift: int) -> list[dict[str, Any]]:
    return [record(key(i), 2, status=value(i + shift)) for i in range(n)]


def assert_linear(trips: dict[int, int]) -> None:
    assert trips[160] <= 10 * 160, trips
    assert trips[160] <= 6 * trips[40], trips


@both_ways
@pytest.mark.parametrize("shift", [1, -1], ids=["last first", "first first"])
def test_a_chain_is_written_in_linear_time(writer: Applier, tables: Tables, shift: int, *, every_change: bool):
    trips = {}
    for n in SIZES:
        tables.run("DELETE FROM tbl_orders", "DELETE FROM replication_versions")
        fill(writer, n)
        sent = round_trips(writer.connection)

        outcome = writer(*move(n, shift), every_change=every_change)

        trips[n] = len(sent)
        assert outcome == Outcome(Counter(upserted=n))
        assert mapped_orders(tables) == state(n, shift)
        assert tables.sidecar() == [(key(i), 2, 0) for i in range(n)]
    assert_linear(trips)


@both_ways
@pytest.mark.parametrize("n", [2, 3, 5, 40])
def test_a_rotation_is_written(writer: Applier, tables: Tables, n: int, *, every_change: bool):
    """Two rows that rotate swap their values."""
    fill(writer, n)

    outcome = writer(*(record(key(i), 2, status=value((i + 1) % n)) for i in range(n)), every_change=every_change)

    assert outcome == Outcome(Counter(upserted=n))
    assert mapped_orders(tables) == [order(key(i), status=value((i + 1) % n)) for i in range(n)]
    assert tables.sidecar() == [(key(i), 2, 0) for i in range(n)]


def test_a_swap_beside_rows_that_stay(writer: Applier, tables: Tables):
    fill(writer, 5)

    outcome = writer(record(key(1), 2, status=value(3)), record(key(3), 2, status=value(1)), record("new", 2))

    assert outcome == Outcome(Counter(upserted=3))
    rows = state(5)
    rows[1], rows[3] = order(key(1), status=value(3)), order(key(3), status=value(1))
    assert mapped_orders(tables) == [*rows, order("new")]


def assert_deferred_until(
    writer: Applier, tables: Tables, changes: list[dict[str, Any]], outsider: str, after: Rows
) -> None:
    """All of `changes` are deferred without a trace, and written once the outsider's row is deleted."""
    before = tables.run("SELECT * FROM tbl_orders ORDER BY order_id"), tables.whole_sidecar()

    outcome = writer(*changes)

    assert sorted(order_id(p.key) for p in outcome.parked) == sorted(
        c["dynamodb"]["Keys"]["p_key"]["S"] for c in changes
    )
    assert {p.kind for p in outcome.parked} == {Kind.DEFERRED}
    assert outcome.counts == Counter()
    assert (tables.run("SELECT * FROM tbl_orders ORDER BY order_id"), tables.whole_sidecar()) == before
    tables.run(f"DELETE FROM tbl_orders WHERE order_id = '{outsider}'")
    assert writer(*(p.record for p in outcome.parked)) == Outcome(Counter(upserted=len(changes)))
    assert mapped_orders(tables) == after


def test_a_swap_that_an_outsider_blocks_is_deferred(writer: Applier, tables: Tables):
    """The first row waits for the second, and the second for a row outside the batch, on another unique key."""
    tables.run("ALTER TABLE tbl_orders ADD UNIQUE KEY uq_created (created_at)")
    writer = Applier(writer.connection)
    writer(
        record("a", 1, status="ONE", created_at=1),
        record("b", 1, status="TWO", created_at=2),
        record("outsider", 1, status="THREE", created_at=3),
    )

    assert_deferred_until(
        writer,
        tables,
        [record("a", 2, status="TWO", created_at=1), record("b", 2, status="ONE", created_at=3)],
        "outsider",
        [order("a", status="TWO", created_at=1), order("b", status="ONE", created_at=3)],
    )


def test_a_blocked_chain_is_deferred_in_linear_time(writer: Applier, tables: Tables):
    trips = {}
    for n in SIZES:
        tables.run("DELETE FROM tbl_orders", "DELETE FROM replication_versions")
        fill(writer, n)
        writer(record("outsider", 1, status=value(n)))
        sent = round_trips(writer.connection)

        outcome = writer(*move(n, 1))

        trips[n] = len(sent)
        assert sorted(order_id(p.key) for p in outcome.parked) == [key(i) for i in range(n)]
        assert {p.kind for p in outcome.parked} == {Kind.DEFERRED}
        assert outcome.counts == Counter()
        assert mapped_orders(tables) == [*state(n), order("outsider", status=value(n))]
        assert tables.sidecar() == [*((key(i), 1, 0) for i in range(n)), ("outsider", 1, 0)]
    assert_linear(trips)


def test_a_blocked_chain_goes_through_after_the_outsider(writer: Applier, tables: Tables):
    fill(writer, 10)
    writer(record("outsider", 1, status=value(10)))

    assert_deferred_until(writer, tables, move(10, 1), "outsider", state(10, 1))


def test_good_rows_beside_a_blocked_chain_are_written(writer: Applier, tables: Tables):
    fill(writer, 10)
    writer(record("outsider", 1, status=value(10)))

    outcome = writer(*move(10, 1), record("new", 2), remove("gone", 2))

    assert outcome.counts == Counter(upserted=1, deleted=1)
    assert len(outcome.parked) == 10
    assert mapped_orders(tables) == [*state(10), order("new"), order("outsider", status=value(10))]


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("freed", ["first", "last"])
def test_a_value_that_a_delete_frees_starts_a_chain(writer: Applier, tables: Tables, freed: str, n: int):
    fill(writer, n)
    gone, shift = (0, -1) if freed == "first" else (n - 1, 1)
    changes = [change for i, change in enumerate(move(n, shift)) if i != gone]
    sent = round_trips(writer.connection)

    outcome = writer(remove(key(gone), 2), *changes)

    assert len(sent) <= 10 * n
    assert outcome == Outcome(Counter(upserted=n - 1, deleted=1))
    assert mapped_orders(tables) == [row for row in state(n, shift) if row[0] != key(gone)]
    assert (key(gone), 2, 1) in tables.sidecar()


@pytest.mark.parametrize("n", SIZES)
def test_a_new_row_takes_the_value_that_a_chain_frees(writer: Applier, tables: Tables, n: int):
    fill(writer, n)

    outcome = writer(record("a-new", 2, status=value(0)), *move(n, 1))

    assert outcome == Outcome(Counter(upserted=n + 1))
    assert mapped_orders(tables) == [order("a-new", status=value(0)), *state(n, 1)]
