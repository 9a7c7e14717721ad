"""The bill of materials of a build names what is in the zips, no more and no less."""

from __future__ import annotations

import hashlib
import json
import zipfile
from email.parser import BytesParser
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.utils import canonicalize_name

from backstream import __version__
from supply_chain.lock import locked_versions
from supply_chain.sbom import FILE_NAME, BuiltZip, bill_of_materials


@pytest.fixture(scope="module")
def bom(built: Path) -> dict[str, Any]:
    return json.loads((built / FILE_NAME).read_text())


def components(bom: dict[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    return {part["bom-ref"]: part for part in bom["components"] if part["type"] == kind}


def distributions(archive: Path) -> set[str]:
    """The packages in a zip, as purls, told by their metadata there."""
    with zipfile.ZipFile(archive) as content:
        files = [name for name in content.namelist() if name.endswith(".dist-info/METADATA")]
        found = [BytesParser().parsebytes(content.read(file)) for file in files]
    return {f"pkg:pypi/{canonicalize_name(one['Name'])}@{one['Version']}" for one in found}


def test_it_is_valid_cyclonedx(built: Path) -> None:
    """Against the published schema, which forbids fields that it does not know."""
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str((built / FILE_NAME).read_text()) is None


def test_each_zip_depends_on_what_is_in_it(built: Path, bom: dict[str, Any]) -> None:
    inside = {archive.name: distributions(archive) for archive in built.glob("*.zip")}
    depends = {part["ref"]: set(part.get("dependsOn", [])) for part in bom["dependencies"]}

    assert all(inside.values())
    assert {name: depends[name] for name in inside} == inside
    assert depends["backstream"] == set(inside)
    assert set(components(bom, "library")) == set.union(*inside.values())


def test_the_hash_of_a_zip_is_that_of_the_file(built: Path, bom: dict[str, Any]) -> None:
    files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in built.glob("*.zip")}
    named = {name: part["hashes"] for name, part in components(bom, "file").items()}

    assert named == {name: [{"alg": "SHA-256", "content": digest}] for name, digest in files.items()}


def test_the_hashes_of_a_package_are_in_the_lock(bom: dict[str, Any]) -> None:
    """They are the hashes of the wheels that were unpacked."""
    pins = locked_versions()
    for part in components(bom, "library").values():
        pin = pins[part["name"]]
        digests = {f"sha256:{one['content']}" for one in part["hashes"]}
        assert part["version"] == pin.version
        assert digests
        assert digests <= set(pin.hashes)
        assert {f"sha256:{one['hashes'][0]['content']}" for one in part["externalReferences"]} == digests


def test_every_package_has_a_licence_of_the_spdx_list(bom: dict[str, Any]) -> None:
    libraries = components(bom, "library")
    licences = {
        part["name"]: [one.get("license", {}).get("id") for one in part["licenses"]] for part in libraries.values()
    }

    assert {name: found for name, found in licences.items() if None in found} == {}


def test_it_names_the_version_of_the_product(bom: dict[str, Any]) -> None:
    assert bom["metadata"] == {
        "component": {"bom-ref": "backstream", "name": "backstream", "type": "application", "version": __version__}
    }


@pytest.fixture
def zips(tmp_path: Path) -> list[BuiltZip]:
    """Two zips that share a package."""
    for name in ("one.zip", "two.zip"):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr(f"{name}.py", "")
            archive.writestr("Some_Thing-1.0.dist-info/METADATA", "Name: Some_Thing\nVersion: 1.0\n")
    wheels = {"some_thing-1.0-py3-none-any.whl": "a" * 64, "some_thing_else-1.0-py3-none-any.whl": "b" * 64}
    return [BuiltZip(tmp_path / name, wheels) for name in ("one.zip", "two.zip")]


def test_the_same_zips_give_the_same_text(zips: list[BuiltZip]) -> None:
    assert bill_of_materials(zips, "1.0", {}) == bill_of_materials(zips, "1.0", {})
    assert json.loads(bill_of_materials(zips, "1.0", {}))["serialNumber"].startswith("urn:uuid:")


def test_other_zips_have_another_serial_number(zips: list[BuiltZip]) -> None:
    numbers = {json.loads(bill_of_materials(some, "1.0", {}))["serialNumber"] for some in (zips, zips[:1])}
    assert len(numbers) == 2


def test_a_time_is_that_of_the_source(zips: list[BuiltZip]) -> None:
    text = bill_of_materials(zips, "1.0", {"SOURCE_DATE_EPOCH": "1770000000"})
    assert json.loads(text)["metadata"]["timestamp"] == "2026-02-02T02:40:00+00:00"
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None


def test_a_shared_package_is_one_component(zips: list[BuiltZip]) -> None:
    """A licence that is not declared is said to be unknown."""
    (part,) = components(json.loads(bill_of_materials(zips, "1.0", {})), "library").values()
    digest = {"alg": "SHA-256", "content": "a" * 64}
    assert part == {
        "bom-ref": "pkg:pypi/some-thing@1.0",
        "externalReferences": [{"hashes": [digest], "type": "distribution", "url": "some_thing-1.0-py3-none-any.whl"}],
        "hashes": [digest],
        "licenses": [{"license": {"acknowledgement": "declared", "name": "unknown"}}],
        "name": "some-thing",
        "purl": "pkg:pypi/some-thing@1.0",
        "type": "library",
        "version": "1.0",
    }
