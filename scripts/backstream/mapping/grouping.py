"""Which items of a sample are of one kind, by their keys or, if these are alike, by an attribute. Pure.

A kind is recognised by a prefix of a string key up to the first separator, as in `ORDER#1`, or by a whole sort key that
many items share, as in `PROFILE`. An attribute such as `type` decides where items of several kinds have keys alike.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from backstream.mapping.items import Item
from common.mapping import KeyAttribute

SEPARATORS = "#|:/~"
# The names that single-table designs give to the attribute with the kind of an item, without case and underscores.
_DISCRIMINATORS = ("type", "entity", "entitytype", "typename", "itemtype", "recordtype", "kind", "objecttype", "model")
_MOST_KINDS = 20


class KeyShape(NamedTuple):
    """What the items of a kind have in common in one key attribute.

    `equals` is the whole text, `starts_with` its beginning; both are None if they have nothing in common.
    """

    equals: str | None = None
    starts_with: str | None = None

    @property
    def condition(self) -> dict[str, str]:
        """For `when`; empty if every value matches."""
        found = {"equals": self.equals, "starts_with": self.starts_with}
        return {word: text for word, text in found.items() if text is not None}

    def excludes(self, other: KeyShape) -> bool:
        """Whether no text has both shapes, as the loader decides it."""
        if self.equals is not None and other.equals is not None:
            return self.equals != other.equals
        if self.equals is not None:
            return other.starts_with is not None and not self.equals.startswith(other.starts_with)
        if other.equals is not None:
            return other.excludes(self)
        if self.starts_with is None or other.starts_with is None:
            return False
        return not (self.starts_with.startswith(other.starts_with) or other.starts_with.startswith(self.starts_with))


@dataclass(frozen=True)
class Kind:
    """Items of one kind. `discriminator` is an attribute and its value, if the keys alone are not enough."""

    partition_key: KeyShape
    sort_key: KeyShape
    items: list[Item]
    discriminator: tuple[str, str] | None = None

    def excludes(self, other: Kind) -> bool:
        """Whether no item is of both kinds."""
        if self.partition_key.excludes(other.partition_key) or self.sort_key.excludes(other.sort_key):
            return True
        mine, others = self.discriminator, other.discriminator
        return bool(mine and others and mine[0] == others[0] and mine[1] != others[1])


def kinds_of(
    items: Sequence[Item], partition_key: KeyAttribute, sort_key: KeyAttribute | None
) -> tuple[list[Kind], list[Kind]]:
    """The kinds among `items`, the commonest first, and those left out because another one could match their items."""
    groups: dict[tuple[KeyShape, KeyShape], list[Item]] = defaultdict(list)
    partition_shapes = _shapes(items, partition_key, may_be_whole=False)
    sort_shapes = _shapes(items, sort_key, may_be_whole=True) if sort_key else [KeyShape()] * len(items)
    for item, *shapes in zip(items, partition_shapes, sort_shapes, strict=True):
        groups[shapes[0], shapes[1]].append(item)
    names = {one.attribute for one in (partition_key, sort_key) if one}
    kinds = [kind for shapes, group in groups.items() for kind in _split(Kind(*shapes, group), names)]
    kept: list[Kind] = []
    left: list[Kind] = []
    for kind in sorted(kinds, key=lambda kind: -len(kind.items)):
        (kept if all(kind.excludes(other) for other in kept) else left).append(kind)
    return kept, left


def attribute_named(names: Iterable[str], wanted: Sequence[str]) -> str | None:
    """The first of `wanted` among `names`, without regard to case and punctuation."""
    folded = {fold(name): name for name in names}
    return next((folded[one] for one in wanted if one in folded), None)


def fold(name: str) -> str:
    """A name without case and punctuation: `createdAt`, `created_at` and `CREATED-AT` are one."""
    return re.sub(r"[\W_]", "", name).lower()


def _shapes(items: Sequence[Item], key: KeyAttribute, *, may_be_whole: bool) -> list[KeyShape]:
    if key.type != "S":
        return [KeyShape()] * len(items)
    texts = [item[key.attribute]["S"] for item in items]
    prefixes = [_prefix(text) for text in texts]
    if not _are_names([prefix for prefix in prefixes if prefix]):
        prefixes = [""] * len(texts)
    wholes = _are_names([text for text, prefix in zip(texts, prefixes, strict=True) if not prefix])
    return [
        KeyShape(starts_with=prefix) if prefix else KeyShape(equals=text) if wholes and may_be_whole else KeyShape()
        for text, prefix in zip(texts, prefixes, strict=True)
    ]


def _prefix(text: str) -> str:
    """`ORDER#` of `ORDER#1`; empty unless the text is a word, a separator and more text."""
    found = re.match(rf"#?[A-Za-z][A-Za-z0-9_.-]*[{SEPARATORS}](?=.)", text, re.DOTALL)
    return found[0] if found else ""


def _are_names(texts: Sequence[str]) -> bool:
    """Whether `texts` name kinds of item rather than single items: few different ones, shared or in capitals."""
    different = set(texts)
    are_words = all(re.fullmatch(rf"#?[A-Z][A-Z0-9_]*[{SEPARATORS}]?", text) for text in different)
    return len(different) <= _MOST_KINDS and (are_words or len(texts) >= 2 * len(different))


def _split(kind: Kind, keys: set[str]) -> list[Kind]:
    """By the attribute that names the kind, where the items of one shape of keys have several values in it."""
    name = attribute_named(set(kind.items[0]) - keys, _DISCRIMINATORS)
    values: list[Any] = [item.get(name, {}).get("S") for item in kind.items] if name else []
    if name is None or None in values or not 1 < len(set(values)) <= _MOST_KINDS:
        return [kind]
    groups: dict[str, list[Item]] = defaultdict(list)
    for item, value in zip(kind.items, values, strict=True):
        groups[value].append(item)
    return [Kind(kind.partition_key, kind.sort_key, group, (name, value)) for value, group in groups.items()]
