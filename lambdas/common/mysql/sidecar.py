"""The sidecar `replication_versions`: one row for each key of each entity, with the version that was applied last.

Its row lock serialises writers of the same key.
"""

from __future__ import annotations

import secrets
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import pymysql
from pymysql.connections import Connection
from pymysql.constants import ER

from common.changes import Change, Value
from common.database import Outcome, StoredVersion
from common.histories import count_loser
from common.mysql import answers
from common.mysql.sql import chunks, literal, tuples
from common.versions import LOWEST_VERSION

SIDECAR = "replication_versions"

# Keys are printable ASCII and versions are digits and punctuation, so ascii_bin order is their order in Python.
DDL = f"""CREATE TABLE IF NOT EXISTS {SIDECAR} (
  entity VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'mapping.entity',
  item_key VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'key of the item, one row each',
  version VARCHAR(160) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'stream label _ digits _ sequence number',
  deleted TINYINT NOT NULL COMMENT '1: the item was deleted, 2: it expired and its row was removed',
  source_time BIGINT NOT NULL COMMENT 'clock of the stream, epoch seconds',
  token INT UNSIGNED NOT NULL COMMENT 'tells a writer which rows it won',
  kept_version VARCHAR(160) CHARACTER SET ascii COLLATE ascii_bin NULL COMMENT 'newest removal that left the row',
  kept_mark TINYINT NULL COMMENT 'what that removal was: 1 or 2, as in deleted',
  PRIMARY KEY (entity, item_key)
) ENGINE=InnoDB COMMENT='Backstream: the version of each key that was applied last'"""
COLUMNS = ("entity", "item_key", "version", "deleted", "source_time", "token", "kept_version", "kept_mark")
TEXTS = {"entity": 64, "item_key": 255, "version": 160, "kept_version": 160}

# Assignments run from left to right, so `version`, which all others compare with, comes last:
# https://dev.mysql.com/doc/refman/8.4/en/insert-on-duplicate.html (MariaDB has no row alias, hence VALUES()).
_NEWER = "IF(VALUES(version) > version, VALUES({0}), {0})"
CLAIM_HEAD = f"INSERT INTO {SIDECAR} (entity, item_key, deleted, source_time, token, version) VALUES "
CLAIM_TAIL = " ON DUPLICATE KEY UPDATE " + ", ".join(
    f"{name} = {_NEWER.format(name)}" for name in ("deleted", "source_time", "token", "version")
)
# Takes the lock of every key and changes no row that is there; a new row has the token and the lowest version.
LOCK_TAIL = " ON DUPLICATE KEY UPDATE token = token"
# Locks nothing new: the claim holds these rows already. A plain SELECT could read from an older snapshot.
READ_HEAD = f"SELECT item_key, version, source_time, token FROM {SIDECAR}"
READ_TAIL = ") FOR UPDATE"
UNLOCK_HEAD = f"DELETE FROM {SIDECAR}"


class LockedVersion(NamedTuple):
    """A row of the sidecar. `new`: this transaction made it, to lock its key."""

    version: str
    source_time: int
    new: bool

    def is_older(self, change: Change) -> bool:
        """A loaded row has the lowest version, and wins where nothing was ever written."""
        return self.new or change.version > self.version


