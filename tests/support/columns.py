"""Column types with options, values that they take, and values that they refuse: `tests/cases/columns/`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from common.columns import TYPES
from common.columns.column_type import ColumnType
from tests.support.cases import cases


@dataclass(frozen=True)
class TypeCase:
    """`values` are pairs of an attribute value and what msgspec makes of the column's, `poison` of one and a reason.

    `wrong` are values of DynamoDB types that the column is not made of.
    """

    id: str
    type: ColumnType
    values: list[tuple[Any, Any]]
    poison: list[tuple[Any, str]]
    wrong: list[Any]


def type_cases() -> Iterator[TypeCase]:
    """Each type with each set of options that a case names."""
    for name, column_type in TYPES.items():
        for case in cases(f"columns/{name}"):
            options = " ".join(f"{option}={value}" for option, value in case["options"].items())
            values, poison = _whole(case["values"]), _whole(case["poison"])
            yield TypeCase(
                f"{name} {options}".strip(), column_type.with_options(case["options"]), values, poison, case["wrong"]
            )


def column_type(name: str) -> ColumnType:
    """The type with the options of its first case."""
    return TYPES[name].with_options(cases(f"columns/{name}")[0]["options"])


def _whole(value: Any) -> Any:
    """A long text is written as {"repeat": [text, times]}."""
    if isinstance(value, dict) and "repeat" in value:
        text, times = value["repeat"]
        return text * times
    if isinstance(value, dict):
        return {name: _whole(inner) for name, inner in value.items()}
    return [_whole(inner) for inner in value] if isinstance(value, list) else value
