"""What Backstream's writer is compared with: unguarded upserts, the reference, and a writer that goes wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pymysql
from boto3.dynamodb.types import TypeDeserializer

from common.changes import Change
from common.mysql.sidecar import CLAIM_HEAD, SIDECAR
from common.mysql.sql import literal
from common.mysql.target import Target, Targets
from scripts.bench.orders import Event
from scripts.bench.server import MAPPING, ORDER, Endpoint

Tuples = Sequence[Any]

_CLAIM_TAIL = " ON DUPLICATE KEY UPDATE " + ", ".join(
    f"{name} = VALUES({name})" for name in ("deleted", "source_time", "token", "version")
)
_COLUMNS = [column.name for column in ORDER.columns]
_ATTRIBUTES = [MAPPING.partition_key.attribute, *(str(column.path[0]) for column in ORDER.columns if column.path)]
_UPSERT = (
    f"INSERT INTO {ORDER.table} ({', '.join(_COLUMNS)}) VALUES ({', '.join(['%s'] * len(_COLUMNS))})"
    f" ON DUPLICATE KEY UPDATE {', '.join(f'{name} = VALUES({name})' for name in _COLUMNS[1:])}"
)
_deserialize = TypeDeserializer().deserialize


def sidecar_row(change: Change) -> tuple[Any, ...]:
    return change.key.partition("/")[2], 0, change.source_time, 1, change.version


def two_upserts(connection: pymysql.Connection[Any], target: Target, sidecar: Tuples, rows: Tuples) -> None:
    """Both tables, unguarded: one multi-row upsert each, one commit."""
    sidecar_upsert(connection, sidecar)
    one_upsert(connection, target, rows)


def sidecar_upsert(connection: pymysql.Connection[Any], sidecar: Tuples) -> None:
    values = [f"('{key}',{deleted},{time},{token},'{v}')" for key, deleted, time, token, v in sidecar]
    connection.query(CLAIM_HEAD + ",".join(values) + _CLAIM_TAIL)


def one_upsert(connection: pymysql.Connection[Any], target: Target, rows: Tuples) -> None:
    """The raw limit: the target table alone, one multi-row upsert, one commit."""
    values = [f"('{a}','{b}',{c},'{d}','{e}',{f},{g})" for a, b, c, d, e, f, g in rows]
    updates = ", ".join(f"`{c.name}` = VALUES(`{c.name}`)" for c in ORDER.columns if c not in ORDER.key)
    connection.query(f"{target.insert_head}{','.join(values)} ON DUPLICATE KEY UPDATE {updates}")
    connection.commit()


def reference(endpoint: Endpoint, event: Event) -> None:
    """The reference's consumer: a connection per event, a statement per record, autocommit; decoded by boto3."""
    connection = endpoint.connect(autocommit=True)
    with connection, connection.cursor() as cursor:
        for record in event["Records"]:
            item = {name: _deserialize(value) for name, value in record["dynamodb"]["NewImage"].items()}
            cursor.execute(_UPSERT, [item[name] for name in _ATTRIBUTES])


def select_for_update(connection: pymysql.Connection[Any], targets: Targets, changes: list[Change]) -> None:
    """The wrong writer, kept as a control: read the versions with `SELECT ... FOR UPDATE`, write what is newer.

    It locks nothing for a key that does not exist yet. At READ COMMITTED two of them both find nothing, and the later
    commit wins with whichever version it has.
    """
    ordered = sorted(changes)
    with connection.cursor() as cursor:
        keys = ",".join(literal(sidecar_row(change)[0]) for change in ordered)
        cursor.execute(f"SELECT item_key, version FROM {SIDECAR} WHERE item_key IN ({keys}) FOR UPDATE")
        stored = dict(cursor.fetchall())
    newer = [change for change in ordered if change.version > stored.get(sidecar_row(change)[0], "")]
    if newer:
        sidecar_upsert(connection, [sidecar_row(change) for change in newer])
        one_upsert(connection, targets.tables[0], [change.row for change in newer])
    connection.commit()
