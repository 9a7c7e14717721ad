"""What the writer is held against: the same rows, ready as tuples, written without any guard."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pymysql

from common.changes import Change
from common.mysql.sidecar import CLAIM_HEAD
from common.mysql.target import Target

_CLAIM_TAIL = " ON DUPLICATE KEY UPDATE " + ", ".join(
    f"{name} = VALUES({name})" for name in ("deleted", "source_time", "token", "version")
)

Tuples = Sequence[Any]


def sidecar_row(change: Change) -> tuple[Any, ...]:
    return change.key, 0, change.source_time, 1, change.version


def two_upserts(connection: pymysql.Connection[Any], target: Target, sidecar: Tuples, rows: Tuples) -> None:
    """Both tables, one multi-row upsert each, one commit."""
    sidecar_upsert(connection, sidecar)
    one_upsert(connection, target, rows)


def sidecar_upsert(connection: pymysql.Connection[Any], sidecar: Tuples) -> None:
    values = [f"('{key}',{deleted},{time},{token},'{version}')" for key, deleted, time, token, version in sidecar]
    connection.query(CLAIM_HEAD + ",".join(values) + _CLAIM_TAIL)


def one_upsert(connection: pymysql.Connection[Any], target: Target, rows: Tuples) -> None:
    """The raw limit: the target alone, one multi-row upsert, one commit."""
    values = [f"('{a}','{b}',{c},'{d}','{e}',{f},{g})" for a, b, c, d, e, f, g in rows]
    updates = ", ".join(f"`{c.name}` = VALUES(`{c.name}`)" for c in target.table.columns if c != target.table.key)
    connection.query(f"{target.insert_head}{','.join(values)} ON DUPLICATE KEY UPDATE {updates}")
    connection.commit()
