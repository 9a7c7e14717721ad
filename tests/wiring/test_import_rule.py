"""`common` imports no function package, and function packages never import each other."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from scripts.build import ROOT

LAMBDAS = ROOT / "lambdas"
PACKAGES = sorted(path.parent.name for path in LAMBDAS.glob("*/__init__.py"))
ALLOWED = {package: {package, "common"} for package in PACKAGES}


def imported(source: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(source.read_text())))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    relative = {node for node in nodes if isinstance(node, ast.ImportFrom) and node.level}
    assert not relative, f"{source} imports relatively: an import is the same string everywhere"
    return plain | {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}


def test_there_is_something_to_check() -> None:
    assert {"api", "common", "stream_consumer"} <= set(PACKAGES)


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_imports_only_itself_and_common(package: str) -> None:
    for source in (LAMBDAS / package).rglob("*.py"):
        own = {name.split(".")[0] for name in imported(source)} & set(PACKAGES)
        assert own <= ALLOWED[package], source.relative_to(LAMBDAS)


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
    """The rest sees `common.database.Database`."""
    room = LAMBDAS / "common" / "mysql"
    allowed = {"stream_consumer/handler.py", "stream_consumer/schema_step.py", "dlq_replayer/handler.py"}
    importers = {
        str(source.relative_to(LAMBDAS))
        for source in LAMBDAS.rglob("*.py")
        if any(name.startswith("common.mysql") for name in imported(source)) and not source.is_relative_to(room)
    }
    assert importers <= allowed
