"""An external MySQL server, named by MYSQL_HOST: prepared for Backstream, never stopped or reconfigured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pymysql

from scripts.local_stack.database import Account, DatabaseAccess, stored_password
from scripts.local_stack.settings import ExternalServer
from scripts.local_stack.terminal import StackError

LONGEST_USER = 32
# Access denied, or no right to create users or to grant: the functions then use the given account too.
NOT_ALLOWED = {1044, 1045, 1142, 1227, 1410}


def access_to(server: ExternalServer) -> DatabaseAccess:
    """With the TLS mode of MYSQL_TLS, else `require` where the server offers TLS and `off` where it does not."""
    access = DatabaseAccess(
        host=server.host,
        port=server.port,
        host_for_lambda=server.host_for_lambda,
        database=server.database,
        admin=server.account,
        app=server.account,
        tls=server.tls or "off",
    )
    return access if server.tls else replace(access, tls=_offered_tls(access))


def prepare(access: DatabaseAccess, home: Path) -> DatabaseAccess:
    """Creates the database, and an account that has rights on it alone."""
    try:
        with access.connect(database=None) as connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE IF NOT EXISTS {_quoted(access.database)} CHARACTER SET utf8mb4")
    except pymysql.MySQLError as error:
        raise StackError(f"MySQL at {access.host}:{access.port}: {error}") from error
    try:
        return replace(access, app=_application_account(access, home))
    except pymysql.MySQLError as error:
        if error.args[0] not in NOT_ALLOWED:
            raise StackError(f"MySQL at {access.host}:{access.port}: {error}") from error
        return access


def drop(access: DatabaseAccess, account: Account) -> None:
    """Removes the database and the account that `prepare` created."""
    with access.connect(database=None) as connection, connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE IF EXISTS {_quoted(access.database)}")
        if account != access.admin:
            cursor.execute(f"DROP USER IF EXISTS '{account.user}'@'%'")


def _application_account(access: DatabaseAccess, home: Path) -> Account:
    # Named after the database: deployments to two databases of one server keep their own passwords.
    password = stored_password(home / "external-server-app-password")
    account = Account(f"{access.database[: LONGEST_USER - 4]}_app", password)
    required = "NONE" if access.tls == "off" else "SSL"
    with access.connect() as connection, connection.cursor() as cursor:
        user = f"'{account.user}'@'%'"
        cursor.execute(f"CREATE USER IF NOT EXISTS {user} IDENTIFIED BY '{account.password}'")
        cursor.execute(f"ALTER USER {user} IDENTIFIED BY '{account.password}' REQUIRE {required}")
        cursor.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE, CREATE ON {_quoted(access.database)}.* TO {user}")
    return account


def _quoted(database: str) -> str:
    return "`" + database.replace("`", "``") + "`"


def _offered_tls(access: DatabaseAccess) -> str:
    try:
        replace(access, tls="require").connect(database=None).close()
    except pymysql.MySQLError:
        return "off"
    return "require"
