"""The server's answer to the last statement. The driver has no public API for it.

Source: https://dev.mysql.com/doc/c-api/8.4/en/mysql-info.html
"""

from __future__ import annotations

import re
from typing import Any

from pymysql.connections import Connection


def info(connection: Connection[Any]) -> str:
    """`Records: 3  Duplicates: 1  Warnings: 0`, or nothing for one inserted row."""
    message = getattr(_result(connection), "message", None) or b""
    return message.decode("ascii", "replace") if isinstance(message, bytes) else str(message)


def rows_matched(connection: Connection[Any]) -> int | None:
    """How many rows an update met, changed or not; None where the server does not say so."""
    match = re.search(r"Rows matched: (\d+)", info(connection))
    return int(match[1]) if match else None


def is_warned(connection: Connection[Any]) -> bool:
    return bool(getattr(_result(connection), "warning_count", 0))


def upserted(affected: int, rows: int, text: str) -> tuple[int, int] | None:
    """How many of `rows` an upsert inserted and how many it changed, by the server's own count; None without one.

    An inserted row counts as 1 affected row, a changed row as 2, an unchanged row as 0. `Duplicates` counts changed
    rows. A statement of one row has no info. Source: sql/sql_insert.cc
    """
    if rows == 1:
        return int(affected == 1), int(affected > 1)
    match = re.search(r"Duplicates: (\d+)", text)
    return (affected - 2 * int(match[1]), int(match[1])) if match else None


def _result(connection: Connection[Any]) -> Any:
    return getattr(connection, "_result", None)
