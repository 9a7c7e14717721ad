"""The connection breaks within a batch or between two. Nothing is half-written, and nothing is written twice."""

from __future__ import annotations

import pytest

from common.database import HoldError
from tests.support.cuts import assert_whole_or_not_at_all
from tests.support.deliveries import PLAIN
from tests.support.records import record, remove
from tests.support.tables import order


def test_a_reset_before_the_commit_writes_nothing(tables, log, proxy, consumer):
    """The next delivery applies the whole batch."""
    batch = [record("a", 1), record("b", 2)]
    proxy.before("COMMIT", proxy.reset)

    with pytest.raises(HoldError):
        consumer.deliver(*batch)
    assert (tables.orders(), tables.sidecar(), log()) == ([], [], [])

    assert consumer.deliver(*batch) == {"upserted": 2}
    assert tables.orders() == [order("a"), order("b")]
    assert tables.sidecar() == [("a", 1, 0), ("b", 2, 0)]
    assert log() == [("a", "NEW"), ("b", "NEW")]


def test_a_reset_after_the_commit_writes_nothing_twice(tables, log, proxy, consumer):
    """The redelivered batch is recognised."""
    tables.run("INSERT INTO tbl_orders VALUES ('gone', 'merchant-102', 200, 'INR', 'NEW', 1, 1)")
    batch = [record("a", 1), record("b", 2), remove("gone", 3)]
    proxy.after("COMMIT", proxy.reset)

    with pytest.raises(HoldError):
        consumer.deliver(*batch)

    assert consumer.deliver(*batch) == {"redelivered": 3}
    assert tables.orders() == [order("a"), order("b")]
    assert tables.sidecar() == [("a", 1, 0), ("b", 2, 0), ("gone", 3, 1)]
    assert log() == [("gone", "NEW"), ("gone", "deleted"), ("a", "NEW"), ("b", "NEW")]


def test_a_lost_acknowledgement_is_settled_at_once(tables, log, proxy, consumer):
    """On a reused connection, the same invocation tries again."""
    consumer.deliver(record("a", 1))
    proxy.after("COMMIT", proxy.reset)

    assert consumer.deliver(record("a", 2, status="PAID"), record("b", 3)) == {"redelivered": 2}

    assert tables.orders() == [order("a", status="PAID"), order("b")]
    assert log() == [("a", "NEW"), ("a", "PAID"), ("b", "NEW")]


@pytest.mark.parametrize("side", ["before", "after"])
def test_a_batch_cut_at_any_statement_is_whole_or_absent(*, side, tables, log, proxy, consumer, parked):
    """Redelivered, it converges."""
    tables.run("ALTER TABLE tbl_orders ADD CONSTRAINT short CHECK (status <> 'AWAITING-COLLECTION')")
    poison = record("poison", 14, status="AWAITING-COLLECTION")

    assert_whole_or_not_at_all(side, poison, tables=tables, log=log, proxy=proxy, consumer=consumer, user=PLAIN)

    assert len(parked()) == 1
