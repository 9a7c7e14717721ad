"""True and false."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from common.columns.column_type import AttributeValue, ColumnType, ContentDecoder
from common.columns.number import dynamodb_text, number
from common.columns.option import Option, of_shape
from common.mysql.columns import ColumnRules, boolean_need
from common.poison import PoisonError

_VALUES = ("true", "false")


def _is_pair(value: Any) -> bool:
    return (
        type(value) is dict
        and value.keys() - {"comment"} == set(_VALUES)
        and type(value.get("comment", "")) is str
        and all(type(value[name]) in (str, int, Decimal) for name in _VALUES)
    )


@dataclass(frozen=True)
class BooleanType(ColumnType, name="boolean"):
    """1 and 0. With `conversion`, the item has one of two strings or numbers instead of a boolean."""

    conversion: dict[str, Any] | None = of_shape(  # noqa: RUF009 - a field
        Option(
            "as",
            'an object such as {"true": "Y", "false": "N"} with two strings or numbers',
            {
                "type": "object",
                "description": "the strings or numbers that the item has for true and for false",
                "required": list(_VALUES),
                "properties": {name: {"type": ["string", "number"]} for name in _VALUES}
                | {"comment": {"type": "string"}},
                "additionalProperties": False,
            },
            _is_pair,
        ),
        default=None,
        hash=False,
    )

    @property
    def python(self) -> type:
        return int

    @property
    def kind(self) -> str:
        return "" if self.conversion else "BOOL"

    def conflicts(self) -> Sequence[str]:
        if self.conversion and self.conversion["true"] == self.conversion["false"]:
            return ["as must have different values for true and for false"]
        return ()

    def content_decoder(self, subject: str) -> ContentDecoder[int]:
        return _pair_decoder(self.conversion, subject) if self.conversion else _decode_booleans

    def content(self, value: Any) -> Any:
        if value not in (0, 1):
            raise PoisonError("is neither 0 nor 1")
        if self.conversion is None:
            return value == 1
        chosen = self.conversion[_VALUES[0] if value else _VALUES[1]]
        return {"S": chosen} if type(chosen) is str else {"N": dynamodb_text(chosen)}

    def canonical(self, value: Any) -> Any:
        """A BIT column gives bytes."""
        return int.from_bytes(value) if type(value) is bytes else value

    def literal(self, value: Any) -> int:
        if type(value) is not bool:
            raise ValueError("must be true or false")
        return int(value)

    @property
    def mysql(self) -> ColumnRules:
        return ColumnRules(ddl="TINYINT(1)", need=boolean_need, checks=(), limits=())


def _decode_booleans(values: Sequence[Any]) -> Sequence[int]:
    if not set(map(type, values)) <= {bool}:
        raise TypeError
    return list(map(int, values))


def _pair_decoder(pair: Mapping[str, Any], subject: str) -> ContentDecoder[int]:
    texts: dict[Any, int] = {}
    numbers: dict[Any, int] = {}
    for name in _VALUES:
        value, answer = pair[name], int(name == "true")
        if type(value) is str:
            texts[value] = answer
        else:
            numbers[Decimal(value)] = answer

    def decode_one(value: AttributeValue) -> int:
        if texts and "S" in value:
            found = texts.get(value["S"])
        elif numbers and "N" in value:
            found = numbers.get(number(value["N"]))
        else:
            raise KeyError("boolean")
        if found is None:
            raise PoisonError(f"{subject} is neither the value for true nor the one for false")
        return found

    return lambda values: [decode_one(value) for value in values]
