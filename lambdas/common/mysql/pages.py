"""Reads the keys of the sidecar in pages. Locks nothing.

Each page continues after the last key of the one before, in the order of a unique index. So a page costs the same
wherever it is, and no row that stays is read twice or left out.
"""

from __future__ import annotations

from typing import Any

from pymysql.connections import Connection

from common.changes import Mark
from common.database import StoredKey
from common.mapping import Mapping
from common.mysql.sidecar import SIDECAR, names, scope
from common.mysql.sql import literal


def page_of_stored_keys(
    connection: Connection[Any], mapping: Mapping, entity: int, after: str | None, limit: int
) -> list[StoredKey]:
    """See `Database.page_of_stored_keys`."""
    prefix, condition = scope(mapping.name, mapping.entities[entity].name)
    name = mapping.entities[entity].name
    if after is not None:
        condition += f" AND item_key > {literal(names(mapping.name, [after])[0])}"
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT item_key, deleted, source_time FROM {SIDECAR} WHERE {condition} ORDER BY item_key LIMIT {limit:d}"
        )
        return [
            StoredKey(f"{name}/{key[len(prefix) :]}", Mark(deleted), time) for key, deleted, time in cursor.fetchall()
        ]
