"""The sidecar `replication_versions`: one row for each key of each entity, with the version that was applied last.

Its row lock serialises writers of the same key.
"""

from __future__ import annotations

import secrets
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from functools import reduce
from operator import itemgetter
from typing import Any, NamedTuple

import pymysql
from pymysql.connections import Connection
from pymysql.constants import ER

from common.changes import Change, Mark, Value
from common.database import Outcome, StoredVersion
from common.histories import CLOCK_SLACK_SECONDS, count_loser
from common.mysql import answers
from common.mysql.own_table import OwnTable
from common.mysql.sql import chunks, literal, tuples
from common.versions import NO_VERSION

SIDECAR = "replication_versions"
# The entity whose keys have no prefix in the sidecar: see names().
UNPREFIXED = "orders.order"

# The removals that leave the row in place have registers of their own, one for each kind.
_REGISTERS = {
    Mark.DELETED: ("kept_delete", "kept_delete_time"),
    Mark.EXPIRED: ("kept_expiry", "kept_expiry_time"),
}
_VERSION = "VARCHAR(160) CHARACTER SET ascii COLLATE ascii_bin"

# Names are printable ASCII and versions are digits and punctuation, so ascii_bin order is their order in Python.
DDL = f"""CREATE TABLE IF NOT EXISTS {SIDECAR} (
  item_key VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'mapping.entity and key of the item',
  version {_VERSION} NOT NULL COMMENT 'stream label _ digits _ sequence number',
  deleted TINYINT NOT NULL COMMENT '1: the item was deleted, 2: it expired and its row was removed, 3: only seeded',
  source_time BIGINT NOT NULL COMMENT 'clock of the stream, epoch seconds',
  token INT UNSIGNED NOT NULL COMMENT 'tells a writer which rows it won',
  kept_delete {_VERSION} NULL COMMENT 'newest deletion that left the row',
  kept_delete_time BIGINT NULL COMMENT 'its time by the clock of the stream, epoch seconds',
  kept_expiry {_VERSION} NULL COMMENT 'newest expiry that left the row',
  kept_expiry_time BIGINT NULL COMMENT 'its time by the clock of the stream, epoch seconds',
  PRIMARY KEY (item_key)
) ENGINE=InnoDB COMMENT='Backstream: the version of each key that was applied last'"""
_ADDED = ("kept_delete", "kept_delete_time", "kept_expiry", "kept_expiry_time")
TABLE = OwnTable(
    SIDECAR,
    DDL,
    columns=("item_key", "version", "deleted", "source_time", "token", *_ADDED),
    texts={"item_key": 255, "version": 160, "kept_delete": 160, "kept_expiry": 160},
    key=("item_key",),
    added=_ADDED,
    migration=(
        f"ALTER TABLE {SIDECAR} ADD COLUMN kept_delete {_VERSION} NULL, ADD COLUMN kept_delete_time BIGINT NULL,"
        f" ADD COLUMN kept_expiry {_VERSION} NULL, ADD COLUMN kept_expiry_time BIGINT NULL"
    ),
)

# Assignments run from left to right, so `version`, which all others compare with, comes last:
# https://dev.mysql.com/doc/refman/8.4/en/insert-on-duplicate.html (MariaDB has no row alias, hence VALUES()).
_NEWER = "IF(VALUES(version) > version, VALUES({0}), {0})"
CLAIM_HEAD = f"INSERT INTO {SIDECAR} (item_key, deleted, source_time, token, version) VALUES "
CLAIM_TAIL = " ON DUPLICATE KEY UPDATE " + ", ".join(
    f"{name} = {_NEWER.format(name)}" for name in ("deleted", "source_time", "token", "version")
)
# Takes the lock of every key and changes no row that is there; a new row has the token and the lowest version.
LOCK_TAIL = " ON DUPLICATE KEY UPDATE token = token"
KEPT_COLUMNS = ", ".join(f"COALESCE({version}, ''), COALESCE({time}, 0)" for version, time in _REGISTERS.values())
_LOCKED = "version, source_time, deleted"
_VERSIONS = ", ".join(["version", "source_time", *(f"COALESCE({name}, '')" for name, _ in _REGISTERS.values())])
UNLOCK_HEAD = f"DELETE t FROM {SIDECAR} t FORCE INDEX (PRIMARY) WHERE version = '' AND item_key IN ("


