"""The sidecar `replication_versions`: one row for each key, with the version that was applied last."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pymysql.connections import Connection

from common.database import StoredVersion
from common.mysql.sql import chunks, literal

SIDECAR = "replication_versions"

# Keys are printable ASCII and versions are digits and punctuation, so ascii_bin order is their order in Python.
DDL = f"""CREATE TABLE IF NOT EXISTS {SIDECAR} (
  item_key VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'key of the item, one row each',
  version VARCHAR(160) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'stream label _ digits _ sequence number',
  deleted TINYINT NOT NULL COMMENT '1: a tombstone, the item is gone',
  source_time BIGINT NOT NULL COMMENT 'clock of the stream, epoch seconds',
  token INT UNSIGNED NOT NULL COMMENT 'tells a writer which rows it won',
  PRIMARY KEY (item_key)
) ENGINE=InnoDB COMMENT='Backstream: the version of each key that was applied last'"""
COLUMNS = ("item_key", "version", "deleted", "source_time", "token")
TEXTS = {"item_key": 255, "version": 160}

# Assignments run from left to right, so `version`, which all others compare with, comes last:
# https://dev.mysql.com/doc/refman/8.4/en/insert-on-duplicate.html (MariaDB has no row alias, hence VALUES()).
_NEWER = "IF(VALUES(version) > version, VALUES({0}), {0})"
CLAIM_HEAD = f"INSERT INTO {SIDECAR} (item_key, deleted, source_time, token, version) VALUES "
CLAIM_TAIL = " ON DUPLICATE KEY UPDATE " + ", ".join(
    f"{name} = {_NEWER.format(name)}" for name in ("deleted", "source_time", "token", "version")
)
# Takes the lock of every key and changes no row that is there; a new row has the token and the lowest version.
LOCK_TAIL = " ON DUPLICATE KEY UPDATE token = token"
# Locks nothing new: the claim holds these rows already. A plain SELECT could read from an older snapshot.
READ_HEAD = f"SELECT item_key, version, source_time, token FROM {SIDECAR} WHERE item_key IN ("
READ_TAIL = ") FOR UPDATE"
UNLOCK_HEAD = f"DELETE FROM {SIDECAR} WHERE version = '' AND item_key IN ("


def stored_versions(connection: Connection[Any], keys: Iterable[str], limit: int) -> dict[str, StoredVersion]:
    """What the sidecar holds of those of `keys` that it knows. Locks nothing. `limit` bounds a statement, in bytes."""
    found: dict[str, StoredVersion] = {}
    head = f"SELECT item_key, version, source_time FROM {SIDECAR} WHERE item_key IN ("
    with connection.cursor() as cursor:
        for statement, _ in chunks(head, [literal(key) for key in keys], ")", limit):
            cursor.execute(statement)
            found.update((key, StoredVersion(version, at)) for key, version, at in cursor.fetchall())
    return found
