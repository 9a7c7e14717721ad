"""Whole numbers of 8 to 64 bits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Any, ClassVar

from common.characters import DIGITS, only
from common.columns.column_type import ContentDecoder
from common.columns.number import NumberType, number
from common.columns.option import choice, integer, switch
from common.mysql.columns import ColumnRules, holds_integers, integer_need
from common.poison import PoisonError

_LOWEST, _HIGHEST = -(2**63), 2**64 - 1


@dataclass(frozen=True)
class IntegerType(NumberType):
    """A number outside `minimum` and `maximum` is poison. Without them, the column's own range counts."""

    bits: ClassVar[int]

    unsigned: bool = switch("unsigned", "no negative numbers, and a maximum twice as high")
    minimum: int | None = integer("minimum", _LOWEST, _HIGHEST, "the lowest number", default=None)
    maximum: int | None = integer("maximum", _LOWEST, _HIGHEST, "the highest number", default=None)
    conversion: str | None = choice("as", ("string",), "the item has the number in a string")

    def __init_subclass__(cls, *, name: str, bits: int) -> None:
        super().__init_subclass__(name=name)
        cls.bits = bits

    @property
    def python(self) -> type:
        return int

    @property
    def range(self) -> tuple[int, int]:
        """The lowest and the highest number."""
        lowest, highest = self._column_range
        return (
            lowest if self.minimum is None else self.minimum,
            highest if self.maximum is None else self.maximum,
        )

    @property
    def _column_range(self) -> tuple[int, int]:
        return (0, 2**self.bits - 1) if self.unsigned else (-(2 ** (self.bits - 1)), 2 ** (self.bits - 1) - 1)

    def conflicts(self) -> Sequence[str]:
        (least, most), (lowest, highest) = self.range, self._column_range
        if least > most:
            return ["maximum must not be below minimum"]
        if least < lowest or most > highest:
            return [f"minimum and maximum must be between {lowest} and {highest}, the range of the column"]
        return ()

    def number_decoder(self, subject: str) -> ContentDecoder[int]:
        lowest, highest = self.range
        digits = len(str(highest)) if lowest == 0 and set(str(highest)) == {"9"} else 0

        def decode(texts: Sequence[str]) -> Sequence[int]:
            numbers = _whole_numbers(texts) or [exact(text) for text in texts]
            if min(numbers) < lowest or max(numbers) > highest:
                raise PoisonError(f"{subject} is not between {lowest} and {highest}")
            return numbers

        def decode_digits(texts: Sequence[str]) -> Sequence[int]:
            """The same, faster, for a range that is a number of digits."""
            if "" not in texts and len(max(texts, key=len)) <= digits and _are_digits("".join(texts)):
                return list(map(int, texts))
            return decode(texts)

        def exact(text: str) -> int:
            found = number(text)
            if found is None or found.adjusted() > _MOST_DIGITS or found != found.to_integral_value():
                raise PoisonError(f"{subject} is not a whole number")
            return int(found)

        return decode_digits if digits else decode

    def canonical(self, value: Any) -> Any:
        """A DECIMAL column may hold the number."""
        return int(value) if type(value) is Decimal and value == value.to_integral_value() else value

    @property
    def key_bytes(self) -> int:
        return self.bits // 8

    @property
    def mysql(self) -> ColumnRules:
        return ColumnRules(
            ddl=f"{self.name.upper()}{' UNSIGNED' if self.unsigned else ''}",
            need=partial(integer_need, least=self.range[0], most=self.range[1]),
            checks=(),
            limits=(),
        )


_are_digits, _are_digits_and_signs = only(DIGITS), only(DIGITS + "-")
_MOST_DIGITS = 126  # of DynamoDB: the exponent of a text must not fill the memory


def _whole_numbers(texts: Sequence[str]) -> Sequence[int]:
    """The numbers if all texts are in plain notation, otherwise an empty list."""
    if _are_digits_and_signs("".join(texts)):
        try:
            return list(map(int, texts))
        except ValueError:
            pass  # empty, a minus sign elsewhere, or more digits than Python takes
    return ()


@dataclass(frozen=True)
class TinyintType(IntegerType, name="tinyint", bits=8):
    """-128 to 127, or 0 to 255."""


@dataclass(frozen=True)
class SmallintType(IntegerType, name="smallint", bits=16):
    """-32,768 to 32,767, or 0 to 65,535."""


@dataclass(frozen=True)
class IntType(IntegerType, name="int", bits=32):
    """-2,147,483,648 to 2,147,483,647, or 0 to 4,294,967,295."""


@dataclass(frozen=True)
class BigintType(IntegerType, name="bigint", bits=64):
    """64 bits. An INT column will do too: a number that it cannot hold is then poison."""

    @property
    def mysql(self) -> ColumnRules:
        lowest, highest = self.range
        return ColumnRules(
            ddl=f"BIGINT{' UNSIGNED' if self.unsigned else ''}",
            need=lambda actual: None if actual.type == "int" else integer_need(actual, lowest, highest),
            checks=(partial(holds_integers, least=lowest, most=highest),),
            limits=(),
        )
