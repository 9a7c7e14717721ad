"""The writes of a seed, as arguments of boto3's DynamoDB client. They never overwrite what others wrote. Pure."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from typing import Any

Image = Mapping[str, Mapping[str, Any]]
Arguments = dict[str, Any]


def insertion(item: Image, partition_key: str) -> Arguments:
    """Of `put_item()`: the item, if there is none with its key."""
    return {
        "Item": _for_request(item),
        "ConditionExpression": "attribute_not_exists(#key)",
        "ExpressionAttributeNames": {"#key": partition_key},
    }


def replacement(item: Image, old: Image, keys: tuple[str, ...]) -> Arguments:
    """Of `update_item()`: `item` in place of `old`, if `old` is still what is there.

    The condition names every attribute of both, because a writer that keeps the mark may have changed any of them.
    Any other attribute that somebody has added meanwhile stays. It makes the digest of the mark wrong, so the consumer
    takes the change for an ordinary one.

    `old` must be an item that a seed wrote and nobody changed: see `common.seeds.is_marked()`.
    """
    names = {name: f"#n{number}" for number, name in enumerate(sorted({*item, *old} - set(keys)))}
    changed = [name for name in names if name in item and item[name] != old.get(name)]
    removed = [names[name] for name in names if name not in item]
    conditions = [
        f"{name} = :o{name[2:]}" if attribute in old else f"attribute_not_exists({name})"
        for attribute, name in names.items()
    ]
    sets = [f"{names[name]} = :v{names[name][2:]}" for name in changed]
    values = {f":o{names[name][2:]}": old[name] for name in names if name in old}
    values |= {f":v{names[name][2:]}": item[name] for name in changed}
    clauses = [f"SET {', '.join(sets)}"] * bool(sets) + [f"REMOVE {', '.join(removed)}"] * bool(removed)
    return {
        "Key": _for_request({name: item[name] for name in keys}),
        "UpdateExpression": " ".join(clauses),
        "ConditionExpression": " AND ".join(conditions),
        "ExpressionAttributeNames": {placeholder: name for name, placeholder in names.items()},
        "ExpressionAttributeValues": _for_request(values),
    }


def _for_request(image: Image) -> dict[str, Any]:
    """boto3 encodes bytes itself."""
    return {name: _value(value) for name, value in image.items()}


def _value(value: Mapping[str, Any]) -> dict[str, Any]:
    [(kind, content)] = value.items()
    return {kind: _CONTENT[kind](content) if kind in _CONTENT else content}


def _bytes(content: str | bytes) -> bytes:
    return b64decode(content) if isinstance(content, str) else content


_CONTENT: dict[str, Any] = {
    "B": _bytes,
    "BS": lambda contents: list(map(_bytes, contents)),
    "M": _for_request,
    "L": lambda values: list(map(_value, values)),
}
