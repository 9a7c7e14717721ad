"""What a stream record becomes under a mapping file: the reference for `common.records`.

It reads the file's JSON and one record, a value at a time. It is slow and obvious on purpose, and shares no code with
`common`: the tests compare the two. A `prepare` function is not called; its mapping is as if it changed nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from tests.support.reference_types import Json, Unfit, captured, convert, equals, json_content, natural

Document = Mapping[str, Any]
Image = Mapping[str, Any]


@dataclass(frozen=True)
class Live:
    """The item is a row of the entity: values by column, the key columns among them."""

    entity: str
    key: tuple[Any, ...]
    row: Mapping[str, Any]


@dataclass(frozen=True)
class Gone:
    """The item has no row any more. `mark` is DELETED or EXPIRED."""

    entity: str
    key: tuple[Any, ...]
    mark: str


@dataclass(frozen=True)
class Quarantined:
    entity: str
    reason: str


Outcome = Live | Gone | Quarantined


def outcomes(document: Document, record: Mapping[str, Any]) -> list[Outcome]:
    """What the record changes, at most one outcome for each entity. An empty list is an item that no entity matches."""
    found = (_outcome(document, name, record) for name in document["entities"])
    return [outcome for outcome in found if outcome is not None]


def _outcome(document: Document, name: str, record: Mapping[str, Any]) -> Outcome | None:
    entity, body = document["entities"][name], record["dynamodb"]
    if not _key_matches(document, entity, body["Keys"]):
        return None
    if record["eventName"] != "REMOVE" and _attribute_matches(entity, body["NewImage"]):
        try:
            key = _key(document, entity, body["Keys"])
            return Live(name, key, _row(document, entity, key, body["NewImage"]))
        except Unfit as error:
            return Quarantined(name, str(error))
    if record["eventName"] == "INSERT" or _known_to_be_another(entity, body):
        return None
    return _gone(document, name, record)


def _gone(document: Document, name: str, record: Mapping[str, Any]) -> Outcome | None:
    entity = document["entities"][name]
    mark = _mark(document, record) if record["eventName"] == "REMOVE" else "DELETED"
    try:
        return Gone(name, _key(document, entity, record["dynamodb"]["Keys"]), mark)
    except Unfit as error:
        # Nothing says that the item was of this entity, and no row can have such a key.
        is_known = "attribute" not in entity.get("when", {}) and "prepare" not in document
        return Quarantined(name, str(error)) if is_known else None


# Which items are of the entity


def _key_matches(document: Document, entity: Document, keys: Image) -> bool:
    for role in ("partition_key", "sort_key"):
        if role in document:
            condition = entity.get("when", {}).get(role) or _condition_of_template(document, entity, role)
            if not _meets(keys[document[role]["attribute"]], condition):
                return False
    return True


def _condition_of_template(document: Document, entity: Document, role: str) -> Mapping[str, Any]:
    if document[role]["type"] != "string":
        return {}
    return {"starts_with": entity["target"]["key"][role].partition("{")[0]}


def _meets(attribute: Image, condition: Mapping[str, Any]) -> bool:
    if "equals" in condition:
        return equals(attribute, condition["equals"])
    if "starts_with" in condition:
        text: str = attribute["S"]
        return text.startswith(condition["starts_with"])
    return True


def _attribute_matches(entity: Document, image: Image) -> bool:
    condition = entity.get("when", {}).get("attribute")
    if condition is None:
        return True
    try:
        return equals(_at(image, condition["path"]), condition["equals"])
    except Unfit:
        return False


def _known_to_be_another(entity: Document, body: Mapping[str, Any]) -> bool:
    """The record says that the item did not match before."""
    return "OldImage" in body and not _attribute_matches(entity, body["OldImage"])


def _mark(document: Document, record: Mapping[str, Any]) -> str:
    identity = record.get("userIdentity")
    if identity is not None:
        by_dynamodb = {"type": "Service", "principalId": "dynamodb.amazonaws.com"}
        return "EXPIRED" if identity == by_dynamodb else "DELETED"
    expires = record["dynamodb"].get("OldImage", {}).get(document.get("ttl_attribute"), {}).get("N")
    if expires is not None and Decimal(expires) <= record["dynamodb"]["ApproximateCreationDateTime"]:
        return "EXPIRED"
    return "DELETED"


# The key


def _key(document: Document, entity: Document, keys: Image) -> tuple[Any, ...]:
    values: dict[str, Any] = {}
    declared = {column["column"]: column for column in entity["target"]["key_columns"]}
    for role, template in entity["target"]["key"].items():
        attribute = keys[document[role]["attribute"]]
        if document[role]["type"] == "string":
            texts = split(template, attribute["S"])
            values |= {name: captured(text, declared[name]) for name, text in texts.items()}
        else:
            name = template.strip("{}")
            values[name] = convert(attribute, declared[name])
    return tuple(values[name] for name in declared)


def split(template: str, text: str) -> dict[str, str]:
    """The captures of a template by column. Raises Unfit where the text does not fit it."""
    first, *parts = re.split(r"\{(\w+)\}", template)
    if not text.startswith(first):
        raise Unfit("the key does not fit the template")
    rest, captures = text[len(first) :], {}
    for name, literal in zip(parts[::2], parts[1::2], strict=True):
        capture, found, rest = rest.partition(literal) if literal else (rest, "", "")
        if not capture or found != literal:
            raise Unfit("the key does not fit the template")
        captures[name] = capture
    if rest:
        raise Unfit("the key does not fit the template")
    return captures


# The row


def _row(document: Document, entity: Document, key: tuple[Any, ...], image: Image) -> dict[str, Any]:
    names = [column["column"] for column in entity["target"]["key_columns"]]
    row: dict[str, Any] = dict(zip(names, key, strict=True))
    row |= {column["column"]: _value(column, image) for column in entity["columns"]}
    others = {name: image[name] for name in image if name not in _mapped(document, entity)}
    policy = entity.get("unmapped", "ignore")
    if policy == "quarantine" and others:
        raise Unfit("has attributes that nobody mapped")
    if isinstance(policy, dict):
        row[policy["column"]] = Json({name: json_content(value) for name, value in others.items()})
    for removal in (entity.get("deletes"), entity.get("ttl")):
        if isinstance(removal, dict):
            row |= {removal["flag"]: 0} | ({removal["time"]: None} if "time" in removal else {})
    return row


def _mapped(document: Document, entity: Document) -> set[Any]:
    keys = {document[role]["attribute"] for role in ("partition_key", "sort_key") if role in document}
    columns = {column["from"][0] for column in entity["columns"] if "from" in column}
    condition = entity.get("when", {}).get("attribute", {"path": [None]})
    return keys | columns | {document.get("ttl_attribute"), condition["path"][0]}


def _value(column: Mapping[str, Any], image: Image) -> Any:
    if "const" in column:
        return natural(column["const"], column)
    attribute = _at(image, column["from"])
    if attribute is None:
        return _instead(column, "absent")
    if "NULL" in attribute:
        return _instead(column, "null")
    return convert(attribute, column)


def _instead(column: Mapping[str, Any], policy: str) -> Any:
    instead = column.get(policy, "reject")
    if instead == "reject":
        raise Unfit(f"is {policy}")
    return None if instead == "null" else natural(instead["default"], column)


def _at(image: Image, path: list[str | int]) -> Image | None:
    """The value at the end of a path; None where it ends early. A NULL on the way is the value."""
    value: Any = {"M": image}
    for segment in path:
        if "NULL" in value:
            return value  # type: ignore[no-any-return]
        kind = "M" if isinstance(segment, str) else "L"
        if kind not in value:
            raise Unfit("has the wrong type")
        inner = value[kind]
        if segment not in (inner if kind == "M" else range(len(inner))):
            return None
        value = inner[segment]
    return value  # type: ignore[no-any-return]
