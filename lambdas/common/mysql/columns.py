"""Columns as MySQL has them, and the rules that column types are made of. Needs no connection."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple, cast

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

    `cast` is the SQL type to compare a value in, where a statement writes it as a text that is not the value itself.
    `same` tells whether two different texts are one value; None where they never are.
    """

    ddl: str
    need: Callable[[ActualColumn], str | None]
    checks: tuple[Rule, ...]
    limits: tuple[Rule, ...]
    cast: str = ""
    same: Callable[[str, str], bool] | None = None


def holds_null(actual: ActualColumn) -> ColumnCheck | None:
    return None if actual.nullable else ColumnCheck(lambda value: value is not None, errno=ER.BAD_NULL_ERROR)


# Text


def text_need(actual: ActualColumn, length: int) -> str | None:
    """For `ColumnRules.need`, of a text of at most `length` characters."""
    fits = actual.type in TEXT_TYPES and (actual.length or 0) >= length
    return None if fits else f"a text of at least {length} characters"


def text_size_need(actual: ActualColumn, size: str, length: int) -> str | None:
    """For `ColumnRules.need`, of a text of at most `length` bytes."""
    fits = actual.type in TEXT_TYPES and (actual.length or 0) >= length
    return None if fits else f"{size.upper()} or longer"


def folding_need(actual: ActualColumn) -> str | None:
    """For `ColumnRules.need`, of a text in a key: two different texts are two keys."""
    return None if actual.collation.endswith("_bin") else "a collation that ends in _bin, or the option ascii"


def is_enum_value(actual: ActualColumn) -> ColumnCheck | None:
    """An ENUM takes '2' for its second value, and 'paid' for PAID: https://dev.mysql.com/doc/refman/8.4/en/enum.html"""
    if actual.type != "enum":
        return None
    return ColumnCheck((enum_values(actual.full_type) | {None}).__contains__, "is an ENUM without this value")


def keeps_trailing_blanks(actual: ActualColumn) -> ColumnCheck | None:
    """Source: https://dev.mysql.com/doc/refman/8.4/en/char.html"""
    if actual.type != "char":
        return None
    problem = "is a CHAR, which drops the spaces at the end of this value"
    return ColumnCheck(lambda value: not str(value).endswith(" "), problem)


