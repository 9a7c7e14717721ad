"""UUIDs in their one spelling: lower case, with dashes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from common.columns.column_type import ColumnType, ContentDecoder
from common.columns.option import choice
from common.mysql.columns import ColumnRules, bytes_need, text_need
from common.poison import PoisonError

_UUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_are_uuids = re.compile(f"(?:{_UUID})*+").fullmatch
_CHARACTERS, _BYTES = 36, 16


@dataclass(frozen=True)
class UuidType(ColumnType, name="uuid"):
    stored: str = choice("stored", ("text", "bytes"), "36 characters, or the 16 bytes", default="text")

    @property
    def python(self) -> type:
        return bytes if self.stored == "bytes" else str

    @property
    def kind(self) -> str:
        return "S"

    def content_decoder(self, subject: str) -> ContentDecoder[str | bytes]:
        as_bytes = self.stored == "bytes"

        def decode(texts: Sequence[str]) -> Sequence[str | bytes]:
            if set(map(len, texts)) != {_CHARACTERS} or not _are_uuids("".join(texts)):
                raise PoisonError(f"{subject} is not a UUID in lower case with dashes")
            return [bytes.fromhex(text.replace("-", "")) for text in texts] if as_bytes else texts

        return decode

    def content(self, value: Any) -> str:
        return str(UUID(bytes=value)) if self.stored == "bytes" else str(value)

    def literal(self, value: Any) -> str | bytes:
        if type(value) is not str:
            raise ValueError("must be a string")
        return self.content_decoder("the value")([value])[0]

    @property
    def key_bytes(self) -> int:
        return _BYTES if self.stored == "bytes" else _CHARACTERS

    @property
    def mysql(self) -> ColumnRules:
        if self.stored == "bytes":
            return ColumnRules(
                ddl=f"BINARY({_BYTES})",
                need=lambda actual: bytes_need(actual, _BYTES, padded=False),
                checks=(),
                limits=(),
            )
        return ColumnRules(
            ddl=f"CHAR({_CHARACTERS}) CHARACTER SET ascii COLLATE ascii_bin",
            need=lambda actual: text_need(actual, _CHARACTERS),
            checks=(),
            limits=(),
        )
