"""Columns as MySQL has them, and the rules that column types are made of. Needs no connection."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from pymysql.constants import ER

from common.changes import Value

TEXT_TYPES = ("char", "varchar", "tinytext", "text", "mediumtext", "longtext")

Check = Callable[[Value], bool]


class ActualColumn(NamedTuple):
    """A column as information_schema has it."""

    name: str
    type: str
    full_type: str
    length: int | None
    precision: int | None
    scale: int | None
    nullable: bool
    charset: str
    collation: str
    has_default: bool
    extra: str

    @property
    def numbered(self) -> bool:
        return "AUTO_INCREMENT" in self.extra

    @property
    def generated(self) -> bool:
        """DEFAULT_GENERATED is MySQL's word for a default that is an expression."""
        return "GENERATED" in self.extra.replace("DEFAULT_GENERATED", "")

    @property
    def unsigned(self) -> bool:
        return "unsigned" in self.full_type

    @property
    def optional(self) -> bool:
        """Filled by the server when a statement leaves it out."""
        return self.nullable or self.has_default or self.numbered or "GENERATED" in self.extra


class ColumnCheck(NamedTuple):
    """Which values an existing column stores as they are sent: `fits` is false for any other.

    `problem` describes the column where the server would store something else. `errno` is the error that the server
    would give.
    """

    fits: Check
    problem: str = ""
    errno: int | None = None


# The check that an existing column makes necessary; None where it stores every value.
Rule = Callable[[ActualColumn], ColumnCheck | None]


@dataclass(frozen=True, kw_only=True)
class ColumnRules:
    """What a column type with its options is in MySQL.

    `ddl` is the type of a new column, without NULL or NOT NULL. `need` says what an existing column must be;
    None where it holds every value that the mapping allows. `checks` find values that an existing column would
    store changed, without an error; `limits` those that it would refuse.
    """

    ddl: str
    need: Callable[[ActualColumn], str | None]
    checks: tuple[Rule, ...]
    limits: tuple[Rule, ...]


def holds_null(actual: ActualColumn) -> ColumnCheck | None:
    return None if actual.nullable else ColumnCheck(lambda value: value is not None, errno=ER.BAD_NULL_ERROR)


# Text


def text_need(actual: ActualColumn, length: int) -> str | None:
    """For `ColumnRules.need`, of a text of at most `length` characters."""
    fits = actual.type in TEXT_TYPES and (actual.length or 0) >= length
    return None if fits else f"a text of at least {length} characters"


def is_enum_value(actual: ActualColumn) -> ColumnCheck | None:
    """An ENUM takes '2' for its second value, and 'paid' for PAID: https://dev.mysql.com/doc/refman/8.4/en/enum.html"""
    if actual.type != "enum":
        return None
    return ColumnCheck((enum_values(actual.full_type) | {None}).__contains__, "is an ENUM without this value")


def keeps_trailing_blanks(actual: ActualColumn) -> ColumnCheck | None:
    """Source: https://dev.mysql.com/doc/refman/8.4/en/char.html"""
    if actual.type != "char":
        return None
    problem = "is a CHAR, which drops the blanks at the end of this value"
    return ColumnCheck(lambda value: not str(value).endswith(" "), problem)


def fits_length(actual: ActualColumn) -> ColumnCheck | None:
    if actual.type not in ("char", "varchar"):
        return None
    most = actual.length or 0
    return ColumnCheck(  # the server cuts blanks at the end
        lambda value: value is None or len(str(value).rstrip(" ")) <= most, errno=ER.DATA_TOO_LONG
    )


def fits_character_set(actual: ActualColumn) -> ColumnCheck | None:
    if actual.charset not in _LAST_CHARACTER:
        return None
    last = _LAST_CHARACTER[actual.charset]
    return ColumnCheck(
        lambda value: value is None or max(str(value), default="") <= last, errno=ER.TRUNCATED_WRONG_VALUE_FOR_FIELD
    )


_LAST_CHARACTER = {"ascii": "\x7f", "utf8": "\uffff", "utf8mb3": "\uffff", "ucs2": "\uffff"}


def enum_values(enum: str) -> frozenset[Value]:
    r"""The values of `enum('a','it''s')`; the server writes a quote twice and escapes with backslashes."""
    texts = re.findall(r"'((?:[^'\\]|''|\\.)*)'", enum, re.DOTALL)
    return frozenset(re.sub(r"\\(.)|''", lambda found: _ESCAPED.get(found[1], found[1] or "'"), text) for text in texts)


_ESCAPED = {"n": "\n", "r": "\r", "0": "\0", "Z": "\x1a"}

# Numbers


def decimal_need(actual: ActualColumn, precision: int, scale: int) -> str | None:
    """For `ColumnRules.need`, of a number of `precision` digits, `scale` of them behind the point."""
    digits = (actual.precision or 0) - (actual.scale or 0)
    fits = actual.type == "decimal" and (actual.scale or 0) >= scale and digits >= precision - scale
    return None if fits else f"DECIMAL({precision},{scale}) or wider"


def fits_digits(actual: ActualColumn) -> ColumnCheck | None:
    if actual.type != "decimal":
        return None
    bound = Decimal(10) ** ((actual.precision or 0) - (actual.scale or 0))
    least = Decimal(0) if actual.unsigned else -bound
    return ColumnCheck(
        lambda value: value is None or (least <= Decimal(value) < bound and Decimal(value) != -bound),
        errno=ER.WARN_DATA_OUT_OF_RANGE,
    )


def holds_integer(actual: ActualColumn, highest: int) -> ColumnCheck | None:
    """None where the column holds every integer from 0 to `highest`, or is no integer of known size."""
    if actual.type not in _INTEGER_BITS:
        return None
    bits = _INTEGER_BITS[actual.type]
    last = int(2 ** (bits if actual.unsigned else bits - 1)) - 1
    if last >= highest:
        return None
    return ColumnCheck(
        lambda value: value is None or int(value) <= last, f"is {actual.full_type}, which ends at {last}"
    )


_INTEGER_BITS = {"tinyint": 8, "smallint": 16, "mediumint": 24, "int": 32}
