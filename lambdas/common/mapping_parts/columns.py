"""The columns of an entity outside its key: where their values come from, and their types."""

from __future__ import annotations

from collections.abc import Mapping as Json
from typing import Any

from common.columns import TYPES
from common.columns.column_type import ColumnType
from common.columns.option import OptionError
from common.mapping import Column, Instead, Unmapped, UnmappedAction
from common.mapping_parts.fields import Fields
from common.poison import PoisonError

_FIELDS = {"comment", "column", "type", "from", "const", "absent", "null"}


def read_columns(fields: Fields, declared: Any) -> list[Column]:
    if not isinstance(declared, list):
        fields.problem("columns", "must be a list of columns")
        return []
    return [column for one in declared if (column := _read_column(fields, one))]


def _read_column(fields: Fields, declared: Any) -> Column | None:
    name = declared.get("column") if isinstance(declared, dict) else None
    with fields.within(f"column {name}" if isinstance(name, str) else "column"):
        if not fields.is_object("", declared, ("column", "type"), None):
            return None
        before = len(fields.problems)
        column = fields.identifier("column", declared)
        found = read_type(fields, declared)
        if ("from" in declared) == ("const" in declared):
            fields.problem("", 'needs one of from and const, such as "from": ["customer", "name"]')
        path = fields.path("from", declared["from"]) if "from" in declared else ()
        if "const" in declared:
            for field in ("absent", "null"):
                if field in declared:
                    fields.problem(field, "has no meaning with const; leave it out")
        const = _read_value(fields, "const", declared["const"], found) if "const" in declared else None
        absent, null = (
            _read_fallback(fields, field, declared[field], found) if field in declared else None
            for field in ("absent", "null")
        )
        if len(fields.problems) > before or found is None or column is None:
            return None
        nullable = Instead(None) in (absent, null)
        return Column(column, path or (), found, nullable, absent, null, const)


def read_unmapped(fields: Fields, declared: Any) -> tuple[Unmapped, list[Column]]:
    if declared in ("ignore", "quarantine"):
        return Unmapped(UnmappedAction(declared)), []
    with fields.within("unmapped"):
        if not isinstance(declared, dict):
            fields.problem("", 'must be "ignore", "quarantine" or {"column": the name of a JSON column}')
        elif fields.is_object("", declared, ("column",)):
            name = fields.identifier("column", declared)
            if name:
                return Unmapped(UnmappedAction.COLUMN, name), [Column(name, (), TYPES["json"].with_options({}))]
    return Unmapped(), []


def read_type(fields: Fields, declared: Json[str, Any]) -> ColumnType | None:
    name = fields.text("type", declared, TYPES.__contains__, f"one of {', '.join(TYPES)}")
    if name is None:
        return None
    options = {option: value for option, value in declared.items() if option not in _FIELDS}
    try:
        return TYPES[name].with_options(options)
    except OptionError as error:
        for problem in error.problems:
            fields.problem("", f"type {name}: {problem}")
        return None


def _read_fallback(fields: Fields, field: str, declared: Any, found: ColumnType | None) -> Instead | None:
    if declared == "reject":
        return None
    if declared == "null":
        return Instead(None)
    if not isinstance(declared, dict):
        fields.problem(field, 'must be "reject", "null" or {"default": a value}')
        return None
    with fields.within(field):
        if not fields.is_object("", declared, ("default",)) or "default" not in declared:
            return None
        return _read_value(fields, "default", declared["default"], found)


def _read_value(fields: Fields, field: str, declared: Any, found: ColumnType | None) -> Instead | None:
    if declared is None:
        fields.problem(field, 'must not be null; to write NULL, set `absent` or `null` to "null"')
        return None
    if found is None:
        return None
    try:
        return Instead(found.literal(declared))
    except (ValueError, PoisonError, TypeError) as error:
        fields.problem(field, f"{error}; write a value that fits the type {found.name}")
        return None
