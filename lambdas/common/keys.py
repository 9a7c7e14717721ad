"""The text of an item's key: exact, bounded, printable ASCII.

`<entity>/<value>/<value>` names the entity and the values of its key columns. The sidecar, parked records, the
replay's files and the operator's tool all use this text. A DynamoDB partition key may have 2048 bytes and a sort key
1024, so a long text is cut and ends in its digest.
Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from decimal import Context, Decimal
from urllib.parse import quote, unquote

from common.changes import Row, Value
from common.characters import PRINTABLE, only

# The most characters of a text after the entity and its slash. The sidecar's column has 255, of which the names of
# mapping and entity and a space may take 65. A longer column would be rebuilt when it is migrated.
LONGEST = 190

_DIGEST = "%#"  # no other text has it: quote() writes two hexadecimal digits after each %
_PLAIN = PRINTABLE.replace("%", "").replace("/", "")  # these stand for themselves
_is_plain = only(_PLAIN)
_WIDE = Context(prec=80)  # DynamoDB has 38 digits: nothing is rounded


def key_texts(entity: str, columns: Sequence[Sequence[Value]]) -> list[str]:
    """The texts of many keys of `entity`; `columns` hold the values of each key column side by side."""
    parts = [_column_texts(values) for values in columns]
    tails = parts[0] if len(parts) == 1 else list(map("/".join, zip(*parts, strict=True)))
    if len(max(tails, key=len)) > LONGEST:
        tails = list(map(_bounded, tails))
    return list(map(f"{entity}/".__add__, tails))


def key_text(entity: str, values: Sequence[Value]) -> str:
    """The text of one key."""
    return key_texts(entity, [[value] for value in values])[0]


def entity_and_tail(key: str) -> tuple[str, str]:
    """The entity of a text, and what follows its slash. A text without a slash has no entity."""
    entity, slash, tail = key.partition("/")
    return (entity, tail) if slash else ("", key)


def is_cut(key: str) -> bool:
    """Whether a text was cut, so that it does not tell its values."""
    return _DIGEST in key


def key_values(tail: str, types: Sequence[type]) -> Row | None:
    """The values of a key from its text, without entity and slash; None where it was cut or is no text of such a key.

    `types` are the Python types of the key columns. Decimals have the digits of the text. The sidecar keeps the keys of
    a column that had another type.
    """
    if is_cut(tail):
        return None
    try:
        return tuple(_value(part, kind) for part, kind in zip(tail.split("/"), types, strict=True))
    except (ValueError, ArithmeticError):
        return None


def _value(text: str, kind: type) -> Value:
    if kind is str:
        return unquote(text)
    if kind is bytes:
        return bytes.fromhex(text)
    return _decimal(text) if kind is Decimal else int(text)


def _decimal(text: str) -> Decimal:
    value = Decimal(text)
    if not value.is_finite():
        raise ValueError("not a finite number")
    return value


def _column_texts(values: Sequence[Value]) -> Sequence[str]:
    try:
        together = "".join(values)  # type: ignore[arg-type]
    except TypeError:  # not all are texts
        return [_text(value) for value in values]
    if _is_plain(together):
        return values  # type: ignore[return-value]
    return [_text(value) for value in values]


def _text(value: Value) -> str:
    if isinstance(value, str):
        return quote(value, safe=_PLAIN)
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Decimal):
        return format(value.normalize(_WIDE), "f") if value else "0"
    return str(value)


def _bounded(text: str) -> str:
    if len(text) <= LONGEST:
        return text
    digest = _DIGEST + hashlib.sha256(text.encode()).hexdigest()
    return text[: LONGEST - len(digest)] + digest
