"""Checks documents against order.schema.json; the messages never repeat a value."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.protocols import Validator
from jsonschema.validators import extend

from api.money import MINOR_DIGITS
from api.problems import FieldError, pointer

MESSAGES: Mapping[str, str] = {
    "type": "must be a JSON {value}",
    "minLength": "must not be empty",
    "maxLength": "must have at most {value} characters",
    "exclusiveMinimum": "must be greater than {value}",
    "exclusiveMaximum": "must be less than {value}",
    "pattern": "must be {description}",
    "enum": "must be {description}",
    "minProperties": "must contain at least one field",
}


def _definitions() -> dict[str, Any]:
    definitions: dict[str, Any] = json.loads(Path(__file__).with_name("order.schema.json").read_bytes())["$defs"]
    definitions["Currency"]["enum"] = list(MINOR_DIGITS)
    return definitions


def _resolved(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Put definitions in place of references: jsonschema would look each up again for every document."""
    properties = {
        name: DEFINITIONS[part["$ref"].removeprefix("#/$defs/")] if "$ref" in part else part
        for name, part in schema.get("properties", {}).items()
    }
    return {**schema, "properties": properties} if properties else {**schema}


DEFINITIONS = _definitions()


def _whole_match(validator: Validator, pattern: str, instance: Any, _: object) -> Iterator[ValidationError]:
    # JSON Schema uses ECMA's `$`. Python's also matches before a final newline and would accept "NEW\n".
    if validator.is_type(instance, "string") and not re.fullmatch(pattern, instance):
        yield ValidationError("does not match")


_Validator = extend(Draft202012Validator, {"pattern": _whole_match})  # type: ignore[no-untyped-call]

DocumentCheck = Callable[[object], list[FieldError]]


def document_check(name: str) -> DocumentCheck:
    """Make a check from the definition `name`; the check returns the errors of a document, or an empty list."""
    validator = _Validator(_resolved(DEFINITIONS[name]))

    def check(document: object) -> list[FieldError]:
        errors = (found for error in validator.iter_errors(document) for found in _explain(error))
        return list(dict.fromkeys(errors))

    return check


def _explain(error: ValidationError) -> Iterable[FieldError]:
    keyword, value = str(error.validator), error.validator_value
    names = _names(keyword, error)
    if names is not None:
        message = "is required" if keyword == "required" else "is not a known field"
        return [FieldError(pointer(*error.path, name), message) for name in names]
    description = error.schema.get("description", "") if isinstance(error.schema, Mapping) else ""
    message = MESSAGES[keyword].format(value=value, description=description)
    return [FieldError(pointer(*error.path), message)]


def _names(keyword: str, error: ValidationError) -> list[str] | None:
    """Members that jsonschema names only in the text of its message."""
    instance: Any = error.instance
    schema: Any = error.schema
    if keyword == "required":
        return [name for name in schema["required"] if name not in instance]
    if keyword == "additionalProperties":
        return [name for name in instance if name not in schema["properties"]]
    return None
