"""The column types, by their names in a mapping. To add a type, add a module to this package."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from pathlib import Path

from common.columns.column_type import ColumnType


def complete(found: Iterable[type[ColumnType]]) -> dict[str, type[ColumnType]]:
    """The types by name. Raises TypeError for a type that lacks a part."""
    if lacking := [f"{cls.name} lacks {part}" for cls in found for part in sorted(cls.__abstractmethods__)]:
        raise TypeError(f"column types are incomplete: {', '.join(lacking)}")
    return {cls.name: cls for cls in sorted(found, key=lambda cls: cls.name)}


for module in sorted(Path(__file__).parent.glob("[a-z]*.py")):
    import_module(f"{__name__}.{module.stem}")

TYPES = complete(ColumnType.__subclasses__())