class KeptRow(NamedTuple):
    """The newest deletion and the newest expiry that left the row of their item in place.

    Each has a version, the lowest where there was none, and a time by the clock of the stream.
    """

    delete: str
    delete_time: int
    expiry: str
    expiry_time: int

    def version(self, mark: Mark) -> str:
        """The version of the newest removal of a kind."""
        return self.expiry if mark is Mark.EXPIRED else self.delete

    @property
    def newest(self) -> str:
        return max(self.delete, self.expiry)

    def removals(self) -> list[tuple[str, int, Mark]]:
        """Version, time and kind of each removal, the older one first."""
        return sorted([(self.delete, self.delete_time, Mark.DELETED), (self.expiry, self.expiry_time, Mark.EXPIRED)])

    def with_removal(self, change: Change) -> KeptRow:
        """The same with a newer removal."""
        if change.mark is Mark.EXPIRED:
            return self._replace(expiry=change.version, expiry_time=change.source_time)
        return self._replace(delete=change.version, delete_time=change.source_time)


class LockedVersion(NamedTuple):
    """A row of the sidecar. `new`: the key had none before this transaction. `mark` is the last change's."""

    version: str
    source_time: int
    new: bool
    kept: KeptRow
    mark: int = Mark.LIVE

    def admits(self, change: Change) -> bool:
        """Whether the change is to be written. A loaded row wins where nothing was ever written."""
        return self.new or change.version > self.version

    @property
    def is_untouched(self) -> bool:
        """Whether no change but the seed's was ever applied."""
        is_seeded = self.mark == Mark.SEEDED and not (self.kept.delete or self.kept.expiry)
        return self.new or is_seeded

    def settle(self, change: Change) -> Change:
        """The change as it is applied to the row: an echo of the seed is one only where nobody else wrote before."""
        return change if change.mark is not Mark.SEEDED or self.is_untouched else change._replace(mark=Mark.LIVE)

    def count_loser(self, change: Change, outcome: Outcome) -> None:
        """Count or park a change that is not admitted."""
        count_loser(change, StoredVersion(self.version, self.source_time), outcome)

    def admits_removal(self, removal: Change, row_version: str) -> bool:
        """Whether a removal that leaves the row is newer than the row, and than those of its kind before it."""
        return removal.version > max(row_version, self.kept.version(removal.mark))

    def with_removals(self, removals: Sequence[Change], row_version: str) -> LockedVersion:
        """The row of the sidecar once these removals are noted in it."""
        return self._replace(version=row_version, kept=reduce(KeptRow.with_removal, removals, self.kept))


