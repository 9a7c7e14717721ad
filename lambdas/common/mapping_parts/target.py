"""The table of an entity, and how its key columns are made from the item's key."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping as Json
from typing import Any

from common.columns.column_type import ColumnType
from common.mapping import Column, Templates
from common.mapping_parts.columns import read_type
from common.mapping_parts.fields import Fields, is_some_text
from common.mapping_parts.key_attributes import ROLES, KeyAttributes
from common.mapping_parts.when import declared_condition
from common.templates import Template

# https://dev.mysql.com/doc/refman/8.4/en/innodb-limits.html
MOST_KEY_BYTES, MOST_KEY_COLUMNS = 3_072, 16
_OWN_TABLES = ("replication_versions", "replication_sources", "replication_entities")

_KEY_COLUMN_TYPES = "use string, an integer type, decimal, binary, uuid, date or datetime"
_KEY_MISFITS = {
    "S": "{name} cannot be made from a string key attribute; use string, an integer type, decimal, uuid, date or"
    " datetime, without `as`",
    "N": "{name} cannot be made from a number key attribute; use an integer type or decimal without `as`, string with"
    ' "as": "number", or date or datetime with "as": "epoch_seconds" or "epoch_milliseconds"',
    "B": "{name} cannot be made from a binary key attribute; use binary without `as`",
}


def read_target(
    fields: Fields, declared: Any, keys: KeyAttributes, when: Any
) -> tuple[str, Templates | None, list[Column]]:
    with fields.within("target"):
        if not fields.is_object("", declared, ("table", "key", "key_columns")):
            return "", None, []
        table = fields.identifier("table", declared)
        if table and table.lower() in _OWN_TABLES:
            fields.problem("table", f"{table} is Backstream's own; name another table")
        templates = _read_templates(fields, declared["key"], keys, when) if "key" in declared else None
    key = _read_key_columns(fields, declared["key_columns"], templates, keys) if "key_columns" in declared else []
    return table or "", templates, key


def _read_templates(fields: Fields, declared: Any, keys: KeyAttributes, when: Any) -> Templates | None:
    before = len(fields.problems)
    with fields.within("key"):
        if not fields.is_object("", declared, (), ROLES):
            return None
        if not declared.keys() - {"comment"}:
            fields.problem("", "is empty; give a key attribute its template, such as {order_id}")
        found = {role: _read_template(fields, role, declared, keys, when) for role in ROLES if role in declared}
        for role in keys:
            if role not in found and "equals" not in (declared_condition(when, role) or {}):
                fields.problem(
                    role,
                    "is missing, so two items could become one row; add its template, or fix it with `equals` in"
                    " `when`",
                )
    return Templates(**found) if len(fields.problems) == before else None


def _read_template(
    fields: Fields, role: str, declared: Json[str, Any], keys: KeyAttributes, when: Any
) -> Template | None:
    if role not in keys:
        fields.problem(role, f"the table has no {role}; declare it, or leave its template out")
    text = fields.text(role, declared, is_some_text, "a string such as LINE#{line_no}")
    if text is None:
        return None
    try:
        template = Template.parse(text)
    except ValueError as error:
        fields.problem(role, str(error))
        return None
    key = keys.get(role)
    if key and key.type != "S" and not template.is_whole:
        kind = "number" if key.type == "N" else "binary"
        fields.problem(role, f"a {kind} key attribute is one column; write {{{template.columns[0]}}} alone")
    _can_fit(fields, role, template, declared_condition(when, role) or {})
    return template


def _can_fit(fields: Fields, role: str, template: Template, condition: Json[str, Any]) -> None:
    """A problem if no item that meets the condition can fit the template."""
    prefix, literal = condition.get("starts_with"), template.literals[0]
    if isinstance(prefix, str) and not (prefix.startswith(literal) or literal.startswith(prefix)):
        fields.problem(role, f"no item whose {role} starts with {prefix} fits {template}; correct one of them")
    equals = condition.get("equals")
    if isinstance(equals, str):
        try:
            template.split([equals])
        except ValueError:
            fields.problem(role, f"no item whose {role} equals {equals} fits {template}; correct one of them")


def _read_key_columns(fields: Fields, declared: Any, templates: Templates | None, keys: KeyAttributes) -> list[Column]:
    if not isinstance(declared, list) or not declared:
        fields.problem("target, key_columns", "must be a list with the columns of the primary key")
        return []
    kinds = (
        {
            name: keys[role].type  # type: ignore[union-attr]
            for role in ROLES
            if keys.get(role)
            for name in (getattr(templates, role) or Template((), ())).columns
        }
        if templates
        else {}
    )
    columns = [column for one in declared if (column := _read_key_column(fields, one, kinds))]
    if templates:
        _each_once(fields, templates, [column.name for column in columns], len(columns) == len(declared))
    size = sum(column.type.key_bytes or 0 for column in columns)
    if size > MOST_KEY_BYTES:
        what = f"take {size} bytes; a MySQL primary key has at most {MOST_KEY_BYTES}: shorten them, or use ascii"
        fields.problem("target, key_columns", what)
    if len(columns) > MOST_KEY_COLUMNS:
        fields.problem(
            "target, key_columns", f"are more than {MOST_KEY_COLUMNS}, the most that a MySQL primary key has"
        )
    return columns


def _each_once(fields: Fields, templates: Templates, names: list[str], all_read: bool) -> None:
    captured = Counter(name for role in ROLES for name in (getattr(templates, role) or Template((), ())).columns)
    for name, count in captured.items():
        if count > 1:
            fields.problem("target, key", f"captures {name} {count} times; capture each key column once")
        if all_read and name not in names:
            fields.problem("target, key", f"captures {name}, which is not a key column; add it to key_columns")
    for name in dict.fromkeys(names):
        if name not in captured:
            fields.problem(f"column {name}", f"is captured by no template; write {{{name}}} in target.key")


def _read_key_column(fields: Fields, declared: Any, kinds: Json[str, str]) -> Column | None:
    name = declared.get("column") if isinstance(declared, dict) else None
    with fields.within(f"key column {name}" if isinstance(name, str) else "key column"):
        if not fields.is_object("", declared, ("column", "type"), None):
            return None
        column = fields.identifier("column", declared)
        found = read_type(fields, declared)
        for field in ("from", "const", "absent", "null"):
            if field in declared:
                fields.problem(
                    field, "is not allowed in a key column, whose value comes from the template; leave it out"
                )
        if not found or not column:
            return None
        if found.key_bytes is None:
            fields.problem("type", f"{found.name} cannot be a key column; {_KEY_COLUMN_TYPES}")
            return None
        kind = kinds.get(column)
        if kind and not _fits_key(found, kind, "as" in declared):
            fields.problem("type", _KEY_MISFITS[kind].format(name=found.name))
        return Column(column, (), found.in_key())


def _fits_key(found: ColumnType, kind: str, converts: bool) -> bool:
    """Whether a key attribute of `kind` can be, or can hold, such a column."""
    if kind == "S":
        return not converts and found.kind in ("S", "N")
    return found.kind == kind
