"""Exact decimal numbers: nothing is ever rounded."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import cache

from common.columns.column_type import ContentDecoder
from common.columns.number import WIDE, NumberType, number
from common.columns.option import choice, integer
from common.mysql.columns import ColumnRules, decimal_need, fits_digits
from common.poison import PoisonError


@dataclass(frozen=True)
class DecimalType(NumberType, name="decimal"):
    """`precision` counts all digits, `scale` those after the point."""

    precision: int = integer("precision", 1, 65, "all digits, before and after the point")
    scale: int = integer("scale", 0, 30, "the digits after the point")
    conversion: str | None = choice("as", ("string",), "the item has the number in a string")

    @property
    def python(self) -> type:
        return Decimal

    def conflicts(self) -> Sequence[str]:
        return ["scale must not be above precision"] if self.scale > self.precision else ()

    def number_decoder(self, subject: str) -> ContentDecoder[Decimal]:
        digits, scale = self.precision - self.scale, self.scale
        fits, all_fit = _patterns(digits, scale)
        step, bound = Decimal(1).scaleb(-scale), Decimal(10) ** digits

        def decode(texts: Sequence[str]) -> list[Decimal]:
            try:
                if all_fit(",".join([*texts, ""])):
                    return list(map(Decimal, texts))
            except InvalidOperation:
                pass  # a text holds a comma
            return [exact(text) for text in texts]

        def exact(text: str) -> Decimal:
            if fits(text):
                return Decimal(text)
            found = number(text)
            try:
                # Turns 2E+2 into 200: an exponent in SQL is a float.
                plain = found.quantize(step, context=WIDE) if found is not None else None
            except InvalidOperation:
                plain = None
            if plain is None or plain != found or plain.copy_abs() >= bound:  # abs() would round to 28 digits
                raise PoisonError(f"{subject} does not fit DECIMAL({self.precision},{scale})")
            return plain

        return decode

    @property
    def key_bytes(self) -> int:
        """Source: https://dev.mysql.com/doc/refman/8.4/en/precision-math-decimal-characteristics.html"""
        return sum(digits // 9 * 4 + (digits % 9 + 1) // 2 for digits in (self.precision - self.scale, self.scale))

    @property
    def mysql(self) -> ColumnRules:
        return ColumnRules(
            ddl=f"DECIMAL({self.precision},{self.scale})",
            need=lambda actual: decimal_need(actual, self.precision, self.scale),
            checks=(),
            limits=(fits_digits,),
        )


Match = Callable[[str], re.Match[str] | None]


@cache
def _patterns(digits: int, scale: int) -> tuple[Match, Match]:
    """Matches one text, and matches many texts that each end with a comma."""
    # Possessive quantifiers never backtrack, so that one match of a whole column is cheap.
    fraction = rf"(?:\.\d{{1,{scale}}}+)?+" if scale else ""
    whole = rf"\d{{1,{digits}}}+" if digits > 0 else "0"
    text = f"-?+{whole}{fraction}"
    return re.compile(text, re.ASCII).fullmatch, re.compile(f"(?:{text},)*+", re.ASCII).fullmatch
