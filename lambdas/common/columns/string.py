"""Text of at most so many characters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from common.characters import PRINTABLE, only
from common.columns.column_type import ColumnType, ContentDecoder
from common.columns.number import dynamodb_text, number, plain_text
from common.columns.option import choice, integer, switch
from common.mysql.columns import (
    ActualColumn,
    ColumnRules,
    fits_character_set,
    fits_length,
    folding_need,
    is_enum_value,
    keeps_trailing_blanks,
    text_need,
)
from common.poison import PoisonError

_MOST_BYTES = 4  # of a character in utf8mb4
_is_printable = only(PRINTABLE)


@dataclass(frozen=True)
class StringType(ColumnType, name="string"):
    """With `ascii`, the text is 1 or more printable ASCII characters without spaces.

    No collation treats two of such texts as equal, except for case.
    """

    length: int = integer("length", 1, 16_383, "the maximum number of characters")
    ascii: bool = switch("ascii", "only printable ASCII characters without spaces, at least one")
    conversion: str | None = choice("as", ("number",), "the item has a number; the column gets its plain text")
    is_key: bool = False

    @property
    def python(self) -> type:
        return str

    @property
    def kind(self) -> str:
        return "N" if self.conversion else "S"

    def content_decoder(self, subject: str) -> ContentDecoder[str]:
        limit, is_key = self.length, self.is_key

        def decode(texts: Sequence[str]) -> Sequence[str]:
            if len(max(texts, key=len)) > limit:
                raise PoisonError(f"{subject} is longer than {limit} characters")
            require_unicode(texts, subject)
            if is_key and any(text.endswith(" ") for text in texts):
                raise PoisonError(f"{subject} ends with a space, which MySQL ignores when it compares keys")
            return texts

        def decode_ascii(texts: Sequence[str]) -> Sequence[str]:
            if "" in texts or len(max(texts, key=len)) > limit or not _is_printable("".join(texts)):
                raise PoisonError(f"{subject} is not 1 to {limit} printable ASCII characters without spaces")
            return texts

        decode_text = decode_ascii if self.ascii else decode
        if self.conversion:
            return lambda texts: decode_text([plain_text(text, subject) for text in texts])
        return decode_text

    def literal(self, value: Any) -> str:
        if type(value) is not str:
            raise ValueError("must be a string")
        return replace(self, conversion=None).content_decoder("the value")([value])[0]

    def content(self, value: Any) -> str:
        if not self.conversion:
            return str(value)
        found = number(value)
        if found is None:
            raise PoisonError("is not a number")
        return dynamodb_text(found)

    @property
    def key_bytes(self) -> int:
        return self.length if self.ascii else self.length * _MOST_BYTES

    def in_key(self) -> Self:
        return replace(self, is_key=True)

    @property
    def mysql(self) -> ColumnRules:
        if self.ascii:
            return ColumnRules(
                ddl=f"VARCHAR({self.length}) CHARACTER SET ascii COLLATE ascii_bin",
                need=lambda actual: text_need(actual, self.length),
                checks=(),
                limits=(),
            )
        if self.is_key:
            return ColumnRules(
                ddl=f"VARCHAR({self.length}) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
                need=lambda actual: text_need(actual, self.length) or folding_need(actual),
                checks=(),
                limits=(fits_length, fits_character_set),
            )
        return ColumnRules(
            ddl=f"VARCHAR({self.length})",
            need=self._need,
            checks=(is_enum_value, keeps_trailing_blanks),
            limits=(fits_length, fits_character_set),
        )

    def _need(self, actual: ActualColumn) -> str | None:
        return None if actual.type == "enum" else text_need(actual, self.length)


def require_unicode(texts: Sequence[str], subject: str) -> None:
    """Raises PoisonError for a text that UTF-8 cannot encode, TypeError for anything but a text."""
    together = "".join(texts)
    if not together.isascii():
        try:
            together.encode()
        except UnicodeEncodeError:
            raise PoisonError(f"{subject} is not valid Unicode") from None
