"""The key attributes of the DynamoDB table, as a mapping file declares them."""

from __future__ import annotations

from collections.abc import Mapping as Json
from typing import Any

from common.mapping import KeyAttribute
from common.mapping_parts.fields import Fields

ROLES = ("partition_key", "sort_key")
# By role; None for one with a problem.
KeyAttributes = Json[str, KeyAttribute | None]

_TYPES = {"string": "S", "number": "N", "binary": "B"}


def read_key_attribute(fields: Fields, role: str, declared: Any) -> KeyAttribute | None:
    with fields.within(role):
        if not fields.is_object("", declared, ("attribute", "type")):
            return None
        attribute = fields.attribute("attribute", declared)
        kind = fields.text("type", declared, _TYPES.__contains__, '"string", "number" or "binary"')
    return KeyAttribute(attribute, _TYPES[kind]) if attribute and kind else None
