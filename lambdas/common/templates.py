"""Templates of keys: fixed text and captures, such as `ORDER#{order_id}#LINE#{line_no}`.

A capture has 1 or more characters, and never contains the literal that follows it. So at most one list of captures
fits a text, and the captures give the text again: no two keys have the same captures.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

_CAPTURE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]{0,63})\}", re.ASCII)


@dataclass(frozen=True)
class Template:
    """`literals` are the texts before, between and after the captures of `columns`. First and last may be empty."""

    literals: tuple[str, ...]
    columns: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Template:
        """Raises ValueError, which says what is wrong with the text."""
        pieces = _CAPTURE.split(text)
        template = cls(tuple(pieces[::2]), tuple(pieces[1::2]))
        if any(brace in literal for literal in template.literals for brace in "{}"):
            raise ValueError("has a brace outside a capture; write {column} with the name of a key column")
        if not template.columns:
            raise ValueError(
                "captures no column; capture one as {column}, or fix the attribute with `equals` in `when`"
            )
        if "" in template.literals[1:-1]:
            raise ValueError("has two captures without text between them; put a separator there")
        return template

    def __str__(self) -> str:
        pieces = [f"{literal}{{{column}}}" for literal, column in zip(self.literals, self.columns, strict=False)]
        return "".join([*pieces, self.literals[-1]])

    @property
    def is_whole(self) -> bool:
        """Whether one column takes the whole text."""
        return self.literals == ("", "")

    def split(self, texts: Sequence[str]) -> Sequence[Sequence[str]]:
        """The captures of each column, side by side. Raises ValueError where a text does not fit."""
        if self.is_whole:
            return [texts]
        found = [self._match(text) for text in texts]
        if None in found:
            raise ValueError(f"does not fit the template {self}")
        return list(zip(*[match.groups() for match in found if match], strict=True))

    @cached_property
    def _match(self) -> Callable[[str], re.Match[str] | None]:
        first, *others = map(re.escape, self.literals)
        captures = [f"((?:(?!{literal}).)+){literal}" if literal else "(.+)" for literal in others]
        return re.compile("".join([first, *captures]), re.DOTALL).fullmatch
