"""A walk through a table in key order: every row once, whatever its key is and in whatever order it sorts."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from common import mapping as declared
from common.changes import Row
from common.database import Database, Since, UnfitSinceError
from common.mysql import walk
from common.mysql.database import MySQLDatabase
from common.mysql.sql import tuples
from tests.support.item_tables import mapping_of
from tests.support.tables import Tables, order

Make = Callable[[declared.Mapping], MySQLDatabase]


@pytest.fixture
def orders(make_database: Make) -> MySQLDatabase:
    return make_database(declared.load())


def things(*key: dict[str, Any], columns: list[dict[str, Any]] | None = None) -> declared.Mapping:
    """A mapping of one table with these key columns, which a template captures in their order."""
    template = "|".join(f"{{{column['column']}}}" for column in key)
    target = {"table": "things", "key": {"partition_key": template}, "key_columns": list(key)}
    entity = {"target": target, "columns": columns or []}
    return mapping_of("any", {"partition_key": {"attribute": "pk", "type": "string"}, "entities": {"thing": entity}})


def string(name: str) -> dict[str, Any]:
    return {"column": name, "type": "string", "length": 8, "ascii": True}


def insert(tables: Tables, table: str, rows: Iterable[Row]) -> None:
    tables.run(f"INSERT INTO {table} VALUES {', '.join(tuples(list(zip(*rows, strict=True))))}")


def walked(database: Database, limit: int, **options: Any) -> list[Row]:
    """The rows of all pages."""
    found: list[Row] = []
    after = options.pop("after", None)
    for _ in range(10_000):
        page = database.page(0, limit=limit, after=after, **options)
        assert len(page.rows) <= limit
        found += page.rows
        if page.cursor is None:
            return found
        after = page.cursor
    raise AssertionError("the walk does not end")


def test_every_row_is_read_once_and_nothing_is_locked(orders: MySQLDatabase, tables: Tables):
    """Also while another transaction holds the rows: the walk reads what is committed."""
    expected = [order(f"k{number:02}", amount=str(number)) for number in range(10)]
    insert(tables, "tbl_orders", expected)
    tables.run("BEGIN", "UPDATE tbl_orders SET status = 'PAID'")

    assert [walked(orders, limit) for limit in (1, 3, 10, 11)] == [expected] * 4

    tables.run("ROLLBACK")
    tables.assert_unlocked()


def test_an_empty_table_has_one_empty_page(orders: MySQLDatabase):
    assert orders.page(0, limit=5) == ([], None)
    assert orders.boundaries(0, every=5, most=5) == []


WORDS = ["a", "A1", "b", "B2", "-", "~", "Zz", "z1", "_", "9", "10", "^"]


@pytest.mark.parametrize(
    "collation",
    [
        "utf8mb4 COLLATE utf8mb4_bin",
        "utf8mb4 COLLATE utf8mb4_general_ci",
        "utf8mb4 COLLATE utf8mb4_unicode_520_ci",
        "utf8mb4 COLLATE utf8mb4_nopad_bin",
        "latin1 COLLATE latin1_german2_ci",
        "ucs2 COLLATE ucs2_bin",
        "ascii COLLATE ascii_general_ci",
    ],
)
def test_the_order_is_that_of_the_collation(make_database: Make, tables: Tables, collation: str):
    """The key of the table has its columns in another order than the mapping."""
    text = f"VARCHAR(20) CHARACTER SET {collation} NOT NULL"
    tables.run(f"CREATE TABLE things (one {text}, two {text}, PRIMARY KEY (two, one)) ENGINE=InnoDB")
    expected = {(one, two) for one in WORDS for two in WORDS}
    insert(tables, "things", sorted(expected))

    database = make_database(things(string("one"), string("two")))

    for limit in (1, 7, 144, 500):
        found = walked(database, limit)
        assert (len(found), set(found)) == (len(expected), expected)


def test_keys_of_any_type_are_walked(make_database: Make, tables: Tables):
    mapping = things(
        {"column": "number", "type": "decimal", "precision": 30, "scale": 2},
        {"column": "moment", "type": "datetime", "fraction": 3},
        {"column": "day", "type": "date"},
        {"column": "id", "type": "uuid", "stored": "bytes"},
    )
    database = make_database(mapping)
    tables.run(
        "CREATE TABLE things (id BINARY(16) NOT NULL, day DATE NOT NULL, moment DATETIME(6) NOT NULL,"
        " number DECIMAL(40,4) NOT NULL, UNIQUE KEY other (number, moment, day, id)) ENGINE=InnoDB"
    )
    chosen = random.Random(7)
    numbers = [Decimal("-1.50"), Decimal(0), Decimal("99999999999999999999.25")]
    moments = ["1000-01-01 00:00:00.000", "2026-01-31 12:00:00.001", "2026-01-31 12:00:00.010"]
    days, ids = ["2026-01-31", "2026-02-01"], [b"\x00" * 16, b"'\\\n%" * 4, b"\xff" * 16]
    expected = [
        (number, moment, day, one)
        for number in numbers
        for moment in moments
        for day in days
        for one in ids
        if chosen.random() < 0.8
    ]
    insert(tables, "things", [row[::-1] for row in expected])

    assert [walked(database, limit) for limit in (1, 5, 100)] == [expected] * 3


def test_rows_whose_key_is_null_are_left_out(make_database: Make, tables: Tables):
    tables.run("CREATE TABLE things (one VARCHAR(20), two VARCHAR(20), UNIQUE KEY both_of (one, two)) ENGINE=InnoDB")
    tables.run("INSERT INTO things VALUES (NULL, 'a'), (NULL, 'a'), ('a', NULL), ('b', 'c'), ('a', 'b')")

    assert walked(make_database(things(string("one"), string("two"))), 1) == [("a", "b"), ("b", "c")]


def test_values_have_the_form_that_decoding_gives(make_database: Make, tables: Tables):
    """A table that is wider than the mapping, and JSON that somebody else wrote."""
    types: dict[str, Any] = {
        "flag": {"type": "boolean"},
        "count": {"type": "int"},
        "moment": {"type": "datetime", "fraction": 3},
        "clock": {"type": "time"},
        "body": {"type": "json"},
        "raw": {"type": "binary", "length": 9},
    }
    columns = [{"column": name, "from": [name], "absent": "null"} | one for name, one in types.items()]
    tables.run(
        "CREATE TABLE things (id VARCHAR(20) PRIMARY KEY, flag BIT(1), count DECIMAL(20), moment DATETIME(6),"
        " clock TIME(6), body LONGTEXT, raw BLOB, other INT) ENGINE=InnoDB"
    )
    moment = "2026-01-31 12:00:00.5"
    rows = [
        ("a", 1, 7, moment, "12:00:00", '{"b": 1e1, "a": [1.50]}', b"x", 1),
        ("b", 0, -7, f"{moment}00001", "12:00:00.1", "{", b"", 2),
        ("c", None, None, None, None, None, None, 3),
    ]
    insert(tables, "things", rows)

    found = walked(make_database(things(string("id"), columns=columns)), 2)

    assert found == [
        ("a", 1, 7, "2026-01-31 12:00:00.500", "12:00:00", '{"a":[1.5],"b":10}', b"x"),
        ("b", 0, -7, "2026-01-31 12:00:00.500001", "12:00:00.100000", "{", b""),
        ("c", *[None] * 6),
    ]
    assert [type(value) for value in found[0]] == [str, int, int, str, str, str, bytes]


# Ranges


def test_boundaries_cut_a_table_into_ranges(make_database: Make, tables: Tables):
    tables.run("CREATE TABLE things (one VARCHAR(8), two VARCHAR(8), PRIMARY KEY (two, one)) ENGINE=InnoDB")
    expected = sorted(((one, two) for one in "abcdefg" for two in "xyz"), key=lambda row: row[::-1])
    insert(tables, "things", expected)
    database = make_database(things(string("one"), string("two")))

    first = database.boundaries(0, every=4, most=3)
    rest = database.boundaries(0, every=4, most=3, after=first[-1])
    assert [*first, *rest] == expected[3::4]

    ranges = zip([None, *first, *rest], [*first, *rest, None], strict=True)
    parts = [walked(database, 3, after=after, upto=upto) for after, upto in ranges]
    assert [len(part) for part in parts] == [4, 4, 4, 4, 4, 1]
    assert [row for part in parts for row in part] == expected


def test_a_page_reads_its_rows_alone(make_database: Make, tables: Tables):
    """A page deep in a table with few values of the first column costs no more than the first one."""
    tables.run(
        "CREATE TABLE things (company INT, year INT, number INT, PRIMARY KEY (company, year, number)) ENGINE=InnoDB"
    )
    insert(tables, "things", [(1, 2000 + number // 2000, number) for number in range(20_000)])
    database = make_database(things(*({"column": name, "type": "int"} for name in ("company", "year", "number"))))

    def measure(connection: Any, targets: Any) -> int:
        before = _reads(connection)
        walk.page(connection, targets.tables[0], walk.Range((1, 2007, 15_000), (1, 2009, 19_000)), 100, None)
        return _reads(connection) - before

    assert 99 <= database.execute("measuring", measure) <= 101


def _reads(connection: Any) -> int:
    """How often the session has read the next entry of an index."""
    with connection.cursor() as cursor:
        cursor.execute("SHOW SESSION STATUS LIKE 'Handler_read_next'")
        [(_, count)] = cursor.fetchall()
    return int(count)


def test_the_size_is_an_estimate(orders: MySQLDatabase, tables: Tables):
    insert(tables, "tbl_orders", [order(f"k{number}") for number in range(1_000)])
    tables.run("ANALYZE TABLE tbl_orders")

    size = orders.size(0)

    assert 500 < size.rows < 2_000
    assert size.bytes > 10_000


def test_the_size_of_the_sidecar_is_an_estimate(orders: MySQLDatabase, tables: Tables):
    rows = [(f"order/k{number}", "1", 1, 0, 0, None, None, None, None) for number in range(1_000)]
    insert(tables, "replication_versions", rows)
    tables.run("ANALYZE TABLE replication_versions")

    assert 500 < orders.sidecar_size().rows < 2_000


# Since


@pytest.fixture
def changed(orders: MySQLDatabase, tables: Tables) -> MySQLDatabase:
    """Orders with columns that nobody mapped; one order was never changed."""
    tables.run(
        "ALTER TABLE tbl_orders ADD COLUMN at DATETIME(3) NULL, ADD COLUMN day DATE NULL,"
        " ADD COLUMN stamp TIMESTAMP NULL, ADD COLUMN number DECIMAL(12,2) NULL, ADD COLUMN whole BIGINT NULL,"
        " ADD COLUMN word VARCHAR(9) NULL, ADD COLUMN ratio DOUBLE NULL",
        "SET time_zone = '+00:00'",
    )
    rows = [
        (
            *order(str(number)),
            f"2026-01-{number + 1:02}",
            f"2026-01-{number + 1:02}",
            f"1970-01-{number + 1:02}",
            Decimal(number) / 2,
            number,
            "x",
            number,
        )
        for number in range(10, 30)
    ]
    insert(tables, "tbl_orders", rows)
    nulls = ", ".join(f"{name} = NULL" for name in ("at", "day", "stamp", "number", "whole"))
    tables.run(f"UPDATE tbl_orders SET {nulls} WHERE order_id = '12'")
    return orders


@pytest.mark.parametrize("span", [1, 2, 3, 7, 20, 100])
@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("at", "2026-01-26 00:00:00"),
        ("at", "2026-01-25T00:00:00.001"),
        ("day", "2026-01-26"),
        ("stamp", "1970-01-26 00:00:00"),
        ("number", "12.5"),
        ("number", "12.01"),
        ("whole", "25"),
    ],
)
def test_only_rows_changed_since_are_read(
    changed: MySQLDatabase, monkeypatch: pytest.MonkeyPatch, span: int, column: str, value: str
):
    """A row whose column is NULL may have changed. A statement looks at a bounded number of rows."""
    monkeypatch.setattr(walk, "_SPAN", span)

    for limit in (1, 3, 10):
        found = walked(changed, limit, since=Since(column, value))
        assert [row[0] for row in found] == ["12", "25", "26", "27", "28", "29"]
    found = walked(changed, 2, after=("12",), upto=("27",), since=Since(column, value))
    assert [row[0] for row in found] == ["25", "26", "27"]


@pytest.mark.parametrize("zone", ["+00:00", "+05:30", "-08:00"])
def test_a_timestamp_is_compared_in_utc(changed: MySQLDatabase, tables: Tables, zone: str):
    """Whatever the time zone of the session is."""
    changed.execute("setting the zone", lambda connection, _: connection.query(f"SET time_zone = '{zone}'"))

    found = walked(changed, 50, since=Since("stamp", "1970-01-26 00:00:00"))

    assert [row[0] for row in found] == ["12", "25", "26", "27", "28", "29"]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("stamp", "2026-01-31 12:00:00"),
        ("at", "2026-01-31 00:00:00"),
        ("day", "2026-01-31"),
        ("created_at", "1769860800"),
    ],
)
def test_a_time_is_taken_as_the_column_may_store_it(changed: MySQLDatabase, column: str, value: str):
    """A DATE or DATETIME may be in a time zone twelve hours behind UTC."""
    moment = datetime(2026, 1, 31, 17, 30, 0, 999_999, tzinfo=timezone(timedelta(hours=5.5)))

    assert changed.since(0, column, moment) == Since(column, value)


def test_a_number_that_is_no_time_is_refused(changed: MySQLDatabase, tables: Tables):
    """In a column that counts something else no row would have changed since any time. A value may be given."""
    moment = datetime(2026, 1, 31, tzinfo=UTC)
    for column in ("whole", "number"):
        with pytest.raises(UnfitSinceError, match="it does not hold epoch seconds: give a value"):
            changed.since(0, column, moment)
    assert changed.since(0, "whole", "25") == Since("whole", "25")

    tables.run("UPDATE tbl_orders SET number = 1700000000 WHERE order_id = '20'")
    assert changed.since(0, "number", moment) == Since("number", "1769817600")
    tables.run("DELETE FROM tbl_orders")
    assert changed.since(0, "whole", moment) == Since("whole", "1769817600")


@pytest.mark.parametrize(
    ("column", "value", "problem"),
    [
        ("missing", "1", "no such column"),
        ("word", "x", "it is varchar"),
        ("ratio", "1", "it is double"),
        ("whole", "1; DROP", "the value does not fit the column: write a whole number"),
        ("number", "1e9", "the value does not fit the column: write a number such as 12.5"),
        ("day", "2026-02-30", "the value does not fit the column: write a date such as 2026-01-31"),
        ("at", "2026-01-31T00:00:00Z", "the value does not fit the column: write a time such as 2026-01-31 12:00:00"),
    ],
)
def test_a_wrong_since_is_refused(changed: MySQLDatabase, column: str, value: str, problem: str):
    for read in (lambda: changed.page(0, limit=5, since=Since(column, value)), lambda: changed.since(0, column, value)):
        with pytest.raises(UnfitSinceError, match=problem) as error:
            read()

        assert value not in str(error.value) or value in ("1", "x")