class Sidecar:
    """The sidecar's statements inside the open transaction of `connection`, of at most `limit` bytes each.

    `mapping` is the name of the mapping. Keys are texts, see `common.keys`, and sorted.
    """

    def __init__(self, connection: Connection[Any], mapping: str, limit: int) -> None:
        self.connection, self.mapping, self.limit = connection, mapping, limit

    def lock(self, keys: Sequence[str]) -> dict[str, LockedVersion]:
        """Lock the keys and claim nothing. A key without a row gets one with the lowest version."""
        token, zeros = secrets.randbits(32), [0] * len(keys)
        claims = self._claims(keys, (zeros, zeros, [token] * len(keys), [NO_VERSION] * len(keys)))
        for statement, _ in chunks(CLAIM_HEAD, claims, LOCK_TAIL, self.limit):
            self.connection.query(statement)
        return {
            key: LockedVersion(version, at, owner == token, KeptRow(*kept), mark)
            for key, version, at, mark, owner, *kept in self._read(f"{_LOCKED}, token, {KEPT_COLUMNS}", keys)
        }

    def claim(self, changes: Sequence[Change]) -> None:
        """Store the versions of changes that are known to be newer, because their keys are locked."""
        winners, _ = self.take(changes, Outcome()) if changes else ([], None)
        if len(winners) != len(changes):
            raise changed_meanwhile()

    def forget(self, keys: Sequence[str]) -> None:
        """Delete the rows that `lock()` made."""
        for statement, _ in chunks(UNLOCK_HEAD, list(map(literal, names(self.mapping, keys))), ")", self.limit):
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

    def keep(self, removals: Sequence[Change], outcome: Outcome, *, by_clock: bool) -> list[Change]:
        """Note the newest removal of each key and kind that leaves the row. Returns those that are newer than before.

        The note makes no older upsert stale, because the row must still become what the item was before it went. A
        newer upsert makes it void. With `by_clock`, a removal whose version the clock of the row contradicts is parked
        and not noted.
        """
        winners: list[Change] = []
        for mark in _REGISTERS:
            given = [change for change in removals if change.mark is mark]
            winners += self._keep(mark, given, outcome, by_clock=by_clock) if given else []
        return winners

    def _keep(self, mark: Mark, removals: Sequence[Change], outcome: Outcome, *, by_clock: bool) -> list[Change]:
        newest: dict[str, Change] = {}
        for change in sorted(removals, key=itemgetter(0, 1)):  # key, version
            outcome.counts["superseded"] += change.key in newest
            newest[change.key] = change
        changes, token = list(newest.values()), secrets.randbits(32)
        zeros = [0] * len(changes)
        fixed = (zeros, zeros, [token] * len(changes), [NO_VERSION] * len(changes))
        claims = self._claims(list(newest), (*fixed, [c.source_time for c in changes], [c.version for c in changes]))
        head, tail = _keep_statement(mark, by_clock=by_clock)
        winners: list[Change] = []
        for statement, part in chunks(head, claims, tail, self.limit):
            claimed = changes[part]
            affected = self.connection.query(statement)
            counted = answers.upserted(affected, len(claimed), answers.info(self.connection))
            if counted and sum(counted) == len(claimed):
                winners += claimed
            else:
                columns = (*_REGISTERS[mark], *(("version", "source_time") if by_clock else ()))
                winners += self._read_back(claimed, token, outcome, ", ".join(columns))
        return winners

    def versions(self, keys: Sequence[str]) -> dict[str, StoredVersion]:
        """The versions of those of the sorted `keys` that the sidecar knows. Locks nothing."""
        return {key: StoredVersion(*stored) for key, *stored in self._read(_VERSIONS, keys, ")")}

    def stored(self, keys: Sequence[str]) -> dict[str, LockedVersion]:
        """What the sidecar holds of `keys`. This transaction holds the keys."""
        columns = f"{_LOCKED}, {KEPT_COLUMNS}"
        return {
            key: LockedVersion(version, at, False, KeptRow(*kept), mark)
            for key, version, at, mark, *kept in self._read(columns, keys)
        }

    def _read_back(
        self, changes: Sequence[Change], token: int, outcome: Outcome, columns: str = "version, source_time"
    ) -> list[Change]:
        """The winners among `changes`. Counts the others, and parks those that the clock contradicts.

        `columns` are a version and a time, and those of the row where the clock of the row counts, too.
        """
        stored = {key: found for key, *found in self._read(f"token, {columns}", [change.key for change in changes])}
        winners = []
        for change in changes:
            winner, version, time, *row = stored[change.key]
            if winner == token and version == change.version:
                winners.append(change)
            elif row and version != change.version and change.version < row[0]:
                count_loser(change, StoredVersion(*row), outcome)
            else:
                count_loser(change, StoredVersion(version, time), outcome)
        return winners

    def _read(self, columns: str, keys: Sequence[str], tail: str = ") FOR UPDATE") -> Iterator[Any]:
        """Key and `columns` of those of the sorted `keys` that have a row.

        FOR UPDATE locks nothing new where the transaction holds these rows already. A plain SELECT could read from an
        older snapshot. Without the hint, the server scans a small table, and so locks the rows of other keys.
        """
        key_of = dict(zip(names(self.mapping, keys), keys, strict=True))
        head = f"SELECT item_key, {columns} FROM {SIDECAR} FORCE INDEX (PRIMARY) WHERE item_key IN ("
        with self.connection.cursor() as cursor:
            for statement, _ in chunks(head, list(map(literal, key_of)), tail, self.limit):
                cursor.execute(statement)
                yield from ((key_of[name], *stored) for name, *stored in cursor.fetchall())

    def _claims(self, keys: Sequence[str], columns: Sequence[Sequence[Value]]) -> list[str]:
        """A row of the sidecar for each key, as SQL; `columns` are those after the key."""
        return tuples((names(self.mapping, keys), *columns))


