"""The connection breaks within a batch or between two. Nothing is half-written, and nothing is written twice."""

from __future__ import annotations

import pytest

from common.database import HoldError
from tests.support.cuts import assert_whole_or_not_at_all
from tests.support.deliveries import PLAIN
from tests.support.two_mappings import over_both

pytestmark = over_both


def test_a_reset_before_the_commit_writes_nothing(items, log, proxy, consumer):
    """The next delivery applies the whole batch."""
    batch = [items.put("a", 1), items.put("b", 2)]
    proxy.before("COMMIT", proxy.reset)

    with pytest.raises(HoldError):
        consumer.deliver(*batch)
    assert (items.rows(), items.versions("a", "b"), log()) == ([], {}, [])

    assert consumer.deliver(*batch) == {"upserted": 2}
    assert items.rows() == [items.row("a"), items.row("b")]
    assert items.versions("a", "b") == {"a": 1, "b": 2}
    assert log() == [("a", "NEW"), ("b", "NEW")]


def test_a_reset_after_the_commit_writes_nothing_twice(items, log, proxy, consumer):
    """The redelivered batch is recognised."""
    consumer.deliver(items.put("gone", 1))
    consumer.database.drop()
    items.tables.run("DELETE FROM replication_versions")  # the row is older than the pipeline
    batch = [items.put("a", 1), items.put("b", 2), items.remove("gone", 3)]
    proxy.after("COMMIT", proxy.reset)

    with pytest.raises(HoldError):
        consumer.deliver(*batch)

    assert consumer.deliver(*batch) == {"redelivered": 3}
    assert items.rows() == [items.row("a"), items.row("b"), *items.removed("gone")]
    assert items.versions("a", "b", "gone") == {"a": 1, "b": 2, "gone": 3}
    assert sorted(log()) == [("a", "NEW"), ("b", "NEW"), ("gone", "NEW"), ("gone", "deleted")]


def test_a_lost_acknowledgement_is_settled_at_once(items, log, proxy, consumer):
    """On a reused connection, the same invocation tries again."""
    consumer.deliver(items.put("a", 1))
    proxy.after("COMMIT", proxy.reset)

    assert consumer.deliver(items.put("a", 2, status="PAID"), items.put("b", 3)) == {"redelivered": 2}

    assert items.rows() == [items.row("a", status="PAID"), items.row("b")]
    assert log() == [("a", "NEW"), ("a", "PAID"), ("b", "NEW")]


@pytest.mark.parametrize("side", ["before", "after"])
def test_a_batch_cut_at_any_statement_is_whole_or_absent(*, side, items, log, proxy, consumer, parked):
    """Redelivered, it converges."""
    items.tables.run(f"ALTER TABLE {items.table} ADD CONSTRAINT short CHECK (status <> 'AWAITING-COLLECTION')")
    poison = items.put("poison", 14, status="AWAITING-COLLECTION")

    assert_whole_or_not_at_all(side, poison, items=items, proxy=proxy, consumer=consumer, user=PLAIN)

    assert len(parked()) == 1
