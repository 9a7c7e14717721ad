"""Keys of several columns and of every type: each statement reaches exactly the rows of its keys."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from common.mysql.sql import tuples
from tests.support.item_tables import ItemTables, mapping_of
from tests.support.readings import make_readings
from tests.support.shop import make_shop, total
from tests.support.tables import Tables

NUMBERS = [Decimal(text) for text in ("0", "-1", "1", "1.5", "-0.0000000001", "9999999999999999999999999999")]
BYTES = [b"a", b"a\0", b"a\0\0", b"A", b"\0", b"\xff" * 40, b"'\\", b" ", b"a "]
VALUES = {
    "raw": [b"", b"\0\xff'\\", b"x" * 300],
    "exact": [Decimal("9" * 34 + ".9999"), Decimal("-0.0001")],
    "whole": [0, 2**64 - 1],
    "taken_on": ["1000-01-01", "9999-12-31"],
    "taken_at": ["1000-01-01 00:00:00.000", "9999-12-31 23:59:59.999"],
    "at": ["00:00:00.000000", "23:59:59.999999"],
    "good": [0, 1],
    "body": ["", "ä\N{GRINNING FACE}\\'\"\0", "x" * 70_000],
    "extra": ['{"a":[1,"ä"]}', "null"],
    "state": ["on", "off"],
    "batch": [b"\0" * 16, bytes(range(16))],
}


@pytest.fixture
def readings(tables: Tables, connect: Any) -> ItemTables:
    return make_readings(tables, connect())


def values(i: int) -> tuple[Any, ...]:
    """The columns after the key; every twelfth row is all NULL."""
    return tuple(None if i % 12 == 0 else given[i % len(given)] for given in VALUES.values())


def test_every_pair_of_keys_is_a_row_of_its_own(readings: ItemTables):
    """Written as new rows, changed, and deleted, with values of every type."""
    keys = [(device, number) for device in BYTES for number in NUMBERS]
    for version in (1, 2):
        changes = [readings.put("reading", key, version, *values(i + version)) for i, key in enumerate(keys)]
        assert readings(*changes).counts == Counter(upserted=len(keys))
        expected = [(*key, *values(i + version)) for i, key in enumerate(keys)]
        assert readings.rows("readings") == sorted(map(_exact, expected), key=repr)

    assert readings(*(readings.delete("reading", key, 3) for key in keys[::2])).counts == Counter(deleted=27)

    assert readings.rows("readings") == sorted(map(_exact, expected[1::2]), key=repr)


def _exact(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """With as many digits as the columns have."""
    return (row[0], total(str(row[1])), *row[2:])


@pytest.mark.parametrize("text", ["update", "delete", "found", "count"])
@pytest.mark.parametrize("which", ["readings", "bill", "note"])
def test_a_statement_finds_its_rows_by_the_whole_key(tables: Tables, connect: Any, which: str, text: str):
    """The server looks up each row by its primary key: it reads one row, and its key has all columns."""
    if which == "readings":
        items = make_readings(tables, connect())
        keys = [(bytes([i]), Decimal(i)) for i in range(200)]
        changes = [items.put("reading", key, 1, *values(1)) for key in keys]
        [target] = items.targets.tables
    else:
        items = make_shop(tables, connect(), ())
        keys = [("ann", "2026-01-31", i) if which == "bill" else ("ann", i) for i in range(200)]
        row = (total("1"), None, 0, None) if which == "bill" else ("x",)
        changes = [items.put(which, key, 1, *row) for key in keys]
        target = items.targets.tables[0 if which == "bill" else 2]
    items(*changes)
    rows = {"update": [change.row for change in changes], "found": [(i, *key) for i, key in enumerate(keys)]}
    head, tail = {
        "update": (target.update_head, target.update_tail),
        "delete": (target.delete_head, target.delete_tail),
        "found": target.found([]),
        "count": target.count,
    }[text]
    if text == "delete":  # MariaDB explains no DELETE of this form
        head = "SELECT t.*" + head.removeprefix("DELETE t")
    given = tuples(zip(*rows.get(text, keys), strict=True))[:20]

    plan = tables.run(f"EXPLAIN {head}{','.join(target.row_word + row for row in given)}{tail}")

    [access] = [line for line in plan if line[2] == "t"]
    assert access[3:6:2] == ("eq_ref", "PRIMARY")
    assert len(access[7].split(",")) == len(target.key)


def test_the_sidecar_is_read_by_its_whole_key(readings: ItemTables):
    readings(*(readings.put("reading", (bytes([i]), Decimal(1)), 1, *values(1)) for i in range(200)))

    [access] = readings.tables.run(
        "EXPLAIN SELECT version FROM replication_versions WHERE item_key IN"
        " ('readings.reading 00/1', 'readings.reading 01/1', 'readings.reading 02/1') FOR UPDATE"
    )

    assert (access[3], access[5], access[8]) == ("range", "PRIMARY", "3")


ALTERED = {
    "number becomes a text": ("MODIFY seq VARCHAR(60) NOT NULL", "('a', '007'), ('a', '7.0e0')"),
    "bytes become a text": (
        "MODIFY device VARCHAR(40) CHARACTER SET latin1 COLLATE latin1_swedish_ci NOT NULL", "('A', 7)"
    ),
}  # fmt: skip


@pytest.mark.parametrize(("ddl", "rows"), ALTERED.values(), ids=ALTERED.keys())
def test_no_other_row_is_reached_after_an_alteration(readings: ItemTables, ddl: str, rows: str):
    """The server would compare a text with a number as floats, and a text without its case or trailing spaces."""
    readings.tables.run(f"ALTER TABLE readings {ddl}", f"INSERT INTO readings (device, seq) VALUES {rows}")
    before = readings.rows("readings")
    target = readings.targets.tables[0]
    change = readings.put("reading", (b"a", Decimal(7)), 1, *values(0))
    for head, tail, given in (
        (target.update_head, target.update_tail, [change.row]),
        (target.delete_head, target.delete_tail, [change.key_values]),
    ):
        readings.connection.query(f"{head}{tuples(zip(*given, strict=True))[0]}{tail}")
    readings.connection.commit()

    assert readings.rows("readings") == before


def test_zero_is_a_key_of_a_numbered_column(tables: Tables, connect: Any):
    """The server gives a 0 the next number of an AUTO_INCREMENT column, unless the session says otherwise."""
    key = {"partition_key": "{id}"}, [{"column": "id", "type": "int"}]
    name = {"column": "name", "from": ["name"], "type": "string", "length": 20}
    entity = {"target": {"table": "seats", "key": key[0], "key_columns": key[1]}, "columns": [name]}
    mapping = {"partition_key": {"attribute": "pk", "type": "number"}, "entities": {"seat": entity}}
    tables.run("CREATE TABLE seats (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(20) NOT NULL)")
    seats = ItemTables(tables, connect(), mapping_of("seats", mapping))

    for version, text in enumerate(("new", "changed"), 1):
        assert seats(seats.put("seat", (0,), version, text)).counts == Counter(upserted=1)
        assert seats.rows("seats") == [(0, text)]

    assert seats(seats.delete("seat", (0,), 3)).counts == Counter(deleted=1)
    assert seats.rows("seats") == []


def test_a_key_without_other_columns_is_upserted_and_deleted(tables: Tables, connect: Any):
    """Such an entity only says which items exist."""
    shop = make_shop(tables, connect(), ())
    bill, customer, *_ = shop.mapping.entities
    shop.mapping = replace(shop.mapping, entities=(bill, replace(customer, columns=customer.key)))
    tables.run("ALTER TABLE customers MODIFY name VARCHAR(40) NULL")
    shop.inspect()

    assert shop(shop.put("customer", ("ann",), 1)).counts == Counter(upserted=1)
    assert shop(shop.put("customer", ("ann",), 2)).counts == Counter(upserted=1)
    assert shop.rows("customers") == [("ann", None)]
    assert shop(shop.delete("customer", ("ann",), 3)).counts == Counter(deleted=1)
    assert shop.rows("customers") == []


def test_times_are_read_as_the_text_of_changes(readings: ItemTables):
    change = readings.put("reading", (b"a", Decimal(1)), 1, *values(1))
    readings(change)

    assert readings.rows("readings") == [_exact(change.row or ())]
