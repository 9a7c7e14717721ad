"""The column types, by their names in a mapping. To add a type, add it to a module of this package."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path

from common.columns.column_type import ColumnType


def complete(found: Iterable[type[ColumnType]]) -> dict[str, type[ColumnType]]:
    """The types by name. Raises TypeError for a type that lacks a part."""
    types = sorted(found, key=lambda cls: cls.name)
    if lacking := [f"{cls.name} lacks {part}" for cls in types for part in sorted(cls.__abstractmethods__)]:
        raise TypeError(f"column types are incomplete: {', '.join(lacking)}")
    return {cls.name: cls for cls in types}


def named(cls: type[ColumnType]) -> Iterator[type[ColumnType]]:
    """The subclasses of `cls` that have a name."""
    for below in cls.__subclasses__():
        if "name" in vars(below):
            yield below
        yield from named(below)


for module in sorted(Path(__file__).parent.glob("[a-z]*.py")):
    import_module(f"{__name__}.{module.stem}")

TYPES = complete(named(ColumnType))  # type: ignore[type-abstract]
