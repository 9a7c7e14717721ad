"""SQL text: exact literals, and statements cut to a size.

The text protocol is used throughout because prepared statements pin a session of RDS Proxy, and so does a
statement over 16 KB: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-proxy-pinning.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from pymysql.converters import escape_string

from common.changes import Value

_must_escape = re.compile(r"[\x00\n\r\x1a\"'\\]").search


def literal(value: Value) -> str:
    """The SQL literal of `value`. Assumes backslash escapes are on, as the writer's sql_mode has them."""
    if isinstance(value, str):
        return f"'{escape_string(value)}'" if _must_escape(value) else f"'{value}'"
    if value is None:
        return "NULL"
    if isinstance(value, int):
        return str(value)
    return format(value, "f")  # str() may give an exponent, which SQL reads as a float


def chunks(head: str, items: Sequence[str], tail: str, limit: int, separator: str = ",") -> Iterator[tuple[str, slice]]:
    """Statements `head items tail` of at most `limit` UTF-8 bytes (more only for a single item that is
    larger by itself), each with the slice of `items` it holds.
    """
    fixed = len(head.encode()) + len(tail.encode())
    start, size = 0, fixed
    for i, item in enumerate(items):
        length = len(separator) + (len(item) if item.isascii() else len(item.encode()))
        if size + length > limit and i > start:
            yield head + separator.join(items[start:i]) + tail, slice(start, i)
            start, size = i, fixed
        size += length
    if start < len(items):
        yield head + separator.join(items[start:]) + tail, slice(start, len(items))
