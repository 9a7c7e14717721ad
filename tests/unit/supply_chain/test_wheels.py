"""Only files that the lock knows are unpacked, and a function gets what it needs and no more."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from supply_chain.lock import parse_lock
from supply_chain.wheels import DownloadError, Wheel, closure, download, lambda_environment

LAMBDA = lambda_environment("3.13", "arm64")


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels that is all that pip can reach."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def write_wheel(folder: Path, name: str, *needs: str, content: str = "") -> Wheel:
    path = folder / f"{name}-1.0-py3-none-any.whl"
    metadata = "".join(f"{line}\n" for line in ("Metadata-Version: 2.1", f"Name: {name}", "Version: 1.0"))
    metadata += "".join(f"Requires-Dist: {need}\n" for need in needs)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.py", content)
        archive.writestr(f"{name}-1.0.dist-info/METADATA", metadata)
        archive.writestr(
            f"{name}-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{name}-1.0.dist-info/RECORD", "")
    return Wheel(path)


def pins_of(*wheels: Wheel):
    lines = (f"{wheel.name}==1.0 \\\n    --hash=sha256:{wheel.sha256()}\n" for wheel in wheels)
    return parse_lock("".join(lines))


def test_a_file_with_a_hash_of_the_lock_is_fetched(index: Path, tmp_path: Path) -> None:
    wheel = write_wheel(index, "one")

    (fetched,) = download(pins_of(wheel), tmp_path / "into")

    assert fetched.path.read_bytes() == wheel.path.read_bytes()
    assert fetched.sha256() == hashlib.sha256(wheel.path.read_bytes()).hexdigest()


def test_a_file_that_was_exchanged_is_refused(index: Path, tmp_path: Path) -> None:
    """Same name, same version, other content."""
    pins = pins_of(write_wheel(index, "one"))
    write_wheel(index, "one", content="import os")

    with pytest.raises(DownloadError, match=r"(?i)hash"):
        download(pins, tmp_path / "into")
    assert list((tmp_path / "into").iterdir()) == []


def test_a_pin_without_a_hash_is_refused(index: Path, tmp_path: Path) -> None:
    write_wheel(index, "one")
    with pytest.raises(DownloadError, match=r"(?i)hash"):
        download(parse_lock("one==1.0\n"), tmp_path / "into")


def test_a_source_is_never_built(index: Path, tmp_path: Path) -> None:
    """Its hash is in the lock, too, but building it would run its code."""
    source = index / "one-1.0.tar.gz"
    with tarfile.open(source, "w:gz") as archive:
        for name, text in (("PKG-INFO", "Metadata-Version: 2.1\nName: one\nVersion: 1.0\n"), ("setup.py", "1/0\n")):
            file = tarfile.TarInfo(f"one-1.0/{name}")
            file.size = len(text)
            archive.addfile(file, io.BytesIO(text.encode()))
    digest = hashlib.sha256(source.read_bytes()).hexdigest()

    with pytest.raises(DownloadError, match="No matching distribution found for one=="):
        download(parse_lock(f"one==1.0 \\\n    --hash=sha256:{digest}\n"), tmp_path / "into")


def test_what_the_lock_lacks_is_not_fetched(index: Path, tmp_path: Path) -> None:
    wheel = write_wheel(index, "one", "two")
    write_wheel(index, "two")
    assert [wheel.name for wheel in download(pins_of(wheel), tmp_path / "into")] == ["one"]


def test_a_function_gets_the_needs_of_its_needs(tmp_path: Path) -> None:
    """A circle ends; a wheel that nothing needs is left out."""
    wheels = [
        write_wheel(tmp_path, "one", "Two_Parts>=1"),
        write_wheel(tmp_path, "two_parts", "three", "one"),
        write_wheel(tmp_path, "three"),
        write_wheel(tmp_path, "other"),
    ]
    assert [wheel.name for wheel in closure(["One"], wheels, LAMBDA)] == ["one", "three", "two-parts"]


def test_markers_are_those_of_lambda(tmp_path: Path) -> None:
    """The building machine may be another system with another Python; no extra is installed."""
    wheel = write_wheel(
        tmp_path,
        "one",
        "a ; python_version < '3.13'",
        "b ; sys_platform == 'linux' and platform_machine == 'aarch64'",
        "c ; platform_system == 'Darwin'",
        "d ; extra == 'more'",
        "e ; python_full_version >= '3.13' and os_name == 'posix' and implementation_name == 'cpython'",
    )
    assert wheel.requirements(LAMBDA) == {"b", "e"}
    assert wheel.requirements(lambda_environment("3.11", "x86_64")) == {"a"}
