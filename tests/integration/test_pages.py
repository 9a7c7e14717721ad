"""Tables and sidecar read page by page: every key once, in the order of the index."""

from __future__ import annotations

from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from common.changes import Mark, Row
from common.database import StoredKey
from common.mysql.pages import page_of_stored_keys
from tests.support.comparisons import page_of_keys, paged
from tests.support.item_tables import ItemTables, mapping_of
from tests.support.readings import make_readings
from tests.support.records import START, record, remove
from tests.support.shop import SHOP, make_shop, total
from tests.support.tables import Tables
from tests.support.writes import MAPPING, Applier

every_size = pytest.mark.parametrize("limit", [1, 2, 3, 7, 1000])
BILLS = [
    (customer, day, number)
    for customer in ("B", "a", "ann")
    for day in ("2026-01-31", "2026-02-01")
    for number in (-1, 2, 10)
]


@pytest.fixture
def shop(tables: Tables, connect: Any) -> ItemTables:
    return make_shop(tables, connect(), ())


def fill(shop: ItemTables) -> None:
    shop(*(shop.put("bill", key, 1, total("1"), None, 0, None) for key in BILLS))


def keys(items: ItemTables, entity: int, limit: int) -> list[Row]:
    items.inspect()
    found = paged(partial(page_of_keys, items.connection, items.targets.tables[entity]), limit)
    items.connection.rollback()
    return found


@every_size
def test_every_key_is_read_once_in_key_order(shop: ItemTables, limit: int):
    fill(shop)

    assert keys(shop, 0, limit) == BILLS
    assert keys(shop, 1, limit) == []


@every_size
def test_a_legacy_table_is_read_in_the_order_of_its_index(shop: ItemTables, limit: int):
    """A surrogate key, a unique key in another order of columns, and a collation that folds case."""
    shop.tables.run(
        "ALTER TABLE bills ADD COLUMN id INT NOT NULL AUTO_INCREMENT FIRST, DROP PRIMARY KEY, ADD PRIMARY KEY (id),"
        " ADD UNIQUE KEY other (place), ADD UNIQUE KEY own (number, customer, day),"
        " MODIFY customer VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci NOT NULL"
    )
    fill(shop)

    assert keys(shop, 0, limit) == sorted(BILLS, key=lambda key: (key[2], key[0].lower(), key[1]))


@every_size
def test_keys_of_a_collation_that_folds_case_are_exact(shop: ItemTables, limit: int):
    """Keys that the collation takes for one are next to each other, and differ in another column."""
    shop.tables.run(
        "ALTER TABLE notes MODIFY customer VARCHAR(20) CHARACTER SET latin1 COLLATE latin1_general_ci NOT NULL",
        "INSERT INTO notes VALUES ('ann', 1, ''), ('ANN', 2, ''), ('Ann', 3, ''), ('bob', 1, ''), ('\xe4 ', 1, '')",
    )

    assert sorted(keys(shop, 2, limit)) == sorted([("ann", 1), ("ANN", 2), ("Ann", 3), ("bob", 1), ("\xe4 ", 1)])


@every_size
def test_rows_with_a_null_in_the_key_are_left_out(shop: ItemTables, limit: int):
    shop.tables.run(
        "ALTER TABLE notes DROP PRIMARY KEY, ADD UNIQUE KEY (customer, number), MODIFY number BIGINT NULL",
        "INSERT INTO notes VALUES ('a', NULL, ''), ('a', NULL, ''), ('a', 1, ''), ('b', NULL, ''), ('b', 1, '')",
    )

    assert keys(shop, 2, limit) == [("a", 1), ("b", 1)]


@every_size
def test_keys_of_bytes_and_decimals_are_read(tables: Tables, connect: Any, limit: int):
    readings = make_readings(tables, connect())
    given = [
        (device, Decimal(n)) for device in (b"", b"\0", b"'\\", b"a", b"a\0", b"\xff") for n in ("-1.5", "0", "1E+9")
    ]
    nothing = [None] * len(readings.mapping.entities[0].columns[2:])
    readings(*(readings.put("reading", key, 1, *nothing) for key in given))

    assert keys(readings, 0, limit) == given


