"""The promises of convergence, faults and replay over one legacy table that has everything at once.

A surrogate id, a case-folding business key, a second unique key, a foreign key, ENUM, CHECK, a generated column,
columns of others, and triggers that write an audit table and touch the key; see tests/support/legacy.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pymysql
import pytest
from hypothesis import HealthCheck, given, settings

from common.changes import Kind
from scripts.local_stack.database import Account
from tests.support.backlogs import GeneratedBacklog, backlogs
from tests.support.convergence import (
    PROPERTY,
    assert_converges,
    assert_every_record_is_accounted_for,
    assert_refused_are_parked,
    guarded,
)
from tests.support.convergence import (
    make_world as make_writers,
)
from tests.support.cuts import assert_whole_or_not_at_all
from tests.support.histories import CLASH, DELETE, ORPHAN, POISON, STATUS, UPSERT, DeliveryPlan, plans
from tests.support.legacy import MAPPED, OUTSIDER, TAKEN, HostileTables
from tests.support.legacy_meters import HostileMeterItems
from tests.support.proxy import Proxy
from tests.support.records import START, order_id, record, remove
from tests.support.replay import ReplayHarness
from tests.support.tables import Rows, order
from tests.support.two_mappings import Items, OrderItems
from tests.support.writes import Applier, WriteLog

KEYS = ("order-1", "K", "z'\\", "order-2")  # no two of them are equal to the collation


def test_any_deliveries_end_in_the_last_state(tables: HostileTables, connect: Any):
    world = make_writers(tables, WriteLog(tables), connect)

    @settings(PROPERTY, max_examples=60)
    @given(plans(keys=KEYS))
    def converges(plan: DeliveryPlan) -> None:
        done = assert_converges(world, plan, guarded)

        assert tables.sidecar() == plan.sidecar()
        assert_every_record_is_accounted_for(done)
        assert [parked for _, outcome in done for parked in outcome.parked] == []
        tables.assert_legacy_values_survived()

    converges()


def test_what_the_table_refuses_is_parked_and_the_rest_wins(tables: HostileTables, connect: Any):
    world = make_writers(tables, WriteLog(tables), connect)

    @settings(PROPERTY, max_examples=60)
    @given(plans(keys=KEYS, kinds=(UPSERT, DELETE, POISON, ORPHAN, STATUS, CLASH)))
    def converges(plan: DeliveryPlan) -> None:
        done = assert_converges(world, plan, guarded)

        assert tables.sidecar() == plan.sidecar()
        assert_refused_are_parked(plan, done)
        tables.assert_legacy_values_survived()

    converges()


def test_a_rewrite_repairs_what_strangers_did(tables: HostileTables, connect: Any):
    """Swapped unique values, a deleted row, one that was put back. What another row's unique value blocks is parked."""
    writer = Applier(connect())
    batch = [*(record(key, n, created_at=n) for n, key in enumerate("abce", 1)), remove("d", 5)]
    writer(*batch)
    before = tables.orders(), tables.whole_sidecar()
    tables.run(
        "UPDATE tbl_orders SET created_at = created_at + 100 WHERE order_id IN ('a', 'b')",
        "UPDATE tbl_orders SET created_at = IF(order_id = 'a', 2, 1), status = 'PAID' WHERE order_id IN ('a', 'b')",
        "DELETE FROM tbl_orders WHERE order_id = 'c'",
        f"INSERT INTO tbl_orders ({MAPPED}) VALUES ('d', 'merchant-102', 1, 'INR', 'NEW', 55, 1)",
        "UPDATE tbl_orders SET created_at = 400 WHERE order_id = 'e'",
        f"UPDATE tbl_orders SET created_at = 4 WHERE order_id = '{OUTSIDER}'",
    )

    outcome = writer(*batch, rewrite=True)

    assert [(order_id(p.key), p.kind) for p in outcome.parked] == [("e", Kind.DEFERRED)]
    assert outcome.counts == Counter(upserted=3, deleted=1)
    tables.run(f"UPDATE tbl_orders SET created_at = {TAKEN} WHERE order_id = '{OUTSIDER}'")
    assert writer(*batch, rewrite=True).counts == Counter(upserted=4, deleted=1)
    assert (tables.orders(), tables.whole_sidecar()) == before
    tables.assert_legacy_values_survived()


