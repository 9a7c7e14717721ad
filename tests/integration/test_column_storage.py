"""Every column type in MySQL: the schema step creates its column, and the values of its cases come back as they are."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pymysql
import pytest

from common.changes import Change, Mark
from common.columns import TYPES
from common.columns.column_type import ColumnType
from common.columns.json import JsonType
from common.mapping import Column, Entity, KeyAttribute, Mapping, Templates, When
from common.mysql import schema
from common.mysql.apply import apply
from common.templates import Template
from tests.support.columns import TypeCase, type_cases
from tests.support.server_texts import keep_texts
from tests.support.tables import Tables

CASES = list(type_cases())
KEY_CASES = [case for case in CASES if case.type.key_bytes is not None and case.type.key_bytes < 3_072]
NUMBER = Column("id", (), TYPES["int"].with_options({}))
every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)


@pytest.fixture
def connection(connect: Any, tables: Tables) -> Any:
    tables.drop_all()
    keep_texts(tables.admin)
    return connect()


def one_table(key: Column, *others: Column) -> Mapping:
    template = Templates(Template(("", ""), (key.name,)))
    entity = Entity("thing", "t", (key,), (key, *others), When(), template)
    return Mapping("things", KeyAttribute("pk", "S"), None, (entity,))


def written(connection: pymysql.Connection[Any], tables: Tables, mapping: Mapping, rows: list[tuple[Any, ...]]) -> Any:
    """What the server holds after `rows` were applied to a table that the schema step made."""
    schema.create_missing(connection, mapping)
    targets = schema.inspect(connection, mapping)
    connection.rollback()
    assert targets.tables[0].checks == (), "the column that a type asks for stores each of its values unchanged"
    for version in ("v1", "v2"):  # inserted, then updated
        changes = [
            Change(f"thing/{number}", version, row, 1, {}, created=False, entity=0, key_values=row[:1], mark=Mark.LIVE)
            for number, row in enumerate(rows)
        ]
        assert apply(connection, targets, changes).parked == []
    names = ", ".join(f"`{column.name}`" for column in mapping.entities[0].columns)
    return tables.run(f"SELECT {names} FROM t ORDER BY {names.partition(',')[0]}")


def values_of(case: TypeCase) -> list[Any]:
    return list(case.type.decoder("attribute a")([value for value, _ in case.values]))


def plain(column_type: ColumnType, value: Any) -> Any:
    """A document whatever its text; MariaDB keeps the text, MySQL writes its own."""
    if isinstance(column_type, JsonType) and value is not None:
        return json.loads(value, parse_float=Decimal)
    return value


@pytest.mark.parametrize(
    ("column_type", "unit"),
    [
        (TYPES["binary"].with_options({"length": 400_000}), b"\xff"),
        (TYPES["text"].with_options({}), "x"),
        (TYPES["json"].with_options({}), "7"),
    ],
    ids=["binary", "text", "json"],
)
@pytest.mark.parametrize("length", [65_535, 65_536, 65_537, 131_072, 400_000])
def test_a_value_of_any_length_is_stored_whole(
    connection: Any, tables: Tables, column_type: ColumnType, unit: Any, length: int
):
    """Also in an update, beside a short one. An item has at most 400 KB."""
    value = f'"{unit * (length - 2)}"' if isinstance(column_type, JsonType) else unit * length
    rows = [(1, value), (2, '""' if isinstance(column_type, JsonType) else unit)]

    assert written(connection, tables, one_table(NUMBER, Column("c", ("c",), column_type)), rows) == rows


@every_case
def test_every_value_of_a_type_is_stored_as_it_is(connection: Any, tables: Tables, case: TypeCase):
    """NULL too, where the mapping lets the column be null."""
    mapping = one_table(NUMBER, Column("a", ("a",), case.type, nullable=True))
    rows = [(number, value) for number, value in enumerate([*values_of(case), None])]

    found = written(connection, tables, mapping, rows)

    assert [(number, plain(case.type, value)) for number, value in found] == [
        (number, plain(case.type, value)) for number, value in rows
    ]


@pytest.mark.parametrize("case", KEY_CASES, ids=lambda case: case.id)
def test_every_key_is_a_row_of_its_own(connection: Any, tables: Tables, case: TypeCase):
    key = Column("k", (), case.type.in_key())
    keys = [value for value in dict.fromkeys(values_of(case)) if not (isinstance(value, str) and value.endswith(" "))]

    found = written(connection, tables, one_table(key, NUMBER), [(value, number) for number, value in enumerate(keys)])

    assert sorted(found, key=lambda row: row[1]) == [(value, number) for number, value in enumerate(keys)]


@every_case
def test_a_column_that_no_type_fits_is_refused(connection: Any, tables: Tables, case: TypeCase):
    """And the column that the schema step makes fits."""
    mapping = one_table(NUMBER, Column("a", ("a",), case.type))
    schema.create_missing(connection, mapping)
    schema.inspect(connection, mapping)
    tables.run("ALTER TABLE t DROP a, ADD a GEOMETRY NOT NULL")

    with pytest.raises(schema.SchemaMismatchError, match="column a is geometry; the mapping needs"):
        schema.inspect(connection, mapping)


FITS = [
    ("string", {"length": 5}, ["VARCHAR(5)", "CHAR(9)", "TEXT", "ENUM('a')"], ["VARCHAR(4)", "VARBINARY(9)", "INT"]),
    ("text", {"size": "text"}, ["TEXT", "LONGTEXT"], ["VARCHAR(255)", "TINYTEXT", "BLOB"]),
    ("decimal", {"precision": 5, "scale": 2}, ["DECIMAL(6,3)"], ["DECIMAL(5,3)", "DECIMAL(5,1)", "DOUBLE", "FLOAT"]),
    ("int", {}, ["INT", "BIGINT", "DECIMAL(10)"], ["MEDIUMINT", "INT UNSIGNED", "DECIMAL(9)", "DOUBLE", "VARCHAR(20)"]),
    ("int", {"unsigned": True}, ["INT UNSIGNED", "BIGINT"], ["INT"]),
    ("tinyint", {"minimum": 0}, ["TINYINT", "TINYINT UNSIGNED", "SMALLINT"], ["BIT(8)"]),
    ("bigint", {}, ["BIGINT", "INT", "DECIMAL(19)"], ["BIGINT UNSIGNED", "SMALLINT", "DECIMAL(18)"]),
    ("boolean", {}, ["BOOLEAN", "INT UNSIGNED", "BIT(1)"], ["CHAR(1)", "DECIMAL(1)"]),
    ("date", {}, ["DATE"], ["DATETIME", "TIMESTAMP NULL", "VARCHAR(10)"]),
    ("time", {"fraction": 3}, ["TIME(3)", "TIME(6)"], ["TIME", "TIME(2)", "DATETIME(3)"]),
    ("datetime", {"fraction": 3}, ["DATETIME(3)", "DATETIME(6)"], ["DATETIME", "TIMESTAMP(3) NULL", "DATE"]),
    ("binary", {"length": 5}, ["VARBINARY(5)", "BINARY(5)", "BLOB"], ["VARBINARY(4)", "VARCHAR(5)"]),
    ("uuid", {}, ["CHAR(36)", "VARCHAR(40)"], ["CHAR(35)", "BINARY(16)"]),
    ("uuid", {"stored": "bytes"}, ["BINARY(16)", "VARBINARY(16)", "BLOB"], ["BINARY(17)", "CHAR(36)"]),
    ("json", {}, ["JSON", "LONGTEXT"], ["TEXT", "LONGBLOB"]),
    ("enum", {"values": ["a", "b"]}, ["ENUM('b','a','c')", "CHAR(1)"], ["ENUM('a')", "INT"]),
]


@pytest.mark.parametrize(
    ("name", "options", "definition", "fits"),
    [
        (name, options, definition, fits)
        for name, options, good, bad in FITS
        for definitions, fits in ((good, True), (bad, False))
        for definition in definitions
    ],
)
def test_a_legacy_column_may_be_wider_not_narrower(
    connection: Any, tables: Tables, *, name: str, options: dict[str, Any], definition: str, fits: bool
):
    """Nor may it round, cut or re-zone a value."""
    column_type = TYPES[name].with_options(options)
    mapping = one_table(NUMBER, Column("a", ("a",), column_type))
    schema.create_missing(connection, mapping)
    tables.run(f"ALTER TABLE t MODIFY a {definition}")

    if fits:
        schema.inspect(connection, mapping)
    else:
        with pytest.raises(schema.SchemaMismatchError, match=r"column a is .*; the mapping needs"):
            schema.inspect(connection, mapping)


def test_a_text_key_needs_a_collation_that_keeps_keys_apart(connection: Any, tables: Tables):
    mapping = one_table(Column("k", (), TYPES["string"].with_options({"length": 5}).in_key()), NUMBER)
    schema.create_missing(connection, mapping)
    tables.run("ALTER TABLE t MODIFY k VARCHAR(5) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci NOT NULL")

    with pytest.raises(schema.SchemaMismatchError, match="a collation that ends in _bin, or the option ascii"):
        schema.inspect(connection, mapping)
