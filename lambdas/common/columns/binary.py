"""Bytes."""

from __future__ import annotations

import binascii
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from common.columns.column_type import ColumnType, ContentDecoder
from common.columns.option import choice, integer
from common.mysql.columns import ColumnRules, bytes_need, keeps_length
from common.poison import PoisonError

# A row has at most 65,535 bytes. A BLOB is stored outside it.
# Source: https://dev.mysql.com/doc/refman/8.4/en/column-count-limit.html
_LONGEST_VARBINARY, _LONGEST_BLOB, _LONGEST = 16_383, 2**16 - 1, 2**24 - 1


@dataclass(frozen=True)
class BinaryType(ColumnType, name="binary"):
    """Bytes of a binary attribute; with `conversion`, of a string in base64."""

    length: int = integer("length", 1, _LONGEST, "the maximum number of bytes")
    conversion: str | None = choice("as", ("base64",), "the item has the bytes in a string, in base64")

    @property
    def python(self) -> type:
        return bytes

    @property
    def kind(self) -> str:
        return "S" if self.conversion else "B"

    def content_decoder(self, subject: str) -> ContentDecoder[bytes]:
        limit = self.length

        def decode(contents: Sequence[Any]) -> Sequence[bytes]:
            try:
                values = [from_base64(content) for content in contents]
            except ValueError:
                raise PoisonError(f"{subject} is not base64") from None
            if len(max(values, key=len)) > limit:
                raise PoisonError(f"{subject} is longer than {limit} bytes")
            return values

        return decode

    def content(self, value: Any) -> str:
        return binascii.b2a_base64(value, newline=False).decode()

    def literal(self, value: Any) -> bytes:
        if type(value) is not str:
            raise ValueError("must be a string in base64")
        return replace(self, conversion=None).content_decoder("the value")([value])[0]

    @property
    def key_bytes(self) -> int:
        return self.length

    @property
    def mysql(self) -> ColumnRules:
        return ColumnRules(
            ddl=f"VARBINARY({self.length})"
            if self.length <= _LONGEST_VARBINARY
            else "BLOB"
            if self.length <= _LONGEST_BLOB
            else "MEDIUMBLOB",
            need=lambda actual: bytes_need(actual, self.length, padded=True),
            checks=(keeps_length,),
            limits=(),
        )


def from_base64(content: Any) -> bytes:
    """The bytes of a binary attribute's JSON. Raises ValueError for what is not base64, TypeError for no text."""
    if type(content) is bytes:
        return content
    if type(content) is not str:
        raise TypeError
    return binascii.a2b_base64(content, strict_mode=True)
