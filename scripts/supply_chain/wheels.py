"""Third-party code as the lock has it: wheels whose hashes were verified, and which of them a function needs."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesParser
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from supply_chain.lock import Pin


class DownloadError(Exception):
    """pip got no wheel that the lock allows; the message has its output."""


@dataclass(frozen=True)
class Wheel:
    """A wheel on disk."""

    path: Path

    @property
    def name(self) -> str:
        """The normalised name of the distribution."""
        return canonicalize_name(self.path.name.split("-")[0])

    @property
    def is_pure(self) -> bool:
        return self.path.stem.endswith("-none-any")

    def sha256(self) -> str:
        return hashlib.sha256(self.path.read_bytes()).hexdigest()

    def requirements(self, environment: Mapping[str, str]) -> set[str]:
        """Normalised names of what it needs in `environment`, a set of values for markers, without extras."""
        needed = [Requirement(line) for line in self._metadata().get_all("Requires-Dist", [])]
        applies = (need for need in needed if need.marker is None or need.marker.evaluate({**environment, "extra": ""}))
        return {canonicalize_name(need.name) for need in applies}

    def _metadata(self) -> Message:
        with zipfile.ZipFile(self.path) as archive:
            name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
            return BytesParser().parsebytes(archive.read(name), headersonly=True)


def lambda_environment(version: str, architecture: str) -> dict[str, str]:
    """The values of the markers (PEP 508) that tell Lambda's Python `version` from the one that builds."""
    return {
        "implementation_name": "cpython",
        "os_name": "posix",
        "platform_machine": {"arm64": "aarch64"}.get(architecture, architecture),
        "platform_python_implementation": "CPython",
        "platform_system": "Linux",
        "python_full_version": f"{version}.0",
        "python_version": version,
        "sys_platform": "linux",
    }


def download(pins: Iterable[Pin], into: Path, *options: str) -> list[Wheel]:
    """The wheels of `pins`, each with a hash of its pin. `options` choose another platform than this one.

    Raises DownloadError. pip finds no more than the pins: it is not asked to resolve anything.
    """
    into.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as wanted:
        wanted.writelines(f"{pin.as_text()}\n" for pin in pins)
        wanted.flush()
        pip = [sys.executable, "-m", "pip", "download", "-q", "-q", "--disable-pip-version-check", "--no-deps"]
        pip += ["--require-hashes", "--only-binary=:all:", "--dest", str(into), *options, "--requirement", wanted.name]
        done = subprocess.run(pip, capture_output=True, text=True, check=False, env=os.environ)
    if done.returncode:
        raise DownloadError(f"{done.stdout}{done.stderr}".rstrip())
    return [Wheel(path) for path in sorted(into.glob("*.whl"))]


def closure(names: Iterable[str], wheels: Iterable[Wheel], environment: Mapping[str, str]) -> list[Wheel]:
    """The wheels of `names` and of everything that they need. Raises KeyError with a name that has no wheel."""
    by_name = {wheel.name: wheel for wheel in wheels}
    waiting: set[str] = {canonicalize_name(name) for name in names}
    found: dict[str, Wheel] = {}
    while waiting:
        wheel = by_name[waiting.pop()]
        found[wheel.name] = wheel
        waiting |= wheel.requirements(environment) - found.keys()
    return [found[name] for name in sorted(found)]
