"""The tables are altered, with the consumer connected or not. A person must correct that."""

from __future__ import annotations

import pytest

from common.database import StopError
from tests.support.records import record
from tests.support.tables import order

CHANGES = {
    "the target has lost a column": (
        "ALTER TABLE tbl_orders DROP COLUMN currency",
        "ALTER TABLE tbl_orders ADD COLUMN currency VARCHAR(3) NOT NULL DEFAULT 'INR' AFTER amount",
        1054,
        "tbl_orders: column currency is missing",
    ),
    "the target is gone": (
        "RENAME TABLE tbl_orders TO tbl_orders_old",
        "RENAME TABLE tbl_orders_old TO tbl_orders",
        1146,
        "tbl_orders: it does not exist; run the schema step",
    ),
    "the sidecar is gone": (
        "RENAME TABLE replication_versions TO versions",
        "RENAME TABLE versions TO replication_versions",
        1146,
        "replication_versions: it does not exist; run the schema step",
    ),
    "the sidecar has lost a column": (
        "ALTER TABLE replication_versions CHANGE token ticket INT UNSIGNED NOT NULL",
        "ALTER TABLE replication_versions CHANGE ticket token INT UNSIGNED NOT NULL",
        1054,
        "replication_versions: column token is missing",
    ),
    "the target has a column that nothing fills": (
        "ALTER TABLE tbl_orders ADD COLUMN region VARCHAR(8) NOT NULL",
        "ALTER TABLE tbl_orders DROP COLUMN region",
        1364,
        "tbl_orders: column region is NOT NULL without a default, and the mapping does not fill it",
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_schema_stops_until_it_is_corrected(change, tables, consumer, parked):
    """The schema changes under a live connection. Once it is corrected, the same batch applies."""
    alter, restore, errno, mismatch = CHANGES[change]
    consumer.deliver(record("a", 1))
    batch = [record("a", 2, status="PAID"), record("b", 3)]
    tables.run(alter)

    with pytest.raises(StopError) as first:
        consumer.deliver(*batch)
    assert (first.value.errno, first.value.hint) == (
        errno,
        "the schema differs from the table mapping; run the schema step",
    )
    with pytest.raises(StopError) as second:
        consumer.deliver(*batch)
    table, _, problem = mismatch.partition(": ")
    assert second.value.hint == f"table {table} does not fit the mapping: {problem}"
    assert str(second.value).endswith(second.value.hint)
    tables.run(restore)
    assert tables.orders() == [order("a")]
    assert tables.sidecar() == [("a", 1, 0)]

    assert consumer.deliver(*batch) == {"upserted": 2}
    assert tables.orders() == [order("a", status="PAID"), order("b")]
    assert tables.sidecar() == [("a", 2, 0), ("b", 3, 0)]
    assert parked() == []


def test_a_narrowed_column_parks_only_what_does_not_fit(tables, consumer, parked):
    """The column is made narrower under a live connection."""
    consumer.deliver(record("a", 1))
    tables.run("ALTER TABLE tbl_orders MODIFY status VARCHAR(4) NOT NULL, MODIFY amount DECIMAL(5,2) NOT NULL")

    counts = consumer.deliver(
        record("b", 2, status="PAID"), record("c", 3, status="SHIPPED"), record("d", 4, amount="1000")
    )

    assert counts == {"upserted": 1, "parked": 2}
    assert tables.orders() == [order("a"), order("b", status="PAID")]
    assert tables.sidecar() == [("a", 1, 0), ("b", 2, 0)]
    assert [name.split("/")[2] for name in parked()] == ["c", "d"]


def test_a_column_too_narrow_at_connect_stops(tables, consumer, parked):
    """Nothing is parked."""
    tables.run("ALTER TABLE tbl_orders MODIFY status VARCHAR(4) NOT NULL")

    with pytest.raises(StopError, match=r"column status is varchar\(4\); the mapping needs a text of at least 32"):
        consumer.deliver(record("a", 1), record("b", 2, status="SHIPPED"))
    assert (tables.orders(), tables.sidecar(), parked()) == ([], [], [])
    tables.run("ALTER TABLE tbl_orders MODIFY status VARCHAR(32) NOT NULL")

    assert consumer.deliver(record("a", 1), record("b", 2, status="SHIPPED")) == {"upserted": 2}
