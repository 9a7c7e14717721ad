"""The functions as they are deployed: built, unpacked, with boto3 beside them as Lambda's runtime has it."""

from __future__ import annotations

import importlib.metadata
import json
import re
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from scripts.bench.environment import ROOT

BUILD = ROOT / "scripts" / "build.py"


@dataclass(frozen=True)
class Deployed:
    """Everything below `folder`, which is the caller's to remove."""

    folder: Path

    @cached_property
    def interpreter(self) -> str:
        """The one of the manifest's runtime."""
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
            shutil.copyfile(file.locate(), folder / file)
