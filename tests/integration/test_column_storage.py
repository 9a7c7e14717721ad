"""Every column type in MySQL: the schema step creates its column, and the values of its cases come back as they are."""

from __future__ import annotations

from typing import Any

import pymysql
import pytest

from common.changes import Change
from common.columns import TYPES
from common.columns.key import KeyType
from common.database import ApplyOptions
from common.mapping import Column, Table
from common.mysql import schema
from common.mysql.apply import apply
from tests.support.cases import cases
from tests.support.columns import column_type
from tests.support.tables import Tables

NAMES = [name for name, cls in TYPES.items() if cls is not KeyType]
KEY = Column("id", "id", KeyType(64))


@pytest.fixture
def connection(connect: Any, tables: Tables) -> Any:
    tables.drop_all()
    return connect()


def written(connection: pymysql.Connection[Any], tables: Tables, table: Table, rows: list[tuple[Any, ...]]) -> Any:
    """What the server holds after `rows` were applied to a table that the schema step made."""
    schema.create_missing(connection, table)
    target = schema.inspect(connection, table)
    connection.rollback()
    assert target.checks == (), "the column that a type asks for stores each of its values unchanged"
    changes = [Change(row[0], f"v{number:04d}", row, 1, {}) for number, row in enumerate(rows)]
    outcome = apply(connection, target, changes, ApplyOptions())
    assert outcome.parked == []
    names = ", ".join(f"`{column.name}`" for column in table.columns)
    return tables.run(f"SELECT {names} FROM `{table.name}` ORDER BY id")


@pytest.mark.parametrize("name", NAMES)
def test_every_value_of_a_type_is_stored_as_it_is(connection: Any, tables: Tables, name: str):
    """NULL too, where the mapping lets the column be null."""
    table = Table("t", "ORDER", (KEY, Column("a", "a", column_type(name), nullable=TYPES[name].may_be_null)))
    values = list(column_type(name).decoder("a")([value for value, _ in cases(f"columns/{name}")["values"]]))
    rows = [(f"k{number:03d}", value) for number, value in enumerate([*values, None])]

    assert written(connection, tables, table, rows) == rows


def test_every_key_is_a_row_of_its_own(connection: Any, tables: Tables):
    table = Table("t", "ORDER", (Column("id", "id", column_type("key")), Column("a", "a", column_type("epoch"))))
    keys = list(column_type("key").decoder("a")([value for value, _ in cases("columns/key")["values"]]))
    rows = [(key, number) for number, key in enumerate(keys)]

    assert written(connection, tables, table, rows) == sorted(rows)


@pytest.mark.parametrize("name", NAMES)
def test_a_column_that_no_type_fits_is_refused(connection: Any, tables: Tables, name: str):
    """And the column that the schema step makes fits."""
    table = Table("t", "ORDER", (KEY, Column("a", "a", column_type(name))))
    schema.create_missing(connection, table)
    schema.inspect(connection, table)
    tables.run("ALTER TABLE t DROP a, ADD a GEOMETRY NOT NULL")

    with pytest.raises(schema.SchemaMismatchError, match="column a is geometry; the mapping needs"):
        schema.inspect(connection, table)
