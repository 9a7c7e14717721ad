"""The bench's table says which goals are missed, and a missed goal is the exit code 1."""

import os
import re
import subprocess
import sys

import pytest

from scripts.bench import million
from scripts.bench.__main__ import PARTS, main
from scripts.bench.environment import ROOT
from scripts.bench.results import at_least, at_most, exactly, information, missed, not_measured, table
from scripts.bench.timing import WARM_UP, paired

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
    places = [*PARTS.values(), *million.PARTS.values()]
    subprocess.run([sys.executable, "-c", code, *places], env={**os.environ, "PYTHONPATH": path}, check=True)


def test_docs_describe_each_part():
    text = (ROOT / "docs" / "performance.md").read_text()
    assert re.findall(r"^\| `([a-z-]+)` \|", text, re.MULTILINE) == [*PARTS, *million.PARTS]


class FakeTime:
    """`taking(seconds)` is a variant that takes the next of these seconds each time."""

    def __init__(self):
        self.now = 0.0

    def clock(self):
        return self.now

    def taking(self, seconds):
        remaining = iter(seconds)

        def work():
            self.now += next(remaining)

        return lambda: work


def test_a_few_slow_runs_do_not_move_a_paired_ratio():
    """The runs that warm up do not count."""
    time, pairs = FakeTime(), 100
    slow = time.taking([50.0] * WARM_UP + [9.0] * 10 + [3.0] * (pairs - 10))
    assert paired(slow, time.taking([2.0] * (WARM_UP + pairs)), pairs, time.clock) == (1.5, 1.5, 1.5)


def test_the_interval_of_a_paired_ratio_holds_its_middle():
    """With 95 % confidence: of 100 sorted ratios, from the 40th to the 61st."""
    time = FakeTime()
    found = paired(
        time.taking([1.0] * WARM_UP + [float(n) for n in range(1, 101)]),
        time.taking([1.0] * (WARM_UP + 100)),
        100,
        time.clock,
    )
    assert found == (50.5, 40.0, 61.0)
