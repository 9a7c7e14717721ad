"""The connection breaks in the middle of a batch, or between two. Nothing is half-written, nothing written twice."""

from __future__ import annotations

from typing import Any

import pytest

from common.errors import HoldError
from scripts.local.waiting import poll
from tests.support.deliveries import PLAIN
from tests.support.records import record, remove
from tests.support.tables import order


def test_a_reset_before_the_commit_writes_nothing_and_the_next_delivery_applies_all(tables, log, proxy, consumer):
    batch = [record("a", 1), record("b", 2)]
    proxy.before("COMMIT", proxy.reset)

    with pytest.raises(HoldError):
        consumer.deliver(*batch)
    assert (tables.orders(), tables.sidecar(), log()) == ([], [], [])

    assert consumer.deliver(*batch) == {"upserted": 2}
    assert tables.orders() == [order("a"), order("b")]
    assert tables.sidecar() == [("a", 1, 0), ("b", 2, 0)]
    assert log() == [("a", "NEW"), ("b", "NEW")]


def test_a_reset_after_the_commit_is_redelivered_and_recognised_so_nothing_is_written_twice(
    tables, log, proxy, consumer
):
    tables.run("INSERT INTO tbl_orders VALUES ('gone', 'merchant-102', 200, 'INR', 'NEW', 1, 1)")
    batch = [record("a", 1), record("b", 2), remove("gone", 3)]
    proxy.after("COMMIT", proxy.reset)

    with pytest.raises(HoldError):
        consumer.deliver(*batch)

    assert consumer.deliver(*batch) == {"redelivered": 3}
    assert tables.orders() == [order("a"), order("b")]
    assert tables.sidecar() == [("a", 1, 0), ("b", 2, 0), ("gone", 3, 1)]
    assert log() == [("gone", "NEW"), ("a", "NEW"), ("b", "NEW"), ("gone", "deleted")]


def test_on_a_reused_connection_a_lost_acknowledgement_is_settled_in_the_same_invocation(tables, log, proxy, consumer):
    consumer.deliver(record("a", 1))
    proxy.after("COMMIT", proxy.reset)

    assert consumer.deliver(record("a", 2, status="PAID"), record("b", 3)) == {"redelivered": 2}

    assert tables.orders() == [order("a", status="PAID"), order("b")]
    assert log() == [("a", "NEW"), ("a", "PAID"), ("b", "NEW")]


def _batch() -> list[dict[str, Any]]:
    """Of everything: new, changed, deleted, stale, redelivered, and too long for the column as the server has it."""
    return [
        record("changed", 12, status="PAID"),
        record("new", 13),
        record("poison", 14, status="AWAITING-COLLECTION"),
        remove("removed", 15),
        record("same", 4),
        record("stale", 1),
    ]


_BEFORE = [record("changed", 2), record("removed", 3), record("same", 4), record("stale", 5)]
_AFTER = (
    [order("changed", status="PAID"), order("new"), order("same"), order("stale")],
    [("changed", 12, 0), ("new", 13, 0), ("removed", 15, 1), ("same", 4, 0), ("stale", 5, 0)],
    [("changed", "PAID"), ("new", "NEW"), ("removed", "deleted")],
)


@pytest.mark.parametrize("side", ["before", "after"])
def test_cut_at_any_statement_a_batch_is_written_whole_or_not_at_all_and_converges(
    *, side, tables, log, proxy, consumer, parked
):
    tables.run("ALTER TABLE tbl_orders ADD CONSTRAINT short CHECK (status <> 'AWAITING-COLLECTION')")
    cut, n = 0, 0
    while True:
        tables.run("DELETE FROM tbl_orders", "DELETE FROM replication_versions")
        consumer.deliver(*_BEFORE)
        consumer.database.drop()
        tables.run("DELETE FROM writes")
        before = (tables.orders(), tables.sidecar(), log())
        getattr(proxy, side)("", proxy.reset, skip=n)
        n += 1
        try:
            consumer.deliver(*_batch())
        except HoldError:
            cut += 1
        else:
            break
        poll(lambda: tables.sessions_of(PLAIN) == [], timeout=5)  # the server has noticed, and rolled back
        assert (tables.orders(), tables.sidecar(), log()) in (before, _AFTER), f"cut {side} statement {n}"
        consumer.deliver(*_batch())
        assert (tables.orders(), tables.sidecar(), log()) == _AFTER, f"cut {side} statement {n}"
    assert cut > 20
    assert len(parked()) == 1