def _keep_statement(mark: Mark, *, by_clock: bool) -> tuple[str, str]:
    """Head and tail of the statement that notes removals of one kind."""
    version, time = _REGISTERS[mark]
    is_newer = f"VALUES({version}) > COALESCE({version}, '')"
    if by_clock:
        is_newer += f" AND NOT (VALUES({version}) < version AND VALUES({time}) > source_time + {CLOCK_SLACK_SECONDS})"
    newer = f"IF({is_newer}, VALUES({{0}}), {{0}})"
    sets = ", ".join(f"{name} = {newer.format(name)}" for name in ("token", time, version))
    head = f"INSERT INTO {SIDECAR} (item_key, deleted, source_time, token, version, {time}, {version}) VALUES "
    return head, f" ON DUPLICATE KEY UPDATE {sets}"


def names(mapping: str, keys: Sequence[str]) -> list[str]:
    """The names of the sorted `keys` in the sidecar: `mapping.entity`, a space, and the text of the key's values.

    That text has no space. The names of orders are that text alone, as in version 0.1.0.
    """
    found: list[str] = []
    for prefix, part in _by_entity(keys):
        before, length = _prefix(mapping, prefix[:-1]), len(prefix)
        found += [before + key[length:] for key in keys[part]]
    return found


def _prefix(mapping: str, entity: str) -> str:
    """What the names of an entity's keys begin with."""
    named = f"{mapping}.{entity}"
    return "" if named == UNPREFIXED else f"{named} "


def scope(mapping: str, entity: str) -> tuple[str, str]:
    """What the names of an entity's keys begin with, and the SQL condition that finds its rows."""
    prefix = _prefix(mapping, entity)
    if not prefix:
        return prefix, "NOT LOCATE(' ', item_key)"
    end = f"{prefix[:-1]}!"  # the character ! follows the space
    return prefix, f"item_key > {literal(prefix)} AND item_key < {literal(end)}"


def of_mapping(mapping: str) -> str:
    """The SQL condition that finds the rows of all entities of a mapping."""
    is_named = "LOCATE(' ', item_key)"
    condition = f"{is_named} AND item_key > {literal(mapping + '.')} AND item_key < {literal(mapping + '/')}"
    return f"({condition} OR NOT {is_named})" if UNPREFIXED.startswith(f"{mapping}.") else f"({condition})"


def changed_meanwhile() -> pymysql.OperationalError:
    """Another client inserted or deleted rows of these keys: the whole transaction must be tried again."""
    return pymysql.OperationalError(ER.LOCK_DEADLOCK, "rows of the target appeared or vanished while it was written")


def _by_entity(keys: Sequence[str]) -> Iterator[tuple[str, slice]]:
    """The prefix of each entity in the sorted `keys`, up to the slash, and the slice with its keys."""
    start = 0
    while start < len(keys):
        prefix = keys[start][: keys[start].index("/") + 1]
        # The character 0 follows the slash.
        end = len(keys) if keys[-1].startswith(prefix) else bisect_left(keys, f"{prefix[:-1]}0", start)
        yield prefix, slice(start, end)
        start = end
