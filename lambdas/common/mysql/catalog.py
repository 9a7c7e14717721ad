"""What the server says about tables, with one query for each view of information_schema."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pymysql.connections import Connection

from common.mysql.columns import ActualColumn
from common.mysql.sql import literal


class KeyPart(NamedTuple):
    """A column of a unique key. `length` is in characters, for a key on a prefix of the column.

    An expression is a column that no mapping can name.
    """

    column: str
    length: int | None = None


@dataclass
class TableFacts:
    """A table as the server has it; without columns it does not exist.

    `unique_keys` has the parts of each unique key. A user without the TRIGGER privilege sees no trigger.
    """

    engine: str | None = None
    columns: dict[str, ActualColumn] = field(default_factory=dict)
    unique_keys: dict[str, list[KeyPart]] = field(default_factory=dict)
    has_triggers: bool = False


def read_tables(connection: Connection[Any], names: Sequence[str]) -> dict[str, TableFacts]:
    """The facts of every table of `names` in the connection's database."""
    facts = {name: TableFacts() for name in names}
    columns = (
        "COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, CHARACTER_MAXIMUM_LENGTH, NUMERIC_PRECISION, NUMERIC_SCALE, IS_NULLABLE,"
        " CHARACTER_SET_NAME, COLLATION_NAME, COLUMN_DEFAULT, EXTRA, ORDINAL_POSITION"
    )
    for name, *column, _ in sorted(_ask(connection, names, columns, "COLUMNS"), key=lambda row: (row[0], row[-1])):
        actual = _actual(*column)
        facts[name].columns[actual.name] = actual
    # After the columns: another schema step may create a table in between.
    for name, engine in _ask(connection, names, "ENGINE", "TABLES"):
        facts[name].engine = engine
    parts = "INDEX_NAME, SEQ_IN_INDEX, COLUMN_NAME, SUB_PART"
    unique = _ask(connection, names, parts, "STATISTICS", "NON_UNIQUE = 0")
    for name, key, _, column, length in sorted(unique, key=lambda row: row[:3]):
        facts[name].unique_keys.setdefault(key, []).append(KeyPart(column or "(expression)", length))
    for name, _ in _ask(connection, names, "1", "TRIGGERS", schema="EVENT_OBJECT_SCHEMA", table="EVENT_OBJECT_TABLE"):
        facts[name].has_triggers = True
    return facts


def read_references(connection: Connection[Any], names: Sequence[str]) -> set[tuple[str, str]]:
    """(child, parent) of every foreign key between tables of `names`."""
    by_name = {name.lower(): name for name in names}
    # A server may keep the names of tables in lower case.
    found = _ask(
        connection, names, "REFERENCED_TABLE_NAME", "REFERENTIAL_CONSTRAINTS",
        "UNIQUE_CONSTRAINT_SCHEMA = DATABASE()", schema="CONSTRAINT_SCHEMA",
    )  # fmt: skip
    return {(name, by_name[parent.lower()]) for name, parent in found if parent and parent.lower() in by_name}


def read_server(connection: Connection[Any]) -> tuple[int, str]:
    """max_allowed_packet in bytes, and the version."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT @@max_allowed_packet, @@version")
        rows = cursor.fetchall()
    return int(rows[0][0]), str(rows[0][1])


def _ask(  # noqa: PLR0913 - the parts of information_schema name their columns differently
    connection: Connection[Any],
    names: Sequence[str],
    columns: str,
    part: str,
    condition: str = "TRUE",
    *,
    schema: str = "TABLE_SCHEMA",
    table: str = "TABLE_NAME",
) -> list[tuple[Any, ...]]:
    """Rows of information_schema, each preceded by the name of its table.

    MariaDB opens every table of the database unless the name is a constant, so each table is a SELECT of its own.
    """
    selects = [
        f"SELECT {literal(name)}, {columns} FROM information_schema.{part}"
        f" WHERE {schema} = DATABASE() AND {table} = {literal(name)} AND {condition}"
        for name in names
    ]
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(selects))
        return list(cursor.fetchall())


def _actual(  # noqa: PLR0913, PLR0917 - the columns of information_schema
    name: str,
    kind: str,
    full_type: str,
    length: int | None,
    precision: int | None,
    scale: int | None,
    nullable: str,
    charset: str | None,
    collation: str | None,
    default: Any,
    extra: str,
) -> ActualColumn:
    return ActualColumn(
        name, kind.lower(), full_type, length, precision, scale, nullable == "YES", charset or "", collation or "",
        default is not None, extra.upper(),
    )  # fmt: skip
