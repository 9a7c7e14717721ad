"""Text of at most so many characters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from common.columns.column_type import AttributeValue, ColumnType, Decoder, option
from common.mysql.columns import (
    ColumnRules,
    fits_character_set,
    fits_length,
    is_enum_value,
    keeps_trailing_blanks,
    text_need,
)
from common.poison import PoisonError


@dataclass(frozen=True)
class StringType(ColumnType, name="string", python=str):
    """`length` is in characters."""

    length: int = option(1, 16_383)

    def decoder(self, attribute: str) -> Decoder[str]:
        limit = self.length

        def decode(values: Sequence[AttributeValue]) -> list[str]:
            texts = [value["S"] for value in values]
            if len(max(texts, key=len)) > limit:
                raise PoisonError(f"attribute {attribute} is longer than {limit} characters")
            together = "".join(texts)
            if not together.isascii():
                try:
                    together.encode()
                except UnicodeEncodeError:
                    raise PoisonError(f"attribute {attribute} is not valid Unicode") from None
            return texts

        return decode

    @property
    def mysql(self) -> ColumnRules:
        return ColumnRules(
            ddl=f"VARCHAR({self.length})",
            need=lambda actual: None if actual.type == "enum" else text_need(actual, self.length),
            checks=(is_enum_value, keeps_trailing_blanks),
            limits=(fits_length, fits_character_set),
        )
