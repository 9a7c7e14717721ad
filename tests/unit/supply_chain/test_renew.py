"""`make lock` writes what is needed, with the hash of every file of a release, and no address."""

from __future__ import annotations

import hashlib
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from supply_chain import lock
from supply_chain.lock import LockError, parse_lock, renew


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


class Index:
    """The folder of a package index."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, name: str, version: str, *needs: str, platform: str = "any") -> str:
        """Publishes a wheel; answers with its hash."""
        package = self.folder / "simple" / name
        package.mkdir(parents=True, exist_ok=True)
        wheel = package / f"{name}-{version}-py3-none-{platform}.whl"
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        with zipfile.ZipFile(wheel, "w") as archive:
            info = f"{name}-{version}.dist-info"
            archive.writestr(f"{info}/METADATA", metadata + "".join(f"Requires-Dist: {need}\n" for need in needs))
            archive.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nTag: py3-none-{platform}\n")
            archive.writestr(f"{info}/RECORD", "")
        digests = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in package.glob("*.whl")}
        links = (f'<a href="{file}#sha256={digest}">{file}</a>' for file, digest in digests.items())
        (package / "index.html").write_text("<!DOCTYPE html><html><body>" + "".join(links) + "</body></html>")
        return f"sha256:{digests[wheel.name]}"


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    """The index that this machine is told to use, with a password in its address."""
    folder = tmp_path / "index"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("UV_DEFAULT_INDEX", f"http://user:secret@127.0.0.1:{server.server_port}/simple")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    yield Index(folder)
    server.shutdown()
    server.server_close()


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "repository"
    folder.mkdir()
    monkeypatch.setattr(lock, "ROOT", folder)
    (folder / "requirements.in").write_text("one[more]\n")
    (folder / "requirements-dev.in").write_text("-r requirements.in\n-c requirements.txt\ntool\n")
    (folder / "requirements-checkov.in").write_text("one\n")
    return folder


def pins(file: Path) -> dict[str, tuple[str, set[str]]]:
    return {pin.name: (str(pin.requirement), set(pin.hashes)) for pin in parse_lock(file.read_text())}


def test_a_lock_has_every_file_of_every_package(index: Index, repository: Path) -> None:
    """Of indirect packages and of other platforms, too; markers stay."""
    one = {
        index.add("one", "1.0", "two ; sys_platform == 'darwin'"),
        index.add("one", "1.0", platform="macosx_11_0_arm64"),
    }
    two, tool = index.add("two", "2.0"), index.add("tool", "1.0", "one")

    renew()

    runtime = {"one": ("one[more]==1.0", one), "two": ('two==2.0; sys_platform == "darwin"', {two})}
    assert pins(repository / "requirements.txt") == runtime
    assert pins(repository / "requirements-dev.txt") == runtime | {"tool": ("tool==1.0", {tool})}
    assert lock.check() == []


def test_no_address_and_no_password_gets_into_a_lock(index: Index, repository: Path) -> None:
    for name in ("one", "tool"):
        index.add(name, "1.0")

    renew()

    for file in lock.LOCKED.values():
        text = (repository / file).read_text()
        assert text.splitlines()[1] == "#    make lock"
        assert not [word for word in ("127.0.0.1", "://", "secret") if word in text]


def test_a_version_stays_until_an_upgrade_is_asked_for(index: Index, repository: Path) -> None:
    for name in ("one", "tool"):
        index.add(name, "1.0")
    renew()
    index.add("one", "1.1")

    renew()
    kept = pins(repository / "requirements.txt")["one"][0]
    renew("--upgrade")

    assert (kept, pins(repository / "requirements.txt")["one"][0]) == ("one[more]==1.0", "one[more]==1.1")


def test_what_no_index_has_is_an_error(index: Index, repository: Path) -> None:
    with pytest.raises(LockError, match=r"requirements\.txt was not renewed"):
        renew()
