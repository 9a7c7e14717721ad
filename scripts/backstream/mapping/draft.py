"""A first mapping file, from a sample of items and, if there is one, the legacy table. Pure.

What the sample does not show is asked in the fields "comment".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from backstream.mapping import legacy
from backstream.mapping.draft_key import KeyDraft, LegacyTable, TableKeys, draft_key
from backstream.mapping.grouping import Kind, fold, kinds_of
from backstream.mapping.inference import Attribute, Declared, attribute_of, infer
from backstream.mapping.items import Item
from backstream.mapping.naming import entity_name, is_empty_key_name, plural, snake_case, unused
from common.mapping import AttributePath
from common.seeds import MARK

_TYPES = {"S": "string", "N": "number", "B": "binary"}
_LONGEST_ENTITY = 31


def draft(keys: TableKeys, items: Sequence[Item], tables: Sequence[LegacyTable] = ()) -> dict[str, Any]:
    """The mapping, as its file has it."""
    kinds, left = kinds_of(items, keys.partition_key, keys.sort_key)
    names: list[str] = []
    for kind in kinds:
        names.append(unused(entity_name(kind, "item"), names, _LONGEST_ENTITY))
    owners = _owners(kinds, names, tables)
    comments = [f"drafted from {len(items)} items; each comment is an open question: decide, then delete it"]
    comments += [_left_out(kind, keys) for kind in left]
    taken = [table.name for table in tables]
    return {
        "$schema": "./mapping.schema.json",
        "comment": "; ".join(comments),
        **{word: {"attribute": one.attribute, "type": _TYPES[one.type]} for word, one in keys.attributes},
        **({"ttl_attribute": keys.ttl_attribute} if keys.ttl_attribute else {}),
        "entities": {
            name: _entity(keys, kind, name, owners.get(name), unused(plural(name), taken))
            for kind, name in zip(kinds, names, strict=True)
        },
    }


def _left_out(kind: Kind, keys: TableKeys) -> str:
    shapes = (kind.partition_key, kind.sort_key)
    conditions = [
        f"{one.attribute} {word.replace('_', ' ')} {text}"
        for (_, one), shape in zip(keys.attributes, shapes, strict=False)
        for word, text in shape.condition.items()
    ]
    described = " and ".join(conditions) or "keys of no common form"
    return (
        f"{len(kind.items)} sampled items with {described} have no entity of their own, because their keys do not"
        " distinguish them from another entity: give both a condition on an attribute"
    )


def _owners(kinds: Sequence[Kind], names: Sequence[str], tables: Sequence[LegacyTable]) -> dict[str, LegacyTable]:
    """Which entity each legacy table is for: the one with the most attributes named like its columns."""
    scores = [
        (_likeness(kind, name, table), -position, name, number)
        for number, table in enumerate(tables)
        for position, (kind, name) in enumerate(zip(kinds, names, strict=True))
    ]
    owners: dict[str, int] = {}
    for _, _, name, number in sorted(scores, reverse=True):
        if name not in owners and number not in owners.values():
            owners[name] = number
    return {name: tables[number] for name, number in owners.items()}


def _likeness(kind: Kind, name: str, table: LegacyTable) -> int:
    attributes = {fold(attribute) for item in kind.items for attribute in item}
    alike = len(attributes & {fold(column) for column in table.columns})
    return alike + (fold(table.name).removesuffix("s") == fold(name).removesuffix("s"))


def _entity(keys: TableKeys, kind: Kind, name: str, like: LegacyTable | None, table: str) -> dict[str, Any]:
    key = draft_key(keys, kind, name, like)
    columns, comments = _columns(keys, kind, key, like)
    comments = [*key.comments, *comments]
    if like:
        comments += _unfilled(like, [*key.columns, *columns])
    return {
        **({"comment": "; ".join(comments)} if comments else {}),
        **({"when": key.when} if key.when else {}),
        "target": {
            "table": like.name if like else table,
            "key": key.templates,
            "key_columns": key.columns,
        },
        "columns": columns,
        "unmapped": "ignore",
        "deletes": "delete",
        "ttl": "ignore",
    }


def _columns(keys: TableKeys, kind: Kind, key: KeyDraft, like: LegacyTable | None) -> tuple[list[Declared], list[str]]:
    """The columns outside the key, and comments on attributes that are in none."""
    columns: list[Declared] = []
    comments: list[str] = []
    used = list(key.captured)
    for name in _attributes(keys, kind):
        whole = attribute_of(kind.items, (name,))
        if repeated := _repeated_key(whole, key):
            comments.append(f"attribute {name} always equals the key column {repeated}, so it is not mapped")
            continue
        for path, wanted in _targets(whole, like):
            column = unused(wanted, used)
            used.append(column)
            columns.append(_column(column, attribute_of(kind.items, path), like))
    return columns, comments


def _attributes(keys: TableKeys, kind: Kind) -> list[str]:
    """The names of the attributes to map, in the order in which the sample has them."""
    left_out = {one.attribute for _, one in keys.attributes} | {keys.ttl_attribute, MARK}
    left_out |= {name for name in keys.index_attributes if is_empty_key_name(_without_index(name))}
    if kind.discriminator:
        left_out.add(kind.discriminator[0])
    return list(dict.fromkeys(name for item in kind.items for name in item if name not in left_out))


def _without_index(name: str) -> str:
    """`PK` of `GSI1PK`: the key of an index repeats other attributes."""
    return re.sub(r"^[gl]si\d*", "", fold(name))


def _repeated_key(attribute: Attribute, key: KeyDraft) -> str | None:
    if attribute.absent or attribute.nulls or not attribute.kinds <= {"S", "N"}:
        return None
    return next((column for column, texts in key.captured.items() if texts == attribute.texts), None)


def _targets(attribute: Attribute, like: LegacyTable | None) -> list[tuple[AttributePath, str]]:
    """The columns of an attribute, with the path of each: several if the legacy table splits a map."""
    name = str(attribute.path[0])
    if like and (column := legacy.column_for(name, like.columns)):
        return [(attribute.path, column)]
    parts = list(legacy.paths_into(attribute, like.columns)) if like and attribute.kinds == {"M"} else []
    return parts or [(attribute.path, snake_case(name))]


def _column(name: str, attribute: Attribute, like: LegacyTable | None) -> Declared:
    actual = like.columns.get(name) if like else None
    declared = legacy.fit(attribute, actual) if actual else infer(attribute)
    comments = [declared.pop("comment", "")]
    if like and not actual:
        comments.append(f"{like.name} has no such column")
    rules: Declared = {}
    for word, count in (("absent", attribute.absent), ("null", attribute.nulls)):
        if count and actual and not actual.nullable:
            comments.append(
                f"{word} in {count} sampled items, and the column is NOT NULL:"
                f' they are quarantined unless "{word}" gives a default'
            )
        elif count:
            rules[word] = "null"
    said = "; ".join(filter(None, comments))
    comment = {"comment": said} if said else {}
    return {"column": name, "from": list(attribute.path), **declared, **rules, **comment}


def _unfilled(like: LegacyTable, columns: Sequence[Declared]) -> Iterator[str]:
    """A comment on each column that neither the server nor an attribute fills."""
    filled = {column["column"] for column in columns}
    for actual in like.columns.values():
        if actual.name not in filled and not actual.optional:
            yield f"column {actual.name} is NOT NULL without a default: map it, with from or const"
