"""AWS's own constraints as JSON schemas: CloudFormation's resource schemas, and botocore's operations."""

from __future__ import annotations

import json
from functools import cache, reduce
from operator import getitem
from typing import TYPE_CHECKING, Any

import botocore.session
import regex
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER
from jsonschema import Draft7Validator, ValidationError, validators

if TYPE_CHECKING:
    from collections.abc import Iterator

Schema = dict[str, Any]

REGION = "eu-west-1"
# botocore has one pair of names for every kind of range.
RANGES = {
    "string": ("minLength", "maxLength"),
    "list": ("minItems", "maxItems"),
    "integer": ("minimum", "maximum"),
    "long": ("minimum", "maximum"),
    "float": ("minimum", "maximum"),
    "double": ("minimum", "maximum"),
}


@cache
def schema_of(model: str) -> Schema:
    """`AWS::Lambda::Function`, or an operation's input as `lambda.CreateFunction`."""
    if "::" in model:
        return PROVIDER_SCHEMA_MANAGER.get_resource_schema(REGION, model).schema
    service, operation = model.split(".")
    described = _service(service)
    return {"$ref": _reference(described["operations"][operation]["input"])["$ref"], "definitions": _shapes(service)}


@cache
def _service(name: str) -> dict[str, Any]:
    described: dict[str, Any] = (
        botocore.session.get_session().get_component("data_loader").load_service_model(name, "service-2")
    )
    return described


@cache
def _shapes(service: str) -> dict[str, Schema]:
    return {name: _shape(shape) for name, shape in _service(service)["shapes"].items()}


def _reference(member: dict[str, Any]) -> Schema:
    return {"$ref": f"#/definitions/{member['shape']}"}


def _shape(shape: dict[str, Any]) -> Schema:
    schema: Schema = {name: shape[name] for name in ("enum",) if name in shape}
    least, most = RANGES.get(shape["type"], ("", ""))
    schema |= {name: shape[end] for name, end in ((least, "min"), (most, "max")) if name and end in shape}
    if "pattern" in shape:
        schema["pattern"] = f"^(?:{shape['pattern']})$"  # for the whole value
    match shape["type"]:
        case "structure":
            schema["properties"] = {name: _reference(member) for name, member in shape["members"].items()}
        case "list":
            schema["items"] = _reference(shape["member"])
        case "map":
            schema["propertyNames"] = _reference(shape["key"])
            schema["additionalProperties"] = _reference(shape["value"])
    return schema


def children(root: Schema, node: Schema, name: str) -> list[Schema]:
    """What the members called `name` must be like, by Terraform's spelling: `db_proxy_name` is `DBProxyName`."""
    wanted = name.replace("_", "").lower()
    return [
        child
        for option in options(root, node)
        for spelled, child in option.get("properties", {}).items()
        if spelled.lower() == wanted
    ]


def options(root: Schema, node: Any) -> list[Schema]:
    """The node itself, what it refers to, its alternatives, and the items of a list: a block is a list of one."""
    if not isinstance(node, dict):
        return []
    found = [node]
    if "$ref" in node:
        found += options(root, _resolved(root, node))
    for name in ("anyOf", "oneOf", "allOf"):
        for alternative in node.get(name, []):
            found += options(root, alternative)
    return found + options(root, node.get("items"))


def _pattern(validator: Any, pattern: str, value: Any, schema: Schema) -> Iterator[ValidationError]:
    if isinstance(value, str) and not _matches(pattern, value):
        yield ValidationError(f"{value!r} does not match {pattern}")


def _any_case(validator: Any, allowed: list[str], value: Any, schema: Schema) -> Iterator[ValidationError]:
    if isinstance(value, str) and value.lower() not in {one.lower() for one in allowed}:
        yield ValidationError(f"{value!r} is not one of {allowed}")


def _json_bytes(validator: Any, most: int, value: Any, schema: Schema) -> Iterator[ValidationError]:
    size = len(json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode())
    if size > most:
        yield ValidationError(f"{size} bytes as JSON, of {most}")


def _pattern_properties(validator: Any, rules: Schema, value: Any, schema: Schema) -> Iterator[ValidationError]:
    for name, inner in value.items() if isinstance(value, dict) else ():
        for pattern, rule in rules.items():
            if _matches(pattern, name):
                yield from validator.descend(inner, rule, path=name)


def _additional_properties(validator: Any, rule: Any, value: Any, schema: Schema) -> Iterator[ValidationError]:
    patterns = schema.get("patternProperties", {})
    for name, inner in value.items() if isinstance(value, dict) else ():
        if name in schema.get("properties", {}) or any(_matches(pattern, name) for pattern in patterns):
            continue
        if rule is False:
            yield ValidationError(f"{name!r} is no name for a member")
        else:
            yield from validator.descend(inner, rule, path=name)


def _matches(pattern: str, value: str) -> bool:
    r"""By `regex`, which reads Java's `\p{L}`; as JSON schemas have it, anywhere in the value."""
    if pattern.endswith("$") and not pattern.endswith(r"\$"):
        pattern = pattern.removesuffix("$") + r"\Z"  # Python's `$` lets a line break pass
    return regex.search(pattern, value) is not None


# Not `type`, `required` and the like: a plan is spelled in Terraform's types, and lacks what is known after apply.
KEPT = ("$ref", "allOf", "anyOf", "enum", "items", "maxItems", "maxLength", "maximum", "minItems")
KEPT += ("minLength", "minimum", "properties", "propertyNames", "uniqueItems")
RULES = {name: Draft7Validator.VALIDATORS[name] for name in KEPT} | {
    "additionalProperties": _additional_properties,
    "enumCaseInsensitive": _any_case,
    "maxJsonBytes": _json_bytes,
    "oneOf": Draft7Validator.VALIDATORS["anyOf"],  # alternatives overlap where their types are not looked at
    "pattern": _pattern,
    "patternProperties": _pattern_properties,
}
Checker = validators.create(meta_schema={}, validators=RULES, type_checker=Draft7Validator.TYPE_CHECKER)


def errors(root: Schema, node: Schema, value: Any) -> list[str]:
    """What the schema refuses in a value that is spelled as a plan spells it."""
    schema = _resolved(root, node)
    if "items" in schema and not isinstance(value, list):
        items = _resolved(root, schema["items"])
        if "Key" not in items.get("properties", {}):
            return errors(root, items, value)  # Terraform has one where AWS has a list of them
        value = [{"Key": key, "Value": text} for key, text in value.items()]
    return [error.message for error in Checker(root).evolve(schema=schema).iter_errors(value)]


def _resolved(root: Schema, node: Schema) -> Schema:
    target: Any = node
    while "$ref" in target:
        target = reduce(getitem, target["$ref"].removeprefix("#/").split("/"), root)
    resolved: Schema = target
    return resolved
