"""Folders in memory, for servers: one there makes and drops the tables of a test in a fifth of the time.

No test needs what such a folder cannot give: a server that is killed there finds its data again.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest

MEMORY = Path("/dev/shm")
ENOUGH = 2 << 30  # bytes for the servers of a run. A container often has less.
_ROOT = "BACKSTREAM_TESTS_IN_MEMORY"  # for the processes of a run


def begin() -> None:
    """Once in a run."""
    os.environ.pop(_ROOT, None)
    if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ENOUGH:
        os.environ[_ROOT] = tempfile.mkdtemp(prefix="backstream-tests-", dir=MEMORY)


def folder(factory: pytest.TempPathFactory, name: str) -> Path:
    """A new folder: on disk where memory is short."""
    root = os.environ.get(_ROOT)
    return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=root)) if root else factory.mktemp(name)


def roots() -> list[Path]:
    return [Path(os.environ[_ROOT])] if _ROOT in os.environ else []


def end() -> None:
    for root in roots():
        shutil.rmtree(root, ignore_errors=True)
