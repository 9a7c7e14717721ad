"""The base class of the column types. Each other module of this package defines one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from typing import Any, ClassVar, Self, TypeVar

from common.changes import Value
from common.mysql.columns import ColumnRules

AttributeValue = Mapping[str, Any]  # such as {"S": "NEW"}
V = TypeVar("V", bound=Value)
Decoder = Callable[[Sequence[AttributeValue]], Sequence[V]]


class ColumnType(ABC):
    """A type of column. A subclass is a frozen dataclass: its fields are the type's options in a mapping.

    `name` is the type's name in a mapping. `python` is the type of its values, also for `msgspec` in the replay's
    files. `may_be_null` says whether a mapping may declare a column of the type nullable.
    """

    name: ClassVar[str]
    python: ClassVar[type]
    may_be_null: ClassVar[bool]

    def __init_subclass__(cls, *, name: str, python: type, may_be_null: bool = True) -> None:
        super().__init_subclass__()
        cls.name, cls.python, cls.may_be_null = name, python, may_be_null

    @classmethod
    def with_options(cls, options: Mapping[str, Any]) -> Self:
        """Raises TypeError for an option that is missing or that the type does not have."""
        return cls(**options)

    @abstractmethod
    def decoder(self, attribute: str) -> Decoder[Value]:
        """A function from the values of `attribute` in one or more items to a column of Python values.

        The function raises PoisonError for a value that the column cannot hold exactly, and names `attribute` in it;
        KeyError for an attribute of another DynamoDB type; TypeError or AttributeError for what DynamoDB never sends.
        """

    @property
    @abstractmethod
    def mysql(self) -> ColumnRules:
        """The type's column in MySQL."""


def option(minimum: int, maximum: int, **default: Any) -> Any:
    """A dataclass field: an option of a type, a whole number within bounds. Without a `default` it is required."""
    return field(metadata={"type": "integer", "minimum": minimum, "maximum": maximum}, **default)


def switch() -> Any:
    """A dataclass field: an option of a type that is true or false, false by default."""
    return field(default=False, metadata={"type": "boolean"})
