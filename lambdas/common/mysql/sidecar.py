"""The sidecar `replication_versions`: one row for each key of each entity, with the version that was applied last.

Its row lock serialises writers of the same key.
"""

from __future__ import annotations

import secrets
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

import pymysql
from pymysql.connections import Connection
from pymysql.constants import ER

from common.changes import Change, Value
from common.database import Outcome, StoredVersion
from common.histories import count_loser
from common.mysql import answers
from common.mysql.own_table import OwnTable
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
  kept_time BIGINT NULL COMMENT 'its time by the clock of the stream, epoch seconds',
  PRIMARY KEY (entity, item_key)
) ENGINE=InnoDB COMMENT='Backstream: the version of each key that was applied last'"""
TABLE = OwnTable(
    SIDECAR,
    DDL,
    columns=(
        "entity", "item_key", "version", "deleted", "source_time", "token", "kept_version", "kept_mark", "kept_time"
    ),
    texts={"entity": 64, "item_key": 255, "version": 160, "kept_version": 160},
    key=("entity", "item_key"),
    # Before mappings, only orders were written.
    migration=(
        f"ALTER TABLE {SIDECAR} ADD COLUMN entity VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL"
        " DEFAULT 'orders.order' FIRST,"
        " ADD COLUMN kept_version VARCHAR(160) CHARACTER SET ascii COLLATE ascii_bin NULL,"
        " ADD COLUMN kept_mark TINYINT NULL, ADD COLUMN kept_time BIGINT NULL,"
        " DROP PRIMARY KEY, ADD PRIMARY KEY (entity, item_key)"
    ),
)  # fmt: skip

# Assignments run from left to right, so `version`, which all others compare with, comes last:
# https://dev.mysql.com/doc/refman/8.4/en/insert-on-duplicate.html (MariaDB has no row alias, hence VALUES()).
_NEWER = "IF(VALUES(version) > version, VALUES({0}), {0})"
CLAIM_HEAD = f"INSERT INTO {SIDECAR} (entity, item_key, deleted, source_time, token, version) VALUES "
CLAIM_TAIL = " ON DUPLICATE KEY UPDATE " + ", ".join(
    f"{name} = {_NEWER.format(name)}" for name in ("deleted", "source_time", "token", "version")
)
# Takes the lock of every key and changes no row that is there; a new row has the token and the lowest version.
LOCK_TAIL = " ON DUPLICATE KEY UPDATE token = token"
_NEWER_REMOVAL = "IF(VALUES(kept_version) > COALESCE(kept_version, ''), VALUES({0}), {0})"
_KEPT = ("kept_mark", "kept_time", "kept_version")
KEEP_HEAD = (
    f"INSERT INTO {SIDECAR} (entity, item_key, deleted, source_time, version, token, {', '.join(_KEPT)}) VALUES "
)
KEEP_TAIL = " ON DUPLICATE KEY UPDATE " + ", ".join(
    f"{name} = {_NEWER_REMOVAL.format(name)}" for name in ("token", *_KEPT)
)
_KEPT_COLUMNS = "COALESCE(kept_version, ''), COALESCE(kept_mark, 0), COALESCE(kept_time, 0)"
UNLOCK_HEAD = f"DELETE FROM {SIDECAR}"


class KeptRow(NamedTuple):
    """The newest removal that left the row of its item in place; `version` is the lowest where there was none."""

    version: str
    mark: int
    source_time: int


class LockedVersion(NamedTuple):
    """A row of the sidecar. `new`: this transaction made it, to lock its key."""

    version: str
    source_time: int
    new: bool
    kept: KeptRow

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
        return {
            key: LockedVersion(version, at, owner == token, KeptRow(*kept))
            for key, version, at, owner, *kept in self._read(f"version, source_time, token, {_KEPT_COLUMNS}", keys)
        }

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

    def keep(self, removals: Sequence[Change], outcome: Outcome) -> list[Change]:
        """Note the newest removal of each key that leaves the row in place. Returns those that are newer than before.

        The note is a register of its own: it makes no older upsert stale, because the row must still become what the
        item was before it went. A newer upsert makes it void.
        """
        newest: dict[str, Change] = {}
        for change in sorted(removals, key=itemgetter(0, 1)):  # key, version
            if change.key in newest:
                is_same = newest[change.key].version == change.version
                outcome.counts["redelivered" if is_same else "superseded"] += 1
            newest[change.key] = change
        changes, token = list(newest.values()), secrets.randbits(32)
        zeros = [0] * len(changes)
        fixed = (zeros, zeros, [LOWEST_VERSION] * len(changes), [token] * len(changes))
        kept = ([int(c.mark) for c in changes], [c.source_time for c in changes], [c.version for c in changes])
        claims = self._claims(list(newest), (*fixed, *kept))
        winners: list[Change] = []
        for statement, part in chunks(KEEP_HEAD, claims, KEEP_TAIL, self.limit):
            claimed = changes[part]
            affected = self.connection.query(statement)
            counted = answers.upserted(affected, len(claimed), answers.info(self.connection))
            if counted and sum(counted) == len(claimed):
                winners += claimed
            else:
                winners += self._read_back(claimed, token, outcome, "kept_version, kept_time")
        return winners

    def kept(self, keys: Sequence[str]) -> dict[str, KeptRow]:
        """The newest removal of each of `keys` that left its row in place. This transaction holds the keys."""
        return {key: KeptRow(*kept) for key, *kept in self._read(_KEPT_COLUMNS, keys)}

    def versions(self, keys: Sequence[str]) -> dict[str, StoredVersion]:
        """The versions of `keys`. This transaction holds the keys."""
        return {key: StoredVersion(*stored) for key, *stored in self._read("version, source_time", keys)}

    def _read_back(
        self, changes: Sequence[Change], token: int, outcome: Outcome, columns: str = "version, source_time"
    ) -> list[Change]:
        """The winners among `changes`. Counts the others, and parks those that the clock contradicts."""
        stored = {key: found for key, *found in self._read(f"token, {columns}", [change.key for change in changes])}
        winners = []
        for change in changes:
            winner, *found = stored[change.key]
            before = StoredVersion(*found)
            if winner == token and before.version == change.version:
                winners.append(change)
            else:
                count_loser(change, before, outcome)
        return winners

    def _read(self, columns: str, keys: Sequence[str]) -> Iterator[Any]:
        """Key and `columns`. Locks nothing new: the transaction holds these rows already.

        A plain SELECT could read from an older snapshot.
        """
        with self.connection.cursor() as cursor:
            for prefix, part in _by_entity(keys):
                head = f"SELECT item_key, {columns} FROM {SIDECAR}{self._where(prefix)} AND item_key IN ("
                for statement, _ in chunks(head, _tail_literals(prefix, keys[part]), ") FOR UPDATE", self.limit):
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


_STORED = "item_key, version, source_time, IFNULL(kept_version, '')"


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
            head = f"SELECT {_STORED} FROM {SIDECAR} WHERE entity = {scope} AND item_key IN ("
            for statement, _ in chunks(head, _tail_literals(prefix, keys[part]), ")", limit):
                cursor.execute(statement)
                found.update((prefix + tail, StoredVersion(*stored)) for tail, *stored in cursor.fetchall())
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
