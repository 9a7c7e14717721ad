"""The zips hold what their functions need and nothing else; the same input gives the same bytes."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts.build import ROOT, BuildError, find_interpreter, needs

SHARED = {
    "aws_lambda_powertools",
    "aws_xray_sdk",
    "common",
    "jmespath",
    "typing_extensions.py",
    "__pycache__",
    "wrapt",
}
# The top level of each zip without metadata: no boto3, no tests, nothing of requirements-dev.txt.
CONTENTS = {
    "api": SHARED | {"api", "attr", "attrs", "jsonschema", "jsonschema_specifications", "referencing", "rpds"},
    "dlq_replayer": SHARED
    | {"attr", "attrs", "certifi", "dlq_replayer", "jsonschema", "jsonschema_specifications", "pymysql", "referencing"}
    | {"msgspec", "rpds"},
    "stream_consumer": SHARED | {"certifi", "pymysql", "stream_consumer"},
}


def entries(archive: Path) -> list[zipfile.ZipInfo]:
    with zipfile.ZipFile(archive) as content:
        return content.infolist()


def names(archive: Path) -> list[str]:
    return [entry.filename for entry in entries(archive)]


@pytest.mark.parametrize("package", CONTENTS)
def test_a_zip_holds_its_function_and_what_that_needs(built: Path, package: str) -> None:
    top = {name.split("/")[0] for name in names(built / f"{package}.zip")}
    assert {name for name in top if not name.endswith(".dist-info")} == CONTENTS[package]


@pytest.mark.parametrize("package", CONTENTS)
def test_a_zip_holds_no_tests_and_no_installer_files(built: Path, package: str) -> None:
    parts = {part for name in names(built / f"{package}.zip") for part in name.split("/")}
    assert not parts & {"tests", "test", "benchmarks", "RECORD", "INSTALLER", "WHEEL", "direct_url.json"}


@pytest.mark.parametrize("package", CONTENTS)
def test_every_module_of_a_zip_has_bytecode(built: Path, package: str) -> None:
    inside = names(built / f"{package}.zip")
    sources = [name for name in inside if name.endswith(".py")]
    bytecode = [name for name in inside if name.endswith(".pyc")]
    assert sources
    assert len(sources) == len(bytecode)


@pytest.mark.parametrize("package", CONTENTS)
def test_a_zip_holds_the_licences_of_third_party_code(built: Path, package: str) -> None:
    inside = names(built / f"{package}.zip")
    described = {name.split("/")[0] for name in inside if name.endswith(".dist-info/METADATA")}
    licensed = {name.split("/")[0] for name in inside if ".dist-info/" in name and "METADATA" not in name}
    assert described
    assert described == licensed


@pytest.mark.parametrize("package", CONTENTS)
def test_a_zip_does_not_depend_on_the_building_machine(built: Path, package: str) -> None:
    inside = entries(built / f"{package}.zip")
    assert [entry.filename for entry in inside] == sorted(entry.filename for entry in inside)
    assert {entry.date_time for entry in inside} == {(1980, 1, 1, 0, 0, 0)}
    assert {entry.external_attr >> 16 for entry in inside} == {0o100644}


def test_the_same_input_gives_the_same_bytes(built: Path, build: Callable[..., Path], tmp_path: Path) -> None:
    """From another folder, with an empty cache and another hash seed."""
    again = build("--cache", str(tmp_path / "cache"), cwd=tmp_path)
    for file in ("api.zip", "dlq_replayer.zip", "stream_consumer.zip", "manifest.json"):
        assert (again / file).read_bytes() == (built / file).read_bytes(), file


def test_the_manifest_names_runtime_and_hashes(built: Path) -> None:
    manifest = json.loads((built / "manifest.json").read_text())
    assert manifest["runtime"] == f"python{sys.version_info.major}.{sys.version_info.minor}"
    assert manifest["architecture"] in {"x86_64", "arm64"}
    for name, digest in manifest["zips"].items():
        assert digest == hashlib.sha256((built / name).read_bytes()).hexdigest()


def test_every_function_package_has_a_zip(built: Path) -> None:
    packages = {path.parent.name for path in (ROOT / "lambdas").glob("*/handler.py")}
    assert {path.stem for path in built.glob("*.zip")} == packages


def test_a_runtime_without_interpreter_says_what_to_do() -> None:
    with pytest.raises(BuildError, match="pass --runtime"):
        find_interpreter("python3.10")


def test_a_requirement_that_is_not_pinned_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scripts.build.NEEDS", {"api": ("no-such-thing",)})
    with pytest.raises(BuildError, match=r"requirements\.txt does not pin"):
        needs("api")


def test_a_folder_without_functions_is_an_error(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "scripts" / "build.py"), "--source", str(tmp_path)]
    command += ["--out", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "no function found" in done.stderr
