"""Writes the rows of one table, and corrects what the server's answers contradict."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pymysql
from pymysql.connections import Connection
from pymysql.constants import ER

from common.changes import Change, Row, Value
from common.database import SchemaMismatchError
from common.mapping import Action, Entity
from common.mysql import answers, errors
from common.mysql.sender import Sender
from common.mysql.sidecar import KeptRow, LockedVersion, changed_meanwhile
from common.mysql.sql import chunks, tuples
from common.mysql.target import Rejection, Target

# An insert of a row that exists may meet its key, or ask for an AUTO_INCREMENT number where none is left.
_PERHAPS_THERE = (ER.DUP_ENTRY, 167, 1467)
_FLAGGED = 1


@dataclass(frozen=True)
class Statement:
    """A kind of statement for `changes`. `sizes` has the bytes of each change's text, `fixed` those of the rest.

    `send` sends parts of `changes`, each as a statement, in one round trip of at most `limit` bytes. Raises PartError.
    """

    changes: Sequence[Change]
    sizes: list[int]
    fixed: int
    limit: int
    send: Callable[[Sequence[Sequence[Change]]], None]


class TableWriter:
    """Writes changes of one entity, with distinct keys, to `target`."""

    def __init__(self, sender: Sender, target: Target) -> None:
        self.target, self._sender = target, sender
        entity = target.entity
        self.has_flag = Action.FLAG in (entity.deletes.action, entity.ttl.action)
        self._places = {column.name: i for i, column in enumerate(entity.columns)} if self.has_flag else {}

    def refusal(self, change: Change, *, foresee: bool = False) -> Rejection | None:
        """Why a row must not be sent. With `foresee`, also why the server would refuse it."""
        return self.target.refusal(change.row, foresee=foresee) if change.row is not None else None

    def upsert(self, changes: Sequence[Change], known: bool | None) -> None:
        """`known` tells whether the sidecar knew the keys: all, none, or None for some."""
        if known is None:
            new, there = [c for c in changes if c.created], [c for c in changes if not c.created]
        else:
            new, there = ([], list(changes)) if known else (list(changes), [])
        missing = self.update(there)
        self.insert(sorted(new + missing, key=lambda change: change.key) if missing else new)

    def delete(self, changes: Sequence[Change]) -> None:
        self._send(self.target.delete_head, self._keys(changes), self.target.delete_tail)

    def flag(self, removals: Sequence[Change], stored: Mapping[str, LockedVersion]) -> list[Change]:
        """Flag the rows that exist as removed. Returns the changes whose rows must exist afterwards.

        `stored` is what the sidecar holds of each key, with these removals.
        """
        there = self.to_flag(removals)
        for _, head, rows, tail in self._flags(there, stored):
            self._send(head, rows, tail)
        return [] if self.target.is_plain else there

    def to_flag(self, changes: Sequence[Change]) -> list[Change]:
        """The changes that have a row, if a trigger could change the keys of these rows. Otherwise all."""
        if self.target.is_plain:
            return list(changes)
        # An earlier read of the transaction may have opened a snapshot before these keys were locked. A row that
        # another writer has inserted since is not in it. Setting the flags takes these locks anyway.
        found = self.found(changes, locking=True)
        return [change for change in changes if change.key in found]

    def update(self, changes: Sequence[Change]) -> list[Change]:
        """Change the existing rows. Returns the changes whose rows do not exist."""
        missing: list[Change] = []
        for statement, part in self._chunks(self.target.update_head, self.rows(changes), self.target.update_tail):
            self._sender.send(statement)
            given, matched = changes[part], answers.rows_matched(self._sender.connection)
            if matched != len(given):
                missing += self._missing(given, matched)
        return missing

    def insert(self, changes: Sequence[Change]) -> None:
        """Insert new rows. A row that turns out to exist is changed instead."""
        for statement, part in self._chunks(self.target.insert_head, self.rows(changes), self.target.insert_tail):
            try:
                self._sender.send(statement)
            except pymysql.MySQLError as error:
                if errors.number(error) not in _PERHAPS_THERE:
                    raise
                there = self.found(changes[part])
                if not there:
                    raise
                if self.update([change for change in changes[part] if change.key in there]):
                    raise changed_meanwhile() from None
                self.insert([change for change in changes[part] if change.key not in there])

    # The same for isolate.py, which knows the existing rows: nothing is corrected.

    def deletes(self, changes: Sequence[Change]) -> Statement:
        return self._statement(changes, self._keys(changes), self.target.delete_head, self.target.delete_tail)

    def flags(self, removals: Sequence[Change], stored: Mapping[str, LockedVersion]) -> list[Statement]:
        """Those of `removals` that set the same columns are one statement."""
        made = self._flags(removals, stored)
        return [self._statement(removed, rows, head, tail) for removed, head, rows, tail in made]

    def updates(self, changes: Sequence[Change]) -> Statement:
        """Updates of existing rows. One that is missing was deleted since they were read."""
        head, tail = self.target.update_head, self.target.update_tail
        return self._statement(changes, self.rows(changes), head, tail, is_update=True)

    def inserts(self, changes: Sequence[Change]) -> Statement:
        return self._statement(changes, self.rows(changes), self.target.insert_head, self.target.insert_tail)

    def _statement(
        self, changes: Sequence[Change], texts: list[str], head: str, tail: str, *, is_update: bool = False
    ) -> Statement:
        text_of = {change.key: text for change, text in zip(changes, texts, strict=True)}

        def send(parts: Sequence[Sequence[Change]]) -> None:
            statements = [f"{head}{','.join(text_of[change.key] for change in part)}{tail}" for part in parts]
            for part, matched in zip(parts, self._sender.send_together(statements), strict=True):
                if is_update and matched != len(part) and (matched is not None or self._missing(part, None)):
                    raise changed_meanwhile()

        sizes = [len(text.encode()) + 1 for text in texts]
        return Statement(changes, sizes, len(head.encode()) + len(tail.encode()) + 1, self._sender.limit, send)

    def patch(self, columns: Sequence[str], rows: Sequence[Row]) -> None:
        """Set `columns` of existing rows. Each of `rows` is a key and their values."""
        head, tail = self.target.patch(columns)
        self._send(head, row_texts(self.target, rows), tail)

    # What is there

    def moved(self, changes: Sequence[Change]) -> set[str]:
        """Keys whose rows were written and do not exist: a trigger changed the key."""
        if self.target.is_plain or self._all_exist(changes):
            return set()
        return {change.key for change in changes} - self.found(changes).keys()

    def found(self, changes: Sequence[Change], columns: Sequence[str] = (), *, locking: bool = False) -> dict[str, Row]:
        """The keys that have a row with exactly this key, with the values of `columns`."""
        keys = [change.key_values for change in changes]
        rows = read_rows(self._sender.connection, self.target, keys, columns, self._sender.limit, locking=locking)
        return {changes[i].key: row for i, row in rows.items()}

    def _all_exist(self, changes: Sequence[Change]) -> bool:
        head, tail = self.target.count
        with self._sender.connection.cursor() as cursor:
            for statement, part in self._chunks(head, self._keys(changes), tail):
                cursor.execute(statement)
                if cursor.fetchall() != ((len(changes[part]),),):
                    return False
        return True

    def _missing(self, changes: Sequence[Change], matched: int | None) -> list[Change]:
        found = self.found(changes)
        missing = [change for change in changes if change.key not in found]
        if matched is not None and matched > len(changes):
            raise SchemaMismatchError(self.target.table, ["several of its rows have the same key"])
        if matched is not None and matched != len(changes) - len(missing):
            raise changed_meanwhile()
        return missing

    # SQL

    def rows(self, changes: Sequence[Change]) -> list[str]:
        """The values of each change as SQL."""
        return row_texts(self.target, [change.row for change in changes if change.row is not None])

    def _keys(self, changes: Sequence[Change]) -> list[str]:
        return row_texts(self.target, [change.key_values for change in changes])

    def with_flags(self, change: Change, kept: KeptRow) -> Change:
        """The change with a row that is flagged as removed, where a newer removal has left the row in place."""
        if change.row is None:
            return change
        row = list(change.row)
        for name, value in flag_values(self.target.entity, kept, change.version).items():
            row[self._places[name]] = value
        return change._replace(row=tuple(row))

    def _flags(
        self, removals: Sequence[Change], stored: Mapping[str, LockedVersion]
    ) -> Iterator[tuple[list[Change], str, list[str], str]]:
        """The removals that set the same columns, with head, rows and tail of their statement."""
        grouped: dict[tuple[str, ...], list[tuple[Change, Row]]] = {}
        for change in removals:
            values = flag_values(self.target.entity, stored[change.key].kept, stored[change.key].version)
            grouped.setdefault(tuple(values), []).append((change, (*change.key_values, *values.values())))
        for columns, flagged in grouped.items():
            head, tail = self.target.patch(columns)
            yield [change for change, _ in flagged], head, row_texts(self.target, [row for _, row in flagged]), tail

    def _chunks(self, head: str, rows: list[str], tail: str) -> Iterator[tuple[str, slice]]:
        return chunks(head, rows, tail, self._sender.limit)

    def _send(self, head: str, rows: list[str], tail: str) -> None:
        for statement, _ in self._chunks(head, rows, tail):
            self._sender.send(statement)


def flag_values(entity: Entity, kept: KeptRow, version: str) -> dict[str, Value]:
    """What the flag columns hold in a row of `version`, where the item was removed since."""
    values: dict[str, Value] = {}
    for removed, time, mark in kept.removals():
        removal = entity.removal(mark)
        if removed > version and removal.flag:
            values[removal.flag] = _FLAGGED
            values |= {removal.time: _utc(time)} if removal.time else {}
    return values


def read_rows(  # noqa: PLR0913
    connection: Connection[Any],
    target: Target,
    keys: Sequence[Row],
    columns: Sequence[str],
    limit: int,
    *,
    locking: bool = False,
) -> dict[int, Row]:
    """The values of `columns` of the keys that have a row, exactly theirs, by the key's index.

    `locking` reads and locks the rows as they are, not as the transaction's snapshot has them. `limit` bounds a
    statement, in bytes.
    """
    head, tail = target.found(columns)
    if locking:
        tail += " FOR UPDATE"
    found: dict[int, Row] = {}
    with connection.cursor() as cursor:
        for statement, _ in chunks(head, row_texts(target, [(i, *key) for i, key in enumerate(keys)]), tail, limit):
            cursor.execute(statement)
            found.update((i, tuple(values)) for i, *values in cursor.fetchall())
    return found


def row_texts(target: Target, rows: Sequence[Row]) -> list[str]:
    """Each row as SQL."""
    texts = tuples(zip(*rows, strict=True))
    return [target.row_word + text for text in texts] if target.row_word else texts


def _utc(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")
