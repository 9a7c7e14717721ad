"""Locks: what exactly is installed, with the hash of every file.

    python -m supply_chain.lock             renew the locks; pins that still fit stay
    python -m supply_chain.lock --upgrade   take the newest versions that the .in files allow
    python -m supply_chain.lock --check     fail where a lock does not fit its .in file; needs no network

The .in files are written by people. The lock beside each holds the requirements of the requirements, too, for every
supported Python and platform.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
LOCK = ROOT / "requirements.txt"
# The first lock constrains the second: a package that is in both has one version. The third has a venv of its own.
LOCKED = {
    "requirements.in": "requirements.txt",
    "requirements-dev.in": "requirements-dev.txt",
    "requirements-checkov.in": "requirements-checkov.txt",
}
OLDEST_PYTHON = "3.11"

_HASH = re.compile(r"--hash=(sha256:[0-9a-f]{64})$")


class LockError(Exception):
    """A lock cannot be read or written; the message says what to do."""


@dataclass(frozen=True)
class Pin:
    """One entry of a lock. `parents` are what needs it: packages, or `-r <file>` for a file that names it."""

    requirement: Requirement
    hashes: tuple[str, ...]
    parents: frozenset[str]

    @property
    def name(self) -> str:
        return canonicalize_name(self.requirement.name)

    @property
    def version(self) -> str:
        return next(iter(self.requirement.specifier)).version

    def as_text(self) -> str:
        """The entry as pip reads it."""
        return " ".join([str(self.requirement), *(f"--hash={digest}" for digest in self.hashes)])


def parse_lock(text: str) -> tuple[Pin, ...]:
    """The entries of a lock. Raises LockError for an open version, and an option such as --index-url."""
    entries: list[list[str]] = []
    for line in text.splitlines():
        if re.match(r"[A-Za-z0-9-]", line):
            entries.append([line])
        elif entries and line.strip():
            entries[-1].append(line)
    return tuple(_pin([line.strip(" \\") for line in entry]) for entry in entries)


def _pin(lines: list[str]) -> Pin:
    first, *rest = lines
    _refuse_options(line for line in lines if line.startswith("-") and not _HASH.match(line))
    requirement = _requirement(first)
    _require_exact(requirement)
    hashes = tuple(found[1] for line in rest if (found := _HASH.match(line)))
    comments = (line.removeprefix("#").strip().removeprefix("via").strip() for line in rest if line.startswith("#"))
    return Pin(requirement, hashes, frozenset(comment for comment in comments if comment))


def _refuse_options(options: Iterable[str]) -> None:
    """Shows no value of an option: it may be an address with a password."""
    for option in options:
        raise LockError(f"{re.split('[ =]', option)[0]} must not be in a lock")


def _require_exact(requirement: Requirement) -> None:
    (operator, version), *rest = [(one.operator, one.version) for one in requirement.specifier] or [("", "")]
    if operator != "==" or "*" in version or rest:
        raise LockError(f"{requirement.name} has no exact version in a lock")


def _requirement(line: str) -> Requirement:
    try:
        return Requirement(line)
    except InvalidRequirement as error:
        raise LockError(f"{line} is no requirement: {error}") from error


def parse_requirements(text: str) -> dict[str, Requirement]:
    """By normalised name, what an .in file itself names; lines with options are left out."""
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    found = [_requirement(line) for line in lines if line and not line.startswith("-")]
    return {canonicalize_name(requirement.name): requirement for requirement in found}


def locked_versions(path: Path = LOCK) -> dict[str, Pin]:
    """By normalised name, the entries of a lock in which each package has one version."""
    return {pin.name: pin for pin in parse_lock(path.read_text())}


# Check


def problems(name: str, requirements: dict[str, Requirement], pins: Iterable[Pin]) -> list[str]:
    """Where the lock `name.txt` does not fit `name.in`, one sentence each; both without their folder."""
    pins = list(pins)
    direct = {pin.name: pin for pin in pins if f"-r {name}.in" in pin.parents}
    known = {pin.name for pin in pins}
    found = [f"{name}.txt lacks {missing}" for missing in requirements.keys() - direct.keys()]
    found += [f"{name}.txt has {extra}, which {name}.in no longer names" for extra in direct.keys() - requirements]
    found += [
        f"{name}.txt has {pin.requirement}, but {name}.in has {requirements[pin.name]}"
        for pin in direct.values()
        if pin.name in requirements and not _fits(pin, requirements[pin.name])
    ]
    found += [f"{name}.txt has no hash of {pin.requirement}" for pin in pins if not pin.hashes]
    found += [
        f"{name}.txt has {pin.name} for {parent}, which it lacks"
        for pin in pins
        for parent in pin.parents
        if not parent.startswith(("-r ", "-c ")) and parent not in known
    ]
    return sorted(found)


def _fits(pin: Pin, requirement: Requirement) -> bool:
    allowed = requirement.specifier.contains(pin.version, prereleases=True)
    return allowed and pin.requirement.extras == requirement.extras


def disagreements(runtime: Iterable[Pin], development: Iterable[Pin]) -> list[str]:
    """Packages of the run time that development would install in another version or from other files."""
    other = {pin.name: pin for pin in development}
    return sorted(
        f"requirements-dev.txt does not have the {pin.requirement} of requirements.txt"
        for pin in runtime
        if pin.name not in other or (other[pin.name].version, other[pin.name].hashes) != (pin.version, pin.hashes)
    )


def check() -> list[str]:
    """Every problem of the locks. Raises LockError where one cannot be read."""
    found, read = [], []
    for source, lock in LOCKED.items():
        pins = parse_lock((ROOT / lock).read_text())
        found += problems(Path(source).stem, parse_requirements((ROOT / source).read_text()), pins)
        read.append(pins)
    return found + disagreements(*read[:2])


# Renew


def renew(*options: str) -> None:
    """Raises LockError when no versions fit or the index does not answer."""
    command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--no-config", "--generate-hashes"]
    command += ["--universal", "--python-version", OLDEST_PYTHON, "--no-strip-extras", *options]
    # The index of this machine may be a mirror: it is trusted as pip trusts it, and no lock names it.
    command += ["--system-certs", "--no-emit-index-url"]
    for source, lock in LOCKED.items():
        environment = {**os.environ, "UV_CUSTOM_COMPILE_COMMAND": "make lock"}
        done = subprocess.run([*command, source, "--output-file", lock], cwd=ROOT, env=environment, check=False)
        if done.returncode:
            raise LockError(f"{lock} was not renewed: correct what uv says above, and run make lock again")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--check", action="store_true", help="only say where a lock does not fit its .in file")
    what.add_argument("--upgrade", action="store_true", help="take the newest versions that are allowed")
    given = parser.parse_args()
    try:
        if not given.check:
            renew(*(["--upgrade"] if given.upgrade else []))
        found = check()
    except LockError as error:
        found = [str(error)]
    for problem in found:
        print(f"locks: {problem}", file=sys.stderr)
    if found:
        print("locks: run make lock", file=sys.stderr)
    return min(len(found), 1)


if __name__ == "__main__":
    sys.exit(main())
