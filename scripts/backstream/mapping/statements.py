"""The SQL statements that a mapping needs. Nothing here runs one."""

from __future__ import annotations

from collections.abc import Iterator

from common.mapping import Mapping
from common.mysql.ddl import alterations, create
from common.mysql.inspection import Inspector


def statements(mapping: Mapping, inspector: Inspector | None) -> Iterator[str]:
    """CREATE for each missing table, for all without an `inspector`; ALTER for what is missing or too narrow."""
    for entity in mapping.entities:
        table = inspector.table(entity.table) if inspector else None
        if table is None:
            yield create(entity)
        else:
            yield from alterations(entity, table)