def test_a_wider_column_of_times_has_the_keys_of_the_mapping(tables: Tables, connect: Any):
    """A time that no item has is not cut."""
    declared = {
        "partition_key": {"attribute": "pk", "type": "string"},
        "entities": {
            "tick": {
                "target": {
                    "table": "ticks",
                    "key": {"partition_key": "{at}"},
                    "key_columns": [{"column": "at", "type": "datetime", "fraction": 3}],
                },
                "columns": [],
            }
        },
    }
    ticks = ItemTables(
        tables, connect(), mapping_of("ticks", declared), "ALTER TABLE ticks MODIFY at DATETIME(6) NOT NULL"
    )
    ticks.tables.run(
        "INSERT INTO ticks VALUES ('2026-01-31 12:00:00.5'), ('2026-01-31 12:00:00.0001'), ('2026-01-31 12:00:01')"
    )

    for limit in (1, 2, 10):
        assert keys(ticks, 0, limit) == [
            ("2026-01-31 12:00:00.000100",),
            ("2026-01-31 12:00:00.500",),
            ("2026-01-31 12:00:01.000",),
        ]


def test_a_page_reads_only_its_own_part_of_the_index(shop: ItemTables):
    """A thousand rows come before the page, all with the same first column. None of them is read again."""
    shop(*(shop.put("note", ("ann", number), 1, "") for number in range(3_000)))
    shop.inspect()
    before = handled(shop)

    page = page_of_keys(shop.connection, shop.targets.tables[2], ("ann", 1_999), 10)

    assert page == [("ann", number) for number in range(2_000, 2_010)]
    assert handled(shop) - before < 20


def handled(shop: ItemTables) -> int:
    """Rows that the server has read for the connection."""
    with shop.connection.cursor() as cursor:
        cursor.execute("SHOW SESSION STATUS LIKE 'Handler_read%'")
        read = {name: int(value) for name, value in cursor.fetchall()}
    return read["Handler_read_next"] + read["Handler_read_key"]


# The sidecar


@every_size
def test_the_sidecar_is_read_by_entity_with_marks_and_times(shop: ItemTables, tables: Tables, connect: Any, limit: int):
    """Mappings that share the sidecar are not mixed up. Orders have names without an entity."""
    other = ItemTables(tables, connect(), mapping_of("shops", _renamed(SHOP)))
    shop(
        *(shop.put("note", ("ann", number), 1, "") for number in (1, 2, 10)),
        shop.put("customer", ("/ %",), 1, ""),
        shop.put("customer", ("bob",), 1, ""),
    )
    shop(shop.delete("customer", ("bob",), 2), shop.delete("note", ("ann", 2), 2), shop.expire("customer", ("eve",), 2))
    other(other.put("note", ("other", 1), 1, ""))
    Applier(connect())(record("shop", 1), record("a/b", 2), record("c", 3), remove("c", 4))

    def stored(items: Any, entity: int) -> list[StoredKey]:
        return paged(partial(page_of_stored_keys, shop.connection, items, entity), limit, cursor=lambda last: last.key)

    assert stored(shop.mapping, 1) == [
        StoredKey("customer/%2F%20%25", Mark.LIVE, START + 1),
        StoredKey("customer/bob", Mark.DELETED, START + 2),
        StoredKey("customer/eve", Mark.EXPIRED, START + 2),
    ]
    assert [one.key for one in stored(shop.mapping, 2)] == ["note/ann/1", "note/ann/10", "note/ann/2"]
    assert stored(shop.mapping, 0) == []
    assert [one.key for one in stored(other.mapping, 2)] == ["note/other/1"]
    assert stored(MAPPING, 0) == [
        StoredKey("order/a%2Fb", Mark.LIVE, START),
        StoredKey("order/c", Mark.DELETED, START),
        StoredKey("order/shop", Mark.LIVE, START),
    ]


def _renamed(declared: dict[str, Any]) -> dict[str, Any]:
    """The same entities with other tables."""
    entities = {
        name: entity | {"target": entity["target"] | {"table": f"other_{name}"}}
        for name, entity in declared["entities"].items()
    }
    return declared | {"entities": entities}
