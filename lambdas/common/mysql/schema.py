"""The tables that the writer needs: created where absent, checked where they exist, never altered."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from pymysql.connections import Connection

from common.database import SchemaMismatchError
from common.mapping import Column, Entity, Mapping
from common.mysql import sidecar
from common.mysql.columns import TEXT_TYPES, ActualColumn, ColumnCheck, holds_null
from common.mysql.registry import SOURCES, SOURCES_COLUMNS, SOURCES_DDL, SOURCES_TEXTS
from common.mysql.sidecar import CLAIM_HEAD, SIDECAR
from common.mysql.target import Target, UniqueKey, ValueCheck

# RDS Proxy pins a session at a statement of 16 KB: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-proxy-pinning.html
# Its hostnames are <name>.proxy-<id>.<region>.rds.amazonaws.com.
_PROXY, _PROXY_STATEMENT_BYTES = ".proxy-", 15_000
# max_allowed_packet may be 1 GB. A function has less memory, and holds a statement more than once.
_MOST_STATEMENT_BYTES = 16_000_000


class _Part(NamedTuple):
    """A column of a unique key; `length` in characters where the key is on the first ones only."""

    column: str
    length: int | None


def create_missing(connection: Connection[Any], mapping: Mapping) -> dict[str, str]:
    """Create the target, the sidecar and the table of sources where absent. An existing table is not changed.

    Answers `{"target": "created" | "fits", "sidecar": "created" | "fits"}`.
    Raises SchemaMismatchError naming every reason why an existing table does not fit, before anything is created.
    """
    [table] = mapping.entities
    absent = [name for name in (table.table, SIDECAR, SOURCES) if not _columns(connection, name)]
    _require_fit(connection, table, absent)
    with connection.cursor() as cursor:
        if table.table in absent:
            cursor.execute(_target_ddl(table))
        if SIDECAR in absent:
            cursor.execute(sidecar.DDL)
        if SOURCES in absent:
            cursor.execute(SOURCES_DDL)
    inspect(connection, mapping)
    require_true_counts(connection)
    return {
        name: "created" if which in absent else "fits"
        for name, which in (("target", table.table), ("sidecar", SIDECAR))
    }


def inspect(connection: Connection[Any], mapping: Mapping) -> Target:
    """The target as the server has it. Read-only. Raises SchemaMismatchError, which names every mismatch."""
    _require_fit(connection, mapping.entities[0], absent=[])
    return describe(connection, mapping)


def describe(connection: Connection[Any], mapping: Mapping) -> Target:
    """The target as the server has it, without a check. Raises KeyError where the key column is gone."""
    [table] = mapping.entities
    columns = _columns(connection, table.table)
    key, keys = columns[table.key[0].name], _unique_keys(connection, table.table)
    numbered = {name for name, column in columns.items() if column.numbered}
    own = [name for name, parts in keys.items() if [part.column for part in parts] == [table.key[0].name]]
    counted = [name for name, parts in keys.items() if parts[0].column in numbered and len(parts) == 1]
    packet_bytes, version = _server(connection)
    return Target(
        mapping,
        table,
        charset=key.charset,
        collation=key.collation,
        other_unique_keys=tuple(
            UniqueKey(name, tuple(part.column for part in parts), tuple(part.length for part in parts))
            for name, parts in sorted(keys.items())
            if name not in own + counted
        ),
        own_keys=tuple(own),
        numbered_keys=tuple(counted),
        checks=tuple(_value_checks(table, columns, _checks)),
        limits=tuple(_value_checks(table, columns, _limits)),
        vacant=tuple(
            (column.name, how)
            for column in table.columns
            if column.name in columns and column is not table.key[0] and (how := _vacancy(columns[column.name]))
        ),
        packet_bytes=packet_bytes,
        statement_bytes=_statement_bytes(connection.host, packet_bytes),
        row_word="" if "MariaDB" in version else "ROW",
        is_plain=columns.keys() <= {column.name for column in table.columns}
        and own == list(keys) == ["PRIMARY"]
        and key.collation.endswith("_bin")
        and not _has_triggers(connection, table.table),
    )


def _statement_bytes(host: str, packet_bytes: int) -> int:
    return _PROXY_STATEMENT_BYTES if _PROXY in host else min(packet_bytes // 4, _MOST_STATEMENT_BYTES)


def _require_fit(connection: Connection[Any], table: Entity, absent: list[str]) -> None:
    checks = ((table.table, _target_mismatches), (SIDECAR, _sidecar_mismatches), (SOURCES, _sources_mismatches))
    for name, mismatches in checks:
        if name not in absent and (problems := list(mismatches(connection, table))):
            raise SchemaMismatchError(name, problems)


def require_true_counts(connection: Connection[Any]) -> None:
    """Raises SchemaMismatchError where an unchanged row counts as written: the writer relies on these counts.

    A proxy may set CLIENT_FOUND_ROWS though this client does not.

    Source: https://dev.mysql.com/doc/c-api/8.4/en/mysql-affected-rows.html
    """
    probe = f"{CLAIM_HEAD} ('?', '{secrets.token_hex(8)}', 0, 0, 0, '') ON DUPLICATE KEY UPDATE token = token"
    connection.begin()
    with connection.cursor() as cursor:
        counts = [cursor.execute(probe), cursor.execute(probe)]
    connection.rollback()
    if counts != [1, 0]:
        problem = "an unchanged row counts as written: something between here and MySQL sets CLIENT_FOUND_ROWS"
        raise SchemaMismatchError(SIDECAR, [problem])


def _target_mismatches(connection: Connection[Any], table: Entity) -> Iterator[str]:
    columns = _columns(connection, table.table)
    if not columns:
        yield "it does not exist; run the schema step"
        return
    yield from _engine_mismatches(connection, table.table)
    for column in table.columns:
        if column.name not in columns:
            yield f"column {column.name} is missing"
        elif problem := _column_mismatch(column, columns[column.name]):
            yield problem
    mapped = {column.name for column in table.columns}
    for actual in columns.values():
        if actual.name not in mapped and not actual.optional:
            yield f"column {actual.name} is NOT NULL without a default, and the mapping does not fill it"
    if table.key[0].name in columns and not _is_unique(_unique_keys(connection, table.table), [table.key[0].name]):
        yield f"column {table.key[0].name} is neither the primary key nor a unique key by itself"


def _sidecar_mismatches(connection: Connection[Any], _: Entity) -> Iterator[str]:
    return _own_mismatches(connection, SIDECAR, sidecar.COLUMNS, sidecar.TEXTS)


def _sources_mismatches(connection: Connection[Any], _: Entity) -> Iterator[str]:
    return _own_mismatches(connection, SOURCES, SOURCES_COLUMNS, SOURCES_TEXTS)


def _own_mismatches(
    connection: Connection[Any], table: str, needed: tuple[str, ...], texts: dict[str, int]
) -> Iterator[str]:
    """The mismatches of Backstream's own table. Its key is the first two of the `needed` columns."""
    columns = _columns(connection, table)
    if not columns:
        yield "it does not exist; run the schema step"
        return
    yield from _engine_mismatches(connection, table)
    yield from (f"column {name} is missing" for name in needed if name not in columns)
    for name, length in texts.items():
        if name in columns and columns[name].collation != "ascii_bin":
            yield f"column {name} must have the collation ascii_bin"
        if name in columns and (columns[name].length or 0) < length:
            yield f"column {name} is {columns[name].full_type}; it needs at least {length} characters"
    if not _is_unique(_unique_keys(connection, table), list(needed[:2])):
        yield f"{needed[0]}, {needed[1]} is not its primary key"


