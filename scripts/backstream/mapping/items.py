"""Items from JSON and from boto3, in the form that stream records have: `{"S": "NEW"}`, binary values in base64.

An item may be DynamoDB JSON or plain JSON. Numbers of plain JSON keep every digit.
Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_AttributeValue.html
"""

from __future__ import annotations

import base64
import binascii
import gzip
import json
from collections.abc import Callable, Iterator
from decimal import Context, Decimal
from pathlib import Path
from typing import Any

from backstream.errors import UsageError

Item = dict[str, Any]

_GET_ITEM = {"Item", "ConsumedCapacity"}
_GZIP = b"\x1f\x8b"
_DIGITS = 38
_WIDE = Context(prec=80)


def read_items(file: str) -> list[Item]:
    """The items of a file: one JSON document (an item, a list of items, or what `aws dynamodb scan` and `get-item`
    print), or one item a line, as DynamoDB exports have them, gzipped or not. Raises UsageError.
    """
    text = _read_text(file)
    try:
        documents = [_parse(text)]
    except ValueError as whole:
        try:
            documents = [_parse(line) for line in text.splitlines() if line.strip()]
        except ValueError:
            raise UsageError(f"{file} is neither JSON nor one JSON object per line: {whole}") from None
    items = [item for document in documents for item in _items(document, file)]
    if not items:
        raise UsageError(f"{file} holds no item")
    return items


def read_item(file: str) -> Item:
    """The only item of a file. Raises UsageError."""
    items = read_items(file)
    if len(items) > 1:
        raise UsageError(f"{file} holds {len(items)} items: give a file with one")
    return items[0]


def parse_key(text: str) -> Item:
    """The key of an item from the command line. Raises UsageError."""
    try:
        (key,) = _items(_parse(text), "--key")
    except ValueError as error:
        raise UsageError(f'--key is not JSON, such as {{"pk": "ORDER#1", "sk": "LINE#2"}}: {error}') from None
    return key


def from_boto3(item: Item) -> Item:
    """An item of boto3's low-level client, whose binary values are bytes."""
    return {name: _encode_binary(value) for name, value in item.items()}


def to_boto3(item: Item) -> Item:
    """The opposite of `from_boto3`, for the attributes of a key."""
    return {name: {"B": base64.b64decode(value["B"])} if "B" in value else value for name, value in item.items()}


def _encode_binary(value: Any) -> Any:
    (kind, inner), *_ = value.items()
    if kind == "B":
        return {"B": _base64(inner)}
    if kind == "BS":
        return {"BS": [_base64(one) for one in inner]}
    if kind == "M":
        return {"M": from_boto3(inner)}
    if kind == "L":
        return {"L": [_encode_binary(one) for one in inner]}
    return value


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


def _read_text(file: str) -> str:
    try:
        content = Path(file).read_bytes()
        return (gzip.decompress(content) if content.startswith(_GZIP) else content).decode("utf-8-sig")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {file}: {error}") from None


def _parse(text: str) -> Any:
    try:
        return json.loads(text, parse_float=Decimal, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def _items(document: Any, source: str) -> Iterator[Item]:
    if isinstance(document, dict) and isinstance(document.get("Items"), list):
        document = document["Items"]
    for one in document if isinstance(document, list) else [document]:
        if not isinstance(one, dict):
            raise UsageError(f"{source} holds {_name(one)} where an item must be: an item is a JSON object")
        whole = one["Item"] if isinstance(one.get("Item"), dict) and one.keys() <= _GET_ITEM else one
        yield _item(whole, source)


def _item(found: dict[str, Any], source: str) -> Item:
    if found and all(map(_is_attribute_value, found.values())):
        return found
    try:
        return {name: _attribute_value(value) for name, value in found.items()}
    except ValueError as error:
        raise UsageError(f"{source}: {error}") from None


def _is_attribute_value(value: Any) -> bool:
    """Whether `value` is DynamoDB JSON: `{type: value}`, down to the last level."""
    if not isinstance(value, dict) or len(value) != 1:
        return False
    ((kind, inner),) = value.items()
    return kind in _CHECKS and _CHECKS[kind](inner)


def _is_base64(text: str) -> bool:
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


def _is_number(text: str) -> bool:
    try:
        return Decimal(text).is_finite()
    except ArithmeticError:
        return False


def _is_set_of(kind: str) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and all(map(_CHECKS[kind], value))


_CHECKS: dict[str, Callable[[Any], bool]] = {
    "S": lambda value: isinstance(value, str),
    "N": lambda value: isinstance(value, str) and _is_number(value),
    "B": lambda value: isinstance(value, str) and _is_base64(value),
    "SS": _is_set_of("S"),
    "NS": _is_set_of("N"),
    "BS": _is_set_of("B"),
    "BOOL": lambda value: isinstance(value, bool),
    "NULL": lambda value: value is True,
    "M": lambda value: isinstance(value, dict) and all(map(_is_attribute_value, value.values())),
    "L": lambda value: isinstance(value, list) and all(map(_is_attribute_value, value)),
}


def _attribute_value(value: Any) -> dict[str, Any]:
    if value is None:
        return {"NULL": True}
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, str):
        return {"S": value}
    if isinstance(value, dict):
        return {"M": {name: _attribute_value(one) for name, one in value.items()}}
    if isinstance(value, list):
        return {"L": [_attribute_value(one) for one in value]}
    return {"N": number_text(Decimal(value))}


def number_text(value: Decimal) -> str:
    """A number as DynamoDB writes it. Raises ValueError for one that DynamoDB does not hold."""
    plain = value.normalize(_WIDE)
    if plain != value or len(plain.as_tuple().digits) > _DIGITS:
        raise ValueError(f"a number has more than {_DIGITS} digits, which DynamoDB does not hold")
    return format(plain, "f") if abs(plain.adjusted()) < _DIGITS else str(plain)


def _name(value: Any) -> str:
    return {str: "a string", bool: "a boolean", type(None): "null", list: "a list"}.get(type(value), "a number")
