"""The worked examples of docs/mapping.md: their mapping files, sample items and rows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from common import mapping as declared
from common import mapping_file
from tests.support.cases import cases
from tests.support.records import ARN, START

ROOT = Path(__file__).parents[2]
FILES = (ROOT / "mappings" / "orders.json", *sorted((ROOT / "mappings" / "examples").glob("*.json")))
DOCUMENT = (ROOT / "docs" / "mapping.md").read_text(encoding="utf-8")
SAMPLES: list[dict[str, Any]] = cases("examples")


def blocks(language: str) -> list[str]:
    """The fenced blocks of the document in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL)


def load(name: str) -> declared.Mapping:
    return mapping_file.read_file(ROOT / "mappings" / f"{name}.json")


def record(mapping: declared.Mapping, item: Mapping[str, Any], sequence: int, event: str = "MODIFY") -> dict[str, Any]:
    """A stream record of the item; a removal has its old image."""
    keys = [key.attribute for key in (mapping.partition_key, mapping.sort_key) if key]
    return {
        "eventName": event,
        "eventSource": "aws:dynamodb",
        "eventSourceARN": ARN,
        "dynamodb": {
            "ApproximateCreationDateTime": START,
            "Keys": {name: item[name] for name in keys},
            "SequenceNumber": str(8 * 10**20 + sequence),
            "OldImage" if event == "REMOVE" else "NewImage": item,
        },
    }


def shown(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as the document shows it: decimals and times are strings."""
    return {name: value if value is None or isinstance(value, int) else str(value) for name, value in row.items()}


def exact(row: Mapping[str, Any], sample: Mapping[str, Any]) -> dict[str, Any]:
    """The row of a sample, with decimals where `row` has them."""
    return {name: Decimal(value) if isinstance(row[name], Decimal) else value for name, value in sample.items()}
