"""Names of entities, tables and columns, made from names and keys of DynamoDB. Pure."""

from __future__ import annotations

import re
from collections.abc import Container

from backstream.mapping.grouping import SEPARATORS, Kind, fold

_LONGEST_ENTITY = 31
_LONGEST_IDENTIFIER = 64
# Words of a sort key that say nothing about the kind of its item.
_EMPTY_WORDS = {"metadata", "meta", "data", "info", "root", "item", "main", "details", "detail", "profile", "self"}
# Names of key attributes that say nothing about what is in them.
_EMPTY_KEYS = {"pk", "sk", "pkey", "skey", "partitionkey", "sortkey", "hashkey", "rangekey", "hash", "range", "key"}


def snake_case(name: str) -> str:
    """`createdAt`, `created-at` and `CreatedAt` as `created_at`; letters outside ASCII are lost."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    plain = re.sub(r"[^A-Za-z0-9]+", "_", words).strip("_").lower()
    return f"x_{plain}"[:_LONGEST_IDENTIFIER] if not plain or plain[0].isdigit() else plain[:_LONGEST_IDENTIFIER]


def entity_name(kind: Kind, fallback: str) -> str:
    """By the discriminating attribute, else by the words of the keys, else `fallback`."""
    if kind.discriminator:
        return snake_case(kind.discriminator[1])[:_LONGEST_ENTITY]
    partition, sort = (_word(shape.equals or shape.starts_with or "") for shape in (kind.partition_key, kind.sort_key))
    if sort in _EMPTY_WORDS or sort == partition:
        sort = ""
    words = [sort] if sort and not partition else list(filter(None, (partition, sort)))
    return snake_case("_".join(words) or fallback)[:_LONGEST_ENTITY]


def is_empty_key_name(name: str) -> bool:
    """Whether the name of a key attribute says nothing, such as pk."""
    return re.sub(r"\d", "", fold(name)) in _EMPTY_KEYS


def plural(name: str) -> str:
    """For a table."""
    return name if name.endswith("s") else f"{name[:-1]}ies" if name.endswith("y") else f"{name}s"


def unused(name: str, used: Container[str], longest: int = _LONGEST_IDENTIFIER) -> str:
    """`name`, with a number appended if it is in use."""
    number, found = 1, name
    while found in used:
        number += 1
        found = f"{name[: longest - 1 - len(str(number))]}_{number}"
    return found


def _word(text: str) -> str:
    """The words of a key's common part: `order` of `ORDER#`."""
    return re.sub(r"[^a-z0-9]+", "_", text.strip("#" + SEPARATORS).lower()).strip("_")
