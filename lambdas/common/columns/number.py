"""Numbers as DynamoDB writes them, and the base class of the types that are made of them."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Sequence
from decimal import Context, Decimal
from typing import Any

from common.columns.column_type import ColumnType, ContentDecoder
from common.poison import PoisonError

WIDE = Context(prec=80)  # DynamoDB has 38 digits, MySQL 65: nothing is rounded here

_is_number = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,9})?", re.ASCII).fullmatch
_is_plain = re.compile(r"-?[0-9]+(?:\.[0-9]+)?", re.ASCII).fullmatch
_is_plain_whole = re.compile(r"-?[0-9]+", re.ASCII).fullmatch
# Each number has one text of this form.
_all_canonical = re.compile(r"(?:(?:0|-?[1-9][0-9]*|-?(?:0|[1-9][0-9]*)\.[0-9]*[1-9]),)*+", re.ASCII).fullmatch


def number(text: str) -> Decimal | None:
    """The exact number of a DynamoDB text; None if it is not a number. Raises TypeError if it is not a text."""
    return Decimal(text) if _is_number(text) else None


def plain_text(text: str, subject: str) -> str:
    """The one text of a number: no exponent, no plus sign, no redundant zero. Raises PoisonError."""
    found = number(text)
    if found is None or abs(found.adjusted()) > _LARGEST:
        raise PoisonError(f"{subject} is not a number")
    return format(found.normalize(Context(prec=len(text))), "f") if found else "0"


# DynamoDB's exponents end at 125 and -130. A much larger one would fill the memory.
_LARGEST = 1_000


# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
_MOST_DIGITS = 38
_EXPONENTS = range(-130, 126)


def dynamodb_text(value: int | Decimal) -> str:
    """A number as DynamoDB holds it, in plain notation. Raises PoisonError for one that it cannot hold."""
    exact = Decimal(value).normalize(Context(prec=400))
    if not exact:
        return "0"
    if len(exact.as_tuple().digits) > _MOST_DIGITS or exact.adjusted() not in _EXPONENTS:
        raise PoisonError(f"is a number that DynamoDB cannot hold: it has {_MOST_DIGITS} digits and exponents to 125")
    return format(exact, "f")


class NumberType(ColumnType):
    """A column of numbers. The item has a number, or with `conversion` a string with one in plain notation."""

    conversion: str | None

    @property
    def kind(self) -> str:
        return "S" if self.conversion else "N"

    @abstractmethod
    def number_decoder(self, subject: str) -> ContentDecoder[Any]:
        """`content_decoder` for texts of numbers in any notation."""

    def content_decoder(self, subject: str) -> ContentDecoder[Any]:
        decode = self.number_decoder(subject)
        if not self.conversion:
            return decode
        is_plain = _is_plain_whole if self.python is int else _is_plain

        def decode_strings(texts: Sequence[str]) -> Sequence[Any]:
            if not all(map(is_plain, texts)):
                raise PoisonError(f"{subject} is not a number in plain notation")
            return decode(texts)

        return decode_strings

    def content(self, value: Any) -> str:
        return format(Decimal(value), "f") if self.conversion else dynamodb_text(value)

    def key_decoder(self, subject: str) -> ContentDecoder[Any]:
        decode = self.number_decoder(subject)

        def decode_canonical(texts: Sequence[str]) -> Sequence[Any]:
            if any("," in text for text in texts) or not _all_canonical(",".join([*texts, ""])):
                raise PoisonError(f"{subject} is not a number in its shortest notation")
            return decode(texts)

        return decode_canonical

    def literal(self, value: Any) -> Any:
        if type(value) not in (int, Decimal, str) or (type(value) is str and not _is_plain(value)):
            raise ValueError("must be a number")
        return self.number_decoder("the value")([str(value)])[0]
