"""Exact decimal numbers: nothing is ever rounded."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Context, Decimal, InvalidOperation

from common.columns.column_type import AttributeValue, ColumnType, Decoder, option
from common.mysql.columns import ColumnRules, decimal_need, fits_digits
from common.poison import PoisonError

_WIDE = Context(prec=80)  # DynamoDB has 38 digits, MySQL 65: nothing is rounded here


@dataclass(frozen=True)
class DecimalType(ColumnType, name="decimal", python=Decimal):
    """`precision` counts all digits, `scale` those behind the point."""

    precision: int = option(1, 38)
    scale: int = option(0, 30)

    def decoder(self, attribute: str) -> Decoder[Decimal]:
        digits, scale = self.precision - self.scale, self.scale
        # Possessive quantifiers never backtrack, so that one match of a whole column is cheap.
        fraction = rf"(?:\.\d{{1,{scale}}}+)?+" if scale else ""
        whole = rf"\d{{1,{digits}}}+" if digits > 0 else "0"
        number = f"-?+{whole}{fraction}"
        fits = re.compile(number, re.ASCII).fullmatch
        all_fit = re.compile(f"(?:{number},)*+", re.ASCII).fullmatch
        step, bound = Decimal(1).scaleb(-scale), Decimal(10) ** digits

        def decode(values: Sequence[AttributeValue]) -> list[Decimal]:
            texts = [value["N"] for value in values]
            try:
                if all_fit(",".join([*texts, ""])):
                    return list(map(Decimal, texts))
            except InvalidOperation:
                pass  # a text holds a comma
            return [exact(text) for text in texts]

        def exact(text: str) -> Decimal:
            if fits(text):
                return Decimal(text)
            try:
                number = Decimal(text)
                plain = number.quantize(step, context=_WIDE)  # turns 2E+2 into 200: an exponent in SQL is a float
            except (InvalidOperation, ValueError):
                plain = number = Decimal("NaN")
            if plain != number or plain.copy_abs() >= bound:  # abs() would round to 28 digits
                raise PoisonError(f"attribute {attribute} does not fit DECIMAL({self.precision},{scale})")
            return plain

        return decode

    @property
    def mysql(self) -> ColumnRules:
        return ColumnRules(
            ddl=f"DECIMAL({self.precision},{self.scale})",
            need=lambda actual: decimal_need(actual, self.precision, self.scale),
            checks=(),
            limits=(fits_digits,),
        )