class Sidecar:
    """The sidecar's statements inside the open transaction of `connection`, of at most `limit` bytes each.

    `mapping` is the name of the mapping. Keys are texts, see `common.keys`, and sorted.
    """

    def __init__(self, connection: Connection[Any], mapping: str, limit: int) -> None:
        self.connection, self.mapping, self.limit = connection, mapping, limit

    def lock(self, keys: Sequence[str]) -> dict[str, LockedVersion]:
        """Lock the keys and claim nothing. A key without a row gets one with the lowest version."""
        token, zeros = secrets.randbits(32), [0] * len(keys)
        claims = self._claims(keys, (zeros, zeros, [token] * len(keys), [LOWEST_VERSION] * len(keys)))
        for statement, _ in chunks(CLAIM_HEAD, claims, LOCK_TAIL, self.limit):
            self.connection.query(statement)
        return {key: LockedVersion(version, at, owner == token) for key, version, at, owner in self._stored(keys)}

    def claim(self, changes: Sequence[Change]) -> None:
        """Store the versions of changes that are known to be newer, because their keys are locked."""
        winners, _ = self.take(changes, Outcome()) if changes else ([], None)
        if len(winners) != len(changes):
            raise changed_meanwhile()

    def forget(self, keys: Sequence[str]) -> None:
        """Delete the rows that `lock()` made."""
        for prefix, part in _by_entity(keys):
            head = f"{UNLOCK_HEAD}{self._where(prefix)} AND version = '' AND item_key IN ("
            for statement, _ in chunks(head, _tail_literals(prefix, keys[part]), ")", self.limit):
                self.connection.query(statement)

    def take(self, changes: Sequence[Change], outcome: Outcome) -> tuple[list[Change], bool | None]:
        """Claim the version of every change that is newer than the stored one. These changes are the winners.

        Returns the winners, and whether the sidecar knew their keys: True for all, False for none, None for some.
        """
        # 32 bits are enough: a redelivery that meets an equal token by chance is only written again.
        token = secrets.randbits(32)
        keys, versions, _, source_times, *_, marks = zip(*changes, strict=True)
        claims = self._claims(keys, (list(map(int, marks)), source_times, [token] * len(keys), versions))
        winners: list[Change] = []
        inserted = changed = 0
        for statement, part in chunks(CLAIM_HEAD, claims, CLAIM_TAIL, self.limit):
            claimed = changes[part]
            affected = self.connection.query(statement)
            counted = answers.upserted(affected, len(claimed), answers.info(self.connection))
            if counted and sum(counted) == len(claimed):
                winners += claimed
            else:
                winners += self._read_back(claimed, token, outcome)
            inserted, changed = (inserted + counted[0], changed + counted[1]) if counted else (1, 1)
        return winners, None if inserted and changed else not inserted

    def _read_back(self, changes: Sequence[Change], token: int, outcome: Outcome) -> list[Change]:
        """The winners among `changes`. Counts the others, and parks those that the clock contradicts."""
        stored = {key: (version, at, by) for key, version, at, by in self._stored([c.key for c in changes])}
        winners = []
        for change in changes:
            version, source_time, winner = stored[change.key]
            if winner == token and version == change.version:
                winners.append(change)
            else:
                count_loser(change, StoredVersion(version, source_time), outcome)
        return winners

    def _stored(self, keys: Sequence[str]) -> Iterator[tuple[str, str, int, int]]:
        """(key, version, source time, token)"""
        with self.connection.cursor() as cursor:
            for prefix, part in _by_entity(keys):
                head = f"{READ_HEAD}{self._where(prefix)} AND item_key IN ("
                for statement, _ in chunks(head, _tail_literals(prefix, keys[part]), READ_TAIL, self.limit):
                    cursor.execute(statement)
                    yield from ((prefix + tail, *stored) for tail, *stored in cursor.fetchall())

    def _claims(self, keys: Sequence[str], columns: Sequence[Sequence[Value]]) -> list[str]:
        """A row of the sidecar for each key, as SQL; `columns` are those behind the key."""
        claims: list[str] = []
        for prefix, part in _by_entity(keys):
            tails = [key[len(prefix) :] for key in keys[part]]
            claims += tuples((tails, *(column[part] for column in columns)), first=self._scope(prefix))
        return claims

    def _where(self, prefix: str) -> str:
        return f" WHERE entity = {self._scope(prefix)}"

    def _scope(self, prefix: str) -> str:
        """What the sidecar calls an entity, as SQL; `prefix` is that of its keys."""
        return literal(f"{self.mapping}.{prefix[:-1]}")


def stored_versions(
    connection: Connection[Any], mapping: str, keys: Sequence[str], limit: int
) -> dict[str, StoredVersion]:
    """What the sidecar holds of those of the sorted `keys` that it knows. Locks nothing.

    `mapping` is the name of the mapping. `limit` bounds a statement, in bytes.
    """
    found: dict[str, StoredVersion] = {}
    with connection.cursor() as cursor:
        for prefix, part in _by_entity(keys):
            scope = literal(f"{mapping}.{prefix[:-1]}")
            head = f"SELECT item_key, version, source_time FROM {SIDECAR} WHERE entity = {scope} AND item_key IN ("
            for statement, _ in chunks(head, _tail_literals(prefix, keys[part]), ")", limit):
                cursor.execute(statement)
                found.update((prefix + tail, StoredVersion(version, at)) for tail, version, at in cursor.fetchall())
    return found


def changed_meanwhile() -> pymysql.OperationalError:
    """Another client inserted or deleted rows of these keys: the whole transaction must be tried again."""
    return pymysql.OperationalError(ER.LOCK_DEADLOCK, "rows of the target appeared or vanished while it was written")


def _by_entity(keys: Sequence[str]) -> Iterator[tuple[str, slice]]:
    """What the sorted `keys` of each entity begin with, up to the slash, and where they are."""
    start = 0
    while start < len(keys):
        prefix = keys[start][: keys[start].index("/") + 1]
        # The character 0 follows the slash.
        end = len(keys) if keys[-1].startswith(prefix) else bisect_left(keys, f"{prefix[:-1]}0", start)
        yield prefix, slice(start, end)
        start = end


def _tail_literals(prefix: str, keys: Sequence[str]) -> list[str]:
    return [literal(key[len(prefix) :]) for key in keys]
