"""Checks a mapping file by itself: the published schema, the loader, and what MySQL demands of any table."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from common.mapping_file import read_file

from backstream.mapping.findings import Finding, error, ok
from common import mapping
from common.mapping import Entity

# https://dev.mysql.com/doc/refman/8.4/en/column-count-limit.html
_ROW_BYTES = 65_535


def check_file(file: Path) -> list[Finding]:
    """An error for each problem of the file."""
    if problems := mapping.check_file(file):
        return [error(str(file), problem) for problem in problems]
    found = read_file(file)
    sizes = [finding for entity in found.entities for finding in _sizes(entity)]
    described = ", ".join(f"{entity.name} to {entity.table}" for entity in found.entities)
    return sizes or [ok(str(file), f"is valid: {described}")]


def _sizes(entity: Entity) -> Iterator[Finding]:
    row = sum(_bytes(column.type.mysql.ddl) for column in entity.columns)
    if row > _ROW_BYTES:
        yield error(
            entity.name,
            f"its columns take {row:,} bytes, and MySQL allows a row {_ROW_BYTES:,}",
            "make long strings shorter, or give them the type text",
        )


def _bytes(ddl: str) -> int:
    """What a column takes in a row at most, for types that take more than a few bytes."""
    found = re.match(r"(VAR)?(CHAR|BINARY)\((\d+)\)", ddl)
    if not found:
        return 8
    width = 4 if found[2] == "CHAR" and "ascii" not in ddl else 1
    return int(found[3]) * width + 2
