"""The target tables as a server has them, and the statements that write them.

No statement here can reach the row of another key, whatever unique keys, triggers or collations the table has or gets
under an open connection. Rows are inserted without `ON DUPLICATE KEY`, and updated and deleted by a join on the exact
key. Which rows exist is a guess that the server's answer confirms: see apply.py.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import pymysql
from pymysql.constants import ER

from common.changes import Kind, Row, Value
from common.database import Verdict
from common.mapping import Entity, Mapping
from common.mysql import errors, unique
from common.mysql.columns import TEXT_TYPES, ActualColumn, Check
from common.mysql.sql import literal

_PACKET_OVERHEAD = 16


class Rejection(NamedTuple):
    """Why a row is not written: what a parked record says of it."""

    reason: str
    hint: str
    errno: int | None
    kind: Kind


class UniqueKey(NamedTuple):
    """A unique key other than the one on the key columns. `lengths` has the characters of a prefix key, else None."""

    name: str
    columns: tuple[str, ...]
    lengths: tuple[int | None, ...]

    @property
    def is_plain(self) -> bool:
        return "(expression)" not in self.columns

    def values(self, row: dict[str, Any]) -> unique.Values | None:
        """The values of `row` under this key, in a form that can be compared."""
        return unique.comparable((row[name] for name in self.columns), self.lengths)


@dataclass(frozen=True)
class ValueCheck:
    """A check of one column: `fits` is false for a value that it would not store as it was sent.

    `errno` is the error that the server would give. Where it would give none, `problem` says what is wrong.
    """

    column: str
    type: str
    index: int
    fits: Check = field(compare=False)
    problem: str = ""
    errno: int | None = None

    @property
    def rejection(self) -> Rejection:
        if self.errno is None:
            return Rejection(f"column {self.column} {self.problem}", _CORRECT, None, Kind.POISON)
        reason = f"MySQL error {self.errno} ({_NAMES[self.errno]}) on column {self.column}"
        return Rejection(reason, errors.RULES[self.errno].hint, self.errno, Kind.POISON)


class KeyColumn(NamedTuple):
    """A column of the key as a server has it. `kind` is text, binary, number, date or datetime."""

    name: str
    kind: str = "text"
    charset: str = "ascii"
    collation: str = "ascii_bin"

    @classmethod
    def of(cls, actual: ActualColumn) -> KeyColumn:
        return cls(actual.name, _KINDS.get(actual.type, "number"), actual.charset, actual.collation)

    @property
    def is_exact(self) -> bool:
        """Whether the column holds any two different values as such."""
        return self.kind != "text" or self.collation.endswith("_bin")

    def literal(self, value: Value) -> str:
        """The SQL of a value that the column holds, in the column's own order."""
        text = literal(value)
        if self.kind == "text":
            return f"CONVERT({text} USING {self.charset}) COLLATE {self.collation}"
        return f"CAST({text} AS {_CASTS[self.kind]})" if self.kind in _CASTS else text

    def equals(self, value: str) -> str:
        """The SQL that compares the column of `t` with `value` exactly, and still uses the column's index.

        COERCIBILITY tells a number or a time from a text. The server would compare a text with a number as floats:
        '007' equals 7. It is a constant of the statement, so it costs nothing.
        Source: https://dev.mysql.com/doc/refman/8.4/en/information-functions.html#function_coercibility
        """
        column = f"t.`{self.name}`"
        equal = f"{column} = {self.typed(value)}"
        if self.kind == "text":
            # A collation may ignore case and trailing spaces. In UTF-8 on both sides: the column may be UTF-16.
            return f"{equal} AND CAST(CONVERT({column} USING utf8mb4) AS BINARY) = CAST({value} AS BINARY)"
        if self.kind == "binary":
            # A text column would compare by its collation.
            exactly = f"CAST({column} AS BINARY) = CAST({value} AS BINARY)"
            return f"{equal} AND {exactly} AND COERCIBILITY({column}) = 2"
        return f"{equal} AND COERCIBILITY({column}) = 5"

    def typed(self, value: str) -> str:
        """The SQL of `value` in the column's type and collation, so that a comparison uses the column's index."""
        if self.kind == "text":
            return f"CONVERT({value} USING {self.charset}) COLLATE {self.collation}"
        return f"CAST({value} AS {_CASTS[self.kind]})" if self.kind in _CASTS else value


