"""Calls a mapping's `prepare` function, from an item as plain Python values to the item that is mapped.

Values are as those of boto3's TypeDeserializer, but bytes are bytes, and a number has all its digits:
https://boto3.amazonaws.com/v1/documentation/api/latest/reference/customizations/dynamodb.html
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from common.columns.binary import from_base64
from common.columns.column_type import AttributeValue
from common.poison import PoisonError

Image = Mapping[str, AttributeValue]

_HINT = "correct the item, or the mapping's prepare function; then replay the parked records"


def preparer(prepare: Callable[[dict[str, Any]], Any], key: tuple[str, ...]) -> Callable[[Image], Image | None]:
    """A function from an image to the prepared one; None if `prepare` says that there is no such item.

    It raises PoisonError for what `prepare` raises, and for a result that is not an item or has another `key`.
    It raises TypeError, ValueError or AttributeError for an image that DynamoDB never sends.
    """

    def prepared(image: Image) -> Image | None:
        item = {name: plain(value) for name, value in image.items()}
        try:
            found = prepare(item)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - the function is the user's: what it raises is poison
            raise PoisonError(f"prepare: {type(error).__name__}", _HINT) from None
        if found is None:
            return None
        if type(found) is not dict:
            raise PoisonError("prepare: the result is neither a dict nor None", _HINT)
        try:
            made = {name: attribute_value(value) for name, value in found.items() if _is_name(name)}
        except RecursionError:
            raise PoisonError("prepare: the result is nested too deeply, or contains itself", _HINT) from None
        for name in key:
            if name not in made or plain(made[name]) != plain(image[name]):
                raise PoisonError(f"prepare: the result has another {name}; the key must not change", _HINT)
        return made

    return prepared


def plain(value: AttributeValue) -> Any:
    """The Python value of an attribute value."""
    [(kind, content)] = value.items()
    return _PLAIN[kind](content)


def _null(_: Any) -> None:
    return None


_PLAIN: dict[str, Callable[[Any], Any]] = {
    "S": str,
    "N": Decimal,
    "B": from_base64,
    "BOOL": bool,
    "NULL": _null,
    "M": lambda members: {name: plain(value) for name, value in members.items()},
    "L": lambda values: list(map(plain, values)),
    "SS": set,
    "NS": lambda texts: set(map(Decimal, texts)),
    "BS": lambda contents: set(map(from_base64, contents)),
}


def attribute_value(value: Any) -> AttributeValue:  # noqa: PLR0911 - one for each type
    """The attribute value of a Python value. Raises PoisonError for one that DynamoDB does not have."""
    if value is None:
        return {"NULL": True}
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, str):
        return {"S": str(value)}
    if isinstance(value, int | Decimal):
        return {"N": _number(value)}
    if isinstance(value, bytes | bytearray):
        return {"B": b64encode(value).decode()}
    if isinstance(value, dict):
        return {"M": {name: attribute_value(inner) for name, inner in value.items() if _is_name(name)}}
    if isinstance(value, list | tuple):
        return {"L": list(map(attribute_value, value))}
    if isinstance(value, set | frozenset):
        return _set(value)
    raise PoisonError(f"prepare: the result has a {type(value).__name__}, which DynamoDB does not have", _HINT)


def _is_name(name: Any) -> bool:
    if isinstance(name, str):
        return True
    raise PoisonError(f"prepare: the result has a name that is a {type(name).__name__}", _HINT)


def _number(value: int | Decimal) -> str:
    if isinstance(value, Decimal) and not value.is_finite():
        raise PoisonError("prepare: the result has a number that is not finite", _HINT)
    return str(value)


def _set(values: set[Any] | frozenset[Any]) -> AttributeValue:
    members = [attribute_value(value) for value in values]
    kinds = {kind for member in members for kind in member}
    if len(kinds) == 1 and (kind := kinds.pop()) in ("S", "N", "B"):
        return {f"{kind}S": [member[kind] for member in members]}
    raise PoisonError("prepare: the result has a set that is empty, or not all strings, numbers or bytes", _HINT)
