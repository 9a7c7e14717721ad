"""Cold starts of the built zips: a fresh interpreter, from the first import to ready for the first event.

Measured inside the process: the interpreter's own start, which is Lambda's, is left out on both sides.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from scripts.bench.environment import ROOT, VARIABLES
from scripts.bench.mappings import WIDE, WIDE_COLUMNS, wide
from scripts.bench.results import Row, at_most, exactly, information
from scripts.bench.server import Bench
from scripts.bench.timing import self_timed

REPETITIONS = 15
PIPELINE = "stream_consumer"
FUNCTIONS = {"api": "API", PIPELINE: "consumer"}
BUILD = ROOT / "scripts" / "build.py"

TIMED = """
import sys, time
started = time.perf_counter()
{work}
print(time.perf_counter() - started)
print("aws_xray_sdk" in sys.modules)
"""
BOTO3 = 'import boto3; boto3.client("dynamodb")'


def rows(_: Bench) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as scratch:
        zips = UnpackedZips(Path(scratch))
        yield from _starts(zips)
        for package, name in FUNCTIONS.items():
            loaded = _run(zips, _ready(package), zips.function(package))[1] == "True"
            yield exactly(f"{name}: X-Ray SDK loaded without a trace", "yes" if loaded else "no", "no")


def _starts(zips: UnpackedZips) -> Iterator[Row]:
    variants = {"boto3": partial(_seconds, zips, BOTO3)}
    for package in FUNCTIONS:
        for bytecode in (True, False):
            folder = zips.function(package, bytecode=bytecode)
            variants[f"{package} {bytecode}"] = partial(_seconds, zips, _ready(package), folder)
    variants[WIDE] = partial(_seconds, zips, _ready(PIPELINE), _with_wide_mapping(zips), MAPPING=WIDE)
    seconds = self_timed(variants, REPETITIONS)
    for package, name in FUNCTIONS.items():
        own, source = seconds[f"{package} True"], seconds[f"{package} False"]
        note = f"{1000 * own:.0f} ms against {1000 * seconds['boto3']:.0f} ms"
        ratio = own / seconds["boto3"]
        yield at_most(f"cold start of the {name}, against boto3 and a client", ratio, 1.8, " times", note)
        yield information("  the same without the zip's bytecode", f"{source / own:.1f} times as long")
    ratio, note = seconds[WIDE] / seconds[f"{PIPELINE} True"], f"{1000 * seconds[WIDE]:.0f} ms"
    yield at_most(f"cold start with a mapping of {WIDE_COLUMNS} columns, against orders", ratio, 1.1, " times", note)


def _with_wide_mapping(zips: UnpackedZips) -> Path:
    """The consumer, with another mapping in its folder. Only a process that names the mapping loads it."""
    folder = zips.function(PIPELINE)
    (folder / "mappings" / f"{WIDE}.json").write_text(json.dumps(wide()))
    return folder


def _ready(package: str) -> str:
    return f"import {package}.handler"


def _seconds(zips: UnpackedZips, work: str, folder: Path | None = None, **variables: str) -> float:
    return float(_run(zips, work, folder, **variables)[0])


def _run(zips: UnpackedZips, work: str, folder: Path | None, **variables: str) -> list[str]:
    """The path as Lambda makes it: the function's folder, then the runtime's, no site-packages, no current folder."""
    environment = {
        **VARIABLES,
        "PATH": os.environ["PATH"],
        "LD_LIBRARY_PATH": os.environ.get("LD_LIBRARY_PATH", ""),
        "PYTHONPATH": os.pathsep.join(str(part) for part in (folder, zips.runtime) if part),
        **variables,
    }
    command = [zips.interpreter, "-B", "-P", "-S", "-c", TIMED.format(work=work)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.split()


@dataclass(frozen=True)
class UnpackedZips:
    """The built functions, unpacked, and boto3 as in Lambda's runtime. The caller removes `folder`."""

    folder: Path

    @cached_property
    def interpreter(self) -> str:
        """The Python of the manifest's runtime. Raises FileNotFoundError."""
        version = self._manifest["runtime"].removeprefix("python")
        if version == f"{sys.version_info.major}.{sys.version_info.minor}":
            return sys.executable
        found = shutil.which(f"python{version}")
        if not found:
            raise FileNotFoundError(f"Python {version}, for which the zips are built, is not on the PATH")
        return found

    @cached_property
    def runtime(self) -> Path:
        """boto3 and what it needs, compiled."""
        folder = self.folder / "runtime"
        folder.mkdir()
        for name in _with_needs("boto3"):
            _copy(name, folder)
        command = [self.interpreter, "-m", "compileall", "-q", "-f", str(folder)]
        subprocess.run(command, check=True)
        return folder

    def function(self, package: str, *, bytecode: bool = True) -> Path:
        folder = self.folder / f"{package}{'' if bytecode else '-source'}"
        if not folder.exists():
            with zipfile.ZipFile(self._built / f"{package}.zip") as archive:
                archive.extractall(folder)
            for cache in [] if bytecode else list(folder.rglob("__pycache__")):
                shutil.rmtree(cache)
        return folder

    @cached_property
    def _built(self) -> Path:
        # Into the usual folder, where downloads of an earlier build are kept.
        subprocess.run([sys.executable, str(BUILD)], check=True, stdout=sys.stderr)
        return ROOT / "build"

    @cached_property
    def _manifest(self) -> dict[str, str]:
        manifest: dict[str, str] = json.loads((self._built / "manifest.json").read_text())
        return manifest


def _with_needs(name: str) -> set[str]:
    needs = [
        re.split(r"[^A-Za-z0-9._-]", need)[0] for need in importlib.metadata.requires(name) or () if ";" not in need
    ]
    return {name}.union(*map(_with_needs, needs))


def _copy(name: str, folder: Path) -> None:
    distribution = importlib.metadata.distribution(name)
    for file in distribution.files or ():
        if file.suffix != ".pyc" and ".." not in file.parts:
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(str(file.locate()), folder / file)
