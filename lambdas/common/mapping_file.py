"""Reads a mapping file, and refuses one that does not say for every item exactly which row it becomes.

It accepts nothing that the published schema refuses: see `common.mapping_schema`.
"""

from __future__ import annotations

import importlib.util
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Mapping as Json
from contextlib import contextmanager
from decimal import Decimal
from itertools import combinations
from pathlib import Path
from typing import Any, NoReturn

from common.columns import TYPES
from common.columns.column_type import ColumnType
from common.columns.option import OptionError
from common.mapping import (
    Action,
    AttributeCondition,
    AttributePath,
    Column,
    Entity,
    Instead,
    KeyAttribute,
    KeyCondition,
    Mapping,
    MappingError,
    Prepare,
    Removal,
    Templates,
    Unmapped,
    UnmappedAction,
    When,
)
from common.poison import PoisonError
from common.templates import Template

MAPPING_NAME = r"^[a-z][a-z0-9_-]{0,30}$"
ENTITY_NAME = r"^[a-z][a-z0-9_]{0,30}$"
IDENTIFIER = r"^[A-Za-z_][A-Za-z0-9_]{0,63}$"
PREPARE_FILE = r"^[A-Za-z_][A-Za-z0-9_]*\.py$"
LONGEST_ATTRIBUTE = 255
KEY_TYPES = {"string": "S", "number": "N", "binary": "B"}
ROLES = ("partition_key", "sort_key")

# https://dev.mysql.com/doc/refman/8.4/en/innodb-limits.html
MOST_KEY_BYTES, MOST_KEY_COLUMNS, MOST_COLUMNS = 3_072, 16, 1_017
OWN_TABLES = ("replication_versions", "replication_sources", "replication_entities")

_FLAG = TYPES["boolean"].with_options({})
_FLAG_TIME = TYPES["datetime"].with_options({})