_KINDS = dict.fromkeys(TEXT_TYPES, "text") | {
    "enum": "text",
    "binary": "binary",
    "varbinary": "binary",
    "date": "date",
    "datetime": "datetime",
}
_CASTS = {"date": "DATE", "datetime": "DATETIME(6)"}


@dataclass(frozen=True)
class Target:
    """The table of an entity as a server has it.

    - `key` has the entity's key columns.
    - `own_keys` names the unique keys on the key columns alone, `numbered_keys` those of an AUTO_INCREMENT column.
    - `ordered_by` is one of the own keys, the primary key if it is one, and `order` has the indexes of its columns in
      `key`.
    - `checks` find values that the server would change silently, `limits` those that it would refuse.
    - `vacant` says what may fill a column to free its unique value for a moment: "null", "text" or nothing.
    - `row_word` goes before each row of a table value constructor: MySQL requires it, MariaDB does not know it.
    - `native_json` names the columns of MySQL's JSON type, which writes a document in its own way.
    - `is_plain`: the table looks as if the schema step had made it, with mapped columns under their own primary key and
      no trigger. On any other table, the keys of written rows are checked, because a trigger may change them.
    """

    entity: Entity
    key: tuple[KeyColumn, ...]
    other_unique_keys: tuple[UniqueKey, ...] = ()
    own_keys: tuple[str, ...] = ("PRIMARY",)
    numbered_keys: tuple[str, ...] = ()
    checks: tuple[ValueCheck, ...] = ()
    limits: tuple[ValueCheck, ...] = field(default=(), compare=False)
    vacant: tuple[tuple[str, str], ...] = ()
    row_word: str = ""
    native_json: frozenset[str] = frozenset()
    is_plain: bool = True
    ordered_by: str = "PRIMARY"
    order: tuple[int, ...] = (0,)

    @property
    def table(self) -> str:
        return self.entity.table

    @cached_property
    def insert_head(self) -> str:
        return f"INSERT INTO `{self.table}` ({', '.join(f'`{c.name}`' for c in self.entity.columns)}) VALUES "

    @property
    def insert_tail(self) -> str:
        return ""

    @cached_property
    def update_head(self) -> str:
        return f"UPDATE {self._rows(len(self.entity.columns))}"

    @cached_property
    def update_tail(self) -> str:
        return self._set([column.name for column in self.entity.columns[len(self.key) :]])

    def patch(self, columns: Sequence[str]) -> tuple[str, str]:
        """Head and tail of a statement that changes `columns` alone; its rows are the key and their values."""
        return f"UPDATE {self._rows(len(self.key) + len(columns))}", self._set(columns)

    @cached_property
    def delete_head(self) -> str:
        return f"DELETE t FROM {self._rows(len(self.key))}"

    @cached_property
    def delete_tail(self) -> str:
        return self._join()

    def found(self, columns: Sequence[str]) -> tuple[str, str]:
        """Head and tail of a statement that reads `columns` of rows.

        Its rows are a number and a key. It answers the number and the values of each row that exists.
        """
        names = "".join(f", t.`{name}`" for name in columns)
        return f"SELECT n.c0{names} FROM {self._rows(1 + len(self.key))}", self._join(1)

    @cached_property
    def count(self) -> tuple[str, str]:
        """Head and tail of a statement that counts the rows of keys."""
        return f"SELECT COUNT(*) FROM {self._rows(len(self.key))}", self._join()

    def _rows(self, columns: int) -> str:
        # A common table expression names the columns in both dialects; a derived table does in MySQL alone.
        return f"(WITH n ({', '.join(f'c{i}' for i in range(columns))}) AS (VALUES "

    def _join(self, first: int = 0) -> str:
        """`first` is the index of the key's first column among those of the rows."""
        equal = " AND ".join(column.equals(f"n.c{i}") for i, column in enumerate(self.key, first))
        return f") SELECT * FROM n) n STRAIGHT_JOIN `{self.table}` t ON {equal}"

    def _set(self, columns: Sequence[str]) -> str:
        sets = [f"t.`{name}` = n.c{i}" for i, name in enumerate(columns, len(self.key))]
        # An entity may have key columns alone. Then this only counts the rows that exist.
        return f"{self._join()} SET {', '.join(sets) or f't.`{self.key[0].name}` = t.`{self.key[0].name}`'}"

    @cached_property
    def plain_keys(self) -> list[UniqueKey]:
        """The unique keys over which rows of different keys can clash and whose values can be read."""
        own = set(self.entity.key_names)
        return [key for key in self.other_unique_keys if key.is_plain and not own <= set(key.columns)]

    @cached_property
    def vacating(self) -> list[tuple[str, str]]:
        """One column of each other unique key that can be filled to free the row's value, and with what."""
        vacant = dict(self.vacant)
        chosen = (next((name for name in key.columns if name in vacant), None) for key in self.plain_keys)
        return [(name, vacant[name]) for name in dict.fromkeys(chosen) if name]

    def refusal(self, row: Row, *, foresee: bool = False) -> Rejection | None:
        """Why `row` must not be sent: the server would silently store something else.

        With `foresee`, also why the server would refuse it, where the column's type tells. This saves round trips.
        """
        for check in (*self.checks, *self.limits) if foresee else self.checks:
            if not check.fits(row[check.index]):
                return check.rejection
        return None

    def rejection(self, error: pymysql.MySQLError) -> Rejection | None:
        """Why the server refused a row: error name, column and unique key, but no value.

        None for an error that is not about a row.
        """
        rule, errno, message = errors.rule(error), errors.number(error), str(error.args[-1])
        if errno == ER.DUP_ENTRY:
            return self._clash(message, rule.hint)
        if not errors.is_about_a_row(error):
            return None
        if rule is errors.UNKNOWN:
            reason = f"unknown error {errno}: the rest of its batch was written without it"
            return Rejection(reason, rule.hint, errno, Kind.UNKNOWN)
        columns = [column.name for column in self.entity.columns if re.search(rf"\b{column.name}['`]", message)]
        on = f" on column {', '.join(columns)}" if columns else ""
        kind = Kind.DEFERRED if rule.verdict is Verdict.DEFER else Kind.POISON
        return Rejection(f"MySQL error {errno} ({_NAMES.get(errno or 0, 'unknown')}){on}", rule.hint, errno, kind)

    def _clash(self, message: str, hint: str) -> Rejection:
        name = _clashing_key(message)
        if name in self.numbered_keys:  # MySQL proposes the last number again and again
            reason = f"the AUTO_INCREMENT number of the new row is taken in {name}"
            return Rejection(reason, errors.EXHAUSTED.hint, ER.DUP_ENTRY, Kind.DEFERRED)
        what = "its key, except for upper and lower case or trailing spaces" if name in self.own_keys else name
        return Rejection(f"another row holds the same value of {what}", hint, ER.DUP_ENTRY, Kind.DEFERRED)


