"""The consumer's own handler on a server of ours: event to commit, log line and metrics included."""

from __future__ import annotations

import json
from collections.abc import Callable

from common.mysql.database import MySQLDatabase
from scripts.bench.nowhere import silence
from scripts.bench.orders import Event
from scripts.bench.server import Where
from stream_consumer import handler as function

Handler = Callable[[Event], dict[str, int]]


class Fixed:
    """In place of SSM and Secrets Manager, which a warm environment does not ask."""

    def __init__(self, where: Where) -> None:
        self._where = where

    def connection(self, *, fresh: bool = False) -> str:  # noqa: ARG002
        where = self._where
        return json.dumps({"hostname": where.host, "port": where.port, "db": where.database, "driver": "mysql"})

    def credentials(self, *, fresh: bool = False) -> str:  # noqa: ARG002
        return json.dumps({"username": self._where.user, "password": self._where.password})


class _Endless:
    """Lambda's context, as far as the handler asks it."""

    @staticmethod
    def get_remaining_time_in_millis() -> int:
        return 60_000


def database(where: Where) -> MySQLDatabase:
    return MySQLDatabase(function.SETTINGS, Fixed(where), function.TABLE, source=function.SETTINGS.source)


def handler(where: Where, statement_bytes: int) -> Handler:
    """A warm environment: the connection is made by the first event and kept."""
    own, options = database(where), function.Options(statement_bytes=statement_bytes, source=function.SETTINGS.source)

    def run(event: Event) -> dict[str, int]:
        function.DATABASE, function.OPTIONS = own, options
        with silence():
            return function.handler(event, _Endless())

    return run