def fits_length(actual: ActualColumn) -> ColumnCheck | None:
    if actual.type not in ("char", "varchar"):
        return None
    most = actual.length or 0
    return ColumnCheck(  # the server cuts spaces at the end
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
    """For `ColumnRules.need`, of a number of `precision` digits, `scale` of them after the point."""
    digits = (actual.precision or 0) - (actual.scale or 0)
    fits = actual.type == "decimal" and (actual.scale or 0) >= scale and digits >= precision - scale
    return None if fits else f"DECIMAL({precision},{scale}) or wider"


def fits_digits(actual: ActualColumn) -> ColumnCheck | None:
    if actual.type != "decimal":
        return None
    bound = Decimal(10) ** ((actual.precision or 0) - (actual.scale or 0))
    least = Decimal(0) if actual.unsigned else -bound
    return ColumnCheck(
        lambda value: value is None or (least <= Decimal(cast(Decimal, value)) < bound and value != -bound),
        errno=ER.WARN_DATA_OUT_OF_RANGE,
    )


def integer_need(actual: ActualColumn, least: int, most: int) -> str | None:
    """For `ColumnRules.need`, of whole numbers from `least` to `most`."""
    lowest, highest = _integer_range(actual)
    return None if lowest <= least and most <= highest else f"a column of whole numbers from {least} to {most}"


def holds_integers(actual: ActualColumn, least: int, most: int) -> ColumnCheck | None:
    """None where the column holds every whole number from `least` to `most`."""
    if integer_need(actual, least, most) is None:
        return None
    lowest, highest = _integer_range(actual)
    what = f"which ends at {highest}" if lowest <= highest else "no column of whole numbers"
    return ColumnCheck(lambda value: value is None or lowest <= int(value) <= highest, f"is {actual.full_type}, {what}")


def boolean_need(actual: ActualColumn) -> str | None:
    return None if actual.type in (*_INTEGER_BITS, "bit") else "TINYINT(1) or another column of whole numbers"


def _integer_range(actual: ActualColumn) -> tuple[int, int]:
    """The lowest and the highest whole number of a column; (1, 0) for one that holds none."""
    if actual.type in _INTEGER_BITS:
        bits = _INTEGER_BITS[actual.type]
        return (0, 2**bits - 1) if actual.unsigned else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    if actual.type == "decimal":
        highest = 10 ** ((actual.precision or 0) - (actual.scale or 0)) - 1
        return (0 if actual.unsigned else -highest, highest)
    return (1, 0)


_INTEGER_BITS = {"tinyint": 8, "smallint": 16, "mediumint": 24, "int": 32, "bigint": 64}

# Dates and times


def temporal_need(actual: ActualColumn, kind: str, fraction: int) -> str | None:
    """For `ColumnRules.need`, of a date, a time or a datetime. A TIMESTAMP depends on the session's time zone."""
    found = re.search(r"\((\d)\)", actual.full_type)
    fits = actual.type == kind and int(found[1] if found else 0) >= fraction
    return None if fits else f"{kind.upper()}({fraction}) or wider" if fraction else kind.upper()


def same_time(one: str, other: str) -> bool:
    """Whether two texts differ in zeros at the end of the fraction at most. A wider column adds such zeros."""
    return _without_zeros(one) == _without_zeros(other)


def _without_zeros(text: str) -> str:
    return text.rstrip("0").removesuffix(".") if "." in text else text


# Bytes


def bytes_need(actual: ActualColumn, length: int, *, padded: bool) -> str | None:
    """For `ColumnRules.need`, of `length` bytes. A BINARY adds zeros to fewer bytes: only where `padded`."""
    fits = actual.type in _BYTE_TYPES and (actual.length or 0) >= length
    if actual.type == "binary" and not padded:
        fits = actual.length == length
    return None if fits else f"BINARY({length})" if not padded else f"a column of at least {length} bytes"


def keeps_length(actual: ActualColumn) -> ColumnCheck | None:
    """Source: https://dev.mysql.com/doc/refman/8.4/en/binary-varbinary.html"""
    if actual.type != "binary":
        return None
    problem = "is a BINARY, which adds zeros to the end of this value"
    return ColumnCheck(lambda value: value is None or len(cast(bytes, value)) == actual.length, problem)


_BYTE_TYPES = ("binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob")

# Enums and documents


def enum_need(actual: ActualColumn, values: frozenset[str]) -> str | None:
    """For `ColumnRules.need`, of one of `values`."""
    if actual.type == "enum":
        # information_schema is utf8mb3: it has a question mark for a character beyond the basic plane.
        fits = {_basic(value) for value in values} <= enum_values(actual.full_type)
        return None if fits else "an ENUM with all values of the mapping"
    return text_need(actual, max(map(len, values)))


def _basic(text: str) -> str:
    return re.sub("[^\\0-\uffff]", "?", text)


def json_need(actual: ActualColumn) -> str | None:
    """MariaDB's JSON is a LONGTEXT."""
    return None if actual.type in ("json", "mediumtext", "longtext") else "JSON, or a MEDIUMTEXT or longer"


def same_document(one: str, other: str) -> bool:
    """Whether two JSON texts are one document: spaces, the order of names and the notation of numbers do not count.

    A text that is no JSON document is the same as no other. So is a document that repeats a name.
    """
    try:
        return bool(_document(one) == _document(other))
    except (ValueError, RecursionError):
        return False


def _document(text: str) -> Any:
    return json.loads(
        text, parse_int=_number, parse_float=_number, parse_constant=_refuse_constant, object_pairs_hook=_members
    )


def _number(text: str) -> tuple[Decimal]:
    """Python takes True for 1, but not for (1,)."""
    return (Decimal(text),)


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a name is repeated")
    return members


def _refuse_constant(name: str) -> Any:
    raise ValueError(name)
