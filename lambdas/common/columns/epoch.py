"""A time in whole epoch seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from common.columns.column_type import AttributeValue, ColumnType, Decoder, option
from common.mysql.columns import ColumnRules, holds_integer
from common.poison import PoisonError

_DIGITS = 11


@dataclass(frozen=True)
class EpochType(ColumnType, name="epoch", python=int):
    """`length` has no effect: the schema of mappings has always accepted it."""

    length: int | None = option(1, 16_383, default=None)

    def decoder(self, attribute: str) -> Decoder[int]:
        def decode(values: Sequence[AttributeValue]) -> list[int]:
            texts = [value["N"] for value in values]
            together = "".join(texts)
            if not (
                together.isascii() and together.isdigit() and "" not in texts and len(max(texts, key=len)) <= _DIGITS
            ):
                raise PoisonError(f"attribute {attribute} is not a time in whole epoch seconds")
            return list(map(int, texts))

        return decode

    @property
    def mysql(self) -> ColumnRules:
        return ColumnRules(
            ddl="BIGINT",
            need=lambda actual: None if actual.type in ("int", "bigint") else "INT or BIGINT for epoch seconds",
            checks=(partial(holds_integer, highest=10**_DIGITS - 1),),
            limits=(),
        )
