"""Walks through a table in the order of its key, a page at a time. Reads only, and locks nothing.

The order is the server's own, so a key is compared by its column's collation. Two keys that the collation takes for
equal cannot both exist, so no row is met twice or passed over.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from pymysql.connections import Connection

from common.changes import Row, Value
from common.columns.column_type import ColumnType
from common.database import Page, Since, TableSize, UnfitSinceError
from common.mapping import Column
from common.mysql.catalog import read_tables
from common.mysql.columns import ActualColumn
from common.mysql.sql import literal
from common.mysql.target import KeyColumn, Target

# Rows that a statement looks at for those of `since`. It takes milliseconds, however few there are.
_SPAN = 20_000
_INTEGERS = ("tinyint", "smallint", "mediumint", "int", "bigint")
_NUMBERS = (*_INTEGERS, "decimal")
# The time zones that are farthest behind UTC are 12 hours.
_FARTHEST_ZONE = timedelta(hours=12)
# Rows whose numbers are looked at. Epoch seconds have ten digits since 2001.
_SAMPLE, _FIRST_SECONDS = 1_000, 1_000_000_000


class Range(NamedTuple):
    """The keys after `after` and up to `upto`; None is open."""

    after: Row | None = None
    upto: Row | None = None


def page(  # noqa: PLR0913
    connection: Connection[Any],
    target: Target,
    chosen: Range,
    limit: int,
    since: Since | None,
    *,
    keys_only: bool = False,
) -> Page:
    """Raises UnfitSinceError for a `since` that the table has no such column for."""
    if limit < 1:
        raise ValueError("limit must be at least 1")
    columns = target.entity.key if keys_only else target.entity.columns
    names = [column.name for column in columns]
    condition, end = "TRUE", chosen.upto
    if since:
        condition = _since(connection, target.table, since)
        # Few rows may have changed: without an end, one statement could look at the whole table.
        end = _key_at(connection, target, chosen, _SPAN) or chosen.upto
    tail = f" AND {condition} ORDER BY {_order(target)} LIMIT {limit}"
    found = _ask(connection, f"{_select(target, names, chosen._replace(upto=end))}{tail}")
    rows = _decoded(columns, found)
    if len(rows) == limit:
        return Page(rows, rows[-1][: len(target.key)])
    return Page(rows, end if end != chosen.upto else None)


def boundaries(connection: Connection[Any], target: Target, after: Row | None, every: int, most: int) -> list[Row]:
    found: list[Row] = []
    while len(found) < most and (key := _key_at(connection, target, Range(after), every)):
        found.append(key)
        after = key
    return found


def size(connection: Connection[Any], table: str) -> TableSize:
    """Source: https://dev.mysql.com/doc/refman/8.4/en/information-schema-tables-table.html"""
    [(rows, data)] = _ask(
        connection,
        "SELECT TABLE_ROWS, DATA_LENGTH FROM information_schema.TABLES"
        f" WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = {literal(table)}",
    ) or [(0, 0)]
    return TableSize(int(rows or 0), int(data or 0))


def _key_at(connection: Connection[Any], target: Target, chosen: Range, number: int) -> Row | None:
    """The key of the row with this number in a range, which begins with 1."""
    names = [column.name for column in target.key]
    tail = f" ORDER BY {_order(target)} LIMIT 1 OFFSET {number - 1}"
    found = _ask(connection, f"{_select(target, names, chosen)}{tail}")
    return _decoded(target.entity.key, found)[0] if found else None


# SQL


def _select(target: Target, names: Sequence[str], chosen: Range) -> str:
    columns = [target.key[place] for place in target.order]
    conditions = [f"t.`{column.name}` IS NOT NULL" for column in columns]
    for key, sign, last in ((chosen.after, ">", ">"), (chosen.upto, "<", "<=")):
        if key is not None:
            conditions += _beyond(columns, [key[place] for place in target.order], sign, last)
    selected = ", ".join(f"t.`{name}`" for name in names)
    # Other keys would sort all rows first. The range must not be left to a guess from statistics.
    source = f"`{target.table}` t FORCE INDEX (`{target.ordered_by}`)"
    return f"SELECT {selected} FROM {source} WHERE {' AND '.join(conditions)}"


def _order(target: Target) -> str:
    return ", ".join(f"t.`{target.key[place].name}`" for place in target.order)


def _beyond(columns: Sequence[KeyColumn], values: Sequence[Value], sign: str, last: str) -> list[str]:
    """Conditions that a key is beyond `values`. They are ranges of the index: a comparison of rows is none in MySQL.

    Source: https://dev.mysql.com/doc/refman/8.4/en/range-optimization.html
    """
    names = [f"t.`{column.name}`" for column in columns]
    texts = [column.literal(value) for column, value in zip(columns, values, strict=True)]
    condition = f"{names[-1]} {last} {texts[-1]}"
    for name, text in zip(names[-2::-1], texts[-2::-1], strict=True):
        condition = f"({name} {sign} {text} OR ({name} = {text} AND {condition}))"
    return [condition]


