"""What may import what: functions import `common` only, the product imports no tests, and nothing edits the path."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from scripts.build import ROOT

LAMBDAS = ROOT / "lambdas"
SOURCES = sorted(path for folder in ("lambdas", "scripts") for path in (ROOT / folder).rglob("*.py"))
PACKAGES = sorted(path.parent.name for path in LAMBDAS.glob("*/__init__.py"))
ALLOWED = {package: {package, "common"} for package in PACKAGES}


def imported(source: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(source.read_text())))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    relative = {node for node in nodes if isinstance(node, ast.ImportFrom) and node.level}
    assert not relative, f"{source} imports relatively: an import is the same string everywhere"
    named = {
        f"{node.module}.{alias.name}" for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    return plain | named  # a name may be a module: from common import mysql


def test_there_is_something_to_check() -> None:
    assert {"api", "common", "stream_consumer"} <= set(PACKAGES)


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_imports_only_itself_and_common(package: str) -> None:
    for source in (LAMBDAS / package).rglob("*.py"):
        own = {name.split(".")[0] for name in imported(source)} & set(PACKAGES)
        assert own <= ALLOWED[package], source.relative_to(LAMBDAS)


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: str(source.relative_to(ROOT)))
def test_the_product_imports_no_tests(source: Path) -> None:
    assert "tests" not in {name.split(".")[0] for name in imported(source)}


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: str(source.relative_to(ROOT)))
def test_no_module_mentions_the_interpreters_path(source: Path) -> None:
    """The Makefile, pytest and an installation set it; a child process gets it by PYTHONPATH."""
    assert "sys.path" not in source.read_text()


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: str(source.relative_to(ROOT)))
def test_no_module_imports_a_private_name(source: Path) -> None:
    """What two modules need has a public name; a private one may change with its module alone."""
    parts = {part for name in imported(source) for part in name.split(".")}
    assert [part for part in parts if part.startswith("_") and not part.startswith("__")] == []


def test_only_the_mysql_room_imports_the_driver() -> None:
    """Another database becomes another package beside `common.mysql`, and nothing else changes."""
    room = LAMBDAS / "common" / "mysql"
    importers = {
        source.relative_to(LAMBDAS)
        for source in LAMBDAS.rglob("*.py")
        if any(name.split(".")[0] == "pymysql" for name in imported(source)) and not source.is_relative_to(room)
    }
    assert importers == set()


def test_only_handlers_name_the_mysql_room() -> None:
    """The rest sees `common.database.Database`, but for column types: each says what its column is in MySQL."""
    room = LAMBDAS / "common" / "mysql"
    allowed = {"stream_consumer/handler.py", "stream_consumer/schema_step.py", "dlq_replayer/handler.py"}
    allowed |= {"reconciler/handler.py"}
    importers = {
        str(source.relative_to(LAMBDAS))
        for source in LAMBDAS.rglob("*.py")
        if any(name.startswith("common.mysql") for name in imported(source) - _column_rules(source))
        and not source.is_relative_to(room)
    }
    assert importers <= allowed


def _column_rules(source: Path) -> set[str]:
    if source.parent != LAMBDAS / "common" / "columns":
        return set()
    return {name for name in imported(source) if name.startswith("common.mysql.columns.")}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("import common.mysql", "common.mysql"),
        ("from common import mysql", "common.mysql"),
        ("from common.mysql import errors", "common.mysql.errors"),
        ("def f():\n    from pymysql import err", "pymysql.err"),
        ("from pymysql.constants import ER", "pymysql.constants.ER"),
    ],
)
def test_every_way_to_import_is_seen(tmp_path: Path, text: str, name: str) -> None:
    source = tmp_path / "module.py"
    source.write_text(text)

    assert imported(source) == {name}
