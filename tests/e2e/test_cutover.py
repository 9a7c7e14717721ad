"""The demonstration of a cutover on the stack of the tests: forwards, back, and forwards again."""

from __future__ import annotations

import subprocess
import sys

from scripts.local_stack.settings import REPOSITORY
from tests.e2e.deployed import Deployed


def test_the_cutover_demonstration_holds(stack: Deployed) -> None:
    """Every check of the story holds, and both sides are equal at its end."""
    done = subprocess.run(
        [sys.executable, "-m", "scripts.local_stack", "demo-cutover"],
        cwd=REPOSITORY,
        env=dict(stack.environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Yes: " in done.stdout.splitlines()[-1]
    assert stack.settles()
