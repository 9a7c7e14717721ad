"""The operator's tool, run on a stack as an operator runs it: with its options, exit code and JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

from scripts.local_stack.settings import REPOSITORY
from scripts.local_stack.terminal import StackError

_FOLDERS = (REPOSITORY, REPOSITORY / "lambdas", REPOSITORY / "scripts")
_LONGEST = 600  # seconds
# Done; done, with something that a person must see to.
DONE, ATTENTION = 0, 4


class Result(NamedTuple):
    code: int
    report: Any


class NotReadyError(StackError):
    """The job refuses to begin now; the message says why."""


def backstream(outputs: Mapping[str, Any], *arguments: str) -> Result:
    """Raises StackError where the command did not do its work, NotReadyError where it may do so later."""
    done = subprocess.run(
        [sys.executable, "-m", "backstream", *arguments, "--json", "--outputs", "-"],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, _FOLDERS))},
        input=json.dumps(outputs),
        capture_output=True,
        text=True,
        check=False,
        timeout=_LONGEST,
    )
    if done.returncode not in (DONE, ATTENTION):
        if reason := _why_not_ready(done.stdout):
            raise NotReadyError(reason)
        told = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise StackError(f"backstream {arguments[0]} ended with exit code {done.returncode}: {' '.join(told[-3:])}")
    return Result(done.returncode, json.loads(done.stdout))


def _why_not_ready(printed: str) -> str:
    """Empty for any other failure."""
    try:
        failure = json.loads(printed)
    except ValueError:
        return ""
    return str(failure["cause"]) if isinstance(failure, dict) and failure.get("error") == "NotReady" else ""
