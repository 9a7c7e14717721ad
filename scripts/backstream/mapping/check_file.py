"""Checks a mapping file by itself: the published schema, the loader, and what MySQL demands of any table."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from backstream import prepare_lint
from backstream.mapping.findings import Finding, error, ok
from common import mapping
from common.mapping import Entity
from common.mapping_file import read_file

# https://dev.mysql.com/doc/refman/8.4/en/column-count-limit.html
_ROW_BYTES = 65_535


def check_file(file: Path) -> list[Finding]:
    """An error for each problem of the file."""
    # Loading the mapping runs its prepare file, so that comes first.
    if problems := _prepare_problems(file) or mapping.check_file(file):
        return [error(str(file), problem) for problem in problems]
    found = read_file(file)
    sizes = [finding for entity in found.entities for finding in _sizes(entity)]
    described = ", ".join(f"{entity.name} to {entity.table}" for entity in found.entities)
    return sizes or [ok(str(file), f"is valid: {described}")]


def _prepare_problems(file: Path) -> list[str]:
    """What the build refuses in the file of `prepare`; nothing if the loader refuses the mapping for it."""
    try:
        name = json.loads(file.read_bytes())["prepare"]
        source = file.with_name(name).read_text(encoding="utf-8")
    except (ValueError, KeyError, TypeError, OSError, RecursionError):
        return []
    return prepare_lint.problems(source, name)


def _sizes(entity: Entity) -> Iterator[Finding]:
    row = sum(_bytes(column.type.mysql.ddl) for column in entity.columns)
    if row > _ROW_BYTES:
        yield error(
            entity.name,
            f"its columns take {row:,} bytes, and a MySQL row has at most {_ROW_BYTES:,}",
            "make long strings shorter, or give them the type text",
        )


def _bytes(ddl: str) -> int:
    """The most bytes that a column takes in a row, for types that take more than a few."""
    found = re.match(r"(VAR)?(CHAR|BINARY)\((\d+)\)", ddl)
    if not found:
        return 8
    width = 4 if found[2] == "CHAR" and "ascii" not in ddl else 1
    return int(found[3]) * width + 2
