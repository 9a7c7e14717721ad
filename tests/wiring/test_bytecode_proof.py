"""The build's proof finds bytecode that would not be used and imports that would fail."""

from __future__ import annotations

import os
import py_compile
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.build import PROOF, ROOT

UNCHECKED = py_compile.PycInvalidationMode.UNCHECKED_HASH


def prove(tree: Path, package: str = "function") -> str:
    """What the proof reports; empty when it passes."""
    command = [sys.executable, "-P", "-S", str(PROOF), str(tree), package]
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert bool(done.returncode) == bool(done.stderr)
    return done.stderr


def compiled(file: Path, source: str, mode: py_compile.PycInvalidationMode = UNCHECKED) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(source)
    py_compile.compile(str(file), doraise=True, invalidation_mode=mode)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    compiled(tmp_path / "function" / "__init__.py", "")
    compiled(tmp_path / "common" / "__init__.py", "")
    compiled(tmp_path / "function" / "handler.py", "from __future__ import annotations\nimport common\n")
    return tmp_path


def test_a_build_that_fails_its_proof_fails(tmp_path: Path) -> None:
    """It writes no manifest, so that Terraform refuses the zip."""
    for name in ("stream_consumer/handler.py", "common/late.py"):
        (tmp_path / "source" / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / "source" / "stream_consumer" / "handler.py").write_text("import common.late\n")
    (tmp_path / "source" / "common" / "late.py").write_text("def late():\n    import not_in_the_zip\n")
    command = [sys.executable, str(ROOT / "scripts" / "build.py"), "--source", str(tmp_path / "source")]
    done = subprocess.run([*command, "--out", str(tmp_path / "out")], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "proving stream_consumer.zip failed" in done.stderr
    assert "No module named 'not_in_the_zip'" in done.stderr
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_good_bytecode_passes(tree: Path) -> None:
    assert prove(tree) == ""


def test_a_package_from_elsewhere_fails(tree: Path, tmp_path: Path) -> None:
    """Else the bytecode of the zip would not be what was proven."""
    assert "put " in prove(tree, "json")


def test_missing_bytecode_fails(tree: Path) -> None:
    for cached in (tree / "common").rglob("*.pyc"):
        cached.unlink()
    assert "common/__init__.py has no bytecode" in prove(tree)


def test_bytecode_checked_against_times_fails(tree: Path) -> None:
    """The zip's times are fixed, so such bytecode would not be used."""
    compiled(tree / "function" / "late.py", "", py_compile.PycInvalidationMode.TIMESTAMP)
    assert "function/late.py has bytecode that is checked" in prove(tree)


def test_bytecode_of_another_source_fails(tree: Path) -> None:
    """It would run the old code: the source is not checked."""
    (tree / "common" / "__init__.py").write_text("VALUE = 2\n")
    assert "common/__init__.py has bytecode of another source" in prove(tree)


def test_bytecode_of_another_interpreter_fails(tree: Path) -> None:
    for cached in (tree / "common").rglob("*.pyc"):
        cached.write_bytes(b"0000" + cached.read_bytes()[4:])
    assert "common/__init__.py has bytecode of another interpreter" in prove(tree)


def test_code_compiled_while_importing_fails(tree: Path) -> None:
    compiled(tree / "function" / "handler.py", "compile('1', __file__, 'exec')\n")
    assert "was compiled although its bytecode is in the zip" in prove(tree)


def test_a_missing_dependency_fails(tree: Path) -> None:
    compiled(tree / "function" / "handler.py", "import not_in_the_zip\n")
    assert "No module named 'not_in_the_zip'" in prove(tree)


def test_a_missing_dependency_of_a_late_import_fails(tree: Path) -> None:
    compiled(tree / "function" / "handler.py", "def handler(event, context):\n    import not_in_the_zip\n")
    assert "No module named 'not_in_the_zip'" in prove(tree)


def test_imports_for_the_type_checker_are_not_needed(tree: Path) -> None:
    source = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import not_in_the_zip\n"
    compiled(tree / "function" / "handler.py", source)
    assert prove(tree) == ""


LOADER = """
import importlib.util, os
from pathlib import Path

def load(name):
    place = Path(__file__).parents[1] / "mappings" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, place)
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
"""


@pytest.fixture
def mapped(tree: Path) -> Path:
    """The function has a mapping with a prepare file."""
    compiled(tree / "common" / "mapping.py", LOADER)
    compiled(tree / "mappings" / "shop.py", "def prepare(item):\n    return item\n")
    (tree / "mappings" / "shop.json").write_text("{}")
    return tree


def test_a_mapping_is_loaded_from_bytecode(mapped: Path) -> None:
    compiled(mapped / "function" / "handler.py", "import os\nassert os.environ['MAPPING'] == 'shop'\n")
    assert prove(mapped) == ""


def test_a_prepare_file_without_bytecode_fails(mapped: Path) -> None:
    for cached in (mapped / "mappings").rglob("*.pyc"):
        cached.unlink()
    assert "mappings/shop.py has no bytecode" in prove(mapped)


def test_a_mapping_that_cannot_be_loaded_fails(mapped: Path) -> None:
    compiled(mapped / "mappings" / "shop.py", "import not_in_the_zip\n")
    assert "No module named 'not_in_the_zip'" in prove(mapped)
