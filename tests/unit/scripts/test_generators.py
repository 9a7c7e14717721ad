"""Generated files are written when they differ from what their sources say, and a check finds them."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from scripts.generators.__main__ import check, find_generators, write

GENERATOR = """
from pathlib import Path

OUTPUT = Path(__file__).with_name("generated.txt")


def render():
    return "current\\n"
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A package with one generator and one module that is none."""
    folder = tmp_path / f"generators_{tmp_path.name}"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "text.py").write_text(GENERATOR)
    (folder / "shared.py").write_text("OUTPUT = None\n")
    monkeypatch.syspath_prepend(tmp_path)
    return importlib.import_module(folder.name)


def output(package: ModuleType) -> Path:
    return Path(package.__path__[0], "generated.txt")


def test_a_module_with_output_and_render_is_a_generator(package: ModuleType):
    assert [module.__name__ for module in find_generators(package)] == [f"{package.__name__}.text"]


@pytest.mark.parametrize("content", [None, "of yesterday\n"])
def test_a_file_that_is_not_current_fails_the_check(package: ModuleType, capsys: Any, content: str | None):
    if content:
        output(package).write_text(content)
    assert check(find_generators(package)) == 1
    assert f"{output(package)} is not current: run make generate" in capsys.readouterr().err


def test_a_file_that_was_generated_passes_the_check(package: ModuleType):
    write(find_generators(package))
    assert output(package).read_text() == "current\n"
    assert check(find_generators(package)) == 0