def _ask(connection: Connection[Any], statement: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return list(cursor.fetchall())


# Values


def _decoded(columns: Sequence[Column], rows: list[tuple[Any, ...]]) -> list[Row]:
    """The rows with their values in the form that decoding gives."""
    if not rows or all(_canonical(column.type) is None for column in columns):
        return rows
    by_column = [
        list(map(canonical, values)) if (canonical := _canonical(column.type)) else values
        for column, values in zip(columns, zip(*rows, strict=True), strict=True)
    ]
    return list(zip(*by_column, strict=True))


def _canonical(column_type: ColumnType) -> Callable[[Any], Any] | None:
    """None for a type that has nothing to do."""
    return None if type(column_type).canonical is ColumnType.canonical else column_type.canonical


# The column of `since`


def _since(connection: Connection[Any], table: str, since: Since) -> str:
    """The SQL condition. Raises UnfitSinceError."""
    text = _literal(_column(connection, table, since.column), table, since)
    return f"(t.`{since.column}` >= {text} OR t.`{since.column}` IS NULL)"


def since_of(connection: Connection[Any], table: str, column: str, start: str | datetime) -> Since:
    """See `Database.since`."""
    actual = _column(connection, table, column)
    found = Since(column, start if isinstance(start, str) else _stored(actual, start))
    _literal(actual, table, found)
    if not isinstance(start, str) and actual.type in _NUMBERS:
        _require_seconds(connection, table, column)
    return found


def _column(connection: Connection[Any], table: str, name: str) -> ActualColumn:
    """Raises UnfitSinceError."""
    actual = read_tables(connection, [table])[table].columns.get(name)
    if actual is None:
        raise _unfit(table, name, "no such column", f"name a column of {table} that changes with each change of a row")
    if not _literals(actual)[1]:
        hint = "name a column of whole numbers, decimals or times"
        raise _unfit(table, name, f"it is {actual.full_type}", hint)
    return actual


def _literal(actual: ActualColumn, table: str, since: Since) -> str:
    make, what = _literals(actual)
    text = make(since.value)
    if text is None:
        raise _unfit(table, since.column, "the value does not fit the column", f"write {what}")
    return text


def _unfit(table: str, column: str, problem: str, hint: str) -> UnfitSinceError:
    return UnfitSinceError(f"reading rows of {table} since {column}", problem, hint)


def _stored(actual: ActualColumn, start: datetime) -> str:
    """A time in the form of the column, as early as it can be."""
    if actual.type in _NUMBERS:
        return str(int(start.timestamp()))
    in_utc = start.astimezone(UTC).replace(tzinfo=None, microsecond=0)
    if actual.type == "timestamp":
        return in_utc.isoformat(" ")
    earliest = in_utc - _FARTHEST_ZONE
    return earliest.date().isoformat() if actual.type == "date" else earliest.isoformat(" ")


def _require_seconds(connection: Connection[Any], table: str, column: str) -> None:
    """Raises UnfitSinceError where the first rows have other numbers: no row would have changed since any time."""
    sample = f"SELECT t.`{column}` AS n FROM `{table}` t LIMIT {_SAMPLE}"
    [(greatest,)] = _ask(connection, f"SELECT MAX(n) FROM ({sample}) s")
    if greatest is not None and greatest < _FIRST_SECONDS:
        raise _unfit(table, column, "it does not hold epoch seconds", "give a value")


def _literals(actual: ActualColumn) -> tuple[Callable[[str], str | None], str]:
    """A function from the text of a value to its SQL, None where it does not fit; and what to write."""
    if actual.type in _INTEGERS:
        return _matching(r"-?[0-9]{1,20}"), "a whole number"
    if actual.type == "decimal":
        return _matching(r"-?[0-9]{1,65}(\.[0-9]{1,30})?"), "a number such as 12.5"
    if actual.type == "date":
        return _moment("DATE"), "a date such as 2026-01-31"
    if actual.type in ("datetime", "timestamp"):
        make = _moment("DATETIME(6)")
        return (make if actual.type == "datetime" else _utc(make)), "a time such as 2026-01-31 12:00:00"
    return (lambda _: None), ""


def _matching(pattern: str) -> Callable[[str], str | None]:
    return lambda text: text if re.fullmatch(pattern, text, re.ASCII) else None


def _moment(sql_type: str) -> Callable[[str], str | None]:
    def make(text: str) -> str | None:
        try:
            found = datetime.fromisoformat(text)
        except ValueError:
            return None
        return None if found.tzinfo else f"CAST({literal(found.isoformat(' '))} AS {sql_type})"

    return make


def _utc(make: Callable[[str], str | None]) -> Callable[[str], str | None]:
    """A TIMESTAMP is compared in the session's time zone, which is the server's."""

    def in_session(text: str) -> str | None:
        made = make(text)
        return made and f"CONVERT_TZ({made}, '+00:00', @@session.time_zone)"

    return in_session
