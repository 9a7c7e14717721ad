"""The one MySQL connection of an execution environment: verified, reused, dropped on error."""

from __future__ import annotations

import json
import select
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Protocol, TypeVar

import certifi
import pymysql
from pymysql.connections import Connection
from pymysql.constants import CLIENT, CR, ER

from common import config
from common.mapping import Table
from common.mysql import errors, registry, schema
from common.mysql.target import Target
from common.source import HIGHEST_GENERATION, Source, Stream, parse_stream

T = TypeVar("T")

# Rounding and truncation must be errors, whatever the server's default. RDS Proxy tracks SQL_MODE, so setting it
# pins nothing: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-proxy-pinning.html
SQL_MODE = "STRICT_ALL_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION"

_LOCK_RETRIES = 3
# A connection knows the endpoint that it was made to, so it grows no older than this.
CONNECTION_SECONDS = 300.0
# It knows the table as it was when it was looked at. The statements reach no other key's row whatever becomes of the
# table, but a text column that becomes an ENUM, for instance, takes '2' for its second value.
INSPECTION_SECONDS = 10.0


def _pem(value: str) -> str:
    try:
        ssl.create_default_context(cadata=value)
    except ssl.SSLError:
        raise ValueError("must be certificates in PEM") from None
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class MySQLSettings:
    param_name: str = config.env("RDS_CONNECTION_PARAM_NAME")
    secret_arn: str = config.env("RDS_SECRET_ARN")
    tls: str = config.env("MYSQL_TLS", config.choice("verify", "require", "off"), default="verify")
    ca_pem: str = config.env("MYSQL_CA_PEM", _pem, default="")
    connect_timeout: int = config.env("MYSQL_CONNECT_TIMEOUT", config.integer(1, 60), default=5)
    read_timeout: int = config.env("MYSQL_READ_TIMEOUT", config.integer(1, 900), default=20)


def _stream_arn(value: str) -> str:
    parse_stream(value)
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSettings(MySQLSettings):
    stream_arn: str = config.env("STREAM_ARN", _stream_arn)
    generation: int = config.env("STREAM_GENERATION", config.integer(0, HIGHEST_GENERATION), default=0)

    @property
    def stream(self) -> Stream:
        return parse_stream(self.stream_arn)

    @property
    def source(self) -> Source:
        return Source(self.stream.table_arn, self.generation)


class Parameters(Protocol):
    """Where the connection details and credentials come from; `fresh` bypasses a cache."""

    def connection(self, *, fresh: bool = False) -> str:
        """The text of the SSM parameter: JSON with hostname, port, db and driver."""
        ...

    def credentials(self, *, fresh: bool = False) -> str:
        """The text of the secret: JSON with username and password."""
        ...


@dataclass(frozen=True)
class _Session:
    connection: Connection[Any]
    target: Target
    since: float
    inspected: float


class Database:
    """Runs work on a live connection and turns MySQL errors into what to do about them.

    Every connection checks that `source` is registered; None asks for no source.
    """

    def __init__(
        self,
        settings: MySQLSettings,
        parameters: Parameters,
        table: Table,
        clock: Callable[[], float] = time.monotonic,
        source: Source | None = None,
    ) -> None:
        self._settings, self._parameters, self._table, self._clock = settings, parameters, table, clock
        self._source = source
        self._session: _Session | None = None

    def run(self, operation: str, work: Callable[[Connection[Any], Target], T]) -> T:
        """`work(connection, target)` on the environment's connection, made or made again where needed.

        A lock conflict is tried again at once, a few times, as a whole; a reused connection that turns out to be
        dead is replaced once. `work` must be safe to run again.

        Raises HoldError or StopError. The MySQL error itself is not chained: its message may hold row values.
        """
        lock_retries, replaced = _LOCK_RETRIES, False
        while True:
            reused = self._session is not None
            try:
                session = self._live_session()
                return work(session.connection, session.target)
            except errors.SchemaMismatchError as error:
                self.drop()
                raise errors.StopError(operation, error, str(error)) from None
            except (pymysql.MySQLError, OSError) as error:
                errno = errors.number(error)
                if errno in (ER.LOCK_DEADLOCK, ER.LOCK_WAIT_TIMEOUT) and lock_retries:
                    lock_retries -= 1
                    continue
                self.drop()
                if reused and not replaced and errno in (CR.CR_SERVER_GONE_ERROR, CR.CR_SERVER_LOST, None):
                    replaced = True
                    continue
                raise _verdict(operation, error) from None
            except BaseException:
                self.drop()
                raise

    def run_bare(self, operation: str, work: Callable[[Connection[Any]], T]) -> T:
        """`work(connection)` on a connection of its own, to tables that need not exist or fit yet.

        Raises HoldError or StopError, as `run()` does.
        """
        try:
            connection = self.connect()
            try:
                return work(connection)
            finally:
                _abandon(connection)
        except errors.SchemaMismatchError as error:
            raise errors.StopError(operation, error, str(error)) from None
        except (pymysql.MySQLError, OSError) as error:
            raise _verdict(operation, error) from None

    def connect(self) -> Connection[Any]:
        """A new connection. Where only a person can help, he may have helped already: parameter and secret, which
        are cached, are read once more before giving up. A rotated password is the commonest case.
        """
        try:
            return self._connect(fresh=False)
        except (pymysql.MySQLError, OSError) as error:
            if errors.rule(error).verdict is not errors.Verdict.STOP:
                raise
        return self._connect(fresh=True)

    def drop(self) -> None:
        if self._session:
            _abandon(self._session.connection)
        self._session = None

    def _live_session(self) -> _Session:
        if self._session and not self._is_fit(self._session):
            self.drop()
        if self._session and self._clock() - self._session.inspected >= INSPECTION_SECONDS:
            target = self._inspect(self._session.connection)
            self._session = replace(self._session, target=target, inspected=self._clock())
        if not self._session:
            connection = self.connect()
            try:
                target = self._inspect(connection)
                if not registry.check(connection, self._source):
                    schema.refuse_wrong_counts(connection)
            except BaseException:
                _abandon(connection)
                raise
            self._session = _Session(connection, target, since=self._clock(), inspected=self._clock())
        return self._session

    def _inspect(self, connection: Connection[Any]) -> Target:
        target = schema.inspect(connection, self._table)
        connection.rollback()  # ends the read view that inspecting opened
        return target

    def _is_fit(self, session: _Session) -> bool:
        return self._clock() - session.since < CONNECTION_SECONDS and _is_quiet(session.connection)

    def _connect(self, *, fresh: bool) -> Connection[Any]:
        names, given = self._settings, self._parameters
        where = _read("SSM parameter", names.param_name, given.connection, _CONNECTION, fresh=fresh)
        who = _read("secret", names.secret_arn, given.credentials, _CREDENTIALS, fresh=fresh)
        return _log_in(
            host=where["hostname"],
            port=where["port"],
            database=where["db"],
            user=who["username"],
            password=who["password"].encode(),  # else the driver takes it for Latin-1
            charset="utf8mb4",
            sql_mode=SQL_MODE,
            # Rows that are refused are found in fewer round trips; every value is escaped, here as elsewhere.
            client_flag=CLIENT.MULTI_STATEMENTS,
            connect_timeout=self._settings.connect_timeout,
            read_timeout=self._settings.read_timeout,
            write_timeout=self._settings.read_timeout,
            **_tls(self._settings.tls, self._settings.ca_pem),
        )