def _engine_mismatches(connection: Connection[Any], table: str) -> Iterator[str]:
    rows = _query(connection, "SELECT ENGINE FROM information_schema.TABLES", table)
    if rows and rows[0][0] != "InnoDB":
        yield f"its engine is {rows[0][0] or 'a view'}; only InnoDB commits both tables together"


def _column_mismatch(column: Column, actual: ActualColumn) -> str | None:
    """Why values that the mapping allows would not fit, be rounded or be cut; None when they fit."""
    if actual.generated:
        return f"column {column.name} is generated by the server; the mapping must not write it"
    if column.nullable and not actual.nullable:
        return f"column {column.name} is NOT NULL, but the mapping allows null"
    need = column.type.mysql.need(actual)
    return f"column {column.name} is {actual.full_type}; the mapping needs {need}" if need else None


def _columns(connection: Connection[Any], table: str) -> dict[str, ActualColumn]:
    rows = _query(
        connection,
        "SELECT COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, CHARACTER_MAXIMUM_LENGTH, NUMERIC_PRECISION, NUMERIC_SCALE,"
        " IS_NULLABLE, CHARACTER_SET_NAME, COLLATION_NAME, COLUMN_DEFAULT, EXTRA FROM information_schema.COLUMNS",
        table,
    )
    return {
        name: ActualColumn(
            name, kind.lower(), full, length, precision, scale, nullable == "YES", charset or "", collation or "",
            default is not None, extra.upper(),
        )
        for name, kind, full, length, precision, scale, nullable, charset, collation, default, extra in rows
    }  # fmt: skip


