"""A SQL client on the stack's database, as its administrator."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, NoReturn

from scripts.local_stack.failure import StackError
from scripts.local_stack.server_binary import find_client

if TYPE_CHECKING:
    from pathlib import Path

    from scripts.local_stack.access import Access

# A pipe gets plain rows, tabs between the columns; a person gets the client's own tables.
PLAIN = ("--batch", "--skip-column-names")


def become_client(access: Access) -> NoReturn:
    client = find_client()
    if client is None:
        raise StackError("no SQL client found: install mariadb-client-core or another mysql client")
    sys.stdout.flush()
    # The password travels in the environment: a command line is there for every user of the machine to read.
    os.execve(  # noqa: S606 - no shell wanted
        client, client_command(client, access), {**os.environ, "MYSQL_PWD": access.admin.password}
    )


def client_command(client: Path, access: Access, *, plain: bool | None = None) -> list[str]:
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


def _tls_options(access: Access, *, is_mariadb: bool) -> list[str]:
    """The two clients name the same three choices differently."""
    ca = f"--ssl-ca={access.ca_file}"
    choices = {
        "verify": (["--ssl-mode=VERIFY_IDENTITY", ca], ["--ssl", "--ssl-verify-server-cert", ca]),
        "require": (["--ssl-mode=REQUIRED"], ["--ssl", "--skip-ssl-verify-server-cert"]),
        "off": (["--ssl-mode=DISABLED"], ["--skip-ssl"]),
    }
    mysql, mariadb = choices[access.tls]
    return mariadb if is_mariadb else mysql