def _log_in(**options: Any) -> Connection[Any]:
    """`pymysql.connect()`, with a number where the driver has none: it raises RuntimeError where the account's
    authentication plugin needs a package that the zips do not contain. The numbers are those of MySQL's own client.
    """
    try:
        return pymysql.connect(**options)
    except RuntimeError as error:
        without_tls = "'cryptography' package is required" in str(error)
        raise pymysql.OperationalError(
            CR.CR_AUTH_PLUGIN_ERR if without_tls else CR.CR_AUTH_PLUGIN_CANNOT_LOAD, str(error)
        ) from None


def _verdict(operation: str, error: BaseException) -> errors.DatabaseError:
    rule = errors.rule(error)
    kind = errors.HoldError if rule.verdict is errors.Verdict.HOLD else errors.StopError
    return kind(operation, error, rule.hint)


def _abandon(connection: Any) -> None:
    """Close the socket and no more: close() would first say goodbye to a server that may be dead."""
    connection._force_close()  # noqa: SLF001


def _is_quiet(connection: Any) -> bool:
    """Whether an idle connection is still one, without a round trip: a server that has something to say
    between statements is saying goodbye.
    """
    sock = connection._sock  # noqa: SLF001 - the driver's ping() costs a round trip per batch
    if sock is None:
        return False
    poller = select.poll()
    poller.register(sock, select.POLLIN | select.POLLHUP | select.POLLERR)
    return not poller.poll(0)


@cache
def _tls(mode: str, ca_pem: str) -> dict[str, Any]:
    """Connect arguments. One context for all connections: building one takes some 20 ms."""
    if mode == "off":
        return {"ssl_disabled": True}
    context = (
        ssl.create_default_context(cadata=ca_pem) if ca_pem else ssl.create_default_context(cafile=certifi.where())
    )
    if mode == "require":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return {"ssl": context}


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_hostname(value: Any) -> bool:
    try:
        return _is_text(value) and bool(value.encode("idna"))  # as the socket module will
    except UnicodeError:
        return False


def _is_port(value: Any) -> bool:
    return type(value) is int and 0 < value < 2**16


Checks = dict[str, Callable[[Any], bool]]

_CONNECTION: Checks = {"hostname": _is_hostname, "port": _is_port, "db": _is_text, "driver": _is_text}
_CREDENTIALS: Checks = {"username": _is_text, "password": lambda value: isinstance(value, str)}


def _read(what: str, name: str, get: Callable[..., str], checks: Checks, *, fresh: bool) -> dict[str, Any]:
    """The parsed text; a malformed one is read again past the cache, or it would outlive its correction there."""
    try:
        return _parse(what, name, get(fresh=fresh), checks)
    except _MalformedError:
        if fresh:
            raise
    return _parse(what, name, get(fresh=True), checks)


class _MalformedError(config.ConfigError):
    """Read, but not to be understood."""


def _parse(what: str, name: str, text: str, checks: Checks) -> dict[str, Any]:
    """`text` as a JSON object whose fields pass `checks`. Raises ConfigError that names fields, never values."""
    try:
        values = json.loads(text)
    except ValueError:
        values = None
    if not isinstance(values, dict):
        raise _MalformedError(f"{what} {name} is not a JSON object")
    if "port" in checks and isinstance(values.get("port"), str) and values["port"].isdecimal():
        values["port"] = int(values["port"])
    bad = [field for field, is_good in checks.items() if not is_good(values.get(field))]
    if bad:
        raise _MalformedError(f"{what} {name} lacks or has a bad {', '.join(bad)}")
    if values.get("driver", "mysql") != "mysql":
        raise _MalformedError(f"{what} {name} names another driver than mysql")
    return values
