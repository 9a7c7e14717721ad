"""Writes the JSON schema of table mappings: its column definition is what the column types say.

python -m scripts.generators.mapping_schema
"""

from __future__ import annotations

import json
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from common.columns import TYPES
from common.columns.column_type import ColumnType
from common.columns.key import KeyType

OUTPUT = Path(__file__).parents[2] / "lambdas" / "common" / "tables" / "mapping.schema.json"

Schema = dict[str, Any]


def render() -> str:
    """The text of `OUTPUT`."""
    schema: Schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A table mapping: which attribute becomes which column",
        "$comment": "Generated from lambdas/common/columns by scripts/generators/mapping_schema.py",
        "type": "object",
        "additionalProperties": False,
        "required": ["table", "sort_key", "columns"],
        "properties": {
            "table": {"$ref": "#/$defs/identifier"},
            "sort_key": {
                "type": "string",
                "minLength": 1,
                "description": "s_key of the items that belong to this table",
            },
            "ttl_attribute": {
                "type": "string",
                "minLength": 1,
                "maxLength": 255,
                "description": "attribute with the time, in epoch seconds, at which DynamoDB expires an item",
            },
            "columns": {
                "type": "array",
                "minItems": 2,
                "items": {"$ref": "#/$defs/column"},
                "contains": {"properties": {"type": {"const": KeyType.name}}},
                "minContains": 1,
                "maxContains": 1,
            },
        },
        "$defs": {
            "identifier": {"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]{0,63}$"},
            "column": _column(),
        },
    }
    return json.dumps(schema, indent=2) + "\n"


def _column() -> Schema:
    return {
        "type": "object",
        "required": ["column", "attribute", "type"],
        "properties": {
            "column": {"$ref": "#/$defs/identifier"},
            "attribute": {"type": "string", "minLength": 1, "maxLength": 255},
            "type": {"enum": list(TYPES)},
            "nullable": {"type": "boolean"},
        },
        "allOf": [
            {
                "if": {"properties": {"type": {"const": name}}, "required": ["type"]},
                "then": _options(column_type),
            }
            for name, column_type in TYPES.items()
        ],
        "unevaluatedProperties": False,
    }


def _options(column_type: type[ColumnType]) -> Schema:
    options = fields(column_type)  # type: ignore[arg-type]
    properties: Schema = {option.name: dict(option.metadata) for option in options}
    if not column_type.may_be_null:
        properties["nullable"] = {"const": False}
    return {
        "required": [option.name for option in options if option.default is MISSING],
        "properties": properties,
    }


if __name__ == "__main__":
    OUTPUT.write_text(render(), encoding="utf-8")
