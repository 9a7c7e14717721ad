"""The tables that the writer needs: created where absent, checked where they exist, never altered."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any, NamedTuple

from pymysql.connections import Connection

from common.errors import MisfitError
from common.mapping import Column, Table
from common.registry import SOURCES, SOURCES_COLUMNS, SOURCES_DDL, SOURCES_TEXTS
from common.target import CLAIM_HEAD, SIDECAR, Target

_DDL_TYPES = {
    "key": "VARCHAR({0.length}) CHARACTER SET ascii COLLATE ascii_bin",
    "string": "VARCHAR({0.length})",
    "decimal": "DECIMAL({0.precision},{0.scale})",
    "epoch": "BIGINT",
}
_TEXT_TYPES = ("char", "varchar", "tinytext", "text", "mediumtext", "longtext")

# Keys are printable ASCII and versions are digits and punctuation, so ascii_bin order is their order in Python.
_SIDECAR_DDL = f"""CREATE TABLE IF NOT EXISTS {SIDECAR} (
  item_key VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'key of the item, one row each',
  version VARCHAR(160) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'stream label _ digits _ sequence number',
  deleted TINYINT NOT NULL COMMENT '1: a tombstone, the item is gone',
  source_time BIGINT NOT NULL COMMENT 'clock of the stream, epoch seconds',
  token INT UNSIGNED NOT NULL COMMENT 'tells a writer which rows it won',
  PRIMARY KEY (item_key)
) ENGINE=InnoDB COMMENT='Backstream: the version of each key that was applied last'"""
_SIDECAR_COLUMNS = ("item_key", "version", "deleted", "source_time", "token")
_SIDECAR_TEXTS = {"item_key": 255, "version": 160}


class _Actual(NamedTuple):
    """A column as information_schema has it."""

    name: str
    type: str
    full_type: str
    length: int | None
    precision: int | None
    scale: int | None
    nullable: bool
    collation: str
    has_default: bool
    extra: str

    @property
    def numbered(self) -> bool:
        return "AUTO_INCREMENT" in self.extra

    @property
    def optional(self) -> bool:
        """Filled by the server when a statement leaves it out."""
        return self.nullable or self.has_default or self.numbered or "GENERATED" in self.extra


def create_missing(connection: Connection[Any], table: Table) -> dict[str, str]:
    """Create the target, the sidecar and the table of its sources where absent; an existing table is left as it is.

    Answers `{"target": "created" | "fits", "sidecar": "created" | "fits"}`.
    Raises MisfitError naming every reason why an existing table does not fit, before anything is created.
    """
    absent = [name for name in (table.name, SIDECAR, SOURCES) if not _columns(connection, name)]
    _refuse_misfits(connection, table, absent)
    with connection.cursor() as cursor:
        if table.name in absent:
            cursor.execute(_target_ddl(table))
        if SIDECAR in absent:
            cursor.execute(_SIDECAR_DDL)
        if SOURCES in absent:
            cursor.execute(SOURCES_DDL)
    inspect(connection, table)
    refuse_wrong_counts(connection)
    return {
        name: "created" if which in absent else "fits" for name, which in (("target", table.name), ("sidecar", SIDECAR))
    }


def inspect(connection: Connection[Any], table: Table) -> Target:
    """The target as the server has it. Read-only. Raises MisfitError naming every misfit."""
    _refuse_misfits(connection, table, absent=[])
    return _as_found(connection, table, _columns(connection, table.name))


def _as_found(connection: Connection[Any], table: Table, columns: dict[str, _Actual]) -> Target:
    numbered = {name for name, column in columns.items() if column.numbered}
    others = [
        name
        for name, parts in _unique_keys(connection, table.name).items()
        if parts != [table.key.name] and not numbered.issuperset(parts)
    ]
    return Target(
        table,
        other_unique_keys=tuple(sorted(others)),
        folds_case=not columns[table.key.name].collation.endswith("_bin"),
        packet_bytes=_packet_bytes(connection),
    )


def _refuse_misfits(connection: Connection[Any], table: Table, absent: list[str]) -> None:
    checks = ((table.name, _target_misfits), (SIDECAR, _sidecar_misfits), (SOURCES, _sources_misfits))
    for name, misfits in checks:
        if name not in absent and (problems := list(misfits(connection, table))):
            raise MisfitError(name, problems)


def refuse_wrong_counts(connection: Connection[Any]) -> None:
    """By the server's counts the writer knows who has won. A proxy may have set CLIENT_FOUND_ROWS behind our back.

    Source: https://dev.mysql.com/doc/c-api/8.4/en/mysql-affected-rows.html
    """
    probe = f"{CLAIM_HEAD} ('?{secrets.token_hex(8)}', 0, 0, 0, '') ON DUPLICATE KEY UPDATE token = token"
    connection.begin()
    with connection.cursor() as cursor:
        counts = [cursor.execute(probe), cursor.execute(probe)]
    connection.rollback()
    if counts != [1, 0]:
        problem = (
            "a row that is left as it is counts as written: something between here and MySQL sets CLIENT_FOUND_ROWS"
        )
        raise MisfitError(SIDECAR, [problem])


def _target_misfits(connection: Connection[Any], table: Table) -> Iterator[str]:
    columns = _columns(connection, table.name)
    if not columns:
        yield "it does not exist; run the schema step"
        return
    yield from _engine_misfits(connection, table.name)
    for column in table.columns:
        if column.name not in columns:
            yield f"column {column.name} is missing"
        elif problem := _column_misfit(column, columns[column.name]):
            yield problem
    mapped = {column.name for column in table.columns}
    for actual in columns.values():
        if actual.name not in mapped and not actual.optional:
            yield f"column {actual.name} is NOT NULL without a default, and the mapping does not fill it"
    if table.key.name in columns and [table.key.name] not in _unique_keys(connection, table.name).values():
        yield f"column {table.key.name} is neither the primary key nor a unique key by itself"
    key = columns.get(table.key.name)
    if key and key.nullable and _as_found(connection, table, columns).guarded:
        # A guarded upsert is refused by setting the key to NULL, which such a column would take.
        yield f"column {key.name} may be NULL, which beside other unique keys or a case-folding collation it must not"


def _sidecar_misfits(connection: Connection[Any], _: Table) -> Iterator[str]:
    columns = _columns(connection, SIDECAR)
    if not columns:
        yield "it does not exist; run the schema step"
        return
    yield from _engine_misfits(connection, SIDECAR)
    yield from (f"column {name} is missing" for name in _SIDECAR_COLUMNS if name not in columns)
    for name, length in _SIDECAR_TEXTS.items():
        if name in columns and columns[name].collation != "ascii_bin":
            yield f"column {name} must have the collation ascii_bin"
        if name in columns and (columns[name].length or 0) < length:
            yield f"column {name} is {columns[name].full_type}; it needs at least {length} characters"
    if ["item_key"] not in _unique_keys(connection, SIDECAR).values():
        yield "item_key is not its primary key"


def _sources_misfits(connection: Connection[Any], _: Table) -> Iterator[str]:
    columns = _columns(connection, SOURCES)
    if not columns:
        yield "it does not exist; run the schema step"
        return
    yield from _engine_misfits(connection, SOURCES)
    yield from (f"column {name} is missing" for name in SOURCES_COLUMNS if name not in columns)
    for name, length in SOURCES_TEXTS.items():
        if name in columns and columns[name].collation != "ascii_bin":
            yield f"column {name} must have the collation ascii_bin"
        if name in columns and (columns[name].length or 0) < length:
            yield f"column {name} is {columns[name].full_type}; it needs at least {length} characters"
    if ["generation"] not in _unique_keys(connection, SOURCES).values():
        yield "generation is not its primary key"


def _engine_misfits(connection: Connection[Any], table: str) -> Iterator[str]:
    rows = _query(connection, "SELECT ENGINE FROM information_schema.TABLES", table)
    if rows and rows[0][0] != "InnoDB":
        yield f"its engine is {rows[0][0] or 'a view'}; only InnoDB commits both tables together"


def _column_misfit(column: Column, actual: _Actual) -> str | None:
    """Why values that the mapping lets through would not fit, be rounded or be cut; None when they fit."""
    is_ = f"column {column.name} is {actual.full_type}"
    if column.nullable and not actual.nullable:
        return f"column {column.name} is NOT NULL, the mapping lets it be null"
    if column.type in ("key", "string"):
        if actual.type == "enum" and column.type == "string":
            return None
        if actual.type not in _TEXT_TYPES or (actual.length or 0) < column.length:
            return f"{is_}; the mapping needs a text of at least {column.length} characters"
    elif column.type == "decimal":
        digits = (actual.precision or 0) - (actual.scale or 0)
        if actual.type != "decimal" or (actual.scale or 0) < column.scale or digits < column.precision - column.scale:
            return f"{is_}; the mapping needs DECIMAL({column.precision},{column.scale}) or wider"
    elif actual.type not in ("int", "bigint"):
        return f"{is_}; the mapping needs INT or BIGINT for epoch seconds"
    return None


def _columns(connection: Connection[Any], table: str) -> dict[str, _Actual]:
    rows = _query(
        connection,
        "SELECT COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, CHARACTER_MAXIMUM_LENGTH, NUMERIC_PRECISION, NUMERIC_SCALE,"
        " IS_NULLABLE, COLLATION_NAME, COLUMN_DEFAULT, EXTRA FROM information_schema.COLUMNS",
        table,
    )
    return {
        name: _Actual(
            name, kind.lower(), full, length, precision, scale, nullable == "YES", collation or "",
            default is not None, extra.upper(),
        )
        for name, kind, full, length, precision, scale, nullable, collation, default, extra in rows
    }  # fmt: skip


def _unique_keys(connection: Connection[Any], table: str) -> dict[str, list[str]]:
    """Columns of each unique key; `column(prefix)` for a key on the first characters only."""
    keys: dict[str, list[str]] = {}
    for name, column, prefix in _query(
        connection,
        "SELECT INDEX_NAME, COLUMN_NAME, SUB_PART FROM information_schema.STATISTICS",
        table,
        " AND NON_UNIQUE = 0 ORDER BY INDEX_NAME, SEQ_IN_INDEX",
    ):
        keys.setdefault(name, []).append(f"{column}(prefix)" if prefix else column or "(expression)")
    return keys


def _packet_bytes(connection: Connection[Any]) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT @@max_allowed_packet")
        rows = cursor.fetchall()
    return int(rows[0][0])


def _query(connection: Connection[Any], select: str, table: str, tail: str = "") -> tuple[tuple[Any, ...], ...]:
    with connection.cursor() as cursor:
        cursor.execute(f"{select} WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = %s{tail}", (table,))
        return tuple(cursor.fetchall())


def _target_ddl(table: Table) -> str:
    columns = [
        f"  `{c.name}` {_DDL_TYPES[c.type].format(c)} {'NULL' if c.nullable else 'NOT NULL'}" for c in table.columns
    ]
    body = ",\n".join([*columns, f"  PRIMARY KEY (`{table.key.name}`)"])
    return f"CREATE TABLE IF NOT EXISTS `{table.name}` (\n{body}\n) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4"
