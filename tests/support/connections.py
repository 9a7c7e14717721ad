"""Connections to the test's server as the consumer makes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pymysql
from pymysql.constants import CLIENT

from common.mysql.connection import CONVERSIONS, SQL_MODE
from scripts.local_stack.mariadb import MariaDB


@contextmanager
def connections(server: MariaDB, account: Any) -> Iterator[Callable[..., pymysql.Connection[Any]]]:
    """A function that connects as `account`; its options replace those of the consumer. All are closed at the end."""
    opened: list[pymysql.Connection[Any]] = []

    def connect(**options: Any) -> pymysql.Connection[Any]:
        given = {"sql_mode": SQL_MODE, "conv": CONVERSIONS, "client_flag": CLIENT.MULTI_STATEMENTS} | options
        opened.append(server.connect(account, **given))
        return opened[-1]

    yield connect
    for connection in opened:
        if connection.open:
            connection.close()
