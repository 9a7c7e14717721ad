"""A new connection to MySQL: verified TLS, strict mode, bounded waits."""

from __future__ import annotations

import select
import ssl
from functools import cache
from typing import Any

import certifi
import pymysql
from pymysql.connections import Connection
from pymysql.constants import CLIENT, CR, FIELD_TYPE
from pymysql.converters import conversions

from common.database import Verdict
from common.mysql import errors
from common.mysql.settings import MySQLSettings, Parameters, read_credentials, read_endpoint

# Rounding and truncation must be errors, whatever the server's default. RDS Proxy tracks SQL_MODE, so setting it
# pins nothing: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-proxy-pinning.html
# NO_AUTO_VALUE_ON_ZERO: otherwise a mapped AUTO_INCREMENT column turns 0 into the next number, another item's key.
SQL_MODE = (
    "STRICT_ALL_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION,"
    "NO_AUTO_VALUE_ON_ZERO"
)

# Dates and times stay the text that the server prints, as in the rows of changes.
CONVERSIONS = {
    kind: convert
    for kind, convert in conversions.items()
    if kind not in (FIELD_TYPE.DATE, FIELD_TYPE.DATETIME, FIELD_TYPE.TIME, FIELD_TYPE.TIMESTAMP)
}


def connect(settings: MySQLSettings, parameters: Parameters) -> Connection[Any]:
    """A new connection.

    Where only a person can help, the cached parameter and secret are read once more before giving up: the person may
    have helped already. A rotated password is the commonest case. Raises pymysql.MySQLError, OSError or ConfigError.
    """
    try:
        return _connect(settings, parameters, fresh=False)
    except (pymysql.MySQLError, OSError) as error:
        if errors.rule(error).verdict is not Verdict.STOP:
            raise
    return _connect(settings, parameters, fresh=True)


def abandon(connection: Any) -> None:
    """Close the socket only. close() would first write to a server that may be dead."""
    connection._force_close()  # noqa: SLF001


def is_quiet(connection: Any) -> bool:
    """Whether an idle connection is still open, without a round trip.

    A server that sends something between statements is closing the connection.
    """
    sock = connection._sock  # noqa: SLF001 - the driver's ping() costs a round trip per batch
    if sock is None:
        return False
    poller = select.poll()
    poller.register(sock, select.POLLIN | select.POLLHUP | select.POLLERR)
    return not poller.poll(0)


def _connect(settings: MySQLSettings, parameters: Parameters, *, fresh: bool) -> Connection[Any]:
    endpoint = read_endpoint(settings, parameters, fresh=fresh)
    credentials = read_credentials(settings, parameters, fresh=fresh)
    return _log_in(
        host=endpoint["hostname"],
        port=endpoint["port"],
        database=endpoint["db"],
        user=credentials["username"],
        password=credentials["password"].encode(),  # else the driver takes it for Latin-1
        charset="utf8mb4",
        sql_mode=SQL_MODE,
        conv=CONVERSIONS,
        # Rows that are refused are found in fewer round trips; every value is escaped, here as elsewhere.
        client_flag=CLIENT.MULTI_STATEMENTS,
        connect_timeout=settings.connect_timeout,
        read_timeout=settings.read_timeout,
        write_timeout=settings.read_timeout,
        **_tls(settings.tls, settings.ca_pem),
    )


def _log_in(**options: Any) -> Connection[Any]:
    """`pymysql.connect()`, with a number where the driver has none.

    The driver raises RuntimeError where the account's authentication plugin needs a package that the zips do not
    contain. The numbers are those of MySQL's own client.
    """
    try:
        return pymysql.connect(**options)
    except RuntimeError as error:
        without_tls = "'cryptography' package is required" in str(error)
        raise pymysql.OperationalError(
            CR.CR_AUTH_PLUGIN_ERR if without_tls else CR.CR_AUTH_PLUGIN_CANNOT_LOAD, str(error)
        ) from None


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
