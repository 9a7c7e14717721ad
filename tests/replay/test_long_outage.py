"""A night's worth of failed changes, in bounded memory, interrupted at random."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.replay import World

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("size", [(1, 100_000, 10_000), (2, 10_000, 1_000), (3, 10_000, 50), (4, 10_000, 9_000)])
def test_drained_in_bounded_memory_however_often_interrupted(
    world: World, server: Any, tmp_path: Path, size: tuple[int, int, int]
):
    """Deletes and re-creations, batches out of order and some twice. Objects lie on disk: memory is the replay's."""
    seed, changes, keys = size
    command = [sys.executable, "-m", "tests.support.long_outage", server.home, tmp_path, seed, changes, keys]
    paths = os.pathsep.join((str(ROOT), str(ROOT / "lambdas")))
    done = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": paths, "POWERTOOLS_LOG_LEVEL": "CRITICAL"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["right"], result
    assert result["crashes"] > 0
    assert result["peak_mb"] < 512, result
    sys.stdout.write(f"{result}\n")
