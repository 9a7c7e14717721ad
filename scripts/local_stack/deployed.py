"""A deployed stack as its operators meet it: outputs, AWS clients, SQL, and an outage of its database.

The end-to-end tests and the bench use it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pymysql.cursors import DictCursor

from scripts.local_stack.database import Account
from scripts.local_stack.emulator import client

if TYPE_CHECKING:
    import pymysql

    from scripts.local_stack.stack import Stack

Row = dict[str, Any]


class DeployedStack:
    """Reads the outputs once. Raises what `Stack.outputs()` raises where nothing is deployed."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.outputs = stack.outputs()

    def client(self, service: str) -> Any:
        return client(service, self.outputs["endpoint_url"])

    def mysql(self) -> pymysql.Connection[Any]:
        """As the administrator."""
        return self.stack.access.connect(autocommit=True, cursorclass=DictCursor)

    def rows(self, sql: str, *values: Any) -> list[Row]:
        with self.mysql() as connection, connection.cursor() as cursor:
            cursor.execute(sql, values)
            return list(cursor.fetchall())

    def mysql_order(self, order_id: str) -> Row | None:
        found = self.rows("SELECT * FROM tbl_orders WHERE order_id = %s", order_id)
        return found[0] if found else None

    def application_account(self) -> Account:
        """The account that the functions log in with."""
        manager = self.client("secretsmanager")
        login = json.loads(manager.get_secret_value(SecretId=self.outputs["rds_secret_arn"])["SecretString"])
        return Account(login["username"], login["password"])

    def db_stop(self) -> None:
        if self.stack.settings.server:
            self.lock_application_out()
        else:
            self.stack.db_stop()

    def db_start(self) -> None:
        if self.stack.settings.server:
            self.let_application_in()
        else:
            self.stack.db_start()

    def lock_application_out(self) -> None:
        """The functions' account is locked and its connections are killed: an outage of a server that is not ours."""
        name = self.application_account().user
        with self.mysql() as connection, connection.cursor() as cursor:
            cursor.execute(f"ALTER USER '{name}'@'%' ACCOUNT LOCK")
            cursor.execute("SELECT id AS id FROM information_schema.processlist WHERE user = %s", (name,))
            for row in cursor.fetchall():
                cursor.execute(f"KILL {int(row['id'])}")

    def let_application_in(self) -> None:
        with self.mysql() as connection, connection.cursor() as cursor:
            cursor.execute(f"ALTER USER '{self.application_account().user}'@'%' ACCOUNT UNLOCK")
