"""How a function reaches MySQL: its environment, the SSM parameter and the secret."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from common import config


def _pem(value: str) -> str:
    try:
        ssl.create_default_context(cadata=value)
    except ssl.SSLError:
        raise ValueError("must be certificates in PEM") from None
    return value


@dataclass(frozen=True, kw_only=True)
class MySQLSettings:
    param_name: str = config.env("RDS_CONNECTION_PARAM_NAME")
    secret_arn: str = config.env("RDS_SECRET_ARN")
    tls: str = config.env("MYSQL_TLS", config.choice("verify", "require", "off"), default="verify")
    ca_pem: str = config.env("MYSQL_CA_PEM", _pem, default="")
    connect_timeout: int = config.env("MYSQL_CONNECT_TIMEOUT", config.integer(1, 60), default=5)
    read_timeout: int = config.env("MYSQL_READ_TIMEOUT", config.integer(1, 900), default=20)


class Parameters(Protocol):
    """Where the connection details and credentials come from; `fresh` bypasses a cache."""

    def connection(self, *, fresh: bool = False) -> str:
        """The text of the SSM parameter: JSON with hostname, port, db and driver."""
        ...

    def credentials(self, *, fresh: bool = False) -> str:
        """The text of the secret: JSON with username and password."""
        ...


def read_endpoint(settings: MySQLSettings, parameters: Parameters, *, fresh: bool) -> dict[str, Any]:
    """`hostname`, `port`, `db` and `driver`. Raises ConfigError."""
    return _read("SSM parameter", settings.param_name, parameters.connection, _ENDPOINT, fresh=fresh)


def read_credentials(settings: MySQLSettings, parameters: Parameters, *, fresh: bool) -> dict[str, Any]:
    """`username` and `password`. Raises ConfigError."""
    return _read("secret", settings.secret_arn, parameters.credentials, _CREDENTIALS, fresh=fresh)


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

_ENDPOINT: Checks = {"hostname": _is_hostname, "port": _is_port, "db": _is_text, "driver": _is_text}
_CREDENTIALS: Checks = {"username": _is_text, "password": lambda value: isinstance(value, str)}


def _read(what: str, name: str, get: Callable[..., str], checks: Checks, *, fresh: bool) -> dict[str, Any]:
    """The parsed text. Malformed text is read again without the cache: it may have been corrected since."""
    try:
        return _parse(what, name, get(fresh=fresh), checks)
    except _MalformedError:
        if fresh:
            raise
    return _parse(what, name, get(fresh=True), checks)


class _MalformedError(config.ConfigError):
    """The text was read, and is malformed."""


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
