"""Several mappings in one database: no change, source or error of one reaches the other."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from common.database import SchemaMismatchError
from common.mysql import registry, schema
from common.source import Source
from tests.support.item_tables import ItemTables
from tests.support.records import SOURCE, STREAM, record
from tests.support.shop import make_shop
from tests.support.tables import Tables, order
from tests.support.writes import MAPPING, Applier


@pytest.fixture
def shop(tables: Tables, connect: Any) -> ItemTables:
    return make_shop(tables, connect())


def test_equal_keys_of_two_mappings_have_two_versions(shop: ItemTables, writer: Applier, tables: Tables):
    """Versions of two streams cannot be compared."""
    writer(record("ann", 9))

    assert shop(shop.put("customer", ("ann",), 1, "Ann")).counts == Counter(upserted=1)
    assert writer(record("ann", 8)).counts == Counter(stale=1)
    assert tables.orders() == [order("ann")]
    assert tables.run("SELECT item_key FROM replication_versions ORDER BY 1") == [("ann",), ("shop.customer ann",)]


def test_a_broken_table_of_one_mapping_does_not_stop_another(shop: ItemTables, writer: Applier, tables: Tables):
    tables.run("DROP TABLE notes")

    with pytest.raises(SchemaMismatchError, match="table notes"):
        schema.inspect(shop.connection, shop.mapping)

    assert Applier(writer.connection)(record("a", 1)).counts == Counter(upserted=1)


def test_two_mappings_register_their_sources_apart(shop: ItemTables, connect: Any, tables: Tables):
    """Another table is refused within a mapping only."""
    other = Source(f"{SOURCE.table_arn}-2", 3)
    tables.run("DELETE FROM replication_sources WHERE mapping = 'shop'")

    assert registry.register(connect(), shop.mapping, other, STREAM.label) == "registered"
    assert registry.register(connect(), MAPPING, SOURCE, STREAM.label) == "known"
    assert tables.run("SELECT mapping, generation FROM replication_sources ORDER BY 1") == [("orders", 0), ("shop", 3)]
    with pytest.raises(registry.SourceError, match="of mapping shop"):
        registry.check(connect(), shop.mapping, SOURCE)


def test_versions_of_another_mapping_refuse_no_source(shop: ItemTables, writer: Applier, connect: Any, tables: Tables):
    """A mapping whose name begins like another's is not the other, nor is an order whose id begins so."""
    writer(*(record(key, 1) for key in ("a", "b", "c", "shop.d")))
    tables.run(
        "UPDATE replication_versions SET item_key = 'shop-2.order a' WHERE item_key = 'a'",
        "UPDATE replication_versions SET item_key = 'shop_2.order a' WHERE item_key = 'b'",
    )
    tables.run("DELETE FROM replication_sources WHERE mapping = 'shop'")

    assert registry.register(connect(), shop.mapping, SOURCE, "2020-01-01T00:00:00.000") == "registered"


def test_a_table_that_another_entity_writes_is_refused(tables: Tables, connect: Any):
    """The message says which entity that is, and how to release the table."""
    copy = replace(MAPPING, name="copy")

    with pytest.raises(SchemaMismatchError) as refused:
        registry.register(connect(), copy, SOURCE, STREAM.label)

    release = "DELETE FROM replication_entities WHERE entity = 'orders.order'"
    assert "entity orders.order writes it already, and copy.order would" in str(refused.value)
    assert release in str(refused.value)
    assert tables.run("SELECT mapping FROM replication_sources") == [("orders",)], "nothing is registered"
    tables.run(release)
    assert registry.register(connect(), copy, SOURCE, STREAM.label) == "registered"
    assert tables.run("SELECT * FROM replication_entities") == [("copy.order", "tbl_orders")]
    tables.assert_unlocked()


def test_an_entity_that_gets_another_table_is_refused(tables: Tables, connect: Any):
    """Its stored versions are those of its rows in the table before."""
    [entity] = MAPPING.entities
    moved = replace(MAPPING, entities=(replace(entity, table="orders_2"),))

    with pytest.raises(SchemaMismatchError) as refused:
        registry.register(connect(), moved, SOURCE, STREAM.label)

    release = "UPDATE replication_entities SET target_table = 'orders_2' WHERE entity = 'orders.order'"
    assert release in str(refused.value)
    tables.run(release)
    assert registry.register(connect(), moved, SOURCE, STREAM.label) == "known"
