"""Mapping files: found by path or by name, checked, loaded, written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from backstream.errors import UsageError
from common.mapping import Mapping, MappingError
from common.mapping_file import read_file

FOLDER = Path("mappings")


def find_mapping(argument: str) -> Path:
    """The file at the path `argument`, or with this name in ./mappings. Raises UsageError."""
    named = FOLDER / f"{argument.removesuffix('.json')}.json"
    for file in (Path(argument), named):
        if file.is_file():
            return file
    there = ", ".join(sorted(file.stem for file in FOLDER.glob("*.json") if file.stem != "mapping.schema"))
    raise UsageError(f"no mapping file {argument} or {named}; ./{FOLDER} has {there or 'no mapping'}")


def load_mapping(file: Path) -> Mapping:
    """Raises UsageError with every problem of the file."""
    try:
        return read_file(file)
    except MappingError as error:
        raise UsageError(f"{file} is not valid:\n" + "\n".join(f"  {problem}" for problem in error.problems)) from None


def render(declared: dict[str, Any]) -> str:
    """The text of a mapping file, with one column per line."""
    return _render(declared, 0) + "\n"


_WIDTH = 118


def _render(value: Any, depth: int) -> str:
    """JSON, where each value that fits on one line stays on one."""
    line = json.dumps(value, ensure_ascii=False)
    inside = "  " * (depth + 1)
    if (len(inside) + len(line) <= _WIDTH and depth > 1) or not isinstance(value, (dict, list)) or not value:
        return line
    if isinstance(value, list):
        parts, (begin, end) = [_render(one, depth + 1) for one in value], "[]"
    else:
        pairs = value.items()
        parts = [f"{json.dumps(name, ensure_ascii=False)}: {_render(one, depth + 1)}" for name, one in pairs]
        begin, end = "{}"
    body = ",\n".join(inside + part for part in parts)
    return f"{begin}\n{body}\n{'  ' * depth}{end}"
