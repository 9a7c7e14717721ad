"""Writes rows again under the version that the sidecar holds: compare and write.

A new column is filled, or a row repaired, in these steps:

1. Read the newest version that the sidecar holds of the key.
2. Read the item, consistently.
3. Make sure that nothing is pending for the key: no undelivered record, no failed batch, no parked record.
4. Lock the key and compare: write only if the newest version is still that of step 1. This module does it.

A live change that commits before step 4 has another version, so the rewrite is skipped. One that comes later waits for
the lock and wins, because the rewrite has no newer version.

Step 3 cannot be left out. The item may be ahead of the stream. Its row has the stored version, so a pending record that
is older than the item is still newer than the row, and takes the row back.

The sidecar changes where it contradicts the item. A rewrite sets its mark, so the tombstone of an item whose removal
was lost keeps a late upsert out. And where the newest change was a removal that left the row in place, its version
becomes that of the row: the item was read after it. A lost removal of that kind has no version. With `note_removals` it
is noted as the first change after the stored version.

The row of an item that only a seed has written belongs to the legacy application until the cutover, so a rewrite leaves
it alone. After the cutover it is written, with `seeded_rows`, and its mark stays: on the way back, the echo of a later
seed must leave the row alone again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pymysql.connections import Connection

from common.changes import Change, Mark
from common.database import Outcome
from common.mysql.sidecar import KEPT_COLUMNS, SIDECAR, KeptRow, LockedVersion, Sidecar, names
from common.mysql.sql import chunks, literal
from common.mysql.target import Targets
from common.mysql.writer import Writer, ignored_count
from common.versions import NO_VERSION

# Behind a version it makes one that sorts after it and before the version of any later record.
_NEXT = "!"
# The version of the newest removal that left the row, and its time. Assignments run from left to right.
_KEPT = "GREATEST(COALESCE(kept_delete, ''), COALESCE(kept_expiry, ''))"
_KEPT_TIME = "IF(COALESCE(kept_delete, '') > COALESCE(kept_expiry, ''), kept_delete_time, kept_expiry_time)"
_SETS = f"source_time = IF({_KEPT} > version, {_KEPT_TIME}, source_time), version = GREATEST(version, {_KEPT})"


def require_distinct(changes: Sequence[Change]) -> None:
    """Raises ValueError where two changes have the same key: only one of them can be what was read last."""
    if len({change.key for change in changes}) < len(changes):
        raise ValueError("a rewrite has one change of each key")


class ComparedVersion(LockedVersion):
    """A row of the sidecar that admits its newest version alone. `new`: there is no row, so nothing is admitted."""

    def admits(self, change: Change) -> bool:
        return not self.new and change.version == max(self.version, self.kept.newest)

    def count_loser(self, _change: Change, outcome: Outcome) -> None:
        outcome.counts["overtaken"] += 1

    def admits_removal(self, removal: Change, _row_version: str) -> bool:
        return self.admits(removal)

    def with_removals(self, removals: Sequence[Change], _row_version: str) -> LockedVersion:
        """As if the removal were noted as the first change after the stored version. A noted one stays."""
        [removal] = removals
        if self.kept.version(removal.mark) > self.version:
            return self
        return self._replace(kept=self.kept.with_removal(removal._replace(version=self.version + _NEXT)))


_NO_ROW = ComparedVersion(NO_VERSION, 0, True, KeptRow("", 0, "", 0))


def _agree(stored: LockedVersion, change: Change) -> bool:
    return stored.mark == change.mark and stored.version == change.version


class ComparingSidecar(Sidecar):
    """Locks rows that exist, makes none, and claims no version that it does not hold."""

    def __init__(self, connection: Connection[Any], mapping: str, limit: int) -> None:
        super().__init__(connection, mapping, limit)
        self._locked: dict[str, LockedVersion] = {}

    def lock(self, keys: Sequence[str]) -> dict[str, LockedVersion]:
        """Lock the keys that have a row. A key without one needs no lock, because nothing is written for it."""
        for key, version, at, mark, *kept in self._read(f"version, source_time, deleted, {KEPT_COLUMNS}", keys):
            self._locked[key] = ComparedVersion(version, at, False, KeptRow(*kept), mark)
        return {key: self._locked.get(key, _NO_ROW) for key in keys}

    def take(self, changes: Sequence[Change], outcome: Outcome) -> tuple[list[Change], bool | None]:
        """The changes whose version is the newest one. The sidecar knows all their keys."""
        locked = self.lock([change.key for change in changes])
        winners = [change for change in changes if locked[change.key].admits(change)]
        outcome.counts["overtaken"] += len(changes) - len(winners)
        self.claim(winners)
        return winners, True

    def claim(self, changes: Sequence[Change]) -> None:
        """Store marks and newest versions of locked keys, where they differ."""
        for mark in Mark:
            given = [change for change in changes if change.mark is mark]
            keys = [change.key for change in given if not _agree(self._locked[change.key], change)]
            head = f"UPDATE {SIDECAR} FORCE INDEX (PRIMARY) SET deleted = {int(mark)}, {_SETS} WHERE item_key IN ("
            for statement, _ in chunks(head, list(map(literal, names(self.mapping, keys))), ")", self.limit):
                self.connection.query(statement)

    def note(self, removals: Sequence[Change], noted: Mapping[str, LockedVersion]) -> None:
        """Store the notes that `noted` has of removals that leave their rows. Keys are locked."""
        new = [change._replace(version=noted[change.key].kept.version(change.mark)) for change in removals]
        self.keep(new, Outcome(), by_clock=False)

    def forget(self, keys: Sequence[str]) -> None:
        """`lock()` made no rows."""


class Rewriter(Writer):
    """Writes changes whose versions are the newest that the sidecar holds.

    With `note_removals`, it also notes the removals that leave their rows.
    """

    def __init__(
        self,
        connection: Connection[Any],
        targets: Targets,
        statement_bytes: int | None,
        *,
        seeded_rows: bool = False,
        note_removals: bool = False,
    ) -> None:
        super().__init__(connection, targets, statement_bytes, seeded_rows=seeded_rows)
        self._note_removals = note_removals
        self.sidecar: ComparingSidecar = ComparingSidecar(connection, targets.mapping.name, self.sender.limit)

    def keep(self, removals: Sequence[Change], outcome: Outcome, *, flagged: bool = False) -> None:
        """Flag the rows where the entity says so. Without `note_removals` the sidecar stays. Raises RefusedError.

        The time beside a flag is that of the noted removal, if it is newer than the row, or else of the change.
        """
        locked = self.sidecar.lock(sorted(change.key for change in removals))
        admitted: list[Change] = []
        for change in removals:
            if locked[change.key].admits(change):
                admitted.append(change)
            else:
                locked[change.key].count_loser(change, outcome)
        noted = _with_removals(locked, admitted)
        if self._note_removals:
            self.sidecar.note(admitted, noted)
        gone = [change for change in admitted if self.flags_row(change)]
        outcome.counts["deleted"] += len(gone)
        outcome.written += gone
        outcome.counts.update(ignored_count(change) for change in admitted if not self.flags_row(change))
        if not flagged:
            self.flag(gone, noted)


def _with_removals(locked: Mapping[str, LockedVersion], removals: Sequence[Change]) -> dict[str, LockedVersion]:
    return {change.key: locked[change.key].with_removals([change], change.version) for change in removals}
