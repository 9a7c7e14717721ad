"""The key of a drafted entity: its conditions, its templates and its key columns. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from backstream.mapping.grouping import KeyShape, Kind, fold
from backstream.mapping.inference import Attribute, Declared, column_type, holds, holds_key, is_printable_ascii
from backstream.mapping.legacy import candidates_for
from backstream.mapping.naming import is_empty_key_name, snake_case, unused
from backstream.mapping.templates import Capture, Template, template_of
from common.mapping import KeyAttribute
from common.mapping_parts.target import MOST_KEY_BYTES
from common.mysql.columns import ActualColumn

_KEY_TYPES = {"string", "tinyint", "smallint", "int", "bigint", "decimal", "binary", "uuid", "date", "datetime"}
_LENGTH = 255
_SHORTENED = f"the longest text of the sample: a key has at most {MOST_KEY_BYTES} bytes, so check the lengths"
_GUESSED = (
    {"type": "uuid"},
    {"type": "bigint", "comment": "whole numbers in the sample: an item with any other text in its key is quarantined"},
)


@dataclass(frozen=True)
class LegacyTable:
    """An existing table: its columns by name, and the names of those in its primary key."""

    name: str
    columns: Mapping[str, ActualColumn]
    primary_key: Sequence[str]


@dataclass(frozen=True)
class TableKeys:
    """What DynamoDB says about a table: its keys, its Time to Live attribute, the keys of its indexes."""

    partition_key: KeyAttribute
    sort_key: KeyAttribute | None = None
    ttl_attribute: str | None = None
    index_attributes: frozenset[str] = frozenset()

    @property
    def attributes(self) -> list[tuple[str, KeyAttribute]]:
        """Each with its name in a mapping."""
        both = (("partition_key", self.partition_key), ("sort_key", self.sort_key))
        return [(word, one) for word, one in both if one]


class KeyDraft(NamedTuple):
    """`when` and `templates` as the file has them; `captured` has the text in each item, by column."""

    when: dict[str, Any]
    templates: dict[str, str]
    columns: list[Declared]
    captured: dict[str, list[str]]
    comments: list[str]


def draft_key(keys: TableKeys, kind: Kind, entity: str, like: LegacyTable | None) -> KeyDraft:
    """The key of `kind`; its columns are those of the primary key of `like` where it has as many."""
    shapes = dict(zip(("partition_key", "sort_key"), (kind.partition_key, kind.sort_key), strict=True))
    when: dict[str, Any] = {word: shapes[word].condition for word, _ in keys.attributes if shapes[word].condition}
    if kind.discriminator:
        attribute, value = kind.discriminator
        when["attribute"] = {"path": [attribute], "equals": value}
    templates = {
        word: _template(one, shapes[word], kind, fallback=f"{entity}_{'id' if word == 'partition_key' else 'sort'}")
        for word, one in keys.attributes
        if shapes[word].equals is None
    }
    captures = [(capture, word) for word, template in templates.items() for capture in template.captures]
    names, comments = _names([capture for capture, _ in captures], like)
    types = {word: one.type for word, one in keys.attributes}
    columns = [
        {"column": name} | _type(capture.texts, types[word], like.columns.get(name) if like else None)
        for name, (capture, word) in zip(names, captures, strict=True)
    ]
    columns = _shortened(columns, [capture.texts for capture, _ in captures])
    remaining = iter(names)
    texts = {word: template.text([next(remaining) for _ in template.captures]) for word, template in templates.items()}
    captured = {name: capture.texts for name, (capture, _) in zip(names, captures, strict=True)}
    return KeyDraft(when, texts, columns, captured, comments)


def _template(one: KeyAttribute, shape: KeyShape, kind: Kind, fallback: str) -> Template:
    texts = [item[one.attribute][one.type] for item in kind.items]
    if one.type == "S":
        return template_of(texts, shape, one.attribute, fallback)
    return Template([Capture(fallback if is_empty_key_name(one.attribute) else snake_case(one.attribute), texts)])


def _names(captures: Sequence[Capture], like: LegacyTable | None) -> tuple[list[str], list[str]]:
    """The names of the key columns, and comments on them."""
    names: list[str] = []
    if not like or len(like.primary_key) != len(captures):
        for capture in captures:
            names.append(unused(capture.name, names))
        if not like:
            return names, []
        parts = ", ".join(like.primary_key) or "missing"
        return names, [f"the primary key of {like.name} is {parts}, and the items' key has {len(captures)} parts"]
    for capture in captures:
        left = [name for name in like.primary_key if name not in names]
        names.append(next((name for name in left if fold(name) == fold(capture.name)), left[0]))
    return names, []


def _type(texts: Sequence[str], kind: str, actual: ActualColumn | None) -> Declared:
    """The type of a key column. Text of a string key that becomes a number must be the only spelling of it."""
    candidates = [one for one in candidates_for(actual) if one["type"] in _KEY_TYPES and "as" not in one]
    for declared in candidates or (_GUESSED if kind != "B" else ()):
        if _holds(declared, texts, kind):
            return _with_ascii(declared, texts)
    doubt = (
        {"comment": f"the column is {actual.full_type}, which does not fit the keys of the sample"} if actual else {}
    )
    if kind == "B":
        return {"type": "binary", "length": _LENGTH} | doubt
    if kind == "N":
        return {"type": "decimal", "precision": 38, "scale": 10} | doubt
    return _with_ascii({"type": "string", "length": _length(texts)} | doubt, texts)


def _shortened(columns: list[Declared], texts: Sequence[Sequence[str]]) -> list[Declared]:
    """The columns, each string as long as the longest in the sample where the key would have too many bytes."""
    if sum(column_type(_options(one)).in_key().key_bytes or 0 for one in columns) <= MOST_KEY_BYTES:
        return columns
    return [
        one | {"length": max(map(len, found)), "comment": "; ".join(filter(None, [one.get("comment"), _SHORTENED]))}
        if one["type"] == "string"
        else one
        for one, found in zip(columns, texts, strict=True)
    ]


def _options(column: Declared) -> Declared:
    return {name: value for name, value in column.items() if name != "column"}


def _holds(declared: Declared, texts: Sequence[str], kind: str) -> bool:
    if kind == "S":
        return holds_key(declared, texts)
    return holds(declared, Attribute((), [{kind: text} for text in texts]))


def _with_ascii(declared: Declared, texts: Sequence[str]) -> Declared:
    return declared | {"ascii": True} if declared["type"] == "string" and is_printable_ascii(texts) else declared


def _length(texts: Sequence[str]) -> int:
    return max(_LENGTH, *map(len, texts))
