"""The items of a page, decoded one at a time.

A whole page of decoded items overflows the processor's cache. Decoding, parsing and freeing it took 1.3 times as long.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, TypedDict

import msgspec

from common.raw_items import Item


class _ScanAnswer(TypedDict, total=False):
    Items: list[msgspec.Raw]
    LastEvaluatedKey: Any
    Count: Any
    ScannedCount: Any
    ConsumedCapacity: Any


# Of a text that msgspec refuses and json reads. In a name it raises the second one.
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_decode_answer = msgspec.json.Decoder(_ScanAnswer).decode
_decode_item = msgspec.json.Decoder(Item).decode


class PageItems(Sequence[Item]):
    """Items that are decoded each time they are asked for. Raises ValueError for what is not JSON."""

    def __init__(self, raw: list[msgspec.Raw]) -> None:
        self._raw = raw

    def __len__(self) -> int:
        return len(self._raw)

    def __iter__(self) -> Iterator[Item]:
        return map(_item, self._raw)

    def __getitem__(self, index: Any) -> Any:
        return list(map(_item, self._raw[index])) if isinstance(index, slice) else _item(self._raw[index])


def decode_scan(text: bytes) -> dict[str, Any]:
    """The answer to a Scan, with `PageItems`. Fields that nobody reads are left out. Raises ValueError."""
    try:
        answer: dict[str, Any] = {**_decode_answer(text)}
    except _UNREADABLE:  # what boto3 makes of the answer must not depend on the decoder
        whole: dict[str, Any] = json.loads(text)
        return whole
    if "Items" in answer:
        answer["Items"] = PageItems(answer["Items"])
    return answer


def _item(raw: msgspec.Raw) -> Item:
    try:
        return _decode_item(raw)
    except _UNREADABLE:  # such as half of a surrogate pair, which the parser refuses
        item: Item = json.loads(bytes(raw))
        return item
