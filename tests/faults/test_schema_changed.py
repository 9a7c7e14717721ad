"""The tables are altered, with the consumer connected or not. A person must correct that."""

from __future__ import annotations

import pytest

from common.database import StopError
from common.layout import QUARANTINE, folder_of
from tests.support.two_mappings import over_both

CHANGES = {
    "the target has lost a column": (
        "ALTER TABLE {table} DROP COLUMN currency",
        "ALTER TABLE {table} ADD COLUMN currency VARCHAR(3) NOT NULL DEFAULT 'INR' AFTER amount",
        1054,
        "{table}: column currency is missing",
    ),
    "the target is gone": (
        "RENAME TABLE {table} TO target_away",
        "RENAME TABLE target_away TO {table}",
        1146,
        "{table}: it does not exist; run the schema step",
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
        "ALTER TABLE {table} ADD COLUMN region VARCHAR(8) NOT NULL",
        "ALTER TABLE {table} DROP COLUMN region",
        1364,
        "{table}: column region is NOT NULL without a default, and the mapping does not fill it",
    ),
}


@over_both
@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_schema_stops_until_it_is_corrected(change, items, consumer, parked):
    """The schema changes under a live connection. Once it is corrected, the same batch applies."""
    alter, restore, errno, mismatch = (
        part.format(table=items.table) if isinstance(part, str) else part for part in CHANGES[change]
    )
    consumer.deliver(items.put("a", 1))
    batch = [items.put("a", 2, status="PAID"), items.put("b", 3)]
    items.tables.run(alter)

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
    items.tables.run(restore)
    assert items.rows() == [items.row("a")]
    assert items.versions("a") == {"a": 1}

    assert consumer.deliver(*batch) == {"upserted": 2}
    assert items.rows() == [items.row("a", status="PAID"), items.row("b")]
    assert items.versions("a", "b") == {"a": 2, "b": 3}
    assert parked() == []


@over_both
def test_a_narrowed_column_parks_only_what_does_not_fit(items, consumer, parked):
    """The column is made narrower under a live connection."""
    consumer.deliver(items.put("a", 1))
    modify = f"ALTER TABLE {items.table} MODIFY status VARCHAR({{}}) NOT NULL, MODIFY amount DECIMAL({{}}) NOT NULL"
    items.tables.run(modify.format("4", "5,2"))

    counts = consumer.deliver(
        items.put("b", 2, status="PAID"), items.put("c", 3, status="SHIPPED"), items.put("d", 4, amount="1000")
    )

    assert counts == {"upserted": 1, "parked": 2}
    assert items.rows() == [items.row("a"), items.row("b", status="PAID")]
    items.tables.run(modify.format("32", "19,4"))
    assert items.versions("a", "b") == {"a": 1, "b": 2}
    assert [name.rpartition("/")[0] + "/" for name in parked()] == [
        folder_of(items.key(name), QUARANTINE) for name in ("c", "d")
    ]


@over_both
def test_a_column_too_narrow_at_connect_stops(items, consumer, parked):
    """Nothing is parked."""
    items.tables.run(f"ALTER TABLE {items.table} MODIFY status VARCHAR(4) NOT NULL")

    with pytest.raises(StopError, match=r"column status is varchar\(4\); the mapping needs a text of at least 32"):
        consumer.deliver(items.put("a", 1), items.put("b", 2, status="SHIPPED"))
    assert (items.rows(), items.versions(), parked()) == ([], {}, [])
    items.tables.run(f"ALTER TABLE {items.table} MODIFY status VARCHAR(32) NOT NULL")

    assert consumer.deliver(items.put("a", 1), items.put("b", 2, status="SHIPPED")) == {"upserted": 2}
