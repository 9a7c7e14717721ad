"""The options that a mapping gives to column types, checked in Python and described as JSON Schema."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Option:
    """`name` is the option's name in a mapping, `what` what it must be.

    `accepts` and `schema` allow the same values.
    """

    name: str
    what: str
    schema: dict[str, Any]
    accepts: Callable[[Any], bool]
    required: bool = False


class OptionError(ValueError):
    """The options of a column type are refused."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


# Each of these is a dataclass field. A field without a default is a required option.


def integer(name: str, minimum: int, maximum: int, description: str, **default: Any) -> Any:
    return _field(
        Option(
            name,
            f"a whole number from {minimum} to {maximum}",
            {"type": "integer", "minimum": minimum, "maximum": maximum, "description": description},
            lambda value: type(value) is int and minimum <= value <= maximum,
            required=not default,
        ),
        **default,
    )


def switch(name: str, description: str) -> Any:
    """False by default."""
    schema = {"type": "boolean", "description": description}
    return _field(Option(name, "true or false", schema, lambda value: type(value) is bool), default=False)


def choice(name: str, values: tuple[str, ...], description: str, default: str | None = None) -> Any:
    what = " or ".join(f'"{value}"' for value in values)
    schema = {"enum": list(values), "description": description}
    return _field(Option(name, what, schema, lambda value: type(value) is str and value in values), default=default)


def of_shape(option: Option, **default: Any) -> Any:
    """An option of a shape that only one type has."""
    return _field(option, **default)


def _field(option: Option, **default: Any) -> Any:
    return field(metadata={"option": option}, **default)
