"""Reads a mapping file, and refuses one that does not say for every item exactly which row it becomes.

It accepts nothing that the published schema refuses: see `common.mapping_schema`.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import sys
from collections import Counter
from collections.abc import Iterable
from collections.abc import Mapping as Json
from decimal import Decimal
from itertools import combinations
from pathlib import Path
from typing import Any, NoReturn

from common.mapping import Column, Entity, Mapping, MappingError, Prepare
from common.mapping_parts.columns import read_columns, read_unmapped
from common.mapping_parts.fields import Fields, matcher, matches
from common.mapping_parts.key_attributes import ROLES, KeyAttributes, read_key_attribute
from common.mapping_parts.removal import read_removal
from common.mapping_parts.target import read_target
from common.mapping_parts.when import exclude, read_when, with_templates

MAPPING_NAME = r"^[a-z][a-z0-9_-]{0,30}$"
ENTITY_NAME = r"^[a-z][a-z0-9_]{0,30}$"
PREPARE_FILE = r"^[A-Za-z_][A-Za-z0-9_]*\.py$"

_MOST_COLUMNS = 1_017  # https://dev.mysql.com/doc/refman/8.4/en/innodb-limits.html


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
    raise ValueError(f"{name} is not a number")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        twice = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        raise ValueError(f"an object has the field {twice} twice")
    return made


class _Reader(Fields):
    """Reads the file and its entities. A part with a problem is None."""

    def mapping(self, name: str, declared: Any, folder: Path) -> Mapping | None:
        if not matches(MAPPING_NAME, name):
            self.problem(
                "", "name the file with at most 31 lower-case letters, digits, _ and -, beginning with a letter"
            )
        optional = ("$schema", "sort_key", "ttl_attribute", "prepare")
        if not self.is_object("", declared, ("partition_key", "entities"), optional):
            return None
        self.text("$schema", declared, lambda _: True, "a string")
        keys = {role: read_key_attribute(self, role, declared[role]) for role in ROLES if role in declared}
        if len({key.attribute for key in keys.values() if key}) < sum(key is not None for key in keys.values()):
            self.problem(
                "sort_key", "is the attribute of partition_key; name the table's sort key, or leave sort_key out"
            )
        ttl = self.attribute("ttl_attribute", declared)
        prepare, prepare_digest = self._prepare(name, declared, folder)
        entities = self._entities(declared["entities"], keys) if "entities" in declared else []
        if self.problems:
            return None
        partition_key, sort_key = keys["partition_key"], keys.get("sort_key")
        return Mapping(name, partition_key, sort_key, tuple(entities), ttl, prepare, prepare_digest)  # type: ignore[arg-type]

    def _prepare(self, name: str, declared: Json[str, Any], folder: Path) -> tuple[Prepare | None, str]:
        """The function, and the digest of its file."""
        file = self.text(
            "prepare", declared, matcher(PREPARE_FILE), "the name of a file beside the mapping, such as shop.py"
        )
        if file is None:
            return None, ""
        path = folder / file
        if not path.is_file():
            self.problem("prepare", f"there is no file {file} beside the mapping")
            return None, ""
        try:
            return load_prepare(name, path), hashlib.sha256(path.read_bytes()).hexdigest()
        except Exception as error:  # noqa: BLE001 - the file is the user's: whatever it raises refuses the mapping
            self.problem("prepare", f"{file} cannot be loaded: {type(error).__name__}: {error}")
            return None, ""

    def _entities(self, declared: Any, keys: KeyAttributes) -> list[Entity]:
        if not isinstance(declared, dict):
            self.problem("entities", "must be an object with an entity for each kind of item")
            return []
        self.comment(declared)
        found = {name: one for name, one in declared.items() if name != "comment"}
        if not found:
            self.problem("entities", "is empty; declare an entity for each kind of item")
        entities = []
        for name, one in found.items():
            with self.within(f"entity {name}"):
                if not matches(ENTITY_NAME, name):
                    self.problem(
                        "", "name it with at most 31 lower-case letters, digits and _, beginning with a letter"
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
            if not exclude(one.when, two.when):
                self.problem(
                    f"entity {two.name}",
                    f"could match the same item as entity {one.name}; let `when` of both test the same key attribute,"
                    " or the same attribute path, for different values",
                )

    def _entity(self, name: str, declared: Any, keys: KeyAttributes) -> Entity | None:
        before = len(self.problems)
        if not self.is_object("", declared, ("target", "columns"), ("when", "unmapped", "deletes", "ttl")):
            return None
        target, others = declared.get("target"), declared.get("columns")
        when = read_when(self, declared.get("when", {}), keys)
        table, templates, key = (
            read_target(self, target, keys, declared.get("when", {})) if "target" in declared else ("", None, [])
        )
        columns = read_columns(self, others) if "columns" in declared else []
        unmapped, unmapped_columns = read_unmapped(self, declared.get("unmapped", "ignore"))
        deletes, deletes_columns = read_removal(self, "deletes", declared.get("deletes", "delete"))
        ttl, ttl_columns = read_removal(self, "ttl", declared.get("ttl", "ignore"))
        removal_columns = list(dict.fromkeys([*deletes_columns, *ttl_columns]))
        together = (*key, *columns, *unmapped_columns, *removal_columns)
        self._different(together)
        if len(self.problems) > before or not (when and templates):
            return None
        when = with_templates(when, templates)
        return Entity(name, table, tuple(key), together, when, templates, unmapped, deletes, ttl)

    def _different(self, columns: Iterable[Column]) -> None:
        names = Counter(column.name.lower() for column in columns)
        for name in (name for name, count in names.items() if count > 1):
            self.problem(f"column {name}", "is declared more than once; give each column of the table one source")
        if names.total() > _MOST_COLUMNS:
            self.problem("columns", f"there are {names.total()}; a MySQL table has at most {_MOST_COLUMNS}")


def load_prepare(name: str, path: Path) -> Prepare:
    """The function `prepare` of a file, which is found by its path. Raises what the file raises, and TypeError."""
    spec = importlib.util.spec_from_file_location(f"backstream_prepare_{name}", path)
    if spec is None or spec.loader is None:
        raise TypeError("is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses looks its annotations up there
    spec.loader.exec_module(module)
    prepare = getattr(module, "prepare", None)
    if not callable(prepare):
        raise TypeError("it has no function prepare; write def prepare(item)")
    return prepare  # type: ignore[no-any-return]
