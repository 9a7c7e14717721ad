"""The guarantees name tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_test_that_a_guarantee_names_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs" / "guarantees.md").read_text()))
    sources = list((ROOT / "tests").rglob("test_*.py"))
    written = {name for source in sources for name in re.findall(r"def (test_\w+)", source.read_text())}
    written |= {source.stem for source in sources}

    assert named
    assert sorted(named - written) == []


def test_every_promise_names_its_proof() -> None:
    rows = re.findall(r"^\| (?!promise|---)(.+) \|$", (ROOT / "docs" / "guarantees.md").read_text(), re.MULTILINE)

    assert rows
    assert [row for row in rows if "`test_" not in row.split(" | ")[-1]] == []
