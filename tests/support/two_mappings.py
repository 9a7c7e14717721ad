"""Items of two mappings, the orders and a hostile one, for promises that hold over both."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import pytest
from pymysql.cursors import DictCursor

from common import mapping
from common.database import Database
from common.keys import key_text
from common.mapping import Mapping
from common.mysql import registry, schema
from tests.support import meters
from tests.support.records import SOURCE, STREAM, record, remove
from tests.support.server_texts import keep_texts
from tests.support.tables import Rows, Tables, order

Record = dict[str, Any]


class Items(ABC):
    """Items of one mapping, by short names, and what a database has of them.

    `values` are those of an order: amount, currency, status, created_at and updated_at. `name` and `state` are SQL of
    a row: the name of its item, and its status, or `deleted`.
    """

    mapping: ClassVar[Mapping]
    table: ClassVar[str]
    name: ClassVar[str]
    state: ClassVar[str]

    def __init__(self, tables: Tables, observer: Database) -> None:
        """`observer` is a connection of its own."""
        self.tables, self._observer = tables, observer
        schema.create_missing(tables.admin, self.mapping)
        registry.register(tables.admin, self.mapping, SOURCE, STREAM.label)

    @abstractmethod
    def put(self, name: str, sequence: int, **values: Any) -> Record: ...

    @abstractmethod
    def remove(self, name: str, sequence: int) -> Record: ...

    @abstractmethod
    def row(self, name: str, **values: Any) -> Any:
        """The row of an item with these values."""

    @abstractmethod
    def removed(self, name: str, **values: Any) -> Rows:
        """What is left of an item that had these values: no row, or a flagged one."""

    @abstractmethod
    def rows(self) -> Rows:
        """All rows, in the order of the names."""

    @abstractmethod
    def key(self, name: str) -> str:
        """The text of the key."""

    def versions(self, *names: str) -> dict[str, int]:
        """The sequence of the last change of each item. No other item has one."""
        keys = {self.key(name): name for name in names}
        found = self._observer.versions(keys) if keys else {}
        assert self.tables.run("SELECT COUNT(*) FROM replication_versions") == [(len(found),)]
        last = {keys[key]: max(stored.version, stored.kept_delete, stored.kept_expiry) for key, stored in found.items()}
        return {name: int(version.rpartition("_")[2]) % 10**20 for name, version in last.items()}

    def clear(self) -> None:
        self.tables.run(f"DELETE FROM {self.table}", "DELETE FROM replication_versions")

    def start_log(self) -> None:
        self.tables.run("CREATE TABLE writes (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(64), state VARCHAR(32))")
        for event, row in (("INSERT", "NEW"), ("UPDATE", "NEW"), ("DELETE", "OLD")):
            state = "'deleted'" if event == "DELETE" else self.state
            self.tables.run(
                f"CREATE TRIGGER log_{event} AFTER {event} ON {self.table} FOR EACH ROW"
                f" INSERT INTO writes (name, state) SELECT {self.name.format(row=row)}, {state} FROM DUAL"
            )

    def log(self) -> Rows:
        """(name, state) of each write that was committed since the start of the log, in order."""
        return self.tables.run("SELECT name, state FROM writes ORDER BY id")


class OrderItems(Items):
    mapping = mapping.load()
    table, name, state = "tbl_orders", "{row}.order_id", "NEW.status"

    def put(self, name: str, sequence: int, **values: Any) -> Record:
        return record(name, sequence, **values)

    def remove(self, name: str, sequence: int) -> Record:
        return remove(name, sequence)

    def row(self, name: str, **values: Any) -> Any:
        return order(name, **values)

    def removed(self, name: str, **values: Any) -> Rows:
        return []

    def rows(self) -> Rows:
        return self.tables.orders()

    def key(self, name: str) -> str:
        return key_text("order", [name])


class MeterItems(Items):
    """See tests/support/meters.py."""

    mapping = meters.METERS
    table, name, state = meters.TABLE, meters.NAME, "IF(NEW.is_deleted, 'deleted', NEW.status)"

    def put(self, name: str, sequence: int, **values: Any) -> Record:
        return meters.put(name, sequence, **values)

    def remove(self, name: str, sequence: int) -> Record:
        return meters.remove(name, sequence)

    def row(self, name: str, **values: Any) -> Any:
        return meters.row(name, **values)

    def removed(self, name: str, **values: Any) -> Rows:
        return [meters.flagged(name, **values)]

    def __init__(self, tables: Tables, observer: Database) -> None:
        super().__init__(tables, observer)
        keep_texts(tables.admin)

    def rows(self) -> Rows:
        return stored_meters(self.tables)

    def key(self, name: str) -> str:
        return key_text("reading", meters.key_values(name))


def stored_meters(tables: Tables) -> Rows:
    """All rows of the hostile mapping, as the reference has them; times are texts, see `keep_texts`."""
    columns = ", ".join(f"`{column.name}`" for column in meters.METERS.entities[0].columns)
    with tables.admin.cursor(DictCursor) as cursor:
        cursor.execute(f"SELECT {columns} FROM {meters.TABLE} ORDER BY device")
        return [meters.readable(row) for row in cursor.fetchall()]


over_both = pytest.mark.parametrize("items", [OrderItems, MeterItems], ids=["orders", "meters"], indirect=True)
