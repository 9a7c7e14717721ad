"""Which column type holds the sampled values of an attribute exactly. Pure.

A type is proposed only if its own decoder takes every sampled value. What the sample does not show, such as whether a
number is a time, is asked in the field "comment".
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from backstream.mapping.items import Item
from common.columns import TYPES
from common.columns.column_type import AttributeValue, ColumnType
from common.columns.option import OptionError
from common.mapping import AttributePath
from common.paths import value_at
from common.poison import PoisonError

Declared = dict[str, Any]  # fields of a column in a mapping

_LENGTHS = (16, 32, 64, 128, 255, 512, 1024, 2048)
_BINARY_LENGTHS = (*_LENGTHS, 4096)
_HEAD_ROOM = 1.25
# 2001 to 2103. A number in this range may also be a count, so a comment asks.
_SECONDS, _MILLISECONDS = range(10**9, 42 * 10**8), range(10**12, 42 * 10**11)
_INT = range(-(2**31), 2**31)
_BIGINT = range(-(2**63), 2**63)
_INT_HEAD_ROOM = 100
_DIGITS = 38  # of a DynamoDB number
_BOOLEANS = (("Y", "N"), ("y", "n"), ("YES", "NO"), ("yes", "no"), ("true", "false"), ("TRUE", "FALSE"), ("T", "F"))


class Attribute(NamedTuple):
    """What a sample shows of a path: its `values` in DynamoDB JSON, and how many items lack it or have NULL there."""

    path: AttributePath
    values: list[AttributeValue]
    absent: int = 0
    nulls: int = 0

    @property
    def kinds(self) -> set[str]:
        """The DynamoDB types of the values, such as S and N."""
        return {next(iter(value)) for value in self.values}

    @property
    def texts(self) -> list[Any]:
        """What is inside the values, where they are of one DynamoDB type."""
        return [next(iter(value.values())) for value in self.values]


def attribute_of(items: Iterable[Item], path: AttributePath) -> Attribute:
    """What `items` show at `path`."""
    found = [value_at(item, path) for item in items]
    present = [value for value in found if value is not None]
    values = [value for value in present if "NULL" not in value]
    return Attribute(path, values, len(found) - len(present), len(present) - len(values))


def infer(attribute: Attribute) -> Declared:
    """The type with its options, and perhaps a comment."""
    if not attribute.values:
        return {"type": "json", "comment": "the sample has no value here: choose the type"}
    if len(attribute.kinds) > 1:
        kinds = ", ".join(sorted(attribute.kinds))
        return _json(
            attribute, f"the sample has values of several DynamoDB types here ({kinds}), which only json holds"
        )
    (kind,) = attribute.kinds
    return _BY_KIND.get(kind, _json)(attribute)


def holds(declared: Declared, attribute: Attribute) -> bool:
    """Whether a column declared so takes every value of the attribute."""
    return _accepts(lambda: column_type(declared).decoder("")(attribute.values))


def holds_key(declared: Declared, texts: Sequence[str]) -> bool:
    """Whether a key column declared so takes every one of these parts of a string key."""
    return _accepts(lambda: column_type(declared).in_key().key_decoder("")(texts))


def column_type(declared: Declared) -> ColumnType:
    """Raises KeyError or OptionError for a declaration that is not a type."""
    options = {name: value for name, value in declared.items() if name not in ("type", "comment")}
    return TYPES[declared["type"]].with_options(options)


def first_that_holds(candidates: Iterable[Declared], attribute: Attribute) -> Declared | None:
    return next((one for one in candidates if holds(one, attribute)), None)


def string_type(texts: Sequence[str]) -> Declared:
    """A string with head room; a text where it is long."""
    longest = max(map(len, texts))
    length = _with_head_room(longest, _LENGTHS)
    return {"type": "string", "length": length} if length else {"type": "text"}


def is_printable_ascii(texts: Iterable[str]) -> bool:
    """What the option "ascii" of a string demands."""
    return all(re.fullmatch(r"[!-~]+", text) for text in texts)


def _accepts(decode: Callable[[], Any]) -> bool:
    try:
        decode()
    except (PoisonError, OptionError, KeyError, TypeError, AttributeError):
        return False
    return True


def _with_head_room(size: int, steps: Sequence[int]) -> int | None:
    return next((step for step in steps if step >= size * _HEAD_ROOM), None)


# Each of these has the type of the values of one DynamoDB type.


def _text(attribute: Attribute) -> Declared:
    if found := first_that_holds(_TEXT_CANDIDATES, attribute):
        return dict(found)
    if found := _boolean_words(attribute.texts):
        return found
    declared = string_type(attribute.texts)
    if zoneless := first_that_holds(_ZONELESS, attribute):
        fraction = zoneless["fraction"]
        return declared | {
            "comment": "dates and times without a zone: where they are UTC, write"
            f' "type": "datetime", "fraction": {fraction}, "as": "iso8601_utc"'
        }
    if holds({"type": "bigint", "as": "string"}, attribute):
        return declared | {"comment": 'whole numbers: as numbers they are "type": "bigint", "as": "string"'}
    return declared


_TEXT_CANDIDATES: tuple[Declared, ...] = (
    {"type": "uuid"},
    {"type": "date"},
    {"type": "time"},
    {"type": "datetime", "fraction": 0, "comment": "no fraction of a second in the sample; it is stored in UTC"},
    {"type": "datetime", "fraction": 3, "comment": "3 digits of a second in the sample; it is stored in UTC"},
    {"type": "datetime", "fraction": 6, "comment": "6 digits of a second in the sample; it is stored in UTC"},
)
_ZONELESS: tuple[Declared, ...] = tuple(
    {"type": "datetime", "fraction": fraction, "as": "iso8601_utc"} for fraction in (0, 3, 6)
)


def _boolean_words(texts: Sequence[str]) -> Declared | None:
    for true, false in _BOOLEANS:
        if set(texts) == {true, false}:
            words = {"true": true, "false": false}
            return {"type": "boolean", "as": words, "comment": "the two values look like yes and no"}
    return None


def _number(attribute: Attribute) -> Declared:
    numbers = [Decimal(text) for text in attribute.texts]
    if all(number == number.to_integral_value() for number in numbers):
        return _integer([int(number) for number in numbers])
    scale = max(-int(number.as_tuple().exponent) for number in numbers)
    digits = max(max(number.adjusted() + 1, 0) for number in numbers)
    scale += scale % 2  # 2, 4, 6: cents, or hundredths of them
    if digits + scale > _DIGITS:
        return {
            "type": "string",
            "length": 255,
            "as": "number",
            "comment": "numbers too long for DECIMAL, kept as text",
        }
    return {"type": "decimal", "precision": min(max(19, digits + scale + 4), _DIGITS), "scale": scale}


def _integer(numbers: Sequence[int]) -> Declared:
    lowest, highest = min(numbers), max(numbers)
    for span, unit in ((_SECONDS, "epoch_seconds"), (_MILLISECONDS, "epoch_milliseconds")):
        if lowest in span and highest in span:
            fraction = 0 if span is _SECONDS else 3
            return {
                "type": "bigint",
                "comment": f'perhaps a time: then write "type": "datetime", "fraction": {fraction}, "as": "{unit}"',
            }
    if lowest * _INT_HEAD_ROOM in _INT and highest * _INT_HEAD_ROOM in _INT:
        return {"type": "int"}
    if lowest in _BIGINT and highest in _BIGINT:
        return {"type": "bigint"}
    digits = max(len(str(abs(number))) for number in numbers)
    if digits > _DIGITS:
        return {
            "type": "string",
            "length": 255,
            "as": "number",
            "comment": "numbers too long for DECIMAL, kept as text",
        }
    return {"type": "decimal", "precision": _DIGITS, "scale": 0}


def _boolean(_: Attribute) -> Declared:
    return {"type": "boolean"}


def _binary(attribute: Attribute) -> Declared:
    sizes = {len(base64.b64decode(text)) for text in attribute.texts}
    if sizes == {16}:
        return {"type": "binary", "length": 16, "comment": "always 16 bytes in the sample"}
    length = _with_head_room(max(sizes), _BINARY_LENGTHS)
    if length:
        return {"type": "binary", "length": length}
    return {"type": "json", "comment": "long binary values, which json holds as base64"}


def _json(attribute: Attribute, comment: str = "") -> Declared:
    """Exact in any case: numbers that JSON would round in MySQL become strings."""
    exact = holds({"type": "json"}, attribute)
    comments = [comment, "" if exact else "has numbers that MySQL's JSON would round, so they are kept as strings"]
    declared: Declared = {"type": "json"} if exact else {"type": "json", "numbers": "string"}
    said = "; ".join(filter(None, comments))
    return declared | ({"comment": said} if said else {})


def _map(attribute: Attribute) -> Declared:
    names = sorted({name for inner in attribute.texts for name in inner})
    example = (*attribute.path, names[0]) if names else attribute.path
    return _json(attribute, f'a map: a column of one of its names has "from": {_quoted(example)}')


def _quoted(path: AttributePath) -> str:
    return json.dumps(list(path), ensure_ascii=False)


_BY_KIND: dict[str, Callable[[Attribute], Declared]] = {
    "S": _text,
    "N": _number,
    "BOOL": _boolean,
    "B": _binary,
    "M": _map,
}
