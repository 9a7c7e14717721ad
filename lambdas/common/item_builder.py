"""Puts attribute values at their paths: the opposite of `common.paths`. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

from common.mapping import AttributePath
from common.paths import path_text
from common.poison import PoisonError

AttributeValue = Mapping[str, Any]


class Leaf(NamedTuple):
    """What is put at a path. `value` None leaves the path out.

    `in_list` takes its place where a later element of its list has a value; None where nothing can.
    """

    value: AttributeValue | None
    in_list: AttributeValue | None = None


ABSENT = Leaf(None)


def path_problems(paths: Sequence[AttributePath]) -> Iterator[tuple[AttributePath, str]]:
    """Each path that cannot be filled beside the others, and why."""
    known = sorted(set(paths), key=repr)
    branches: dict[AttributePath, set[str | int]] = {}
    for path in known:
        for length in range(len(path)):
            branches.setdefault(path[:length], set()).add(path[length])
    for path in known:
        if path in branches:
            longer = next(one for one in known if len(one) > len(path) and one[: len(path)] == path)
            yield path, f"is also a part of {path_text(longer)}: map one of them"
    for parent, segments in branches.items():
        indexes = sorted(one for one in segments if isinstance(one, int))
        if indexes and len(indexes) < len(segments):
            yield parent, "is a map in one path and a list in another: correct them"
        elif indexes and (gaps := [after for before, after in pairwise([-1, *indexes]) if after != before + 1]):
            yield (*parent, gaps[0]), "has no elements before it in the mapping: map these as well"


@dataclass
class _Node:
    """A map or a list, or the leaves of one path by their indexes."""

    path: AttributePath
    inner: dict[str | int, _Node] = field(default_factory=dict)
    leaves: list[int] = field(default_factory=list)

    @property
    def is_list(self) -> bool:
        return any(isinstance(segment, int) for segment in self.inner)


class ItemBuilder:
    """Builds items of leaves, one for each of `paths`, which have no problems."""

    def __init__(self, paths: Sequence[AttributePath]) -> None:
        self._root = _Node(())
        for index, path in enumerate(paths):
            node = self._root
            for length, segment in enumerate(path, 1):
                node = node.inner.setdefault(segment, _Node(path[:length]))
            node.leaves.append(index)
        # Most paths are one attribute.
        self._is_flat = all(not node.inner and len(node.leaves) == 1 for node in self._root.inner.values())
        self._names = [str(path[0]) for path in paths]

    def __call__(self, leaves: Sequence[Leaf]) -> dict[str, AttributeValue]:
        """Raises PoisonError where two leaves of one path differ, or nothing can stand for a missing element."""
        if self._is_flat:
            given = zip(self._names, leaves, strict=True)
            return {name: leaf.value for name, leaf in given if leaf.value is not None}
        made = self._map(self._root, leaves)
        return dict(made["M"]) if made else {}

    def _value(self, node: _Node, leaves: Sequence[Leaf]) -> AttributeValue | None:
        if node.leaves:
            return self._leaf(node, leaves).value
        return self._list(node, leaves) if node.is_list else self._map(node, leaves)

    def _leaf(self, node: _Node, leaves: Sequence[Leaf]) -> Leaf:
        first, *others = [leaves[index] for index in node.leaves]
        if any(other.value != first.value for other in others):
            raise PoisonError(f"attribute {path_text(node.path)} would need two different values")
        return first

    def _map(self, node: _Node, leaves: Sequence[Leaf]) -> AttributeValue | None:
        made = {str(name): value for name, one in node.inner.items() if (value := self._value(one, leaves)) is not None}
        return {"M": made} if made else None

    def _list(self, node: _Node, leaves: Sequence[Leaf]) -> AttributeValue | None:
        values = [self._value(node.inner[index], leaves) for index in range(len(node.inner))]
        while values and values[-1] is None:
            values.pop()
        filled = [
            self._filler(node.inner[index], leaves) if value is None else value for index, value in enumerate(values)
        ]
        return {"L": filled} if filled else None

    def _filler(self, node: _Node, leaves: Sequence[Leaf]) -> AttributeValue:
        """What stands for an absent element before a present one."""
        if not node.leaves:
            return {"L": []} if node.is_list else {"M": {}}
        leaf = self._leaf(node, leaves)
        if leaf.in_list is None:
            raise PoisonError(f"attribute {path_text(node.path)} is missing before another element of its list")
        return leaf.in_list
