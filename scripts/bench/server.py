"""A private database server with full tables. Its cache and its log are large enough to set no limit."""

from __future__ import annotations

import json
import random
import secrets
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pymysql
from pymysql.constants import CLIENT

from common.mapping import Mapping, load
from common.mysql import registry, schema
from common.mysql.apply import apply
from common.mysql.connection import SQL_MODE
from common.mysql.target import Targets
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
# Bytes of a statement: so many that there is one per table, and those that do not pin a session of RDS Proxy.
UNSPLIT = 16_000_000
SPLIT = 15_000

MAPPING = load()
ORDER = MAPPING.entities[0]


@dataclass(frozen=True)
class Endpoint:
    """How to reach the server. TLS is off for all: it would slow down the reference, which connects for every event."""

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

    def at(self, port: int) -> Endpoint:
        return replace(self, port=port)


@dataclass(frozen=True)
class FixedParameters:
    """In place of SSM and Secrets Manager, which a warm environment does not call."""

    endpoint: Endpoint

    def connection(self, *, fresh: bool = False) -> str:  # noqa: ARG002
        at = self.endpoint
        return json.dumps({"hostname": at.host, "port": at.port, "db": at.database, "driver": "mysql"})

    def credentials(self, *, fresh: bool = False) -> str:  # noqa: ARG002
        return json.dumps({"username": self.endpoint.user, "password": self.endpoint.password})


class Server:
    def __init__(self, home: Path) -> None:
        self._mariadb = MariaDB(home, OPTIONS)
        self._mariadb.start()
        self.endpoint = self._account()
        self.targets = self._create()
        self._known = self._fill()

    def stop(self) -> None:
        self._mariadb.destroy()

    def known_keys(self, count: int) -> list[str]:
        """Keys that have rows in both tables, scattered over the tables."""
        return random.sample(self._known, count)

    def empty_database(self, name: str, mapping: Mapping = MAPPING) -> Endpoint:
        """Another database on the server, with the empty tables of `mapping`."""
        endpoint = self.bare_database(name)
        with endpoint.connect() as connection:
            schema.create_missing(connection, mapping)
            registry.register(connection, mapping, SOURCE, STREAM.label)
        return endpoint

    def bare_database(self, name: str) -> Endpoint:
        """Another database on the server, without tables."""
        endpoint = replace(self.endpoint, database=name)
        with self._mariadb.connect(autocommit=True) as admin, admin.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE `{name}`")
            cursor.execute(f"GRANT ALL ON `{name}`.* TO %s@'%%'", (endpoint.user,))
        return endpoint

    def _account(self) -> Endpoint:
        endpoint = Endpoint(
            self._mariadb.host, self._mariadb.port, self._mariadb.database, "bench", secrets.token_hex(16)
        )
        with self._mariadb.connect(autocommit=True) as admin, admin.cursor() as cursor:
            cursor.execute("CREATE USER %s@'%%' IDENTIFIED BY %s", (endpoint.user, endpoint.password))
            cursor.execute(f"GRANT ALL ON `{endpoint.database}`.* TO %s@'%%'", (endpoint.user,))
        return endpoint

    def _create(self) -> Targets:
        with self.endpoint.connect() as connection:
            schema.create_missing(connection, MAPPING)
            registry.register(connection, MAPPING, SOURCE, STREAM.label)
            return schema.inspect(connection, MAPPING)

    def _fill(self) -> list[str]:
        keys = new_keys(PRELOADED)
        with self.endpoint.connect() as connection:
            for start in range(0, len(keys), AT_ONCE):
                part = keys[start : start + AT_ONCE]
                apply(connection, self.targets, changes(MAPPING, part), statement_bytes=UNSPLIT)
        return keys


class Bench:
    """What the parts of a run share: a server, started when the first of them needs it."""

    def __init__(self, cleanup: ExitStack) -> None:
        self._cleanup = cleanup

    @cached_property
    def server(self) -> Server:
        home = Path(self._cleanup.enter_context(tempfile.TemporaryDirectory()))
        server = Server(home)
        self._cleanup.callback(server.stop)
        return server
