"""Stream records and what must become of them, as data: `tests/cases/`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.support.records import record

_FOLDER = Path(__file__).parents[1] / "cases"


def cases(name: str) -> Any:
    return json.loads((_FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def record_of(case: dict[str, Any]) -> dict[str, Any]:
    """A good record with the parts that the case names put in its place; null leaves one out."""
    made = record("order-1", 1)
    body = made["dynamodb"]
    _replace(body["NewImage"], case.get("image", {}))
    _replace(body, case.get("dynamodb", {}))
    _replace(made, case.get("record", {}))
    return made


def _replace(values: dict[str, Any], parts: dict[str, Any]) -> None:
    values.update(parts)
    for name in [name for name, part in parts.items() if part is None]:
        del values[name]
