"""Generates lambdas/api/openapi.json from openapi.yaml, order.schema.json and currencies.json.

Run `python -m scripts.generators.openapi` to write it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

API = Path(__file__).parents[2] / "lambdas" / "api"
SOURCE = Path(__file__).with_name("openapi.yaml")
OUTPUT = API / "openapi.json"


def render() -> str:
    """Return the content of OUTPUT."""
    document: dict[str, Any] = yaml.safe_load(SOURCE.read_text())
    document["components"]["schemas"] |= _order_schemas()
    return json.dumps(document, indent=2) + "\n"


def _order_schemas() -> dict[str, Any]:
    text = (API / "order.schema.json").read_text().replace("#/$defs/", "#/components/schemas/")
    schemas: dict[str, Any] = json.loads(text)["$defs"]
    schemas["Currency"]["enum"] = list(json.loads((API / "currencies.json").read_bytes()))
    return schemas


if __name__ == "__main__":
    OUTPUT.write_text(render())
