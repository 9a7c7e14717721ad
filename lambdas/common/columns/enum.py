"""One of a list of texts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from common.columns.column_type import ColumnType, ContentDecoder
from common.columns.option import Option, of_shape
from common.mysql.columns import ColumnRules, enum_need, fits_character_set
from common.poison import PoisonError

# A value of MySQL's ENUM has no space at its end and at most 255 characters. A backslash would need a quoting that
# depends on the SQL mode, and information_schema cannot show a character beyond U+FFFF.
# Source: https://dev.mysql.com/doc/refman/8.4/en/enum.html
_CHARACTERS = r"\[\]-\ud7ff\ue000-\uffff"
_VALUE = rf"^[ -{_CHARACTERS}]{{0,254}}[!-{_CHARACTERS}]$"
_is_value = re.compile(_VALUE.removesuffix("$")).fullmatch
_MOST = 1_000


def _are_values(values: Any) -> bool:
    return (
        type(values) is list
        and 0 < len(values) <= _MOST
        and all(type(value) is str and _is_value(value) for value in values)
        and len(set(values)) == len(values)
    )


@dataclass(frozen=True)
class EnumType(ColumnType, name="enum"):
    values: Sequence[str] = of_shape(
        Option(
            "values",
            "a list of different strings, each of 1 to 255 characters up to U+FFFF, without backslash, control"
            " characters or a space at the end",
            {
                "type": "array",
                "description": "the strings that the column can hold",
                "minItems": 1,
                "maxItems": _MOST,
                "uniqueItems": True,
                "items": {"type": "string", "pattern": _VALUE},
            },
            _are_values,
            required=True,
        ),
        hash=False,
    )

    @property
    def python(self) -> type:
        return str

    @property
    def kind(self) -> str:
        return "S"

    def content_decoder(self, subject: str) -> ContentDecoder[str]:
        known = frozenset(self.values)

        def decode(texts: Sequence[str]) -> Sequence[str]:
            if not known.issuperset(texts):
                "".join(texts)  # raises TypeError for what is no text
                raise PoisonError(f"{subject} is not one of the values of its enum")
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
        quoted = ",".join("'" + value.replace("'", "''") + "'" for value in self.values)
        return ColumnRules(
            ddl=f"ENUM({quoted}) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
            need=lambda actual: enum_need(actual, frozenset(self.values)),
            checks=(),
            limits=(fits_character_set,),
        )
