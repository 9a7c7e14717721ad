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