def read_file(path: Path) -> Mapping:
    """The mapping of a file, named after it. Raises MappingError with every problem."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = "is not UTF-8" if isinstance(error, UnicodeDecodeError) else f"cannot be read: {error.strerror}"
        raise MappingError([f"{path.name}: {reason}"]) from None
    return read_text(path.stem, text, path.parent)


def read_text(name: str, text: str, folder: Path) -> Mapping:
    """The same for the text of the file `<name>.json` in `folder`, which also holds the file of `prepare`."""
    reader = _Reader(f"{name}.json")
    mapping = None
    try:
        mapping = reader.mapping(name, parse_json(text), folder)
    except ValueError as error:
        reader.problem("", f"is not JSON: {error}")
    except RecursionError:
        reader.problem("", "is nested too deeply")
    if reader.problems or mapping is None:
        raise MappingError(reader.problems)
    return mapping


def parse_json(text: str) -> Any:
    """With exact numbers. Raises ValueError for what is not JSON, and for a name that an object has twice."""
    return json.loads(text, parse_float=Decimal, parse_constant=_refuse_constant, object_pairs_hook=_unique)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        twice = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        raise ValueError(f"an object has the field {twice} twice")
    return made


class _Reader:
    """Reads the parts of a file and collects the problems. A part with a problem is None."""

    def __init__(self, file: str) -> None:
        self.problems: list[str] = []
        self._file = file
        self._place: list[str] = []

    def problem(self, place: str, what: str) -> None:
        """`place` is within the part that is being read; the file is named once."""
        places = ", ".join([*self._place, *filter(None, [place])])
        self.problems.append(f"{self._file}: {places}: {what}" if places else f"{self._file}: {what}")

    @contextmanager
    def _in(self, place: str) -> Iterator[None]:
        self._place.append(place)
        yield
        self._place.pop()

    # The file

    def mapping(self, name: str, declared: Any, folder: Path) -> Mapping | None:
        if not _matches(MAPPING_NAME, name):
            self.problem(
                "", "name the file with lower-case letters, digits, _ and -, beginning with a letter, at most 31"
            )
        optional = ("$schema", "sort_key", "ttl_attribute", "prepare")
        if not self._is_object("", declared, ("partition_key", "entities"), optional):
            return None
        self._text("$schema", declared, lambda _: True, "a string")
        keys = {role: self._key_attribute(role, declared[role]) for role in ROLES if role in declared}
        if len({key.attribute for key in keys.values() if key}) < sum(key is not None for key in keys.values()):
            self.problem(
                "sort_key", "has the attribute of partition_key; name the table's sort key, or leave sort_key out"
            )
        ttl = self._text("ttl_attribute", declared, _is_attribute, _ATTRIBUTE)
        prepare = self._prepare(name, declared, folder)
        entities = self._entities(declared["entities"], keys) if "entities" in declared else []
        if self.problems:
            return None
        partition_key, sort_key = keys["partition_key"], keys.get("sort_key")
        return Mapping(name, partition_key, sort_key, tuple(entities), ttl, prepare)  # type: ignore[arg-type]

    def _key_attribute(self, role: str, declared: Any) -> KeyAttribute | None:
        with self._in(role):
            if not self._is_object("", declared, ("attribute", "type")):
                return None
            attribute = self._text("attribute", declared, _is_attribute, _ATTRIBUTE)
            kind = self._text("type", declared, KEY_TYPES.__contains__, '"string", "number" or "binary"')
        return KeyAttribute(attribute, KEY_TYPES[kind]) if attribute and kind else None

    def _prepare(self, name: str, declared: Json[str, Any], folder: Path) -> Prepare | None:
        file = self._text(
            "prepare", declared, _matcher(PREPARE_FILE), "the name of a file beside the mapping, such as shop.py"
        )
        if file is None:
            return None
        path = folder / file
        if not path.is_file():
            self.problem("prepare", f"there is no file {file} beside the mapping")
            return None
        try:
            return load_prepare(name, path)
        except Exception as error:  # noqa: BLE001 - the file is the user's: whatever it raises refuses the mapping
            self.problem("prepare", f"{file} cannot be loaded: {type(error).__name__}: {error}")
            return None

    def _entities(self, declared: Any, keys: Json[str, KeyAttribute | None]) -> list[Entity]:
        if not isinstance(declared, dict):
            self.problem("entities", "must be an object with an entity for each kind of item")
            return []
        self._comment(declared)
        found = {name: one for name, one in declared.items() if name != "comment"}
        if not found:
            self.problem("entities", "is empty; declare an entity for each kind of item")
        entities = []
        for name, one in found.items():
            with self._in(f"entity {name}"):
                if not _matches(ENTITY_NAME, name):
                    self.problem(
                        "", "name it with lower-case letters, digits and _, beginning with a letter, at most 31"
                    )
                entities.append(self._entity(name, one, keys))
        complete = [one for one in entities if one]
        self._apart(complete)
        return complete

    def _apart(self, entities: list[Entity]) -> None:
        """Two entities never match one item, nor write one table."""
        for one, two in combinations(entities, 2):
            if one.table.lower() == two.table.lower():
                what = f"writes the table {two.table}, as entity {one.name} does; give each entity its own table"
                self.problem(f"entity {two.name}", what)
            if not _exclude(one.when, two.when):
                self.problem(
                    f"entity {two.name}",
                    f"could match the same item as entity {one.name}; let `when` of both test the same key attribute,"
                    " or the same attribute path, for different values",
                )

    # An entity

    def _entity(self, name: str, declared: Any, keys: Json[str, KeyAttribute | None]) -> Entity | None:
        before = len(self.problems)
        if not self._is_object("", declared, ("target", "columns"), ("when", "unmapped", "deletes", "ttl")):
            return None
        target, others = declared.get("target"), declared.get("columns")
        when = self._when(declared.get("when", {}), keys)
        table, templates, key = (
            self._target(target, keys, declared.get("when", {})) if "target" in declared else ("", None, [])
        )
        columns = self._columns(others) if "columns" in declared else []
        unmapped, unmapped_columns = self._unmapped(declared.get("unmapped", "ignore"))
        deletes, deletes_columns = self._removal("deletes", declared.get("deletes", "delete"))
        ttl, ttl_columns = self._removal("ttl", declared.get("ttl", "ignore"))
        removal_columns = list(dict.fromkeys([*deletes_columns, *ttl_columns]))
        together = (*key, *columns, *unmapped_columns, *removal_columns)
        self._different(together)
        if len(self.problems) > before or not (when and templates):
            return None
        when = self._with_templates(when, templates)
        return Entity(name, table, tuple(key), together, when, templates, unmapped, deletes, ttl)

    def _different(self, columns: Iterable[Column]) -> None:
        names = Counter(column.name.lower() for column in columns)
        for name in (name for name, count in names.items() if count > 1):
            self.problem(f"column {name}", "is declared more than once; give each column of the table one source")
        if names.total() > MOST_COLUMNS:
            self.problem("columns", f"there are {names.total()}; a table of MySQL has at most {MOST_COLUMNS}")

    # When

    def _when(self, declared: Any, keys: Json[str, KeyAttribute | None]) -> When | None:
        before = len(self.problems)
        with self._in("when"):
            if not self._is_object("", declared, (), (*ROLES, "attribute")):
                return None
            conditions = {role: self._key_condition(role, declared[role], keys) for role in ROLES if role in declared}
            attribute = self._attribute_condition(declared["attribute"], keys) if "attribute" in declared else None
        if len(self.problems) > before:
            return None
        return When(**{role: found for role, found in conditions.items() if found}, attribute=attribute)

    def _key_condition(self, role: str, declared: Any, keys: Json[str, KeyAttribute | None]) -> KeyCondition | None:
        with self._in(role):
            if role not in keys:
                self.problem("", f"the table has no {role}; declare it, or leave the condition out")
            kind = keys[role].type if keys.get(role) else ""  # type: ignore[union-attr]
            if not self._is_object("", declared, (), ("equals", "starts_with")):
                return None
            given = [name for name in ("equals", "starts_with") if name in declared]
            if len(given) != 1:
                self.problem("", "needs one of equals and starts_with")
                return None
            value = declared[given[0]]
            if kind == "B":
                self.problem("", "a binary key attribute takes no condition; leave it out")
            elif kind == "N" and (given == ["starts_with"] or not _is_number(value)):
                self.problem("", 'a number key attribute takes a number, such as {"equals": 1}')
            elif not (_is_number(value) and kind != "S" and given == ["equals"]) and not _is_some_text(value):
                self.problem(given[0], "must be a string with 1 or more characters")
            else:
                exact = Decimal(value) if _is_number(value) else value
                return KeyCondition(**{given[0]: exact})  # type: ignore[arg-type]
            return None

    def _attribute_condition(self, declared: Any, keys: Json[str, KeyAttribute | None]) -> AttributeCondition | None:
        with self._in("attribute"):
            if not self._is_object("", declared, ("path", "equals")) or not {"path", "equals"} <= declared.keys():
                return None
            path = self._path("path", declared["path"])
            if path and path[0] in [key.attribute for key in keys.values() if key]:
                self.problem("path", f"{path[0]} is a key attribute; write the condition as partition_key or sort_key")
            value = declared["equals"]
            if not (isinstance(value, str | bool) or _is_number(value)):
                self.problem("equals", "must be a string, a number, true or false")
                return None
            if isinstance(value, str) and not _is_unicode(value):
                self.problem("equals", "is not valid Unicode")
            return AttributeCondition(path, Decimal(value) if _is_number(value) else value) if path else None

    def _with_templates(self, when: When, templates: Templates) -> When:
        """The leading literal of a template is the condition of a key attribute without one."""
        conditions = {}
        for role in ROLES:
            condition, template = getattr(when, role), getattr(templates, role)
            if condition == KeyCondition() and template and template.literals[0]:
                condition = KeyCondition(starts_with=template.literals[0])
            conditions[role] = condition
        return When(**conditions, attribute=when.attribute)

    # Target

    def _target(
        self, declared: Any, keys: Json[str, KeyAttribute | None], when: Any
    ) -> tuple[str, Templates | None, list[Column]]:
        with self._in("target"):
            if not self._is_object("", declared, ("table", "key", "key_columns")):
                return "", None, []
            table = self._text("table", declared, _matcher(IDENTIFIER), _IDENTIFIER)
            if table and table.lower() in OWN_TABLES:
                self.problem("table", f"{table} is Backstream's own; name another table")
            templates = self._templates(declared["key"], keys, when) if "key" in declared else None
        key = self._key_columns(declared["key_columns"], templates, keys) if "key_columns" in declared else []
        return table or "", templates, key

    def _templates(self, declared: Any, keys: Json[str, KeyAttribute | None], when: Any) -> Templates | None:
        before = len(self.problems)
        with self._in("key"):
            if not self._is_object("", declared, (), ROLES):
                return None
            if not declared.keys() - {"comment"}:
                self.problem("", "is empty; give a key attribute its template, such as {order_id}")
            found = {role: self._template(role, declared, keys, when) for role in ROLES if role in declared}
            for role in keys:
                if role not in found and "equals" not in (_condition(when, role) or {}):
                    self.problem(
                        role,
                        "is missing, so two items could be one row; add its template, or fix it with `equals` in"
                        " `when`",
                    )
        return Templates(**found) if len(self.problems) == before else None

    def _template(
        self, role: str, declared: Json[str, Any], keys: Json[str, KeyAttribute | None], when: Any
    ) -> Template | None:
        if role not in keys:
            self.problem(role, f"the table has no {role}; declare it, or leave its template out")
        text = self._text(role, declared, _is_some_text, "a string such as LINE#{line_no}")
        if text is None:
            return None
        try:
            template = Template.parse(text)
        except ValueError as error:
            self.problem(role, str(error))
            return None
        key = keys.get(role)
        if key and key.type != "S" and not template.is_whole:
            kind = "number" if key.type == "N" else "binary"
            self.problem(role, f"a {kind} key attribute is one column; write {{{template.columns[0]}}} alone")
        self._can_fit(role, template, _condition(when, role) or {})
        return template

    def _can_fit(self, role: str, template: Template, condition: Json[str, Any]) -> None:
        """Whether an item that meets the condition can fit the template."""
        prefix, literal = condition.get("starts_with"), template.literals[0]
        if isinstance(prefix, str) and not (prefix.startswith(literal) or literal.startswith(prefix)):
            self.problem(role, f"no item whose {role} starts with {prefix} fits {template}; correct one of them")
        equals = condition.get("equals")
        if isinstance(equals, str):
            try:
                template.split([equals])
            except ValueError:
                self.problem(role, f"no item whose {role} equals {equals} fits {template}; correct one of them")

    def _key_columns(
        self, declared: Any, templates: Templates | None, keys: Json[str, KeyAttribute | None]
    ) -> list[Column]:
        if not isinstance(declared, list) or not declared:
            self.problem("target, key_columns", "must be a list with the columns of the primary key")
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
        columns = [column for one in declared if (column := self._key_column(one, kinds))]
        if templates:
            self._each_once(templates, [column.name for column in columns], len(columns) == len(declared))
        size = sum(column.type.key_bytes or 0 for column in columns)
        if size > MOST_KEY_BYTES:
            what = f"take {size} bytes; a primary key of MySQL has at most {MOST_KEY_BYTES}: shorten them, or use ascii"
            self.problem("target, key_columns", what)
        if len(columns) > MOST_KEY_COLUMNS:
            self.problem("target, key_columns", f"are more than {MOST_KEY_COLUMNS}, the most of a primary key of MySQL")
        return columns

    def _each_once(self, templates: Templates, names: list[str], all_read: bool) -> None:
        captured = Counter(name for role in ROLES for name in (getattr(templates, role) or Template((), ())).columns)
        for name, count in captured.items():
            if count > 1:
                self.problem("target, key", f"captures {name} {count} times; each key column is captured once")
            if all_read and name not in names:
                self.problem("target, key", f"captures {name}, which is no key column; add it to key_columns")
        for name in dict.fromkeys(names):
            if name not in captured:
                self.problem(f"column {name}", f"is captured by no template; write {{{name}}} in target.key")

    def _key_column(self, declared: Any, kinds: Json[str, str]) -> Column | None:
        name = declared.get("column") if isinstance(declared, dict) else None
        with self._in(f"key column {name}" if isinstance(name, str) else "key column"):
            if not self._is_object("", declared, ("column", "type"), None):
                return None
            column = self._text("column", declared, _matcher(IDENTIFIER), _IDENTIFIER)
            found = self._type(declared)
            for field in ("from", "const", "absent", "null"):
                if field in declared:
                    self.problem(field, "is not for a key column, which is made of its template; leave it out")
            if not found or not column:
                return None
            if found.key_bytes is None:
                self.problem("type", f"{found.name} cannot be a key column; {_KEY_COLUMN_TYPES}")
                return None
            kind = kinds.get(column)
            if kind and not _fits_key(found, kind, "as" in declared):
                self.problem("type", _KEY_MISFITS[kind].format(name=found.name))
            return Column(column, (), found.in_key())

    # Columns

    def _columns(self, declared: Any) -> list[Column]:
        if not isinstance(declared, list):
            self.problem("columns", "must be a list of columns")
            return []
        return [column for one in declared if (column := self._column(one))]

    def _column(self, declared: Any) -> Column | None:
        name = declared.get("column") if isinstance(declared, dict) else None
        with self._in(f"column {name}" if isinstance(name, str) else "column"):
            if not self._is_object("", declared, ("column", "type"), None):
                return None
            before = len(self.problems)
            column = self._text("column", declared, _matcher(IDENTIFIER), _IDENTIFIER)
            found = self._type(declared)
            if ("from" in declared) == ("const" in declared):
                self.problem("", 'needs one of from and const, such as "from": ["customer", "name"]')
            path = self._path("from", declared["from"]) if "from" in declared else ()
            if "const" in declared:
                for field in ("absent", "null"):
                    if field in declared:
                        self.problem(field, "has no meaning with const; leave it out")
            const = self._value("const", declared["const"], found) if "const" in declared else None
            absent, null = (
                self._fallback(field, declared[field], found) if field in declared else None
                for field in ("absent", "null")
            )
            if len(self.problems) > before or found is None or column is None:
                return None
            nullable = Instead(None) in (absent, null)
            return Column(column, path or (), found, nullable, absent, null, const)

    def _type(self, declared: Json[str, Any]) -> ColumnType | None:
        name = self._text("type", declared, TYPES.__contains__, f"one of {', '.join(TYPES)}")
        if name is None:
            return None
        options = {option: value for option, value in declared.items() if option not in _COLUMN_FIELDS}
        try:
            return TYPES[name].with_options(options)
        except OptionError as error:
            for problem in error.problems:
                self.problem("", f"type {name}: {problem}")
            return None

    def _path(self, field: str, declared: Any) -> AttributePath | None:
        if (
            not isinstance(declared, list)
            or not declared
            or not _is_attribute(declared[0])
            or not all(_is_some_text(segment) or (type(segment) is int and segment >= 0) for segment in declared)
        ):
            self.problem(
                field,
                'must be a list such as ["address", "lines", 0]: an attribute, then names in maps and indexes in lists',
            )
            return None
        return tuple(declared)

    def _fallback(self, field: str, declared: Any, found: ColumnType | None) -> Instead | None:
        if declared == "reject":
            return None
        if declared == "null":
            return Instead(None)
        if not isinstance(declared, dict):
            self.problem(field, 'must be "reject", "null" or {"default": a value}')
            return None
        with self._in(field):
            if not self._is_object("", declared, ("default",)) or "default" not in declared:
                return None
            return self._value("default", declared["default"], found)

    def _value(self, field: str, declared: Any, found: ColumnType | None) -> Instead | None:
        if declared is None:
            self.problem(field, "must not be null; a column is null where `absent` or `null` says so")
            return None
        if found is None:
            return None
        try:
            return Instead(found.literal(declared))
        except (ValueError, PoisonError, TypeError) as error:
            self.problem(field, f"{error}; write a value that fits the type {found.name}")
            return None

    # What becomes of unmapped attributes and of items that are gone

    def _unmapped(self, declared: Any) -> tuple[Unmapped, list[Column]]:
        if declared in ("ignore", "quarantine"):
            return Unmapped(UnmappedAction(declared)), []
        with self._in("unmapped"):
            if not isinstance(declared, dict):
                self.problem("", 'must be "ignore", "quarantine" or {"column": the name of a JSON column}')
            elif self._is_object("", declared, ("column",)):
                name = self._text("column", declared, _matcher(IDENTIFIER), _IDENTIFIER)
                if name:
                    return Unmapped(UnmappedAction.COLUMN, name), [Column(name, (), TYPES["json"].with_options({}))]
        return Unmapped(), []

    def _removal(self, field: str, declared: Any) -> tuple[Removal, list[Column]]:
        if declared in ("delete", "ignore"):
            return Removal(Action(declared)), []
        with self._in(field):
            if not isinstance(declared, dict):
                self.problem("", 'must be "delete", "ignore" or {"flag": a column, "time": a column}')
            elif self._is_object("", declared, ("flag",), ("time",)):
                flag, time = (
                    self._text(name, declared, _matcher(IDENTIFIER), _IDENTIFIER) for name in ("flag", "time")
                )
                columns = [Column(flag, (), _FLAG, const=Instead(0))] if flag else []
                columns += [Column(time, (), _FLAG_TIME, nullable=True, const=Instead(None))] if time else []
                return Removal(Action.FLAG, flag, time), columns
        return Removal(), []

    # Fields

    def _is_object(
        self, place: str, declared: Any, required: tuple[str, ...], optional: tuple[str, ...] | None = ()
    ) -> bool:
        """Whether it is an object; problems where fields are missing, or unknown and not None for `optional`."""
        if not isinstance(declared, dict):
            self.problem(place, f"must be an object{f' with {_listed(required)}' if required else ''}")
            return False
        self._comment(declared)
        if optional is not None:
            known = (*required, *optional)
            for name in declared.keys() - {*known, "comment"}:
                self.problem(place, f"has the unknown field {name}; it takes {_listed((*known, 'comment'))}")
        for name in required:
            if name not in declared:
                self.problem(place, f"needs the field {name}")
        return True

    def _comment(self, declared: Json[str, Any]) -> None:
        if not isinstance(declared.get("comment", ""), str):
            self.problem("comment", "must be a string")

    def _text(self, field: str, declared: Json[str, Any], fits: Callable[[str], Any], what: str) -> str | None:
        if field not in declared:
            return None
        value = declared[field]
        if isinstance(value, str) and fits(value):
            return value
        self.problem(field, f"must be {what}")
        return None


_COLUMN_FIELDS = {"comment", "column", "type", "from", "const", "absent", "null"}
_ATTRIBUTE = f"the name of an attribute, 1 to {LONGEST_ATTRIBUTE} characters"
_IDENTIFIER = "a name of letters, digits and _, not beginning with a digit, at most 64 characters"
_KEY_COLUMN_TYPES = "use string, a whole number, decimal, binary, uuid, date or datetime"
_KEY_MISFITS = {
    "S": "{name} cannot be made of a text; use string, a whole number, decimal, uuid, date or datetime, without `as`",
    "N": '{name} cannot be made of a number; use a whole number or decimal without `as`, string with "as": "number", or'
    ' date or datetime with "as": "epoch_seconds" or "epoch_milliseconds"',
    "B": "{name} cannot be made of a binary key attribute; use binary without `as`",
}


def _fits_key(found: ColumnType, kind: str, converts: bool) -> bool:
    """Whether a key attribute of `kind` can be, or can hold, such a column."""
    if kind == "S":
        return not converts and found.kind in ("S", "N")
    return found.kind == kind


def _condition(when: Any, role: str) -> dict[str, Any] | None:
    condition = when.get(role) if isinstance(when, dict) else None
    return condition if isinstance(condition, dict) else None


def _exclude(one: When, two: When) -> bool:
    """Whether no item meets both."""
    if any(_keys_exclude(getattr(one, role), getattr(two, role)) for role in ROLES):
        return True
    a, b = one.attribute, two.attribute
    return (
        a is not None
        and b is not None
        and a.path == b.path
        and (type(a.equals), a.equals) != (type(b.equals), b.equals)
    )


def _keys_exclude(one: KeyCondition, two: KeyCondition) -> bool:
    if one.equals is not None and two.equals is not None:
        return one.equals != two.equals
    if two.equals is not None:
        one, two = two, one
    if two.starts_with is None:
        return False
    if one.equals is not None:
        return not str(one.equals).startswith(two.starts_with)
    if one.starts_with is None:
        return False
    return not (one.starts_with.startswith(two.starts_with) or two.starts_with.startswith(one.starts_with))


def _matches(pattern: str, text: str) -> bool:
    return re.fullmatch(pattern.removesuffix("$"), text, re.ASCII) is not None


def _matcher(pattern: str) -> Callable[[str], bool]:
    return lambda text: _matches(pattern, text)


def _is_some_text(value: Any) -> bool:
    return isinstance(value, str) and value != "" and _is_unicode(value)


def _is_attribute(value: Any) -> bool:
    return _is_some_text(value) and len(value) <= LONGEST_ATTRIBUTE


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_number(value: Any) -> bool:
    return type(value) in (int, Decimal)


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names)


def load_prepare(name: str, path: Path) -> Prepare:
    """The function `prepare` of a file, which is found by its path. Raises what the file raises, and TypeError."""
    spec = importlib.util.spec_from_file_location(f"backstream_prepare_{name.replace('-', '_')}", path)
    if spec is None or spec.loader is None:
        raise TypeError("is not a Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    prepare = getattr(module, "prepare", None)
    if not callable(prepare):
        raise TypeError("it has no function prepare; write def prepare(item)")
    return prepare  # type: ignore[no-any-return]
