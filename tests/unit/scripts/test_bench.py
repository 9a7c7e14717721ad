"""The bench's table says which goals are missed, and a missed goal is the exit code 1."""

import os
import re
import subprocess
import sys

import pytest

from scripts.bench.__main__ import PARTS, main
from scripts.bench.environment import ROOT
from scripts.bench.results import at_least, at_most, exactly, information, missed, not_measured, table

GOOD = at_least("fast", 0.95, 0.9)
BAD = at_most("slow", 2.5, 2.0, " times", "5 ms against 2 ms")
REMARK = information("  remark", "3 ms")


@pytest.mark.parametrize(
    ("row", "met"),
    [
        (at_least("at the goal", 0.9, 0.9), True),
        (at_least("below", 0.89, 0.9), False),
        (at_most("at the goal", 2, 2), True),
        (at_most("above", 2.01, 2), False),
        (exactly("same", "no", "no"), True),
        (exactly("other", "yes", "no"), False),
        (not_measured("left out", "on request"), False),
        (REMARK, None),
    ],
)
def test_what_counts_as_met(row, met):
    assert row.met is met


def test_table_marks_what_is_missed():
    assert table([GOOD, BAD, REMARK]).splitlines() == [
        "| what     | figure                         | goal            |        |",
        "|----------|--------------------------------|-----------------|--------|",
        "| fast     | 0.95                           | at least 0.9    | met    |",
        "| slow     | 2.50 times (5 ms against 2 ms) | at most 2 times | MISSED |",
        "|   remark | 3 ms                           |                 |        |",
    ]
    assert missed([GOOD, BAD, REMARK]) == [BAD]


def broken(_):
    yield GOOD
    raise RuntimeError("no server")


@pytest.mark.parametrize(
    ("part", "arguments", "code"),
    [
        (lambda _: iter([GOOD, REMARK]), [], 0),
        (lambda _: iter([GOOD, BAD]), [], 1),
        (broken, [], 1),
        (lambda _: iter([GOOD]), ["--skip", "part"], 1),
    ],
)
def test_exit_code(monkeypatch, part, arguments, code):
    monkeypatch.setattr("sys.argv", ["bench", *arguments])
    assert main("", {"part": part}) == code


def test_each_part_can_be_imported():
    """Parts are imported when they run, after the functions' variables are set: here in a process of their own."""
    code = "import pkgutil, sys; from scripts.bench.environment import prepare; prepare()"
    code += "; [pkgutil.resolve_name(f'scripts.bench.{place}') for place in sys.argv[1:]]"
    path = os.pathsep.join(map(str, (ROOT, ROOT / "lambdas", ROOT / "scripts")))
    subprocess.run([sys.executable, "-c", code, *PARTS.values()], env={**os.environ, "PYTHONPATH": path}, check=True)


def test_docs_describe_each_part():
    text = (ROOT / "docs" / "performance.md").read_text()
    assert re.findall(r"^\| `([a-z-]+)` \|", text, re.MULTILINE) == list(PARTS)
