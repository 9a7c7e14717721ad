"""The item's key: a string that MySQL compares exactly as Python does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from common.columns.column_type import AttributeValue, ColumnType, Decoder, option
from common.mysql.columns import ColumnRules, text_need
from common.poison import PoisonError

_HINT = "a key cannot be changed: write the item again under a valid key, delete this item, then discard its records"


@dataclass(frozen=True)
class KeyType(ColumnType, name="key", python=str, may_be_null=False):
    """Exactly one column of a table has this type. `length` is in characters."""

    length: int = option(1, 255)

    def decoder(self, attribute: str) -> Decoder[str]:
        limit = self.length

        def decode(values: Sequence[AttributeValue]) -> list[str]:
            texts = [value["S"] for value in values]
            together = "".join(texts)
            # Printable ASCII without blanks: no collation treats two different keys as equal, except for case. The
            # writer handles case.
            if not (
                together.isascii()
                and together.isprintable()
                and " " not in together
                and "" not in texts
                and len(max(texts, key=len)) <= limit
            ):
                message = f"key {attribute} is not 1 to {limit} printable ASCII characters without spaces"
                raise PoisonError(message, _HINT)
            return texts

        return decode

    @property
    def mysql(self) -> ColumnRules:
        return ColumnRules(
            ddl=f"VARCHAR({self.length}) CHARACTER SET ascii COLLATE ascii_bin",
            need=lambda actual: text_need(actual, self.length),
            checks=(),
            limits=(),
        )
