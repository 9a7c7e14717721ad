"""The mark of a seeded item: which changes of the stream the seed made itself. Pure.

The seed makes items of rows that MySQL has already. So the change that it makes in the stream, its echo, must not be
written back: the legacy application may have changed the row since.

A mark names the mapping and the seed, and has a digest of the item. An item that an application copies to another key,
or changes, keeps the mark, and its digest no longer matches. So this needs no old image. With one, an item that is put
back as it was seeded is told, too. Another mapping of the same table may have a database of its own, without these
rows: for that mapping it is an item like any other.
"""

from __future__ import annotations

import hashlib
import json
import re
from base64 import b64encode
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from common.columns.number import plain_text
from common.poison import PoisonError

# The attribute that holds the mark. No mapping may use it.
MARK = "backstream_seed"

Image = Mapping[str, Mapping[str, Any]]

_DIGEST_CHARACTERS = 32


def marked(item: Image, mapping: str, seed: str) -> dict[str, Mapping[str, Any]]:
    """The item with its mark.

    `seed` names one run of the seed of `mapping`: the same item gets another mark in the next one.
    """
    return {**item, MARK: {"S": f"{mapping}/{seed}/{digest(item)}"}}


def is_marked(image: Image, mapping: str) -> bool:
    """Whether the item is exactly what a seed of `mapping` has written, by its own mark.

    An application may have written the same item again, so this alone does not say who wrote it last.
    """
    try:
        text = image[MARK]["S"]
        return text.startswith(f"{mapping}/") and bool(text.rpartition("/")[2] == digest(image))
    except (KeyError, TypeError, ValueError, AttributeError, PoisonError, RecursionError):
        return False  # no mark, or an image that DynamoDB never sends


def is_echo(body: Mapping[str, Any], mapping: str, *, created: bool) -> bool:
    """Whether a record with a new image can be a change that a seed of `mapping` made. `body` is its `dynamodb`.

    `created`: the record is an INSERT. A seed replaces an item with a mark only, by one with another mark. So the old
    image of an update, where the record has one, tells the changes of others, and mostly saves the digest. Of an old
    image, only the mark counts.
    """
    image = body["NewImage"]
    if MARK not in image:
        return False
    old = None if created else body.get("OldImage")
    return (old is None or old.get(MARK, image[MARK]) != image[MARK]) and is_marked(image, mapping)


def digest(image: Image) -> str:
    """A digest of the item without its mark. It is the same for every notation of a number and order of a set."""
    text = _encode(_members({name: value for name, value in image.items() if name != MARK}))
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_CHARACTERS]


_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


def _members(members: Image) -> dict[str, Any]:
    return {
        # Most values are texts, which stand for themselves.
        name: value if "S" in value and len(value) == 1 else _canonical(value)
        for name, value in members.items()
    }


def _canonical(value: Mapping[str, Any]) -> Any:
    [(kind, content)] = value.items()
    return {kind: _CANONICAL[kind](content) if kind in _CANONICAL else content}


def _number(text: str) -> str:
    return text if _is_plain(text) else plain_text(text, "a number")


# The one text of each number that plain_text() gives.
_is_plain = re.compile(r"0|-?[1-9][0-9]*|-?(?:0|[1-9][0-9]*)\.[0-9]*[1-9]", re.ASCII).fullmatch


def _bytes(content: str | bytes) -> str:
    return content if isinstance(content, str) else b64encode(content).decode()


_CANONICAL: dict[str, Any] = {
    "N": _number,
    "B": _bytes,
    "M": _members,
    "L": lambda values: list(map(_canonical, values)),
    "SS": sorted,
    "NS": lambda texts: list(map(_number, sorted(texts, key=Decimal))),
    "BS": lambda contents: sorted(map(_bytes, contents)),
}
