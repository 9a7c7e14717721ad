"""Compares the rows that MySQL should have with those that it has. Locks nothing.

One statement joins the expected rows with sidecar and target, so each key is seen in one view at any isolation level.
The server answers the keys that do not match, and nothing for the others. Only what it answers is read in full and
compared here, because a document has many texts and a wider column prints more zeros. Measured: reading every row and
comparing it here takes more than one and a half times as long.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import attrgetter, itemgetter
from typing import Any

from pymysql.connections import Connection

from common.changes import Change, Mark, Row, Value
from common.database import Comparison, SchemaMismatchError, StoredState
from common.mapping import Column
from common.mysql.sidecar import SIDECAR, KeptRow, names
from common.mysql.sql import chunks
from common.mysql.table_writer import flag_values, row_texts
from common.mysql.target import Target, Targets

# A row of the sidecar whose item exists: no tombstone, and no note of a removal that is newer than the row.
_IS_LIVE = (
    f"COALESCE(s.deleted IN ({', '.join(str(int(mark)) for mark in Mark if mark.exists)}), FALSE)"
    " AND COALESCE(s.kept_delete, '') <= s.version"
    " AND COALESCE(s.kept_expiry, '') <= s.version"
)
_STATE = (
    "s.version, s.source_time, s.deleted, COALESCE(s.kept_delete, ''), COALESCE(s.kept_delete_time, 0),"
    " COALESCE(s.kept_expiry, ''), COALESCE(s.kept_expiry_time, 0)"
)
_STATE_COLUMNS = 7


def compare(
    connection: Connection[Any], targets: Targets, changes: Sequence[Change], limit: int
) -> Iterator[Comparison]:
    """See `Database.compare`. `limit` bounds a statement, in bytes."""
    mapping = targets.mapping.name
    ordered = sorted(changes, key=itemgetter(0))  # by key; keys of one entity are together
    for entity, same in groupby(ordered, key=attrgetter("entity")):
        given = list(same)
        table = _Table(connection, targets.tables[entity], mapping, limit)
        live = [change for change in given if change.row is not None]
        suspects = table.mismatches(live)
        if len(live) < len(given):
            suspects = sorted([*suspects, *(change for change in given if change.row is None)], key=itemgetter(0))
        yield from table.read(suspects)


class _Table:
    """The statements for the keys of one entity. Changes are sorted by key."""

    def __init__(self, connection: Connection[Any], target: Target, mapping: str, limit: int) -> None:
        self._connection, self._target, self._mapping, self._limit = connection, target, mapping, limit
        self._columns = target.entity.columns

    def mismatches(self, changes: Sequence[Change]) -> list[Change]:
        """The changes that do not match what is stored, and perhaps some whose values have two spellings."""
        key = len(self._target.key)
        equal = "".join(f" AND {self._equals(c, f'n.c{i}')}" for i, c in enumerate(self._columns[key:], 1 + key))
        where = f" WHERE NOT ({_IS_LIVE} AND t.`{self._target.key[0].name}` IS NOT NULL{equal})"
        stored = names(self._mapping, [change.key for change in changes])
        rows = [change.row for change in changes if change.row is not None]
        found = {name for (name,) in self._ask("", where, stored, rows)}
        return [change for name, change in zip(stored, changes, strict=True) if name in found] if found else []

    def read(self, changes: Sequence[Change]) -> Iterator[Comparison]:
        """What is stored of the key of each change, where it does not agree."""
        columns = ", ".join(f"t.`{column.name}`" for column in self._columns)
        fields = f", {_STATE}, t.`{self._target.key[0].name}` IS NOT NULL, {columns}"
        stored = names(self._mapping, [change.key for change in changes])
        answers = list(self._ask(fields, "", stored, [change.key_values for change in changes]))
        if len(answers) != len(changes):
            raise SchemaMismatchError(self._target.table, ["several of its rows have the same key"])
        found = {name: answer for name, *answer in answers}
        for name, change in zip(stored, changes, strict=True):
            answer = found[name]
            row = tuple(answer[_STATE_COLUMNS + 1 :]) if answer[_STATE_COLUMNS] else None
            comparison = self._comparison(change, answer[:_STATE_COLUMNS], row)
            if comparison:
                yield comparison

    def _comparison(self, change: Change, stored: list[Any], row: Row | None) -> Comparison | None:
        state, kept = _state(stored)
        differing: tuple[str, ...] = ()
        if row is not None:
            asked = self._asked(change, state, kept)
            differing = tuple(
                column.name
                for column, found in zip(self._columns, row, strict=True)
                if column.name in asked and not _is_same(column, asked[column.name], found)
            )
        agrees = change.row is not None and row is not None and not differing and state is not None
        if agrees and state and state.mark.exists and max(kept.delete, kept.expiry) <= state.version:
            return None
        return Comparison(change, state, row, differing)

    def _asked(self, change: Change, state: StoredState | None, kept: KeptRow) -> dict[str, Value]:
        """The values that the row should have. Of an item that is gone, the flags that the sidecar's note asks for."""
        if change.row is not None:
            return dict(zip((column.name for column in self._columns), change.row, strict=True))
        return flag_values(self._target.entity, kept, state.version) if state else {}

    def _equals(self, column: Column, value: str) -> str:
        """The SQL that compares a column of `t` with `value` exactly. It is never NULL.

        Where it is true, the two are one value. It may be false for two spellings of a value.
        """
        name, rules = f"t.`{column.name}`", column.type.mysql
        if rules.cast:
            return f"{name} <=> CAST({value} AS {rules.cast}) AND COERCIBILITY({name}) = 5"
        if column.type.python not in (str, bytes):
            return f"{name} <=> {value} AND COERCIBILITY({name}) = 5"
        if column.type.python is bytes:
            left, right = name, value
        elif column.name in self._target.native_json:  # both in the words of the server
            left, right = f"CAST({name} AS CHAR)", f"CAST(CAST({value} AS JSON) AS CHAR)"
        else:
            left, right = f"CONVERT({name} USING utf8mb4)", value
        equal = f"CAST({left} AS BINARY) <=> CAST({right} AS BINARY)"
        # A cast of more bytes than max_allowed_packet is NULL.
        return f"{equal} AND ({name} IS NULL) = ({value} IS NULL)" if column.nullable else equal

    def _ask(self, fields: str, where: str, stored: Sequence[str], rows: Sequence[Row]) -> Iterator[Any]:
        """The name of each key in the sidecar, and `fields` of sidecar `s` and target `t`.

        `stored` has the names, `rows` the values of `n`, which begin with the key's columns.
        """
        if not rows:
            return
        target = self._target
        given = row_texts(target, [(name, *row) for name, row in zip(stored, rows, strict=True)])
        head = f"SELECT n.c0{fields} FROM (WITH n ({', '.join(f'c{i}' for i in range(1 + len(rows[0])))}) AS (VALUES "
        equal = " AND ".join(column.equals(f"n.c{i}") for i, column in enumerate(target.key, 1))
        tail = (
            f") SELECT * FROM n) n LEFT JOIN {SIDECAR} s ON s.item_key = CONVERT(n.c0 USING ascii) COLLATE ascii_bin"
            f" LEFT JOIN `{target.table}` t ON {equal}{where}"
        )
        with self._connection.cursor() as cursor:
            for statement, _ in chunks(head, given, tail, self._limit):
                cursor.execute(statement)
                yield from cursor.fetchall()


def _state(stored: list[Any]) -> tuple[StoredState | None, KeptRow]:
    version, source_time, mark, *kept_fields = stored
    kept = KeptRow(*kept_fields)
    if version is None:
        return None, kept
    return StoredState(version, source_time, Mark(mark), kept.delete, kept.expiry), kept


def _is_same(column: Column, expected: Value, found: Any) -> bool:
    """Whether two values of a column are one."""
    if expected is None or found is None:
        return expected is found
    if isinstance(expected, int) and isinstance(found, bytes):  # a BIT
        return expected == int.from_bytes(found, "big")
    if isinstance(expected, str) and isinstance(found, str) and expected != found:
        same = column.type.mysql.same
        return same is not None and same(expected, found)
    return bool(expected == found)
