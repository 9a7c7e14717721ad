"""SQL text: exact literals, and statements cut to a size.

The text protocol is used throughout because prepared statements pin a session of RDS Proxy, and so does a
statement over 16 KB: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-proxy-pinning.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal

from pymysql.converters import escape_string

from common.changes import Value

# In a table value constructor MariaDB 10.11 keeps the length of X'..' alone in 16 bits: 65,536 bytes became none.
_BYTES = "_binary X'%s'"
_SPECIAL = "\0\n\r\x1a\"'\\"
_must_escape = re.compile(f"[{re.escape(_SPECIAL)}]").search


def literal(value: Value) -> str:
    """The SQL literal of `value`. Backslash escapes must be on, as in the writer's sql_mode."""
    if isinstance(value, str):
        return f"'{escape_string(value)}'" if _must_escape(value) else f"'{value}'"
    if value is None:
        return "NULL"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, bytes):
        return _BYTES % value.hex()
    return format(value, "f")  # str() may give an exponent, which SQL reads as a float


def tuples(columns: Iterable[Sequence[Value]]) -> list[str]:
    """`(literal,literal,...)` of each row; `columns` hold the rows side by side.

    Most columns only need quotes, and one check of the whole column finds that out. This takes a third of the time of
    `literal()` for every value. A value that all rows share is printed once.
    """
    columns = list(columns)
    printed = list(map(_printed, columns))
    pattern = f"({','.join(slot for slot, _ in printed)})"
    different = [values for _, values in printed if values is not None]
    if not different:
        return [pattern % ()] * (len(columns[0]) if columns else 0)
    return [pattern % row for row in zip(*different, strict=True)]


def _printed(column: Sequence[Value]) -> tuple[str, Sequence[Value] | None]:
    """A `%` pattern and what to put into it, None for nothing: the result is the literal of each value."""
    types = set(map(type, column))
    # Equal decimals may have other digits.
    if types in ({str}, {int}) and column[0] == column[-1] and column.count(column[0]) == len(column):
        return literal(column[0]).replace("%", "%%"), None
    if types == {str} and _is_plain("".join(column)):  # type: ignore[arg-type]
        return "'%s'", column
    if types == {int}:
        return "%d", column
    if types == {Decimal} and "E" not in "".join(plain := list(map(str, column))):  # an exponent is a float in SQL
        return "%s", plain
    if types == {bytes}:
        return _BYTES, [value.hex() for value in column]  # type: ignore[union-attr]
    return "%s", [literal(value) for value in column]


def _is_plain(text: str) -> bool:
    """The opposite of `_must_escape`, faster for long texts: seven character searches beat one character class."""
    return not any(character in text for character in _SPECIAL)


def chunks(head: str, items: Sequence[str], tail: str, limit: int, separator: str = ",") -> Iterator[tuple[str, slice]]:
    """Statements `head items tail` of at most `limit` UTF-8 bytes, each with the slice of `items` that it holds.

    Only a statement of a single item may be larger.
    """
    if not items:
        return
    whole = head + separator.join(items) + tail
    if len(whole.encode()) <= limit:
        yield whole, slice(0, len(items))
        return
    fixed = len(head.encode()) + len(tail.encode())
    start, size = 0, fixed
    for i, item in enumerate(items):
        length = len(separator) + (len(item) if item.isascii() else len(item.encode()))
        if size + length > limit and i > start:
            yield head + separator.join(items[start:i]) + tail, slice(start, i)
            start, size = i, fixed
        size += length
    yield head + separator.join(items[start:]) + tail, slice(start, len(items))