@dataclass(frozen=True)
class Targets:
    """The tables of a mapping as a server has them, in the order of its entities.

    `levels` has a number for each entity, which is higher than those of the tables that its table refers to.
    `packet_bytes` is the server's max_allowed_packet. `statement_bytes` bounds a statement where the operator has set
    no size.
    """

    mapping: Mapping
    tables: tuple[Target, ...]
    levels: tuple[int, ...] = (0,)
    packet_bytes: int = 2**24
    statement_bytes: int = 2**22

    @cached_property
    def parents_first(self) -> list[int]:
        """The indexes of the entities: a table that others refer to comes before these."""
        return sorted(range(len(self.levels)), key=self.levels.__getitem__)

    @property
    def packet_room(self) -> int:
        """The most bytes of a statement that the server takes."""
        return self.packet_bytes - _PACKET_OVERHEAD

    def statement_limit(self, chosen: int | None) -> int:
        """The most bytes of a statement of several rows; `chosen` is the operator's size, if any."""
        return min(chosen or self.statement_bytes, self.packet_room)


MOVED = Rejection(
    "a trigger changes the key of the row: it does not exist under its key after it was written",
    "change the trigger, then retry the record",
    None,
    Kind.POISON,
)
_CORRECT = "the value does not fit its column; correct the item, its next version supersedes this one"
_NAMES = {number: name for name, number in vars(ER).items() if isinstance(number, int)}


def _clashing_key(message: str) -> str:
    """`Duplicate entry '...' for key 'name'`, in MySQL 8 'table.name'; the value before it may hold anything.

    The whole text that a trigger signals may hold anything, too.
    """
    _, found, name = message.rpartition(" for key ")
    return name.strip("'`\"").rpartition(".")[2] if found else "a unique key"
