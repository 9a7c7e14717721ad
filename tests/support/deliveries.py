"""The consumer as its handler builds it, with the parameters and deliveries of a test."""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Callable
from typing import Any

from common import mapping
from common.database import ApplyOptions
from common.mapping import Mapping
from common.mysql.database import MySQLDatabase
from common.mysql.settings import MySQLSettings
from common.quarantine import Quarantine
from common.records import parse_records
from stream_consumer.consume import consume
from stream_consumer.unfinished import Unfinished
from tests.support import meters
from tests.support.records import SOURCE, item

BUCKET = "failures"
PLAIN = "backstream_plain"  # an account that needs no TLS
# What records hold by default, and a message may not: the key alone may be told.
VALUES = [
    *item("")["merchant_id"].values(),
    *(value for name in meters.SECRET for value in meters.image("")[name].values()),
]


class FakeParameters:
    """Replaces `AwsParameters`: what SSM and Secrets Manager hold, behind a cache that never expires."""

    def __init__(self, **values: Any) -> None:
        """`values` are hostname, port, db, driver, username and password."""
        self.stored_connection = json.dumps({k: values[k] for k in ("hostname", "port", "db", "driver")})
        self.stored_credentials = json.dumps({k: values[k] for k in ("username", "password")})
        self._cache: dict[str, str] = {}
        self.fresh_reads: list[str] = []

    def connection(self, *, fresh: bool = False) -> str:
        return self._get("connection", self.stored_connection, fresh=fresh)

    def credentials(self, *, fresh: bool = False) -> str:
        return self._get("credentials", self.stored_credentials, fresh=fresh)

    def set(self, **values: Any) -> None:
        """Replace stored values."""
        for name in ("stored_connection", "stored_credentials"):
            stored = json.loads(getattr(self, name))
            setattr(self, name, json.dumps({key: values.get(key, old) for key, old in stored.items()}))

    def _get(self, name: str, stored: str, *, fresh: bool) -> str:
        if fresh:
            self.fresh_reads.append(name)
        if fresh or name not in self._cache:
            self._cache[name] = stored
        return self._cache[name]


class Consumer:
    """One execution environment. `deliver()` is an invocation, which acknowledges by returning."""

    def __init__(
        self,
        parameters: Any,
        s3: Callable[[], Any],
        *,
        declared: Mapping | None = None,
        statement_bytes: int | None = None,
        clock: Callable[[], float] = time.monotonic,
        **settings: Any,
    ):
        """`settings` are those of `MySQLSettings`."""
        given = {"param_name": "/orders/rds", "secret_arn": "arn:secret", "connect_timeout": 2, "read_timeout": 10}
        self.parameters = parameters
        self.mapping = declared or mapping.load()
        self.settings = MySQLSettings(**given | settings)
        self.database = MySQLDatabase(
            self.settings, parameters, self.mapping, clock=clock, source=SOURCE, statement_bytes=statement_bytes
        )
        self.quarantine = Quarantine(s3, BUCKET)
        self.options = ApplyOptions()

    def deliver(self, *records: dict[str, Any]) -> dict[str, int]:
        """Returns what became of the records. An error tells neither a password nor a value of a row."""
        try:
            consumed = consume(
                records,
                parse_records(records, self.mapping, source=SOURCE),
                database=self.database,
                quarantine=self.quarantine,
                unfinished=Unfinished(self.quarantine.s3, BUCKET),
                options=self.options,
            )
        except BaseException as error:
            tells_nothing("".join(traceback.format_exception(error)), self.parameters)
            raise
        return dict(consumed.counts)

    def connection_id(self) -> int:
        return self.database.execute("asking for the connection's id", lambda connection, _: connection.thread_id())


def tells_nothing(text: str, parameters: Any) -> None:
    """Assert that the text has neither a password nor a row value."""
    try:
        secret = [json.loads(parameters.stored_credentials)["password"]]
    except (ValueError, KeyError, AttributeError, TypeError):
        secret = []
    assert [word for word in [*VALUES, *secret] if word and word in text] == []
