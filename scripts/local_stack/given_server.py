"""A MySQL server that somebody else runs: made ready for Backstream, never stopped or reconfigured."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pymysql

from scripts.local_stack.access import Access, Account
from scripts.local_stack.failure import StackError
from scripts.local_stack.secrets_file import password

if TYPE_CHECKING:
    from pathlib import Path

    from scripts.local_stack.settings import GivenServer

LONGEST_USER = 32
# Access denied, no right to create users or to grant: then the given account has to do for the functions too.
NOT_ALLOWED = {1044, 1045, 1142, 1227, 1410}


def reach(server: GivenServer) -> Access:
    """How to reach it; TLS as told, else whatever the server offers."""
    access = Access(
        host=server.host,
        port=server.port,
        host_for_lambda=server.host_for_lambda,
        database=server.database,
        admin=server.account,
        app=server.account,
        tls=server.tls or "off",
    )
    return access if server.tls else replace(access, tls=_offered_tls(access))


def prepare(access: Access, home: Path) -> Access:
    """Makes sure of the database and of an account with rights on nothing else."""
    try:
        with access.connect(database=None) as connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE IF NOT EXISTS {_name(access.database)} CHARACTER SET utf8mb4")
    except pymysql.MySQLError as error:
        raise StackError(f"MySQL at {access.host}:{access.port}: {error}") from error
    try:
        return replace(access, app=_application_account(access, home))
    except pymysql.MySQLError as error:
        if error.args[0] not in NOT_ALLOWED:
            raise StackError(f"MySQL at {access.host}:{access.port}: {error}") from error
        return access


def drop(access: Access, account: Account) -> None:
    """All that `prepare` made."""
    with access.connect(database=None) as connection, connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE IF EXISTS {_name(access.database)}")
        if account != access.admin:
            cursor.execute(f"DROP USER IF EXISTS '{account.user}'@'%'")


def _application_account(access: Access, home: Path) -> Account:
    # Named after the database: a deployment to another one on the same server keeps its own password.
    account = Account(f"{access.database[: LONGEST_USER - 4]}_app", password(home / "given-server-app-password"))
    required = "NONE" if access.tls == "off" else "SSL"
    with access.connect() as connection, connection.cursor() as cursor:
        who = f"'{account.user}'@'%'"
        cursor.execute(f"CREATE USER IF NOT EXISTS {who} IDENTIFIED BY '{account.password}'")
        cursor.execute(f"ALTER USER {who} IDENTIFIED BY '{account.password}' REQUIRE {required}")
        cursor.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE, CREATE ON {_name(access.database)}.* TO {who}")
    return account


def _name(database: str) -> str:
    return "`" + database.replace("`", "``") + "`"


def _offered_tls(access: Access) -> str:
    try:
        replace(access, tls="require").connect(database=None).close()
    except pymysql.MySQLError:
        return "off"
    return "require"
