"""A private database server for the run, large enough that its cache and its log set no limit, with full tables."""

from __future__ import annotations

import random
import secrets
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pymysql
from pymysql.constants import CLIENT

from common import mapping
from common.mysql import registry, schema
from common.mysql.apply import apply
from common.mysql.connection import SQL_MODE
from common.mysql.target import Target
from scripts.bench.orders import SOURCE, STREAM, changes, new_keys
from scripts.local_stack.mariadb import MariaDB

OPTIONS = (
    "--innodb-buffer-pool-size=1G",
    "--loose-innodb-log-file-size=256M",  # MariaDB
    "--loose-innodb-redo-log-capacity=512M",  # MySQL
    "--require-secure-transport=OFF",
)
PRELOADED = 150_000
AT_ONCE = 5_000
UNSPLIT = 16_000_000

TABLE = mapping.load()


@dataclass(frozen=True)
class Where:
    """How to reach the server. TLS is off for every way alike: making a connection costs the reference the least so."""

    host: str
    port: int
    database: str
    user: str
    password: str

    def connect(self, **options: Any) -> pymysql.Connection[Any]:
        return pymysql.connect(
            host=self.host,
            port=self.port,
            database=self.database,
            user=self.user,
            password=self.password,
            charset="utf8mb4",
            ssl_disabled=True,
            client_flag=CLIENT.MULTI_STATEMENTS,
            **{"sql_mode": SQL_MODE, **options},
        )

    def through(self, port: int) -> Where:
        return replace(self, port=port)


class Server:
    def __init__(self, home: Path) -> None:
        self._mariadb = MariaDB(home, OPTIONS)
        self._mariadb.start()
        self.where = self._account()
        self.target = self._create()
        self._known = self._fill()

    def stop(self) -> None:
        self._mariadb.destroy()

    def known_keys(self, count: int) -> list[str]:
        """Keys whose rows are in both tables, scattered all over them."""
        return random.sample(self._known, count)

    def empty_database(self, name: str) -> Where:
        """Tables of its own for a part that starts from empty ones; they are gone with the server."""
        where = replace(self.where, database=name)
        with self._mariadb.connect(autocommit=True) as admin, admin.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE `{name}`")
            cursor.execute(f"GRANT ALL ON `{name}`.* TO %s@'%%'", (where.user,))
        with where.connect() as connection:
            schema.create_missing(connection, TABLE)
            registry.register(connection, SOURCE, STREAM.label)
        return where

    def _account(self) -> Where:
        where = Where(self._mariadb.host, self._mariadb.port, self._mariadb.database, "bench", secrets.token_hex(16))
        with self._mariadb.connect(autocommit=True) as admin, admin.cursor() as cursor:
            cursor.execute("CREATE USER %s@'%%' IDENTIFIED BY %s", (where.user, where.password))
            cursor.execute(f"GRANT ALL ON `{where.database}`.* TO %s@'%%'", (where.user,))
        return where

    def _create(self) -> Target:
        with self.where.connect() as connection:
            schema.create_missing(connection, TABLE)
            registry.register(connection, SOURCE, STREAM.label)
            return schema.inspect(connection, TABLE)

    def _fill(self) -> list[str]:
        keys = new_keys(PRELOADED)
        with self.where.connect() as connection:
            for start in range(0, len(keys), AT_ONCE):
                part = keys[start : start + AT_ONCE]
                apply(connection, self.target, changes(TABLE, part), statement_bytes=UNSPLIT)
        return keys
