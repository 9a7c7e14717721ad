"""The template of a string key attribute: which parts of its text become key columns. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from backstream.mapping.grouping import SEPARATORS, KeyShape
from backstream.mapping.naming import is_empty_key_name, snake_case
from common.mapping_parts.target import MOST_KEY_COLUMNS

# Other separators also occur in values, such as times and addresses. They separate only beside a fixed word.
_ALWAYS_SPLIT = ("#", "|")
_MOST_CAPTURES = MOST_KEY_COLUMNS // 2  # of each of the two key attributes
_ENOUGH = 5  # items with the same word in the same place that make it a fixed part


class Capture(NamedTuple):
    """A part of a key: the name that its column could have, and its text in each item."""

    name: str
    texts: list[str]


class Template(NamedTuple):
    """Literal text and captures in their order: `parts` holds either."""

    parts: list[str | Capture]

    @property
    def captures(self) -> list[Capture]:
        return [part for part in self.parts if isinstance(part, Capture)]

    def text(self, columns: Sequence[str]) -> str:
        """With the names of the columns that the captures become."""
        remaining = iter(columns)
        return "".join(part if isinstance(part, str) else f"{{{next(remaining)}}}" for part in self.parts)


def template_of(texts: Sequence[str], shape: KeyShape, attribute: str, fallback: str) -> Template:
    """Literal where all `texts` agree on a word, a capture elsewhere. `fallback` names a capture without a word."""
    begin = shape.starts_with or ""
    rests = [text[len(begin) :] for text in texts]
    default = fallback if is_empty_key_name(attribute) else snake_case(attribute)
    parts: list[str | Capture] = [begin] if begin else []
    word = begin
    segments = _segments(rests)
    if sum(isinstance(segment, list) for segment in segments) > _MOST_CAPTURES:
        segments = [rests]
    for segment in segments:
        if isinstance(segment, str):
            parts.append(segment)
            word = segment if re.search(r"[A-Za-z]", segment) else word
        else:
            parts.append(Capture(f"{snake_case(word)}_id" if word else default, segment))
            word = ""
    return Template(_joined(parts))


def _segments(texts: Sequence[str]) -> list[str | list[str]]:
    """The separators and words that all `texts` share, and lists of what differs, in order."""
    if any(brace in text for text in texts for brace in "{}"):
        return [list(texts)]
    separator = _separator(texts)
    rows = [text.split(separator) for text in texts] if separator else [[text] for text in texts]
    if len({len(row) for row in rows}) > 1 or not all(_fits_a_column(part) for row in rows for part in row):
        return [list(texts)]
    found: list[str | list[str]] = []
    for number, column in enumerate(zip(*rows, strict=True)):
        if number and separator:
            found.append(separator)
        found.append(column[0] if _is_fixed(column) else list(column))
    has_word = any(isinstance(segment, str) and segment != separator for segment in found)
    is_split = separator in _ALWAYS_SPLIT or has_word
    return found if is_split and any(isinstance(segment, list) for segment in found) else [list(texts)]


def _fits_a_column(text: str) -> bool:
    """Whether a key column takes it: MySQL ignores spaces at the end when it compares keys."""
    return text != "" and not text.endswith(" ")


def _separator(texts: Sequence[str]) -> str | None:
    """The first separator that every text has."""
    return next((one for one in SEPARATORS if all(one in text for text in texts)), None)


def _is_fixed(texts: Sequence[str]) -> bool:
    same = len(set(texts)) == 1
    is_word = re.fullmatch(r"[A-Z][A-Z_]*" if len(texts) < _ENOUGH else r"[A-Za-z][A-Za-z_]*", texts[0])
    return same and is_word is not None


def _joined(parts: Sequence[str | Capture]) -> list[str | Capture]:
    """Neighbouring literals as one."""
    joined: list[str | Capture] = []
    for part in parts:
        if joined and isinstance(part, str) and isinstance(joined[-1], str):
            joined[-1] += part
        else:
            joined.append(part)
    return joined
