"""What DynamoDB refuses of an item. Pure.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from common.mapping import KeyAttribute

Image = Mapping[str, Mapping[str, Any]]

LARGEST_ITEM = 400 * 1024
_LONGEST_KEYS = (2048, 1024)  # bytes of partition key and sort key
_MOST_LEVELS = 32


def refusal(image: Image, keys: tuple[KeyAttribute | None, KeyAttribute | None]) -> str:
    """Why DynamoDB would refuse the item, in words that hold no value; empty if it takes it.

    `keys` are the attributes of partition key and sort key. Their types are right.
    """
    if problem := key_refusal(image, keys):
        return problem
    if max(map(_levels, image.values())) > _MOST_LEVELS:
        return f"the item has more than {_MOST_LEVELS} levels"
    if not all(map(_is_named, ({"M": image},))):
        return "an attribute has an empty name"
    if item_size(image) > LARGEST_ITEM:
        return f"the item is larger than {LARGEST_ITEM} bytes"
    return ""


def key_refusal(image: Image, keys: tuple[KeyAttribute | None, KeyAttribute | None]) -> str:
    """The same of its key alone."""
    for key, longest in zip(keys, _LONGEST_KEYS, strict=True):
        if key and key.type != "N" and not 1 <= _size(image[key.attribute]) <= longest:
            return f"key {key.attribute} does not have 1 to {longest} bytes"
    return ""


def item_size(image: Image) -> int:
    """The bytes that DynamoDB counts for an item, as its documents describe them. It counts a little less for numbers.

    Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
    """
    return sum(_bytes(name) + _size(value) for name, value in image.items())


def _size(value: Mapping[str, Any]) -> int:
    [(kind, content)] = value.items()
    return _SIZES[kind](content)


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode(errors="surrogatepass"))


def _base64(content: str) -> int:
    return len(content) // 4 * 3 - content[-2:].count("=")


def _number(text: str) -> int:
    """Two digits take a byte, without zeros at either end."""
    return len(text.strip("-0.")) // 2 + 2


_SIZES: dict[str, Callable[[Any], int]] = {
    "S": _bytes,
    "N": _number,
    "B": _base64,
    "BOOL": lambda _: 1,
    "NULL": lambda _: 1,
    "M": lambda members: 3 + sum(1 + _bytes(name) + _size(value) for name, value in members.items()),
    "L": lambda values: 3 + sum(1 + _size(value) for value in values),
}


def _levels(value: Mapping[str, Any]) -> int:
    inner = value["M"].values() if "M" in value else value.get("L", ())
    return 1 + max(map(_levels, inner), default=0)


def _is_named(value: Mapping[str, Any]) -> bool:
    """Whether no map in the value has an empty name."""
    if "M" in value:
        return "" not in value["M"] and all(map(_is_named, value["M"].values()))
    return all(map(_is_named, value.get("L", ())))
