"""A database as it is, for the operator's tool: its tables, and which values a mapping could not write. Reads only."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import pymysql
from pymysql.connections import Connection

from common.changes import Row
from common.mapping import Entity
from common.mysql import errors, fit, value_checks
from common.mysql.catalog import KeyPart, TableFacts, read_tables
from common.mysql.columns import ActualColumn
from common.mysql.connection import connect
from common.mysql.registry import ENTITIES, ENTITIES_TABLE
from common.mysql.schema import OWN_TABLES
from common.mysql.settings import MySQLSettings, Parameters

T = TypeVar("T")


class ForeignKey(NamedTuple):
    """`table` refers to `parent`. `on_delete` is what the server does to the child's rows, such as CASCADE."""

    name: str
    table: str
    parent: str
    on_delete: str


class Trigger(NamedTuple):
    """`event` is such as `BEFORE UPDATE`."""

    name: str
    event: str


@dataclass(frozen=True)
class ActualTable:
    """A table as the server has it, and how it is tied to others.

    `definitions` has the text of each column in SHOW CREATE TABLE, without its name; a view has none. `parents` are the
    foreign keys of this table, `children` those of others that refer to it. `triggers` is None where the account may
    not see them.
    """

    name: str
    facts: TableFacts
    definitions: dict[str, str]
    parents: tuple[ForeignKey, ...]
    children: tuple[ForeignKey, ...]
    triggers: tuple[Trigger, ...] | None

    @property
    def columns(self) -> dict[str, ActualColumn]:
        return self.facts.columns

    @property
    def unique_keys(self) -> dict[str, list[KeyPart]]:
        return self.facts.unique_keys

    @property
    def primary_key(self) -> list[str]:
        return [part.column for part in self.unique_keys.get("PRIMARY", ())]

    def mismatches(self, entity: Entity) -> list[str]:
        """Why the table does not fit, as the schema step says it."""
        return list(fit.target_mismatches(entity, self.facts))

    def refusals(self, entity: Entity, rows: Sequence[Row]) -> Counter[str]:
        """How many of `rows` the table would not store as they are, by reason."""
        checks = (*value_checks.checks(entity, self.columns), *value_checks.limits(entity, self.columns))
        return Counter(check.rejection.reason for row in rows for check in checks if not check.fits(row[check.index]))


class Inspector:
    """Every method raises HoldError, StopError or ConfigError."""

    def __init__(self, settings: MySQLSettings, parameters: Parameters) -> None:
        self._settings, self._parameters = settings, parameters
        self._connection: Connection[Any] | None = None

    def table(self, name: str) -> ActualTable | None:
        """The table or view; None where there is none, or where the account may not see it."""
        return self._ask(f"inspecting the table {name}", lambda connection: _table(connection, name))

    def own_mismatches(self) -> dict[str, list[str]]:
        """Why each of Backstream's own tables that exist does not fit, by table."""
        return self._ask("inspecting Backstream's tables", _own_mismatches)

    def own_tables(self) -> dict[str, TableFacts]:
        """Backstream's own tables; one that does not exist has no columns."""
        return self._ask("inspecting Backstream's tables", _own_tables)

    def registered(self) -> tuple[dict[str, str], bool]:
        """The table of each entity, `<mapping>.<entity>`, that the schema step has registered.

        And whether the server keeps the names of tables in lower case.
        """
        return self._ask("reading which entity writes which table", _registered)

    def close(self) -> None:
        if self._connection:
            self._connection.close()
        self._connection = None

    def _ask(self, operation: str, work: Callable[[Connection[Any]], T]) -> T:
        try:
            if self._connection is None:
                self._connection = connect(self._settings, self._parameters)
            answer = work(self._connection)
            self._connection.rollback()  # ends the read view
        except (pymysql.MySQLError, OSError) as error:
            raise errors.database_error(operation, error) from None
        return answer


