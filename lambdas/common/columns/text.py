"""Long text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from common.columns.column_type import ColumnType, ContentDecoder
from common.columns.option import choice
from common.columns.string import require_unicode
from common.mysql.columns import ColumnRules, fits_character_set, text_size_need
from common.poison import PoisonError

_MOST_BYTES = {"text": 2**16 - 1, "mediumtext": 2**24 - 1, "longtext": 2**32 - 1}


@dataclass(frozen=True)
class TextType(ColumnType, name="text"):
    """The default size holds the longest item, which has 400 KB."""

    size: str = choice("size", tuple(_MOST_BYTES), "the type of the column in MySQL", default="mediumtext")

    @property
    def python(self) -> type:
        return str

    @property
    def kind(self) -> str:
        return "S"

    def content_decoder(self, subject: str) -> ContentDecoder[str]:
        most = _MOST_BYTES[self.size]

        def decode(texts: Sequence[str]) -> Sequence[str]:
            require_unicode(texts, subject)
            longest = max(map(len, texts))
            if longest * 4 > most and any(len(text.encode()) > most for text in texts):
                raise PoisonError(f"{subject} is longer than {most} bytes in UTF-8")
            return texts

        return decode

    def content(self, value: Any) -> str:
        return str(value)

    def literal(self, value: Any) -> str:
        if type(value) is not str:
            raise ValueError("must be a string")
        return self.content_decoder("the value")([value])[0]

    @property
    def mysql(self) -> ColumnRules:
        return ColumnRules(
            ddl=self.size.upper(),
            need=lambda actual: text_size_need(actual, self.size, _MOST_BYTES[self.size]),
            checks=(),
            limits=(fits_character_set,),
        )