def test_each_refusal_has_its_kind(tables: HostileTables, connect: Any):
    outcome = Applier(connect())(
        record("a", 1, amount="-1", created_at=1),
        record("b", 1, merchant_id="nobody", created_at=2),
        record("c", 1, status="paid", created_at=3),
        record("d", 1, created_at=TAKEN),
        record("OUTSIDER", 1, created_at=5),
        record("e", 1, created_at=6),
    )

    assert sorted((order_id(p.key), p.kind) for p in outcome.parked if order_id(p.key) != "OUTSIDER") == [
        ("a", Kind.POISON),
        ("b", Kind.DEFERRED),
        ("c", Kind.POISON),
        ("d", Kind.DEFERRED),
    ]
    assert [order_id(p.key) for p in outcome.parked if order_id(p.key) == "OUTSIDER"] == ["OUTSIDER"]
    assert tables.orders() == [order("e", created_at=6)]
    assert tables.sidecar() == [("e", 1, 0)]


def test_updates_keep_ids_and_the_columns_of_others(tables: HostileTables, connect: Any):
    writer = Applier(connect())
    writer(record("a", 1, created_at=1), record("b", 1, created_at=2))
    tables.run("UPDATE tbl_orders SET note = 'legacy', seen = 8 WHERE order_id = 'a'")
    others = "SELECT id, order_id, note, seen FROM tbl_orders ORDER BY id"
    before = tables.run(others)

    for n in range(2, 12):
        writer(record("a", n, currency="EUR", created_at=1), record("b", n, created_at=2))

    assert tables.run(others) == before
    assert tables.run("SELECT label FROM tbl_orders WHERE order_id = 'a'") == [("EUR merchant-102",)]
    assert tables.run("SELECT event, COUNT(*) FROM audit WHERE name = 'a' GROUP BY event ORDER BY event") == [
        ("insert", 1),
        ("update", 11),
    ]


def test_unique_values_swap_on_it(tables: HostileTables, connect: Any):
    writer = Applier(connect())
    writer(record("a", 1, created_at=1), record("b", 1, created_at=2))

    assert writer(record("a", 2, created_at=2), record("b", 2, created_at=1)).parked == []
    assert tables.orders() == [order("a", created_at=2), order("b", created_at=1)]
    tables.assert_legacy_values_survived()


@pytest.mark.parametrize(
    "statement",
    ["SELECT * FROM merchants", "SELECT * FROM audit", "CREATE TABLE mine (id INT)", "DROP TABLE tbl_orders"],
)
def test_the_account_may_do_nothing_else(connect: Any, statement: str):
    with pytest.raises(pymysql.MySQLError, match="denied"):
        connect().query(statement)


@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize("items", [OrderItems, HostileMeterItems], ids=["orders", "meters"], indirect=True)
def test_a_cut_connection_leaves_a_batch_whole_or_unwritten(  # noqa: PLR0917
    items: Items,
    status_log: Callable[[], Rows],
    proxy: Proxy,
    consumer: Any,
    least: Account,
    parked: Callable[[], list[str]],
    side: str,
):
    poison = items.put("poison", 14, amount="-1", created_at=START + 14)

    assert_whole_or_not_at_all(
        side, poison, items=items, proxy=proxy, consumer=consumer, user=least.user, statements=10
    )

    assert len(parked()) == 1
    items.tables.assert_legacy_values_survived()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(backlog=backlogs)
def test_any_backlog_is_replayed_to_the_last_state(
    make_harness: Callable[..., ReplayHarness], backlog: GeneratedBacklog
):
    backlog.assert_replays(make_harness)