def _table(connection: Connection[Any], name: str) -> ActualTable | None:
    facts = read_tables(connection, [name])[name]
    if not facts.columns:
        return None
    return ActualTable(
        name,
        facts,
        _definitions(connection, name) if facts.engine else {},
        parents=_foreign_keys(connection, "TABLE_NAME", name),
        children=_foreign_keys(connection, "REFERENCED_TABLE_NAME", name),
        triggers=_triggers(connection, name) if _sees_triggers(connection, name) else None,
    )


def _own_tables(connection: Connection[Any]) -> dict[str, TableFacts]:
    return read_tables(connection, [table.name for table in OWN_TABLES])


def _own_mismatches(connection: Connection[Any]) -> dict[str, list[str]]:
    facts = _own_tables(connection)
    return {
        table.name: list(fit.own_mismatches(table, facts[table.name]))
        for table in OWN_TABLES
        if facts[table.name].columns
    }


def _registered(connection: Connection[Any]) -> tuple[dict[str, str], bool]:
    ((folds,),) = _query(connection, "SELECT @@lower_case_table_names")
    if not read_tables(connection, [ENTITIES])[ENTITIES].columns.keys() >= set(ENTITIES_TABLE.columns):
        return {}, bool(folds)
    return dict(_query(connection, f"SELECT entity, target_table FROM {ENTITIES}")), bool(folds)


def _definitions(connection: Connection[Any], table: str) -> dict[str, str]:
    """Each column stands on a line of its own: "  `name` definition,"."""
    ((_, text),) = _query(connection, f"SHOW CREATE TABLE `{table}`")
    found = re.findall(r"^  `((?:[^`]|``)+)` (.*?),?$", text, re.MULTILINE)
    return {name.replace("``", "`"): definition for name, definition in found}


def _foreign_keys(connection: Connection[Any], side: str, table: str) -> tuple[ForeignKey, ...]:
    rows = _query(
        connection,
        "SELECT CONSTRAINT_NAME, TABLE_NAME, REFERENCED_TABLE_NAME, DELETE_RULE"
        " FROM information_schema.REFERENTIAL_CONSTRAINTS"
        f" WHERE CONSTRAINT_SCHEMA = DATABASE() AND {side} = %s ORDER BY TABLE_NAME, CONSTRAINT_NAME",
        table,
    )
    return tuple(ForeignKey(*row) for row in rows)


def _triggers(connection: Connection[Any], table: str) -> tuple[Trigger, ...]:
    rows = _query(
        connection,
        "SELECT TRIGGER_NAME, CONCAT(ACTION_TIMING, ' ', EVENT_MANIPULATION) FROM information_schema.TRIGGERS"
        " WHERE EVENT_OBJECT_SCHEMA = DATABASE() AND EVENT_OBJECT_TABLE = %s ORDER BY TRIGGER_NAME",
        table,
    )
    return tuple(Trigger(*row) for row in rows)


def _sees_triggers(connection: Connection[Any], table: str) -> bool:
    """Whether the account has the TRIGGER privilege on the table, by itself: a role's does not show here."""
    rows = _query(
        connection,
        "SELECT GRANTEE FROM information_schema.USER_PRIVILEGES WHERE PRIVILEGE_TYPE = 'TRIGGER'"
        " UNION SELECT GRANTEE FROM information_schema.SCHEMA_PRIVILEGES"
        " WHERE PRIVILEGE_TYPE = 'TRIGGER' AND DATABASE() LIKE TABLE_SCHEMA"
        " UNION SELECT GRANTEE FROM information_schema.TABLE_PRIVILEGES"
        " WHERE PRIVILEGE_TYPE = 'TRIGGER' AND TABLE_SCHEMA = DATABASE() AND TABLE_NAME = %s",
        table,
    )
    ((account,),) = _query(connection, "SELECT CURRENT_USER()")
    user, _, host = str(account).rpartition("@")
    return (f"'{user}'@'{host}'",) in rows


def _query(connection: Connection[Any], sql: str, *values: Any) -> tuple[tuple[Any, ...], ...]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values or None)
        return tuple(cursor.fetchall())
