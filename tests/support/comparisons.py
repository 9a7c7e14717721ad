"""Compares changes with a server, and reads tables page by page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import pymysql

from common.changes import Change, Row
from common.database import Comparison
from common.drift import absent, classify
from common.mysql import schema, walk
from common.mysql.compare import compare
from common.mysql.target import Target
from tests.support.item_tables import ItemTables

T = TypeVar("T")
UNSPLIT = 16_000_000
MOST = 10_000


def compared(
    connection: pymysql.Connection[Any], items: ItemTables, changes: Sequence[Change], limit: int = UNSPLIT
) -> list[Comparison]:
    """What `connection` finds in the tables as they are now."""
    targets = schema.inspect(connection, items.mapping)
    found = list(compare(connection, targets, changes, limit))
    connection.rollback()
    return found


def differing(found: Sequence[Comparison]) -> dict[str, tuple[str, ...] | None]:
    """The columns that differ, by key; None where there is no row."""
    return {one.change.key: None if one.row is None else one.differing for one in found}


def findings(connection: pymysql.Connection[Any], items: ItemTables, changes: Sequence[Change]) -> dict[str, str]:
    """Kind, columns and repair of each finding, by key. A removal stands for an item that is gone."""
    given = [
        change if change.row is not None else absent(items.mapping, change.entity, change.key_values)
        for change in changes
    ]
    found = [classify(one, items.mapping) for one in compared(connection, items, given)]
    return {one.key: " ".join([one.kind, *one.columns, one.repair]) for one in found if one}


def paged(read: Callable[[Any, int], list[T]], limit: int, cursor: Callable[[T], Any] = lambda last: last) -> list[T]:
    """All pages of at most `limit`, one after the other."""
    found: list[T] = []
    after = None
    while True:
        page = read(after, limit)
        assert len(page) <= limit
        assert len(found) < MOST, "pages that do not end"
        found += page
        if len(page) < limit:
            return found
        after = cursor(page[-1])


def page_of_keys(connection: Any, target: Target, after: Row | None, limit: int) -> list[Row]:
    return walk.page(connection, target, walk.Range(after), limit, None, keys_only=True).rows
