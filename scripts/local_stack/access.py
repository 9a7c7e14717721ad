"""How to reach the MySQL of the stack, be it ours or one that was given."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import certifi
import pymysql

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Account:
    user: str
    password: str


@dataclass(frozen=True)
class Access:
    host: str
    port: int
    host_for_lambda: str
    database: str
    admin: Account
    app: Account
    tls: str  # verify, require (encrypted, certificate not checked) or off
    ca: Path | None = None  # a private authority; None: the public ones

    @property
    def ca_pem(self) -> str | None:
        return self.ca.read_text() if self.ca else None

    @property
    def ca_file(self) -> str:
        return str(self.ca) if self.ca else certifi.where()

    def connect(self, account: Account | None = None, **options: Any) -> pymysql.Connection[Any]:
        """As the administrator unless told otherwise."""
        account = account or self.admin
        given = {"database": self.database, "charset": "utf8mb4", "connect_timeout": 10, **options}
        return pymysql.connect(
            host=self.host,
            port=self.port,
            user=account.user,
            password=account.password,
            ssl=self._tls_context,
            ssl_disabled=self.tls == "off",
            **given,
        )

    @cached_property
    def _tls_context(self) -> ssl.SSLContext | None:
        if self.tls == "off":
            return None
        context = ssl.create_default_context(cafile=self.ca_file)
        if self.tls == "require":
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context
