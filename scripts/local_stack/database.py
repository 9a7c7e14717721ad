"""How to reach the stack's database: accounts, certificates, connections and the SQL client."""

from __future__ import annotations

import os
import secrets
import ssl
import subprocess
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

import certifi
import pymysql
import trustme

from scripts.local_stack.server_binary import find_client
from scripts.local_stack.terminal import StackError

DATABASE = "backstream"
# For a pipe: plain rows with tabs between the columns.
PLAIN = ("--batch", "--skip-column-names")


@dataclass(frozen=True)
class Account:
    user: str
    password: str


@dataclass(frozen=True)
class DatabaseAccess:
    """The address, the accounts and the TLS mode of a database server, this stack's own or an external one."""

    host: str
    port: int
    host_for_lambda: str
    database: str
    admin: Account
    app: Account  # of Backstream's functions
    tls: str  # verify, require (encrypted, certificate not checked) or off
    ca: Path | None = None  # a private authority; None: the public ones

    @property
    def ca_pem(self) -> str | None:
        return self.ca.read_text() if self.ca else None

    @property
    def ca_file(self) -> str:
        return str(self.ca) if self.ca else certifi.where()

    def connect(self, account: Account | None = None, **options: Any) -> pymysql.Connection[Any]:
        """A connection as the administrator unless `account` is given. Raises pymysql.MySQLError."""
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


@dataclass(frozen=True)
class Certificates:
    """A private certificate authority and the server certificate it issued."""

    folder: Path

    @property
    def authority(self) -> Path:
        return self.folder / "ca.pem"

    @property
    def certificate(self) -> Path:
        return self.folder / "server.pem"

    @property
    def key(self) -> Path:
        return self.folder / "server.key"

    def ensure(self) -> None:
        """Issued once. The authority is written last, so that its file stands for all three."""
        if self.authority.exists():
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        authority = trustme.CA(organization_name="Backstream local stack")
        server = authority.issue_cert("127.0.0.1", "localhost", common_name="localhost")
        self.key.touch(mode=0o600)
        server.private_key_pem.write_to_path(self.key)
        self.certificate.write_bytes(b"".join(blob.bytes() for blob in server.cert_chain_pems))
        # The authority's private key is not stored: it issues no other certificate.
        authority.cert_pem.write_to_path(self.authority)


def stored_password(file: Path) -> str:
    """Generated on the first call, and read from the file on later ones."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        write_privately(file, secrets.token_hex(16))
    return file.read_text()


def write_privately(file: Path, text: str) -> None:
    """Writes a file that only its owner can read, in one step."""
    partial = file.with_name(f"{file.name}.partial")
    partial.unlink(missing_ok=True)
    partial.touch(mode=0o600)
    partial.write_text(text)
    partial.replace(file)


def become_sql_client(access: DatabaseAccess) -> NoReturn:
    """Replaces this process by a SQL client that is logged in as the administrator."""
    client = find_client()
    if client is None:
        raise StackError("no SQL client found: install mariadb-client-core or another mysql client")
    sys.stdout.flush()
    # The password is passed in the environment: every user of the machine can read a command line.
    os.execve(  # noqa: S606 - no shell wanted
        client, client_command(client, access), {**os.environ, "MYSQL_PWD": access.admin.password}
    )


def client_command(client: Path, access: DatabaseAccess, *, plain: bool | None = None) -> list[str]:
    plain = not sys.stdin.isatty() if plain is None else plain
    return [
        str(client),
        "--no-defaults",
        "--protocol=TCP",
        f"--host={access.host}",
        f"--port={access.port}",
        f"--user={access.admin.user}",
        "--default-character-set=utf8mb4",
        *_tls_options(access, is_mariadb=_is_mariadb(client)),
        *(PLAIN if plain else ()),
        access.database,
    ]


def _is_mariadb(client: Path) -> bool:
    return "MariaDB" in subprocess.run([client, "--version"], capture_output=True, text=True, check=False).stdout


def _tls_options(access: DatabaseAccess, *, is_mariadb: bool) -> list[str]:
    """MySQL's and MariaDB's clients have different options for the same three modes."""
    ca = f"--ssl-ca={access.ca_file}"
    choices = {
        "verify": (["--ssl-mode=VERIFY_IDENTITY", ca], ["--ssl", "--ssl-verify-server-cert", ca]),
        "require": (["--ssl-mode=REQUIRED"], ["--ssl", "--skip-ssl-verify-server-cert"]),
        "off": (["--ssl-mode=DISABLED"], ["--skip-ssl"]),
    }
    mysql, mariadb = choices[access.tls]
    return mariadb if is_mariadb else mysql
