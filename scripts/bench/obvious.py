"""The obvious writer, kept as a control: look first, `SELECT ... FOR UPDATE`, then write what is newer.

It locks nothing for a key that does not exist yet, so at READ COMMITTED two of them both find nothing and the
later commit wins, whichever version it has.
"""

from __future__ import annotations

from typing import Any

import pymysql

from common.changes import Change
from common.mysql.sidecar import SIDECAR
from common.mysql.sql import literal
from common.mysql.target import Target
from scripts.bench.unguarded import one_upsert, sidecar_row, sidecar_upsert


def write(connection: pymysql.Connection[Any], target: Target, changes: list[Change]) -> None:
    ordered = sorted(changes)
    with connection.cursor() as cursor:
        keys = ",".join(literal(change.key) for change in ordered)
        cursor.execute(f"SELECT item_key, version FROM {SIDECAR} WHERE item_key IN ({keys}) FOR UPDATE")
        stored = dict(cursor.fetchall())
    newer = [change for change in ordered if change.version > stored.get(change.key, "")]
    if newer:
        sidecar_upsert(connection, [sidecar_row(change) for change in newer])
        one_upsert(connection, target, [change.row for change in newer])
    connection.commit()
