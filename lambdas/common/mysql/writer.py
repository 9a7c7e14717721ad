"""Writes a batch inside the open transaction: claims its versions, then writes the rows of every table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from operator import itemgetter
from typing import Any

import pymysql
from pymysql.connections import Connection

from common.changes import Change, Mark
from common.database import Outcome, StoredVersion
from common.histories import count_loser
from common.mapping import Action
from common.mysql import errors
from common.mysql.sender import Sender
from common.mysql.sidecar import LockedVersion, Sidecar
from common.mysql.table_writer import TableWriter
from common.mysql.target import Rejection, Targets
from common.versions import LOWEST_VERSION

_mark = itemgetter(Change._fields.index("mark"))


def ignored_count(removal: Change) -> str:
    """What counts a removal that is noted and changes nothing of its row."""
    return "ttl_delete" if removal.mark is Mark.EXPIRED else "ignored_delete"


class RefusedError(Exception):
    """Some row of the batch is refused. isolate.py finds out which."""


@contextmanager
def _about_rows() -> Iterator[None]:
    """Raises RefusedError in place of an error that may be about a row."""
    try:
        yield
    except pymysql.MySQLError as error:
        if errors.is_about_a_row(error):
            raise RefusedError from None
        raise


class Writer:
    """Writes changes with distinct keys inside the open transaction of `connection`.

    With `seeded_rows`, also the rows of items that only a seed has written. Without `missing_rows`, not even those that
    are missing when such an item is loaded.
    """

    def __init__(
        self,
        connection: Connection[Any],
        targets: Targets,
        statement_bytes: int | None,
        *,
        seeded_rows: bool = False,
        missing_rows: bool = True,
    ) -> None:
        self.connection, self.targets = connection, targets
        self._seeded_rows, self._missing_rows = seeded_rows, missing_rows
        self.sender = Sender(connection, targets, targets.statement_limit(statement_bytes))
        self.sidecar = Sidecar(connection, targets.mapping.name, self.sender.limit)
        self.tables = [TableWriter(self.sender, target) for target in targets.tables]
        self._checks = any(target.checks for target in targets.tables)
        self._flags = any(table.has_flag for table in self.tables)

    def write(self, changes: Sequence[Change]) -> Outcome:
        """Claim the versions of `changes`, which are sorted by key, and write the rows of the winners.

        Removals come first, because they free unique values: of children before their parents. Then rows are written,
        of parents before their children. Of an echo of the seed only the version is claimed. Raises RefusedError.
        """
        outcome = Outcome()
        if not changes:
            return outcome
        has_echoes = Mark.SEEDED in map(_mark, changes)
        if has_echoes:
            changes = self._settled(changes)
        if self._checks and any(map(self.refusal, changes)):
            raise RefusedError
        winners, known = self.sidecar.take(changes, outcome)
        if has_echoes:
            known, claimed = None, len(winners)  # settling has made the rows of new keys
            due = self.due_seeds(winners)
            winners = [change for change in winners if change.mark is not Mark.SEEDED or change.key in due]
            outcome.counts["seeded"] += claimed - len(winners)
        deletes = [change for change in winners if change.row is None]
        upserts = [change for change in winners if change.row is not None]
        if self._flags and known is not False:
            upserts = self._with_flags(upserts)
        with _about_rows():
            for table, given in self.children_first(deletes):
                table.delete(given)
            for table, given in self.parents_first(upserts):
                table.upsert(given, known)
        if any(table.moved(given) for table, given in self.parents_first(upserts)):
            raise RefusedError
        outcome.counts["upserted"] += len(upserts)
        outcome.counts["deleted"] += len(deletes)
        outcome.written = upserts + deletes
        return outcome

    def keep(self, removals: Sequence[Change], outcome: Outcome, *, flagged: bool = False) -> None:
        """Note the removals that leave their rows in place, and flag the rows where the entity says so.

        `flagged` says that the rows are flagged already. Raises RefusedError.
        """
        ignored = [change for change in removals if not self.flags_row(change)]
        for change in self.sidecar.keep(ignored, outcome, by_clock=False):
            outcome.counts[ignored_count(change)] += 1
        flags = self.sidecar.keep([change for change in removals if self.flags_row(change)], outcome, by_clock=True)
        stored = self.sidecar.stored(sorted({change.key for change in flags}))
        gone = [change for change in flags if change.version > stored[change.key].version]
        for change in flags:
            row = stored[change.key]
            if change.version <= row.version:
                count_loser(change, StoredVersion(row.version, row.source_time), outcome)
        outcome.counts["deleted"] += len(gone)
        outcome.written += gone
        if flagged:
            return
        self.flag(list({change.key: change for change in gone}.values()), stored)

    def flag(self, removals: Sequence[Change], stored: Mapping[str, LockedVersion]) -> None:
        """Flag the rows that exist as removed. `stored` has these removals. Raises RefusedError."""
        with _about_rows():
            changed = [(table, table.flag(given, stored)) for table, given in self.children_first(removals)]
        if any(table.moved(given) for table, given in changed if given):
            raise RefusedError

    def _settled(self, changes: Sequence[Change]) -> list[Change]:
        """The changes, with echoes of the seed as ordinary ones where the item had another writer before."""
        stored = self.sidecar.lock([change.key for change in changes if change.version > LOWEST_VERSION])
        return [stored[change.key].settle(change) if change.key in stored else change for change in changes]

    def due_seeds(self, changes: Sequence[Change]) -> set[str]:
        """The keys of items that only a seed wrote and whose rows are to be written: those of a load without a row."""
        if self._seeded_rows:
            return {change.key for change in changes if change.mark is Mark.SEEDED}
        if not self._missing_rows:
            return set()
        loaded = [change for change in changes if change.mark is Mark.SEEDED and change.version == LOWEST_VERSION]
        keys = {change.key for change in loaded}
        for table, given in self.parents_first(loaded):
            keys -= table.found(given, locking=True).keys()
        return keys

    def leaves_row(self, change: Change) -> bool:
        """Whether the change is a removal that leaves its row in place."""
        return change.row is None and self._action(change) is not Action.DELETE

    def flags_row(self, change: Change) -> bool:
        return self._action(change) is Action.FLAG

    def _action(self, change: Change) -> Action:
        return self.table_of(change).target.entity.removal(change.mark).action

    def _with_flags(self, upserts: list[Change]) -> list[Change]:
        """The upserts, flagged as removed where a newer removal of the item has been noted already."""
        keys = [change.key for change in upserts if self.table_of(change).has_flag]
        if not keys:
            return upserts
        stored = self.sidecar.stored(keys)
        return [self.table_of(c).with_flags(c, stored[c.key].kept) if c.key in stored else c for c in upserts]

    def table_of(self, change: Change) -> TableWriter:
        return self.tables[change.entity]

    def refusal(self, change: Change, *, foresee: bool = False) -> Rejection | None:
        """Why a row must not be sent. With `foresee`, also why the server would refuse it."""
        is_echo = change.mark is Mark.SEEDED and change.version > LOWEST_VERSION
        sends_no_row = is_echo and not self._seeded_rows
        return None if sends_no_row else self.table_of(change).refusal(change, foresee=foresee)

    def parents_first(self, changes: Sequence[Change]) -> list[tuple[TableWriter, list[Change]]]:
        """The changes of each table, in an order in which rows can be written."""
        if len(self.tables) == 1:
            return [(self.tables[0], list(changes))] if changes else []
        given: dict[int, list[Change]] = {}
        for change in changes:
            given.setdefault(change.entity, []).append(change)
        return [(self.tables[entity], given[entity]) for entity in self.targets.parents_first if entity in given]

    def children_first(self, changes: Sequence[Change]) -> list[tuple[TableWriter, list[Change]]]:
        """The changes of each table, in an order in which rows can be removed."""
        return self.parents_first(changes)[::-1]
