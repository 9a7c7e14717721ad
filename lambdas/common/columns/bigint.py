"""A whole number of 64 bits."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from common.columns.column_type import AttributeValue, ColumnType, Decoder, option
from common.mysql.columns import ColumnRules, holds_integer
from common.poison import PoisonError

_LOWEST, _HIGHEST = -(2**63), 2**63 - 1
_is_whole = re.compile(r"(?:-?[0-9]{1,19},)*", re.ASCII).fullmatch


@dataclass(frozen=True)
class BigintType(ColumnType, name="bigint", python=int):
    """A number outside `minimum` and `maximum` is poison."""

    minimum: int = option(_LOWEST, _HIGHEST, default=_LOWEST)
    maximum: int = option(_LOWEST, _HIGHEST, default=_HIGHEST)

    def decoder(self, attribute: str) -> Decoder[int]:
        def decode(values: Sequence[AttributeValue]) -> list[int]:
            texts = [value["N"] for value in values]
            if not _is_whole(",".join([*texts, ""])):
                raise PoisonError(f"attribute {attribute} is not a whole number")
            numbers = list(map(int, texts))
            if min(numbers) < self.minimum or max(numbers) > self.maximum:
                raise PoisonError(f"attribute {attribute} is not between {self.minimum} and {self.maximum}")
            return numbers

        return decode

    @property
    def mysql(self) -> ColumnRules:
        return ColumnRules(
            ddl="BIGINT",
            need=lambda actual: None if actual.type in ("int", "bigint") else "INT or BIGINT",
            checks=(partial(holds_integer, highest=self.maximum),),
            limits=(),
        )
