"""A prepare file is a pure function of one item, or the build says why not."""

from __future__ import annotations

import pytest

from backstream.prepare_lint import MODULES, problems

PURE = '''"""Splits a name."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Context, Decimal
from uuid import UUID

CONTEXT = Context(prec=40)
CODES = {"D": "DE", "F": "FR"}
WORD = re.compile("[a-z]+")


def prepare(item: dict) -> dict | None:
    if item.get("hidden"):
        return None
    words = [word for word in WORD.findall(item["name"])]
    words.sort()
    seen = set()
    seen.add(words[0])
    item["words"] = sorted(seen)
    item["country"] = CODES.get(item["country"], item["country"])
    item["total"] = CONTEXT.add(item["net"], Decimal("1.5"))
    item["day"] = datetime.fromtimestamp(int(item["day"]), UTC).date().isoformat()
    item["id"] = str(UUID(item["id"]))
    return item
'''


def found(body: str, before: str = "") -> list[str]:
    """The problems of a function with this body, after these lines."""
    return problems(f"{before}\ndef prepare(item):\n    {body}\n    return item\n", "shop.py")


def test_a_pure_function_passes():
    assert problems(PURE, "shop.py") == []


@pytest.mark.parametrize("module", sorted(MODULES))
def test_an_allowed_module_may_be_imported(module: str):
    assert problems(f"from {module} import something\ndef prepare(item):\n    return item\n", "shop.py") == []


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("def prepare(item)\n", "line 1: does not parse: expected ':'"),
        (
            "def prepare(item):\n    return '\0'\n",
            "line 1: does not parse: source code string cannot contain null bytes",
        ),
        ("", "line 1: defines no function prepare: write def prepare(item)"),
        ("prepare = lambda item: item\n", "line 1: defines no function prepare: write def prepare(item)"),
        ("class A:\n    def prepare(item): ...\n", "line 1: defines no function prepare: write def prepare(item)"),
        ("def prepare(): ...\n", "line 1: prepare takes one parameter, the item: write def prepare(item)"),
        ("def prepare(a, b): ...\n", "line 1: prepare takes one parameter, the item: write def prepare(item)"),
        ("def prepare(item={}): ...\n", "line 1: prepare takes one parameter, the item: write def prepare(item)"),
        ("def prepare(*items): ...\n", "line 1: prepare takes one parameter, the item: write def prepare(item)"),
        ("def prepare(item, *, more): ...\n", "line 1: prepare takes one parameter, the item: write def prepare(item)"),
        ("async def prepare(item): ...\n", "line 1: prepare is a plain function: it returns the image or None"),
        ("def prepare(item):\n    yield item\n", "line 1: prepare is a plain function: it returns the image or None"),
        ("def prepare(item): ...\ndef prepare(item): ...\n", "line 2: prepare is defined twice"),
    ],
)
def test_a_file_without_one_plain_function_is_refused(source: str, problem: str):
    assert f"shop.py, {problem}" in problems(source, "shop.py")


def test_a_file_with_a_null_byte_is_refused():
    (problem,) = problems("def prepare(item): ...\n\0", "shop.py")
    assert problem.startswith("shop.py, line 1: does not parse: source code ")


def test_a_function_inside_may_be_a_generator():
    assert found("def each():\n        yield 1\n    item['x'] = list(each())") == []


@pytest.mark.parametrize("module", ["os", "time", "random", "boto3", "common.mapping", "urllib", "collections.other"])
def test_another_module_is_refused(module: str):
    for line in (f"import {module}", f"from {module} import name", f"import {module} as name"):
        (problem,) = found("pass", before=line)
        assert problem.startswith(f"shop.py, line 1: import of {module} is not allowed: only base64, ")
    (problem,) = found(f"import {module}")
    assert problem.startswith(f"shop.py, line 3: import of {module} is not allowed")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("from . import other", "a relative import is not allowed: keep everything in this file"),
        ("from math import *", "import * is not allowed: name what is imported"),
        (
            "from uuid import uuid4 as new",
            "uuid4 is not allowed: prepare must return the same result for the same item",
        ),
        ("from decimal import getcontext", "getcontext is not allowed: prepare must not keep state between items"),
    ],
)
def test_an_import_that_hides_what_is_used_is_refused(line: str, problem: str):
    assert found("pass", before=line) == [f"shop.py, line 1: {problem}"]


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ("open('/tmp/x')", "open"),
        ("eval('1')", "eval"),
        ("exec('1')", "exec"),
        ("compile('1', '', 'exec')", "compile"),
        ("__import__('os')", "__import__"),
        ("print(item)", "print"),
        ("read = open", "open"),
        ("globals()['x'] = 1", "globals"),
        ("item.__class__", "__class__"),
        ("datetime.now()", "now"),
        ("datetime.datetime.utcnow()", "utcnow"),
        ("date.today()", "today"),
        ("uuid.uuid4()", "uuid4"),
        ("hash(item['a'])", "hash"),
        ("id(item)", "id"),
        ("decimal.DefaultContext.prec", "DefaultContext"),
        ("decimal.getcontext().prec = 5", "getcontext"),
    ],
)
def test_what_reaches_outside_the_item_is_refused(body: str, name: str):
    assert [problem.split(":")[0] for problem in found(body)] == ["shop.py, line 3"]
    assert f": {name} is not allowed: " in found(body)[0]


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("global COUNT", "global is not allowed"),
        ("def inner():\n        nonlocal item", "nonlocal is not allowed"),
        ("def inner(x, seen=[]):\n        return x", "a default value that can change is not allowed"),
        ("def inner(x, *, seen=dict()):\n        return x", "a default value that can change is not allowed"),
        ("SEEN[item['id']] = 1", "SEEN belongs to the file and must not be changed"),
        ("SEEN['a']['b'] += 1", "SEEN belongs to the file and must not be changed"),
        ("del SEEN['a']", "SEEN belongs to the file and must not be changed"),
        ("SEEN.update(item)", "SEEN belongs to the file and must not be changed"),
        ("SEEN.setdefault('a', []).append(1)", "SEEN belongs to the file and must not be changed"),
    ],
)
def test_state_between_items_is_refused(body: str, problem: str):
    (only,) = found(body, before="SEEN = {}")
    assert only.partition(": ")[2] == f"{problem}: prepare must not keep state between items"


def test_a_local_name_hides_the_one_of_the_file():
    assert found("SEEN = {}\n    SEEN['a'] = 1", before="SEEN = {}") == []


def test_every_problem_is_named_in_order_of_lines():
    lines = [problem.split(":")[0] for problem in found("print(open('x'))\n    global X", before="import os")]
    assert lines == ["shop.py, line 1", "shop.py, line 3", "shop.py, line 3", "shop.py, line 4"]
