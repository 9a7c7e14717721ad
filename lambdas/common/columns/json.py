"""Any attribute as a JSON document."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from json.encoder import encode_basestring
from typing import Any, NoReturn

from common.columns.binary import from_base64
from common.columns.column_type import AttributeValue, ColumnType, ContentDecoder
from common.columns.number import dynamodb_text, number, plain_text
from common.columns.option import choice
from common.columns.string import require_unicode
from common.mysql.columns import ColumnRules, fits_character_set, json_need, same_document
from common.poison import PoisonError

_LOWEST, _HIGHEST = -(2**63), 2**64 - 1  # the whole numbers that MySQL's JSON holds as such
_SAFE_DIGITS = 18


@dataclass(frozen=True)
class JsonType(ColumnType, name="json"):
    """The text has sorted names, sorted sets, and no spaces; bytes are base64.

    MySQL holds a number as a 64-bit integer or a double. A number that is neither is poison, or a string where
    `numbers` says so.
    """

    numbers: str | None = choice("numbers", ("string",), "write every number as a string, exactly")

    @property
    def python(self) -> type:
        return str

    @property
    def kind(self) -> str:
        return ""

    def content_decoder(self, subject: str) -> ContentDecoder[str]:
        document = _Writer(subject, numbers_as_strings=self.numbers == "string").document

        def decode(values: Sequence[AttributeValue]) -> Sequence[str]:
            try:
                texts = [document(value) for value in values]
            except ValueError:
                raise PoisonError(f"{subject} is not a DynamoDB value") from None
            except RecursionError:
                raise PoisonError(f"{subject} is nested too deeply") from None
            require_unicode(texts, subject)
            return texts

        return decode

    def content(self, value: Any) -> AttributeValue:
        """Numbers are numbers, objects maps and arrays lists. No text says what was a set or bytes."""
        try:
            return _attribute_value(_parse(value), dynamodb_text)
        except RecursionError:
            raise PoisonError("is nested too deeply") from None

    @property
    def lossy(self) -> str:
        return '"numbers": "string" makes a string of a number, and no text says which it was' if self.numbers else ""

    def canonical(self, value: Any) -> Any:
        """MySQL has its own order of names and its own spaces."""
        try:
            return self.content_decoder("")([_attribute_value(_parse(value))])[0]
        except (ValueError, PoisonError, RecursionError, TypeError):
            return value

    def literal(self, value: Any) -> str:
        return self.content_decoder("the value")([_attribute_value(value)])[0]

    @property
    def mysql(self) -> ColumnRules:
        return ColumnRules(ddl="JSON", need=json_need, checks=(), limits=(fits_character_set,), same=same_document)


class _Writer:
    """Its functions raise PoisonError, ValueError and TypeError for what DynamoDB never sends."""

    def __init__(self, subject: str, *, numbers_as_strings: bool) -> None:
        self._subject = subject
        self._number = self._quoted_number if numbers_as_strings else self._exact_number
        self._writers = {
            "S": encode_basestring,
            "N": self._number,
            "BOOL": {True: "true", False: "false"}.__getitem__,
            "NULL": {True: "null"}.__getitem__,
            "B": _bytes,
            "M": self._map,
            "L": self._list,
            "SS": lambda texts: _array(map(encode_basestring, sorted(texts))),
            "NS": lambda texts: _array(map(self._number, sorted(texts, key=Decimal))),
            "BS": lambda contents: _array(map(_bytes, sorted(contents, key=from_base64))),
        }

    def document(self, value: AttributeValue) -> str:
        [(kind, content)] = value.items()
        return self._writers[kind](content)  # type: ignore[operator, no-any-return]

    def _map(self, members: Mapping[str, AttributeValue]) -> str:
        document = self.document
        return f"{{{','.join([f'{encode_basestring(name)}:{document(members[name])}' for name in sorted(members)])}}}"

    def _list(self, values: Sequence[AttributeValue]) -> str:
        return _array(map(self.document, values))

    def _exact_number(self, text: str) -> str:
        if len(text) <= _SAFE_DIGITS and text.isascii() and text.isdigit() and (text[0] != "0" or text == "0"):
            return text
        found = number(text)
        if found is not None and found == found.to_integral_value() and _LOWEST <= found <= _HIGHEST:
            return str(int(found))
        double = repr(float(found)) if found is not None else "nan"
        if found is None or Decimal(double) != found:
            raise PoisonError(f"{self._subject} has a number that MySQL's JSON cannot hold exactly")
        return double

    def _quoted_number(self, text: str) -> str:
        return f'"{plain_text(text, self._subject)}"'


def _array(documents: Any) -> str:
    return f"[{','.join(documents)}]"


def _bytes(content: Any) -> str:
    return encode_basestring(b64encode(content).decode() if type(content) is bytes else content)


def _parse(text: str) -> Any:
    """The document with exact numbers. Raises ValueError."""
    return json.loads(text, parse_float=Decimal, parse_constant=_refuse, object_pairs_hook=_unique)


def _refuse(name: str) -> NoReturn:
    raise ValueError(name)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise PoisonError("has a name twice")
    return made


def _attribute_value(value: Any, number_text: Callable[[int | Decimal], str] = str) -> AttributeValue:
    """The DynamoDB value of a JSON value."""
    if value is None:
        return {"NULL": True}
    if type(value) is bool:
        return {"BOOL": value}
    if type(value) is str:
        return {"S": value}
    if type(value) is list:
        return {"L": [_attribute_value(inner, number_text) for inner in value]}
    if type(value) is dict:
        return {"M": {name: _attribute_value(inner, number_text) for name, inner in value.items()}}
    return {"N": number_text(value)}
