"""The name of a test says what is true in a few words; its docstring has the rule."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
LONGEST = 60


def test_the_names_of_tests_are_short() -> None:
    python = [(path, r"def (test_\w+)") for path in (ROOT / "tests").rglob("*.py")]
    hcl = [(path, r'^run "([^"]+)"') for path in (ROOT / "terraform").rglob("*.tftest.hcl")]
    names = {name for path, pattern in python + hcl for name in re.findall(pattern, path.read_text(), re.MULTILINE)}

    assert python
    assert hcl
    assert sorted(name for name in names if len(name) > LONGEST) == []
