"""The failed changes of a night are replayed in bounded memory, interrupted at random."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.replay import ReplayHarness

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("size", [(1, 100_000, 10_000), (2, 10_000, 1_000), (3, 10_000, 50), (4, 10_000, 9_000)])
def test_a_long_outage_is_replayed_in_bounded_memory(
    harness: ReplayHarness, server: Any, tmp_path: Path, size: tuple[int, int, int]
):
    """Deletes and re-creations, batches out of order and some twice. Objects are on disk, not in memory."""
    result = in_own_process("tests.support.long_outage", server.home, tmp_path, *size)
    assert result["right"], result
    assert result["crashes"] > 0
    assert result["peak_mb"] < 512, result


@pytest.mark.parametrize("kind", ["applied", "hydrated", "unreadable", "refused"])
def test_the_densest_batches_are_replayed_in_bounded_memory(
    harness: ReplayHarness, three_letters: None, server: Any, tmp_path: Path, kind: str
):
    """Events of 6 MB that are mostly nested empty maps. Parked records are stored whole."""
    result = in_own_process("tests.support.dense_backlog", server.home, tmp_path, kind)
    rows, parked = (48, 0) if kind in ("applied", "hydrated") else (0, 48)
    assert (result["left"], result["rows"], result["parked"], result["whole"]) == ([], rows, parked, True)
    assert result["peak_mb"] < 512, result


def in_own_process(module: str, *arguments: Any) -> dict[str, Any]:
    """What the module prints: one JSON object."""
    paths = os.pathsep.join((str(ROOT), str(ROOT / "lambdas")))
    done = subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": paths, "POWERTOOLS_LOG_LEVEL": "CRITICAL"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    sys.stdout.write(f"{result}\n")
    return result
