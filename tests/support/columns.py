"""Column types with the options of their cases."""

from __future__ import annotations

from common.columns import TYPES
from common.columns.column_type import ColumnType
from tests.support.cases import cases


def column_type(name: str) -> ColumnType:
    return TYPES[name].with_options(cases(f"columns/{name}")["options"])
