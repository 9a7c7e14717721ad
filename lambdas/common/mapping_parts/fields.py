"""Reads single fields of a mapping file, and names the place of a problem."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from collections.abc import Mapping as Json
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

from common.heartbeat import TIME
from common.mapping import AttributePath
from common.seeds import MARK

IDENTIFIER = r"^[A-Za-z_][A-Za-z0-9_]{0,63}$"
LONGEST_ATTRIBUTE = 255

_IDENTIFIER = "a name of letters, digits and _, not beginning with a digit, at most 64 characters"
_ATTRIBUTE = f"the name of an attribute, 1 to {LONGEST_ATTRIBUTE} characters"


class Fields:
    """Reads the fields of one mapping file and collects the problems."""

    def __init__(self, file: str) -> None:
        self.problems: list[str] = []
        self._file = file
        self._place: list[str] = []

    def problem(self, place: str, what: str) -> None:
        """`place` is within the part that is being read; the file is named once."""
        places = ", ".join([*self._place, *filter(None, [place])])
        self.problems.append(f"{self._file}: {places}: {what}" if places else f"{self._file}: {what}")

    @contextmanager
    def within(self, place: str) -> Iterator[None]:
        self._place.append(place)
        yield
        self._place.pop()

    def is_object(
        self, place: str, declared: Any, required: tuple[str, ...], optional: tuple[str, ...] | None = ()
    ) -> bool:
        """Whether it is an object. Missing fields are problems; so are unknown ones, unless `optional` is None."""
        if not isinstance(declared, dict):
            self.problem(place, f"must be an object{f' with {_listed(required)}' if required else ''}")
            return False
        self.comment(declared)
        if optional is not None:
            known = (*required, *optional)
            for name in declared.keys() - {*known, "comment"}:
                self.problem(place, f"has the unknown field {name}; it takes {_listed((*known, 'comment'))}")
        for name in required:
            if name not in declared:
                self.problem(place, f"needs the field {name}")
        return True

    def comment(self, declared: Json[str, Any]) -> None:
        if not isinstance(declared.get("comment", ""), str):
            self.problem("comment", "must be a string")

    def text(self, field: str, declared: Json[str, Any], fits: Callable[[str], Any], what: str) -> str | None:
        if field not in declared:
            return None
        value = declared[field]
        if isinstance(value, str) and fits(value):
            return value
        self.problem(field, f"must be {what}")
        return None

    def identifier(self, field: str, declared: Json[str, Any]) -> str | None:
        return self.text(field, declared, matcher(IDENTIFIER), _IDENTIFIER)

    def attribute(self, field: str, declared: Json[str, Any]) -> str | None:
        name = self.text(field, declared, is_attribute, _ATTRIBUTE)
        self._not_own(field, name)
        return name

    def path(self, field: str, declared: Any) -> AttributePath | None:
        if (
            not isinstance(declared, list)
            or not declared
            or not is_attribute(declared[0])
            or not all(is_some_text(segment) or (type(segment) is int and segment >= 0) for segment in declared)
        ):
            self.problem(
                field,
                'must be a list such as ["address", "lines", 0]: an attribute, then names in maps and indexes in lists',
            )
            return None
        self._not_own(field, declared[0])
        return tuple(declared)

    def _not_own(self, field: str, attribute: str | None) -> None:
        if attribute in (MARK, TIME):
            self.problem(field, f"{attribute} is Backstream's own attribute; name another one")


def matches(pattern: str, text: str) -> bool:
    return re.fullmatch(pattern.removesuffix("$"), text, re.ASCII) is not None


def matcher(pattern: str) -> Callable[[str], bool]:
    return lambda text: matches(pattern, text)


def is_some_text(value: Any) -> bool:
    return isinstance(value, str) and value != "" and is_unicode(value)


def is_attribute(value: Any) -> bool:
    return is_some_text(value) and len(value) <= LONGEST_ATTRIBUTE


def is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_number(value: Any) -> bool:
    return type(value) in (int, Decimal)


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names)
