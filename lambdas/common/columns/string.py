"""Text of at most so many characters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from common.columns.column_type import AttributeValue, ColumnType, Decoder, option, switch
from common.mysql.columns import (
    ColumnRules,
    fits_character_set,
    fits_length,
    is_enum_value,
    keeps_trailing_blanks,
    text_need,
)
from common.poison import PoisonError

_HINT = "a key cannot be changed: write the item again under a valid key, delete this item, then discard its records"


@dataclass(frozen=True)
class StringType(ColumnType, name="string", python=str):
    """`length` is in characters. With `ascii`, the text is 1 or more printable ASCII characters without spaces.

    No collation treats two of such texts as equal, except for case.
    """

    length: int = option(1, 16_383)
    ascii: bool = switch()

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

        def decode_ascii(values: Sequence[AttributeValue]) -> list[str]:
            texts = [value["S"] for value in values]
            together = "".join(texts)
            if not (
                together.isascii()
                and together.isprintable()
                and " " not in together
                and "" not in texts
                and len(max(texts, key=len)) <= limit
            ):
                message = f"attribute {attribute} is not 1 to {limit} printable ASCII characters without spaces"
                raise PoisonError(message, _HINT)
            return texts

        return decode_ascii if self.ascii else decode

    @property
    def mysql(self) -> ColumnRules:
        if self.ascii:
            return ColumnRules(
                ddl=f"VARCHAR({self.length}) CHARACTER SET ascii COLLATE ascii_bin",
                need=lambda actual: text_need(actual, self.length),
                checks=(),
                limits=(),
            )
        return ColumnRules(
            ddl=f"VARCHAR({self.length})",
            need=lambda actual: None if actual.type == "enum" else text_need(actual, self.length),
            checks=(is_enum_value, keeps_trailing_blanks),
            limits=(fits_length, fits_character_set),
        )
