"""What functions emit, and what docs/metrics.md says of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from tests.support.functions import series_of

DOCUMENT = Path(__file__).parents[2] / "docs" / "metrics.md"
_SECTION = re.compile(r"^## (\w+)$", re.MULTILINE)
_ROW = re.compile(r"^\| (`[^|]+`) \| (\w+) \|", re.MULTILINE)  # a row may have several metrics
_NAME = re.compile(r"`(\w+)`")


class Emission(NamedTuple):
    """A metric of a kind of function: `consumer`, `monitor`, `replayer`, `reconciler` or `api`."""

    function: str
    metric: str
    unit: str


def seen(function: str, text: str) -> set[Emission]:
    """What a function has emitted, by what it has printed."""
    return {Emission(function, name, unit) for name, (unit, _) in series_of(text).items()}


def documented() -> set[Emission]:
    """The rows of docs/metrics.md."""
    _, *parts = _SECTION.split(DOCUMENT.read_text(encoding="utf-8"))
    sections = dict(zip(parts[::2], parts[1::2], strict=True))
    return {
        Emission(section.lower(), metric, unit)
        for section, text in sections.items()
        for names, unit in _ROW.findall(text)
        for metric in _NAME.findall(names)
    }


def documented_of(function: str) -> set[Emission]:
    return {one for one in documented() if one.function == function}
