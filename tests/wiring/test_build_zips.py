"""The zips hold what their functions need and nothing else; the same input gives the same bytes."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

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
    | {"mappings", "msgspec", "rpds"},
    "monitor": SHARED | {"mappings", "monitor", "pymysql"},
    "reconciler": SHARED
    | {"attr", "attrs", "certifi", "jsonschema", "jsonschema_specifications", "pymysql", "reconciler", "referencing"}
    | {"mappings", "msgspec", "rpds"},
    "stream_consumer": SHARED | {"certifi", "mappings", "pymysql", "stream_consumer"},
}
PIPELINE = ("dlq_replayer.zip", "monitor.zip", "reconciler.zip", "stream_consumer.zip")


ORDERS = ROOT / "mappings" / "orders.json"


def prepared_by(name: str) -> dict[str, Any]:
    """The mapping of orders with a prepare file."""
    return json.loads(ORDERS.read_bytes()) | {"prepare": name}


@pytest.fixture
def own_mappings(tmp_path: Path) -> Path:
    """A folder with one good mapping `shop`, its prepare file, and files that no build takes."""
    folder = tmp_path / "own mappings"
    (folder / "examples").mkdir(parents=True)
    for name in ("mapping.schema.json", "examples/other.json", "notes.txt", "unused.py"):
        (folder / name).write_text("{}")
    (folder / "shop.json").write_text(json.dumps(prepared_by("shop.py")))
    (folder / "shop.py").write_text("def prepare(item):\n    return item\n")
    return folder


def refused(mappings: Path, out: Path) -> str:
    """The message of a build that fails because of `mappings`."""
    command = [sys.executable, str(ROOT / "scripts" / "build.py"), "--mappings", str(mappings), "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    return done.stderr


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
    for file in ("api.zip", *PIPELINE, "manifest.json", "sbom.cdx.json"):
        assert (again / file).read_bytes() == (built / file).read_bytes(), file


def test_the_manifest_names_runtime_and_hashes(built: Path) -> None:
    manifest = json.loads((built / "manifest.json").read_text())
    assert manifest["runtime"] == f"python{sys.version_info.major}.{sys.version_info.minor}"
    assert manifest["architecture"] in {"x86_64", "arm64"}
    for name, digest in manifest["zips"].items():
        assert digest == hashlib.sha256((built / name).read_bytes()).hexdigest()


def test_the_manifest_names_the_mappings_with_their_hashes(built: Path) -> None:
    manifest = json.loads((built / "manifest.json").read_text())
    assert manifest["mappings"]["orders.json"] == hashlib.sha256(ORDERS.read_bytes()).hexdigest()


def test_the_zips_of_a_pipeline_hold_the_mappings(built: Path) -> None:
    for name in PIPELINE:
        assert zipfile.ZipFile(built / name).read("mappings/orders.json") == ORDERS.read_bytes()
    assert not [name for name in names(built / "api.zip") if name.startswith("mappings/")]


def test_a_build_takes_the_mappings_of_another_folder(build: Callable[..., Path], own_mappings: Path) -> None:
    """With their prepare files and bytecode. It leaves out the schema, subfolders and other files."""
    out = build("--mappings", str(own_mappings))
    cached = importlib.util.cache_from_source("mappings/shop.py")
    for name in PIPELINE:
        inside = [entry for entry in names(out / name) if entry.startswith("mappings/")]
        assert inside == [cached, "mappings/shop.json", "mappings/shop.py"]
    manifest = json.loads((out / "manifest.json").read_text())
    assert set(manifest["mappings"]) == {"shop.json", "shop.py"}


def test_make_build_takes_mappings(own_mappings: Path) -> None:
    command = ["make", "--dry-run", "build", f"MAPPINGS={own_mappings}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert f'scripts/build.py --mappings "{own_mappings}"' in done.stdout


def test_a_build_names_every_problem_of_every_mapping(own_mappings: Path, tmp_path: Path) -> None:
    (own_mappings / "shop.py").write_text("import os\ndef prepare(item):\n    return open(item['name'])\n")
    (own_mappings / "broken.json").write_text("{")
    (own_mappings / "alone.json").write_text(json.dumps(prepared_by("gone.py")))
    (own_mappings / "outside.json").write_text(json.dumps(prepared_by("../shop.py")))
    problems = refused(own_mappings, tmp_path / "out")
    for problem in (
        "broken.json: is not JSON",
        "shop.json: shop.py, line 1: import of os is not allowed",
        "shop.json: shop.py, line 3: open is not allowed",
        "alone.json: prepare: there is no file gone.py beside the mapping",
        "outside.json: prepare: must be the name of a file beside the mapping",
    ):
        assert problem in problems
    assert not (tmp_path / "out").exists(), "nothing was built"


def test_a_folder_without_mappings_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "mapping.schema.json").write_text("{}")
    assert "no mapping found" in refused(tmp_path, tmp_path / "out")


def test_every_function_package_has_a_zip(built: Path) -> None:
    packages = {path.parent.name for path in (ROOT / "lambdas").glob("*/handler.py")}
    assert {path.stem for path in built.glob("*.zip")} == packages


def test_a_runtime_without_interpreter_says_what_to_do() -> None:
    with pytest.raises(BuildError, match="pass --runtime"):
        find_interpreter("python3.10")


def test_a_requirement_that_is_not_pinned_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scripts.build.NEEDS", {"api": ("no-such-thing",)})
    with pytest.raises(BuildError, match=r"requirements\.txt does not pin: add it to requirements\.in"):
        needs("api")


def test_a_folder_without_functions_is_an_error(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "scripts" / "build.py"), "--source", str(tmp_path)]
    command += ["--out", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "no function found" in done.stderr
