"""Rows compared with their items: every corruption is found, and nothing else."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pymysql
import pytest

from common.changes import Change, Mark
from common.columns import TYPES
from common.database import SchemaMismatchError, StoredState
from common.mapping import Column, Entity, KeyAttribute, Mapping, Templates, When
from common.mysql.compare import compare
from common.templates import Template
from tests.support.columns import TypeCase, type_cases
from tests.support.comparisons import UNSPLIT, compared, differing, findings
from tests.support.item_tables import ItemTables
from tests.support.readings import make_readings
from tests.support.shop import make_shop, total
from tests.support.tables import Tables
from tests.support.writes import round_trips

NUMBER = Column("id", (), TYPES["int"].with_options({}))


@pytest.fixture
def connection(connect: Any, tables: Tables) -> Any:
    tables.drop_all()
    return connect()


def things(tables: Tables, connection: Any, kind: Any, *ddl: str) -> ItemTables:
    """A table of numbers with one column `a` of a type."""
    entity = Entity(
        "thing",
        "t",
        (NUMBER,),
        (NUMBER, Column("a", ("a",), kind, nullable=True)),
        When(),
        Templates(Template(("", ""), ("id",))),
    )
    return ItemTables(tables, connection, Mapping("things", KeyAttribute("pk", "S"), None, (entity,)), *ddl)


def key(number: int) -> str:
    return f"thing/{number}"


# Every type


@pytest.mark.parametrize("case", list(type_cases()), ids=lambda case: case.id)
def test_each_value_agrees_with_itself_alone(connection: Any, tables: Tables, case: TypeCase):
    """Each row gets the value of every other row in turn, and is found where that is another value.

    The server alone tells that values agree: reading them costs as much again.
    """
    items = things(tables, connection, case.type)
    values = [*case.type.decoder("attribute a")([value for value, _ in case.values]), None]
    changes = [items.put("thing", (number,), 1, value) for number, value in enumerate(values)]
    items(*changes)
    sent = round_trips(connection)
    assert list(compare(connection, items.targets, changes, UNSPLIT)) == []
    assert len(sent) == 1
    connection.rollback()

    tables.run("CREATE TABLE s AS SELECT * FROM t")
    for step in range(1, len(values)):
        shifted = f"(SELECT a FROM s WHERE s.id = (t.id + {step}) % {len(values)})"
        tables.run(f"UPDATE t SET a = {shifted}")
        expected = {
            key(number): ("a",) for number, value in enumerate(values) if values[(number + step) % len(values)] != value
        }
        assert differing(compared(connection, items, changes)) == expected


def test_a_row_that_was_seeded_agrees(connection: Any, tables: Tables):
    """Its item exists, and nobody but the seed has written it."""
    items = things(tables, connection, TYPES["int"].with_options({}))
    changes = [items.put("thing", (number,), 1, 7)._replace(mark=Mark.SEEDED) for number in (1, 2, 3)]
    tables.run("INSERT INTO t VALUES (1, 7), (2, 8)")
    items(*changes)

    found = compared(connection, items, changes)

    assert differing(found) == {key(2): ("a",), key(3): None}
    assert findings(connection, items, changes) == {
        key(2): "columns_differ a rewrite",
        key(3): "row_missing rewrite",
    }


# The least corruption of a value of each type.
CORRUPTED: list[tuple[str, dict[str, Any], Any, list[str]]] = [
    ("string", {"length": 20}, "a", ["'A'", "'a '", "'á'", "''", "'a\\0'", "NULL", "'aa'"]),
    ("string", {"length": 20}, "", ["NULL", "' '"]),
    ("string", {"length": 20}, None, ["''", "'NULL'"]),
    ("string", {"length": 20}, "ß", ["'ss'", "'ẞ'"]),
    ("string", {"length": 20}, "é", ["'e\u0301'", "'e'"]),
    ("string", {"length": 20, "ascii": True}, "abc", ["'abC'", "'abc '"]),
    ("text", {}, "line\r\n", ["'line\\n'", "'line\\r\\n '"]),
    ("text", {}, "x" * 70_000, ["REPEAT('x', 69999)", "CONCAT(REPEAT('x', 69999), 'y')", "NULL"]),
    ("text", {}, None, ["''", "REPEAT('x', 70000)"]),
    ("decimal", {"precision": 38, "scale": 10}, total("1.5"), ["1.5000000001", "-1.5", "NULL", "0"]),
    ("bigint", {"unsigned": True}, 2**64 - 1, ["18446744073709551614", "9223372036854775807", "NULL"]),
    ("bigint", {}, -(2**63), ["-9223372036854775807", "9223372036854775807"]),
    ("int", {}, 0, ["NULL", "1", "-1"]),
    ("boolean", {}, 1, ["0", "2", "NULL"]),
    ("date", {}, "2026-01-31", ["'2026-02-01'", "NULL"]),
    ("time", {"fraction": 6}, "23:59:59.999999", ["'23:59:59.999998'", "'-23:59:59.999999'", "NULL"]),
    ("time", {}, "00:00:00", ["'24:00:00'", "NULL"]),
    ("datetime", {"fraction": 3}, "2026-01-31 12:00:00.001", ["'2026-01-31 12:00:00.002'", "'2026-01-31 12:00:00'"]),
    ("binary", {"length": 20}, b"a", ["'a\\0'", "'A'", "''", "'a '", "NULL"]),
    ("binary", {"length": 20}, b"", ["NULL", "'\\0'"]),
    ("uuid", {}, "0e8dd4a6-6b9a-4d36-8f0b-6f0ff2a3a001", ["'0E8DD4A6-6b9a-4d36-8f0b-6f0ff2a3a001'", "NULL"]),
    ("uuid", {"stored": "bytes"}, b"\0" * 16, ["CONCAT(REPEAT('\\0', 15), '\\1')", "NULL"]),
    ("json", {}, '{"a":[1,true]}', ["'{\"a\":[1,1]}'", "'{\"a\":[1]}'", "'{\"a\":[\"1\",true]}'", "'null'", "NULL"]),
    ("json", {}, "null", ["NULL", "'\"null\"'"]),
    ("json", {}, None, ["'null'"]),
    ("enum", {"values": ["a", "A", "1"]}, "a", ["'A'", "'1'", "1 + 2", "NULL"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "options", "value", "corrupt"),
    [(name, options, value, corrupt) for name, options, value, all_ in CORRUPTED for corrupt in all_],
    ids=lambda given: str(given)[:40],
)
def test_the_least_corruption_is_found(
    connection: Any, tables: Tables, *, name: str, options: dict[str, Any], value: Any, corrupt: str
):
    items = things(tables, connection, TYPES[name].with_options(options))
    changes = [items.put("thing", (number,), 1, value) for number in range(3)]
    items(*changes)

    tables.run(f"UPDATE t SET a = {corrupt} WHERE id = 1")

    assert differing(compared(connection, items, changes)) == {key(1): ("a",)}


# A legacy column, and another spelling of the value in it. A text column is what the schema step makes it.
SPELLINGS: list[tuple[str, dict[str, Any], str, Any, str]] = [
    ("datetime", {"fraction": 3}, "DATETIME(6)", "2026-01-31 12:00:00.500", "'2026-01-31 12:00:00.5'"),
    ("datetime", {}, "DATETIME(3)", "2026-01-31 12:00:00", "'2026-01-31 12:00:00'"),
    ("time", {}, "TIME(6)", "12:00:00", "'12:00:00'"),
    ("decimal", {"precision": 6, "scale": 2}, "DECIMAL(20,8)", total("1.5"), "1.5"),
    ("int", {}, "DECIMAL(20)", -7, "-7"),
    ("boolean", {}, "BIT(1)", 1, "b'1'"),
    ("boolean", {}, "INT UNSIGNED", 0, "0"),
    ("string", {"length": 5}, "CHAR(9)", "ä", "'ä'"),
    ("string", {"length": 5}, "VARCHAR(9) CHARACTER SET latin1", "ä", "'ä'"),
    ("string", {"length": 5}, "VARCHAR(9) CHARACTER SET utf16", "ä😀", "'ä😀'"),
    ("string", {"length": 5}, "ENUM('b','a')", "a", "2"),
    ("enum", {"values": ["a", "b"]}, "VARCHAR(9) CHARACTER SET ucs2", "a", "'a'"),
    ("uuid", {}, "VARCHAR(40)", "0e8dd4a6-6b9a-4d36-8f0b-6f0ff2a3a001", "'0e8dd4a6-6b9a-4d36-8f0b-6f0ff2a3a001'"),
    ("binary", {"length": 2}, "BLOB", b"\0\xff", "X'00FF'"),
    ("json", {}, "LONGTEXT", '{"a":1,"b":"é"}', "'{ \"b\": \"\\\\u00e9\", \"a\": 1.0 }'"),
    ("json", {}, "JSON", "[0.1,100]", "'[1e-1, 1E+2]'"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "options", "definition", "value", "spelt"), SPELLINGS)
def test_the_same_value_in_another_column_agrees(
    connection: Any, tables: Tables, *, name: str, options: dict[str, Any], definition: str, value: Any, spelt: str
):
    items = things(tables, connection, TYPES[name].with_options(options), f"ALTER TABLE t MODIFY a {definition} NULL")
    change = items.put("thing", (1,), 1, value)
    items(change)
    assert compared(connection, items, [change]) == []

    tables.run(f"UPDATE t SET a = {spelt}")
    assert compared(connection, items, [change]) == []
    tables.run("UPDATE t SET a = NULL")
    assert differing(compared(connection, items, [change])) == {key(1): ("a",)}


def test_a_value_too_large_to_cast_is_not_null(connect: Any, tables: Tables):
    """The server casts what is larger than max_allowed_packet to NULL. The item has no value."""
    tables.drop_all()
    items = things(tables, connect(), TYPES["text"].with_options({}))
    change = items.put("thing", (1,), 1, None)
    items(change)
    tables.run("UPDATE t SET a = REPEAT('x', 70000)")
    before = tables.run("SELECT @@GLOBAL.max_allowed_packet")[0][0]
    tables.run("SET GLOBAL max_allowed_packet = 65536")
    try:
        assert differing(compared(connect(), items, [change])) == {key(1): ("a",)}
    finally:
        tables.run(f"SET GLOBAL max_allowed_packet = {before}")


def test_bytes_of_another_character_set_are_another_text(connection: Any, tables: Tables):
    """In Latin-1 the bytes of 'Ã¤' are those of 'ä' in UTF-8."""
    definition = "VARCHAR(9) CHARACTER SET latin1 NULL"
    items = things(
        tables, connection, TYPES["string"].with_options({"length": 5}), f"ALTER TABLE t MODIFY a {definition}"
    )
    change = items.put("thing", (1,), 1, "ä")
    items(change)

    tables.run("UPDATE t SET a = 'Ã¤'")

    assert differing(compared(connection, items, [change])) == {key(1): ("a",)}


def test_a_row_of_nulls_is_not_taken_for_a_missing_one(connection: Any, tables: Tables):
    items = things(tables, connection, TYPES["int"].with_options({}))
    changes = [items.put("thing", (number,), 1, None) for number in (1, 2)]
    items(*changes)

    tables.run("DELETE FROM t WHERE id = 1")

    assert differing(compared(connection, items, changes)) == {key(1): None}


def test_only_the_columns_that_differ_are_named(tables: Tables, connect: Any):
    """Beside one that differs, each other column is legacy, with another spelling of the value."""
    tables.drop_all()
    readings = make_readings(
        tables,
        connect(),
        "ALTER TABLE readings MODIFY good BIT(1), MODIFY taken_at DATETIME(6), MODIFY exact DECIMAL(50,10),"
        " MODIFY extra LONGTEXT, MODIFY raw BLOB, MODIFY batch VARBINARY(40), MODIFY state VARCHAR(9)",
    )
    values = {column.name: None for column in readings.mapping.entities[0].columns[2:]} | {
        "good": 1, "taken_at": "2026-01-31 12:00:00.500", "exact": total("1.5"), "whole": 7, "extra": '{"a":1}',
        "raw": b"", "batch": bytes(16), "state": "on",
    }  # fmt: skip
    changes = [readings.put("reading", (b"a", total(str(i))), 1, *(values | {"good": i}).values()) for i in range(2)]
    readings(*changes)
    tables.run("UPDATE readings SET extra = '{ \"a\" : 1 }'")
    assert compared(readings.connection, readings, changes) == []

    tables.run("UPDATE readings SET whole = 8")

    assert differing(compared(readings.connection, readings, changes)) == dict.fromkeys(
        ("reading/61/0", "reading/61/1"), ("whole",)
    )


# Several entities


@pytest.fixture
def shop(tables: Tables, connect: Any) -> ItemTables:
    return make_shop(tables, connect())


BILL, OTHER_BILL = ("ann", "2026-01-31", 1), ("ann", "2026-01-31", 2)
LIVE = (0, None)


def live_shop(shop: ItemTables) -> list[Change]:
    """An item of every entity, and more, applied."""
    changes = [
        shop.put("customer", ("ann",), 1, "Ann"),
        shop.put("customer", ("Ann",), 2, "Another Ann"),
        shop.put("bill", BILL, 3, total("12.5"), 1, *LIVE),
        shop.put("bill", OTHER_BILL, 4, total("0"), None, *LIVE),
        shop.put("note", ("ann", 1), 5, "note"),
        shop.put("note", ("ann", -1), 6, ""),
    ]
    shop(*changes)
    return changes


def test_items_and_rows_that_agree_are_not_returned(shop: ItemTables):
    changes = live_shop(shop)

    assert compared(shop.connection, shop, changes) == []
    assert compared(shop.connection, shop, []) == []


# What is done to MySQL beside Backstream, and the only finding.
CORRUPTIONS = {
    "UPDATE bills SET total = total + 0.0000000001 WHERE number = 1": {
        "bill/ann/2026-01-31/1": "columns_differ total rewrite"
    },
    "UPDATE bills SET place = NULL, total = 0 WHERE number = 1": {
        "bill/ann/2026-01-31/1": "columns_differ total place rewrite"
    },
    "UPDATE bills SET is_deleted = 1 WHERE number = 2": {"bill/ann/2026-01-31/2": "columns_differ is_deleted rewrite"},
    "UPDATE bills SET deleted_at = '2026-01-31 00:00:00' WHERE number = 2": {
        "bill/ann/2026-01-31/2": "columns_differ deleted_at rewrite"
    },
    "UPDATE customers SET name = 'ann' WHERE customer = 'ann'": {"customer/ann": "columns_differ name rewrite"},
    "DELETE FROM notes WHERE number = 1": {"note/ann/1": "row_missing rewrite"},
    "UPDATE notes SET number = 7 WHERE number = 1": {"note/ann/1": "row_missing rewrite"},
    "DELETE FROM replication_versions WHERE item_key = 'shop.note ann/1'": {"note/ann/1": "sidecar_missing load"},
    "DELETE FROM replication_versions": {
        "bill/ann/2026-01-31/1": "sidecar_missing load",
        "bill/ann/2026-01-31/2": "sidecar_missing load",
        "customer/Ann": "sidecar_missing load",
        "customer/ann": "sidecar_missing load",
        "note/ann/-1": "sidecar_missing load",
        "note/ann/1": "sidecar_missing load",
    },
    "UPDATE replication_versions SET deleted = 1 WHERE item_key = 'shop.note ann/1'": {
        "note/ann/1": "sidecar_removed rewrite"
    },
    "UPDATE replication_versions SET deleted = 2 WHERE item_key = 'shop.note ann/1'": {
        "note/ann/1": "sidecar_removed rewrite"
    },
    "UPDATE replication_versions SET kept_delete = 'v0009' WHERE item_key = 'shop.note ann/1'": {
        "note/ann/1": "sidecar_removed rewrite"
    },
    "UPDATE replication_versions SET kept_expiry = 'v0009' WHERE item_key = 'shop.note ann/1'": {
        "note/ann/1": "sidecar_removed rewrite"
    },
    "UPDATE replication_versions SET kept_expiry = 'v0004' WHERE item_key = 'shop.note ann/1'": {},
    "UPDATE replication_versions SET token = 7, source_time = 7": {},
    "ALTER TABLE notes ADD COLUMN seen INT NOT NULL DEFAULT 7": {},
}


@pytest.mark.parametrize("corruption", CORRUPTIONS)
@pytest.mark.parametrize("limit", [UNSPLIT, 1_500])
def test_each_corruption_is_found_and_nothing_else(shop: ItemTables, corruption: str, limit: int):
    """However large a statement may be."""
    changes = live_shop(shop)
    shop.tables.run(corruption)

    assert findings(shop.connection, shop, changes) == CORRUPTIONS[corruption]
    found = compared(shop.connection, shop, changes, limit)
    assert [one.change.key for one in found] == list(CORRUPTIONS[corruption])


def test_what_is_left_of_items_that_are_gone_is_told_apart(shop: ItemTables):
    """Customers are deleted, bills flagged, notes left. An expired bill and note keep their row, too."""
    changes = [
        *(shop.put("customer", (name,), 1, name) for name in ("deleted", "expired", "lost", "back", "again")),
        *(shop.put("bill", ("deleted", "2026-01-31", n), 2, total("1"), None, *LIVE) for n in range(4)),
        *(shop.put("note", ("deleted", n), 3, "") for n in range(4)),
    ]
    shop.tables.run("ALTER TABLE bills DROP FOREIGN KEY fk_customer")
    shop(*changes)
    shop(
        shop.delete("customer", ("deleted",), 4),
        shop.expire("customer", ("expired",), 4),
        shop.delete("customer", ("back",), 4),
        shop.expire("customer", ("again",), 4),
        shop.delete("bill", ("deleted", "2026-01-31", 0), 5),
        shop.expire("bill", ("deleted", "2026-01-31", 1), 5),
        shop.delete("bill", ("deleted", "2026-01-31", 2), 5),
        shop.delete("note", ("deleted", 0), 6),
        shop.expire("note", ("deleted", 1), 6),
        shop.delete("note", ("deleted", 3), 6),
    )
    shop.tables.run(
        "INSERT INTO customers VALUES ('back', 'x'), ('again', 'x'), ('stranger', 'x')",
        "UPDATE bills SET is_deleted = 0 WHERE number = 2",
        "DELETE FROM notes WHERE number = 3",
    )
    gone = [*changes, shop.put("customer", ("stranger",), 1, ""), shop.put("customer", ("never",), 1, "")]

    assert findings(shop.connection, shop, [change._replace(row=None, mark=Mark.DELETED) for change in gone]) == {
        "customer/again": "expired_row delete",
        "customer/back": "deleted_row delete",
        "customer/lost": "removal_lost delete",
        "customer/stranger": "stranger report",
        "bill/deleted/2026-01-31/2": "flag_changed is_deleted flag",
        "bill/deleted/2026-01-31/3": "removal_lost report",
        "note/deleted/2": "removal_lost report",
    }


def test_items_that_exist_and_items_that_are_gone_go_together(shop: ItemTables):
    """In one call: a note that differs, one that agrees, and one that is gone."""
    changes = [shop.put("note", ("ann", number), 1, "") for number in range(3)]
    shop(*changes)
    shop.tables.run("UPDATE notes SET body = 'x' WHERE number = 0")
    gone = changes[2]._replace(row=None, mark=Mark.DELETED)

    assert findings(shop.connection, shop, [gone, *changes[:2]]) == {
        "note/ann/0": "columns_differ body rewrite",
        "note/ann/2": "removal_lost report",
    }


def test_a_comparison_has_the_state_that_was_read(shop: ItemTables):
    changes = live_shop(shop)
    shop(shop.delete("bill", BILL, 7), shop.expire("note", ("ann", 1), 8))
    shop.tables.run("DELETE FROM customers WHERE customer = 'Ann'")
    bill, note, customer = changes[2], changes[4], changes[1]

    found = compared(shop.connection, shop, [note, customer, bill])

    assert [(one.change, one.stored, one.row, one.differing) for one in found] == [
        (
            bill,
            StoredState("v0003", bill.source_time, Mark.LIVE, "v0007"),
            (*BILL, total("12.5"), 1, 1, "2026-02-02 02:40:07"),
            ("is_deleted", "deleted_at"),
        ),
        (customer, StoredState("v0002", customer.source_time, Mark.LIVE), None, ()),
        (note, StoredState("v0005", note.source_time, Mark.LIVE, "", "v0008"), ("ann", 1, "note"), ()),
    ]


# Keys


def test_keys_of_bytes_and_numbers_are_compared_exactly(tables: Tables, connect: Any):
    """Each key has a value of its own, and loses its row to a key that looks like it."""
    tables.drop_all()
    readings = make_readings(tables, connect())
    keys = [
        (device, number) for device in (b"a", b"a\0", b"A", b" ", b"'\\") for number in map(total, ("0", "-1", "1.5"))
    ]
    values = {column.name: None for column in readings.mapping.entities[0].columns[2:]}
    changes = [readings.put("reading", one, 1, *(values | {"whole": i}).values()) for i, one in enumerate(keys)]
    readings(*changes)
    assert compared(readings.connection, readings, changes) == []

    tables.run("UPDATE readings SET whole = 99 WHERE device = X'6100' AND seq = 1.5")

    assert differing(compared(readings.connection, readings, changes)) == {"reading/6100/1.5": ("whole",)}


COLLATIONS = ["utf8mb4 COLLATE utf8mb4_general_ci", "latin1 COLLATE latin1_swedish_ci", "utf16 COLLATE utf16_bin"]


@pytest.mark.parametrize("collation", COLLATIONS)
def test_a_key_that_a_collation_takes_for_another_is_missing(shop: ItemTables, collation: str):
    shop.tables.run(
        "ALTER TABLE bills DROP FOREIGN KEY fk_customer",
        f"ALTER TABLE customers MODIFY customer VARCHAR(20) CHARACTER SET {collation} NOT NULL",
    )
    shop.inspect()
    ann = shop.put("customer", ("ann",), 1, "Ann")
    shop(ann)
    assert compared(shop.connection, shop, [ann]) == []

    shop.tables.run("UPDATE customers SET customer = 'ANN'")

    assert differing(compared(shop.connection, shop, [ann])) == {"customer/ann": None}


# How it is read


def test_one_statement_sees_sidecar_and_target(shop: ItemTables):
    """A page that agrees is one statement for each table, and nothing is returned. What differs is read once more."""
    changes = live_shop(shop)
    targets = shop.targets
    sent = round_trips(shop.connection)

    assert list(compare(shop.connection, targets, changes, UNSPLIT)) == []
    assert [("replication_versions s" in one, one.split("JOIN ")[-1].split()[0]) for one in sent] == [
        (True, "`bills`"),
        (True, "`customers`"),
        (True, "`notes`"),
    ]
    shop.tables.run("DELETE FROM notes")
    del sent[:]
    shop.connection.rollback()
    assert len(list(compare(shop.connection, targets, changes, UNSPLIT))) == 2
    assert [one.count("replication_versions s") for one in sent if one != "ROLLBACK"] == [1, 1, 1, 1]


def test_locked_rows_are_read_without_waiting(shop: ItemTables, connect: Any):
    changes = live_shop(shop)
    writer = connect()
    for table in ("notes", "bills", "customers", "replication_versions"):
        with writer.cursor() as cursor:
            cursor.execute(f"SELECT * FROM {table} FOR UPDATE")
    with shop.connection.cursor() as cursor:
        cursor.execute("SET SESSION innodb_lock_wait_timeout = 1")
    shop.connection.commit()

    assert compared(shop.connection, shop, changes) == []
    writer.rollback()
    reader = connect()
    list(compare(reader, shop.targets, changes, UNSPLIT))
    with writer.cursor() as cursor:
        assert cursor.execute("SELECT * FROM notes FOR UPDATE NOWAIT") == 2


@pytest.mark.parametrize("level", ["READ COMMITTED", "REPEATABLE READ"])
def test_no_half_written_key_is_seen(shop: ItemTables, connect: Any, level: str):
    """A writer changes a row and its version all the time. Every state that is read is that of one version."""
    shop(shop.put("customer", ("ann",), 1, "1"))
    stop, failed = threading.Event(), []
    writing = replace_connection(shop, connect())

    def write() -> None:
        try:
            for version in range(2, 100_000):
                writing(shop.put("customer", ("ann",), version, str(version)))
                if stop.is_set():
                    return
        except Exception as error:  # noqa: BLE001
            failed.append(error)

    reader = connect()
    with reader.cursor() as cursor:
        cursor.execute(f"SET SESSION TRANSACTION ISOLATION LEVEL {level}")
    expected = shop.put("customer", ("ann",), 1, "never")
    thread = threading.Thread(target=write)
    thread.start()
    seen = set()
    try:
        for _ in range(200):
            (found,) = compare(reader, shop.targets, [expected], UNSPLIT)
            reader.rollback()
            assert found.stored
            assert found.row
            seen.add((int(found.stored.version[1:]), int(str(found.row[1]))))
    finally:
        stop.set()
        thread.join()
    assert failed == []
    assert [pair for pair in seen if pair[0] != pair[1]] == []
    assert len(seen) > 1


def replace_connection(shop: ItemTables, connection: Any) -> Callable[..., Any]:
    writing = ItemTables.__new__(ItemTables)
    writing.__dict__.update(shop.__dict__, connection=connection)
    return writing


# A table that changes meanwhile


def test_a_column_that_becomes_a_text_is_not_a_number(shop: ItemTables):
    """A float would take 9007199254740993 for 9007199254740992."""
    number = 9_007_199_254_740_993
    changes = [shop.put("note", ("ann", number), 1, "x"), shop.put("note", ("ann", 1), 2, "x")]
    shop(*changes)
    targets = shop.targets
    shop.tables.run(
        "ALTER TABLE notes MODIFY number VARCHAR(20) NOT NULL", "UPDATE notes SET number = number - 1 WHERE number > 1"
    )

    found = list(compare(shop.connection, targets, changes, UNSPLIT))

    assert differing(found) == {f"note/ann/{number}": None, "note/ann/1": None}


def test_a_column_that_is_gone_is_an_error(shop: ItemTables):
    changes = live_shop(shop)
    shop.tables.run("ALTER TABLE notes DROP COLUMN body")

    with pytest.raises(pymysql.MySQLError, match="body"):
        list(compare(shop.connection, shop.targets, changes, UNSPLIT))


def test_two_rows_with_one_key_are_refused(shop: ItemTables):
    """The unique key was dropped after the table was inspected."""
    changes = live_shop(shop)
    shop.tables.run("ALTER TABLE notes DROP PRIMARY KEY", "INSERT INTO notes VALUES ('ann', 1, 'another')")

    with pytest.raises(SchemaMismatchError, match="several of its rows have the same key"):
        list(compare(shop.connection, shop.targets, changes, UNSPLIT))
