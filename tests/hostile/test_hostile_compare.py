"""Rows of a legacy table that has everything at once, compared with their items."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from common.changes import Change
from common.database import ApplyOptions
from common.drift import absent, classify
from common.mysql import schema
from common.mysql.apply import apply
from common.mysql.compare import compare
from common.mysql.target import Targets
from tests.support import meters
from tests.support.comparisons import UNSPLIT, page_of_keys, paged
from tests.support.legacy import OUTSIDER
from tests.support.legacy_meters import HostileMeterItems
from tests.support.two_mappings import Items, OrderItems
from tests.support.writes import changes_of

NAMES = ("order-1", "K", "z'\\", "order-2")
both = pytest.mark.parametrize("items", [OrderItems, HostileMeterItems], ids=["orders", "meters"], indirect=True)


class Compared:
    """Items that were applied, and the findings of a comparison with them."""

    def __init__(self, items: Items, connection: Any) -> None:
        self.items, self.connection = items, connection
        self.targets: Targets = schema.inspect(connection, items.mapping)
        made = [items.put(name, 1, created_at=i + 1) for i, name in enumerate(NAMES)]
        self.changes = changes_of(*made, declared=items.mapping)
        assert apply(connection, self.targets, self.changes, ApplyOptions()).parked == []

    def findings(self, changes: list[Change] | None = None) -> dict[str, str]:
        found = compare(self.connection, self.targets, self.changes if changes is None else changes, UNSPLIT)
        classified = [classify(one, self.items.mapping) for one in found]
        self.connection.rollback()
        return {one.key: " ".join([one.kind, *one.columns, one.repair]) for one in classified if one}

    def where(self, name: str) -> str:
        return f"WHERE {self.items.name.format(row=self.items.table)} = '{name}'"


@pytest.fixture
def compared(items: Items, connect: Callable[..., Any]) -> Compared:
    return Compared(items, connect())


@both
def test_rows_of_a_hostile_table_agree_with_their_items(compared: Compared):
    """Whatever others wrote to columns that are not mapped. The outsider's row is nobody's concern."""
    compared.items.tables.run(f"UPDATE {compared.items.table} SET note = 'x', seen = 9")

    assert compared.findings() == {}


@both
@pytest.mark.parametrize(
    ("column", "value"),
    [("amount", "amount + 0.0001"), ("currency", "'EUR'"), ("status", "'PAID'"), ("created_at", "9")],
)
def test_a_changed_column_of_a_hostile_row_is_found(compared: Compared, column: str, value: str):
    compared.items.tables.run(f"UPDATE {compared.items.table} SET {column} = {value} {compared.where('K')}")

    assert compared.findings() == {compared.items.key("K"): f"columns_differ {column} rewrite"}


@pytest.mark.parametrize("items", [HostileMeterItems], ids=["meters"], indirect=True)
def test_every_column_of_a_hostile_row_is_compared(compared: Compared):
    """Each is set to NULL in turn, the others keep their values."""
    nullable = compared.items.tables.run(
        "SELECT COLUMN_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE()"
        f" AND TABLE_NAME = '{meters.TABLE}' AND IS_NULLABLE = 'YES' ORDER BY ORDINAL_POSITION"
    )
    names = {column.name for column in meters.METERS.entities[0].columns} - {"deleted_at"}
    tried = [name for (name,) in nullable if name in names]
    assert len(tried) > 20
    table, where = compared.items.table, compared.where("K")
    for name in tried:
        compared.items.tables.run(
            f"CREATE TABLE saved AS SELECT `{name}` FROM {table} {where}", f"UPDATE {table} SET `{name}` = NULL {where}"
        )
        assert compared.findings() == {compared.items.key("K"): f"columns_differ {name} rewrite"}
        compared.items.tables.run(
            f"UPDATE {table} SET `{name}` = (SELECT `{name}` FROM saved) {where}", "DROP TABLE saved"
        )
    assert compared.findings() == {}


@both
def test_keys_of_a_hostile_table_find_what_is_left(compared: Compared):
    """The outsider's row is a stranger's. An item that is gone has left its row."""
    index = page_of_keys(compared.connection, compared.targets.tables[0], None, 100)
    for limit in (1, 2, 3):
        assert paged(partial(page_of_keys, compared.connection, compared.targets.tables[0]), limit) == index
    gone = [absent(compared.items.mapping, 0, key) for key in index]

    found = compared.findings(gone)

    lost = {compared.items.key(name): "removal_lost report" for name in NAMES}
    assert found == lost | {compared.items.key(OUTSIDER): "stranger report"}
