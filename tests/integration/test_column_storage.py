"""Every column type in MySQL: the schema step creates its column, and the values of its cases come back as they are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pymysql
import pytest

from common.changes import Change, Mark, Row
from common.columns import TYPES
from common.columns.column_type import ColumnType
from common.mapping import Column, Mapping
from common.mysql import schema
from common.mysql.apply import apply
from tests.support.columns import TypeCase, column_type, type_cases
from tests.support.tables import Tables
from tests.support.writes import MAPPING

KEY = Column("id", (), TYPES["string"].with_options({"length": 64, "ascii": True}))
CASES = [pytest.param(case, id=case.id) for case in type_cases()]


def mapping_of(a: ColumnType, *, nullable: bool = False) -> Mapping:
    """An entity of two columns: its key, and one of type `a`."""
    columns = (KEY, Column("a", ("a",), a, nullable=nullable))
    entity = replace(MAPPING.entities[0], name="row", table="t", key=(KEY,), columns=columns)
    return replace(MAPPING, entities=(entity,))


@pytest.fixture
def connection(connect: Any, tables: Tables) -> Any:
    tables.drop_all()
    return connect()


def written(connection: pymysql.Connection[Any], mapping: Mapping, rows: list[Row]) -> list[Row]:
    """What the server holds after `rows` were applied to a table that the schema step made."""
    schema.create_missing(connection, mapping)
    targets = schema.inspect(connection, mapping)
    connection.rollback()
    assert targets.tables[0].checks == (), "the column that a type asks for stores each of its values unchanged"
    for version in ("v1", "v2"):  # inserted, then updated
        changes = [
            Change(f"row/{row[0]}", version, row, 1, {}, created=False, entity=0, key_values=row[:1], mark=Mark.LIVE)
            for row in rows
        ]
        assert apply(connection, targets, changes).parked == []
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, a FROM t ORDER BY id")
        return list(cursor.fetchall())


@pytest.mark.parametrize("case", CASES)
def test_every_value_of_a_type_is_stored_as_it_is(connection: Any, case: TypeCase):
    """NULL too, where the mapping lets the column be null."""
    mapping = mapping_of(case.type, nullable=True)
    values = list(case.type.decoder("a")([value for value, _ in case.values]))
    if case.id.startswith("json"):  # MariaDB's JSON has 32 levels, MySQL's 100; a deeper document is parked
        values = [value for value in values if str(value).count("[") + str(value).count("{") < 32]
    rows: list[Row] = [(f"k{number:03d}", value) for number, value in enumerate([*values, None])]

    assert written(connection, mapping, rows) == rows


@pytest.mark.parametrize("name", TYPES)
def test_a_column_that_no_type_fits_is_refused(connection: Any, tables: Tables, name: str):
    """And the column that the schema step makes fits."""
    mapping = mapping_of(column_type(name))
    schema.create_missing(connection, mapping)
    schema.inspect(connection, mapping)
    tables.run("ALTER TABLE t DROP a, ADD a GEOMETRY NOT NULL")

    with pytest.raises(schema.SchemaMismatchError, match="column a is geometry; the mapping needs"):
        schema.inspect(connection, mapping)
