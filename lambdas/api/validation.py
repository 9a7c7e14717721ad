"""Documents against the schema files: what is wrong, field by field, in words that repeat no value."""

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

from api.problems import FieldError, pointer

SCHEMAS = Path(__file__).with_name("schemas")

MESSAGES: Mapping[str, str] = {
    "type": "must be of type {value}",
    "minLength": "must not be empty",
    "maxLength": "must have at most {value} characters",
    "exclusiveMinimum": "must be greater than {value}",
    "exclusiveMaximum": "must be less than {value}",
    "pattern": "must be {description}",
    "enum": "must be {description}",
    "minProperties": "must name at least one field",
}


def _whole_match(validator: Validator, pattern: str, instance: Any, _: object) -> Iterator[ValidationError]:
    # JSON Schema means ECMA's `$`. Python's also matches before a last newline, and would let "NEW\n" pass.
    if validator.is_type(instance, "string") and not re.fullmatch(pattern, instance):
        yield ValidationError("does not match")


_Validator = extend(Draft202012Validator, {"pattern": _whole_match})  # type: ignore[no-untyped-call]

Check = Callable[[object], list[FieldError]]


def load(name: str, member: str = "") -> Check:
    """Make a check from a schema file, or from one member of its object.

    The check lists what is wrong with a document and is empty if nothing is.
    """
    schema = json.loads((SCHEMAS / name).read_bytes())
    validator = _Validator(schema["properties"][member] if member else schema)

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
    """Members that an error is about but that jsonschema tells in its message only."""
    instance: Any = error.instance
    schema: Any = error.schema
    if keyword == "required":
        return [name for name in schema["required"] if name not in instance]
    if keyword == "additionalProperties":
        return [name for name in instance if name not in schema["properties"]]
    return None
