"""The digest of a mapping changes with everything that decides which row an item becomes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from common import mapping
from common.columns import TYPES
from common.mapping import Column, Mapping
from common.mapping_file import read_text
from tests.support.cases import cases

GOOD = cases("mappings")["good"]
ONE_OF_EVERYTHING = read_text("shop", json.dumps(GOOD), Path())


class Other:
    """A value that no field has."""

    def __repr__(self) -> str:
        return "other"


def variants(value: Any, place: str) -> Iterator[tuple[str, Any]]:
    """Where `value` can be changed, and what it is then: each of its fields and elements on its own."""
    yield place, Other()
    if is_dataclass(value):
        for one in fields(value):
            for inner, changed in variants(getattr(value, one.name), f"{place}.{one.name}"):
                yield inner, replace(value, **{one.name: changed})  # type: ignore[type-var]
    elif isinstance(value, tuple) and value:
        yield f"{place}[:-1]", value[:-1]
        for index, element in enumerate(value):
            for inner, changed in variants(element, f"{place}[{index}]"):
                yield inner, (*value[:index], changed, *value[index + 1 :])


def of_every_type() -> Mapping:
    """A mapping whose entity has a column of each type."""
    made = [
        cls(**{one.name: 1 for one in fields(cls) if one.default is MISSING})  # type: ignore[arg-type]
        for cls in TYPES.values()
    ]
    [entity] = mapping.load().entities
    columns = tuple(Column(one.name, (one.name,), one) for one in made)
    return replace(mapping.load(), entities=(replace(entity, columns=columns),))


@pytest.mark.parametrize(
    "declared", [mapping.load(), ONE_OF_EVERYTHING, of_every_type()], ids=["orders", "all", "types"]
)
def test_the_digest_covers_each_field_of_a_mapping(declared: Mapping) -> None:
    """Also a field that is added later: each is changed on its own. A function is told apart by its file."""
    before = declared.digest
    changed = [(place, made) for place, made in variants(declared, "mapping") if isinstance(made, Mapping)]
    same = [place for place, made in changed if made.digest == before]
    assert same == ["mapping.prepare"]
    assert len({made.digest for place, made in changed if place not in same}) == len(changed) - 1


def test_the_digest_covers_the_file_of_prepare(tmp_path: Path) -> None:
    """Also a helper of its function. The same file has the same digest, wherever it is loaded."""
    file = tmp_path / "shop.py"

    def of(text: str) -> str:
        file.write_text(text)
        return read_text("shop", json.dumps(GOOD | {"prepare": "shop.py"}), tmp_path).digest

    function = "def prepare(item):\n    return {**item, 'a': A}\n"
    found = [of(f"A = 1\n{function}"), of(f"A = 2\n{function}"), ONE_OF_EVERYTHING.digest]
    assert len(set(found)) == 3
    assert of(f"A = 1\n{function}") == found[0]


def test_the_digest_of_a_mapping_is_the_same_in_every_process() -> None:
    """It has no address and no order that a process chooses."""
    assert read_text("shop", json.dumps(GOOD), Path()).digest == ONE_OF_EVERYTHING.digest
    assert " at 0x" not in repr(ONE_OF_EVERYTHING)
    assert "frozenset" not in repr(ONE_OF_EVERYTHING)
