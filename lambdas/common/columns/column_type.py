"""The base class of the column types. The other modules of this package define them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any, ClassVar, Self, TypeVar

from common.changes import Value
from common.columns.option import Option, OptionError
from common.mysql.columns import ColumnRules

AttributeValue = Mapping[str, Any]  # such as {"S": "NEW"}
V = TypeVar("V", bound=Value)
Decoder = Callable[[Sequence[AttributeValue]], Sequence[V]]
# The same for the contents of attribute values, such as "NEW".
ContentDecoder = Callable[[Sequence[Any]], Sequence[V]]


class ColumnType(ABC):
    """A type of column. A subclass is a frozen dataclass: its fields are the type's options in a mapping.

    `name` is the type's name in a mapping. `python` is the type of its values, also for `msgspec` in the replay's
    files. `kind` is the DynamoDB type that it is made of: S, N, B or BOOL; empty where any will do.
    """

    name: ClassVar[str]

    def __init_subclass__(cls, *, name: str = "", **options: Any) -> None:
        """A class without a name is the base of others."""
        super().__init_subclass__(**options)
        if name:
            cls.name = name

    @property
    @abstractmethod
    def python(self) -> type:
        """The type of the column's values."""

    @property
    @abstractmethod
    def kind(self) -> str:
        """See the class."""

    @abstractmethod
    def content_decoder(self, subject: str) -> ContentDecoder[Value]:
        """A function from contents of `kind` to Python values. A type that takes any kind decodes whole values.

        The function raises PoisonError for a value that the column cannot hold exactly. The message names `subject`,
        such as "attribute amount". It raises TypeError or AttributeError for what DynamoDB never sends.
        """

    @property
    @abstractmethod
    def mysql(self) -> ColumnRules:
        """The type's column in MySQL."""

    @abstractmethod
    def literal(self, value: Any) -> Value:
        """The column's value for a constant or default in a mapping, written in the type's natural form.

        Raises ValueError, PoisonError or TypeError for one that does not fit.
        """

    @abstractmethod
    def content(self, value: Any) -> Any:
        """The opposite of `content_decoder`, for one value that is not NULL: the content that a seeded item gets.

        A type that takes any kind gives a whole attribute value. Raises PoisonError with what is wrong, such as "is not
        a number"; it may raise ValueError or TypeError for what a column of the type never holds. The caller must
        decode the content: it may give another value.
        """

    @property
    def lossy(self) -> str:
        """Why no content can be given for a value; empty if it can."""
        return ""

    def canonical(self, value: Any) -> Any:
        """The value in the form that decoding gives, for one as the database has it. Any other value stays as it is."""
        return value

    def decoder(self, subject: str) -> Decoder[Value]:
        """A function from the attribute values of one or more items: see `content_decoder`.

        It raises KeyError for an attribute of another DynamoDB type.
        """
        decode, kind = self.content_decoder(subject), self.kind
        return (lambda values: decode([value[kind] for value in values])) if kind else decode

    # Key columns

    @property
    def key_bytes(self) -> int | None:
        """The bytes that the column takes in an index; None if it cannot be a key column."""
        return None

    def in_key(self) -> Self:
        """The type of a key column with the same options."""
        return self

    def key_decoder(self, subject: str) -> ContentDecoder[Value]:
        """A function from texts of a string key: see `content_decoder`. Each value has one text; others are poison."""
        return self.content_decoder(subject)

    # Options

    @classmethod
    def options(cls) -> dict[str, Option]:
        """The options by their names in a mapping."""
        return {option.name: option for option in _options(cls).values()}

    @classmethod
    def with_options(cls, options: Mapping[str, Any]) -> Self:
        """Raises OptionError, which names every problem."""
        known = _options(cls)
        by_name = cls.options()
        what_there_is = f"; it has {', '.join(by_name)}" if by_name else "; it has none"
        problems = [f"has no option {name}{what_there_is}" for name in options if name not in by_name]
        for name, option in by_name.items():
            if name not in options:
                problems += [f"needs the option {name}, {option.what}"] * option.required
            elif not option.accepts(options[name]):
                problems.append(f"{name} must be {option.what}")
        if not problems:
            made = cls(**{field: options[option.name] for field, option in known.items() if option.name in options})
            problems = list(made.conflicts())
        if problems:
            raise OptionError(problems)
        return made

    def conflicts(self) -> Sequence[str]:
        """What is wrong with the options together."""
        return ()


def _options(cls: type[ColumnType]) -> dict[str, Option]:
    """The options by field."""
    return {field.name: field.metadata["option"] for field in fields(cls) if field.metadata}  # type: ignore[arg-type]