def _unique_keys(connection: Connection[Any], table: str) -> dict[str, list[_Part]]:
    """The parts of each unique key, an expression as a column that no mapping can name."""
    keys: dict[str, list[_Part]] = {}
    for name, column, prefix in _query(
        connection,
        "SELECT INDEX_NAME, COLUMN_NAME, SUB_PART FROM information_schema.STATISTICS",
        table,
        " AND NON_UNIQUE = 0 ORDER BY INDEX_NAME, SEQ_IN_INDEX",
    ):
        keys.setdefault(name, []).append(_Part(column or "(expression)", prefix))
    return keys


def _is_unique(keys: dict[str, list[_Part]], columns: list[str]) -> bool:
    return [_Part(column, None) for column in columns] in keys.values()


def _server(connection: Connection[Any]) -> tuple[int, str]:
    """max_allowed_packet in bytes, and the version."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT @@max_allowed_packet, @@version")
        rows = cursor.fetchall()
    return int(rows[0][0]), str(rows[0][1])


def _value_checks(
    table: Entity, columns: dict[str, ActualColumn], checks_of: Callable[[Column, ActualColumn], Iterator[ColumnCheck]]
) -> Iterator[ValueCheck]:
    for index, column in enumerate(table.columns):
        if column.name in columns:
            actual = columns[column.name]
            for check in checks_of(column, actual):
                yield ValueCheck(column.name, actual.full_type, index, *check)


def _checks(column: Column, actual: ActualColumn) -> Iterator[ColumnCheck]:
    """The checks of values that the server would store changed, without an error."""
    return filter(None, (rule(actual) for rule in column.type.mysql.checks))


def _limits(column: Column, actual: ActualColumn) -> Iterator[ColumnCheck]:
    """The checks of values that the server would refuse, with its error number."""
    return filter(None, (rule(actual) for rule in (holds_null, *column.type.mysql.limits)))


_VACANT_CHARACTERS = 16


def _vacancy(actual: ActualColumn) -> str:
    """What may fill the column for a moment, so that another row can take its unique value."""
    if actual.nullable:
        return "null"
    is_text = actual.type in TEXT_TYPES and (actual.length or 0) >= _VACANT_CHARACTERS
    return "text" if is_text else ""


def _has_triggers(connection: Connection[Any], table: str) -> bool:
    """Whether the table has triggers. A user without the TRIGGER privilege sees none."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT COUNT(*) FROM information_schema.TRIGGERS"
            " WHERE EVENT_OBJECT_SCHEMA = DATABASE() AND EVENT_OBJECT_TABLE = %s",
            (table,),
        )
        return bool(cursor.fetchall()[0][0])


def _query(connection: Connection[Any], select: str, table: str, tail: str = "") -> tuple[tuple[Any, ...], ...]:
    with connection.cursor() as cursor:
        cursor.execute(f"{select} WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = %s{tail}", (table,))
        return tuple(cursor.fetchall())


def _target_ddl(table: Entity) -> str:
    columns = [f"  `{c.name}` {c.type.mysql.ddl} {'NULL' if c.nullable else 'NOT NULL'}" for c in table.columns]
    body = ",\n".join([*columns, f"  PRIMARY KEY ({', '.join(f'`{name}`' for name in table.key_names)})"])
    return f"CREATE TABLE IF NOT EXISTS `{table.table}` (\n{body}\n) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4"
