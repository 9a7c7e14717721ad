"""The bench's table answers as DynamoDB does: each item once, in pages of each segment, and items by key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reconciler.table import Table
from scripts.bench.orders import new_keys
from scripts.bench.stored_table import GONE, NAME, StoredTable, item_of

KEYS = new_keys(25)


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StoredTable:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    return StoredTable(tmp_path / "table").fill(KEYS)


def test_a_scan_of_a_stored_table_meets_each_item_once(stored: StoredTable) -> None:
    """In pages of at most the limit; the units are those of the answers."""
    table, units = Table(stored.client(), NAME), 0.0
    found: list[Any] = []
    for segment in range(3):
        page = table.page(segment, 3, None, 4)
        while True:
            assert len(page.items) <= 4
            found, units = [*found, *page.items], units + page.units
            if page.cursor is None:
                break
            page = table.page(segment, 3, page.cursor, 4)
    assert found == list(map(item_of, KEYS))
    assert stored.units == units == 7.0
    assert table.facts().items == len(stored) == 25


def test_a_stored_table_has_items_by_key(stored: StoredTable) -> None:
    """A key that begins with `GONE` has none."""
    keys = [{"p_key": {"S": key}, "s_key": {"S": "ORDER"}} for key in (KEYS[3], f"{GONE}{KEYS[4][5:]}")]
    assert Table(stored.client(), NAME).items(keys) == ([item_of(KEYS[3])], 2.0)
