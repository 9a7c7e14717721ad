"""Writes the published JSON Schema of mapping files.

python -m scripts.generators.mapping_schema
"""

from __future__ import annotations

import json
from pathlib import Path

from common.mapping_schema import schema

OUTPUT = Path(__file__).parents[2] / "mappings" / "mapping.schema.json"


def render() -> str:
    """The text of `OUTPUT`."""
    return json.dumps(schema(), indent=2) + "\n"


if __name__ == "__main__":
    OUTPUT.write_text(render(), encoding="utf-8")
