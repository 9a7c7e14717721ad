"""Measurements in a process of their own, whose memory is theirs alone."""

from __future__ import annotations

import dataclasses
import json
import re
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from scripts.bench.server import Endpoint

MEGABYTE = 1 << 20


def call(module: str, endpoint: Endpoint, *arguments: object) -> dict[str, Any]:
    """What `python -m module <file with the endpoint> <arguments>` prints, one JSON object.

    Raises subprocess.CalledProcessError.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(dataclasses.asdict(endpoint), file)
        file.flush()
        command = [sys.executable, "-m", module, file.name, *map(str, arguments)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def called_with() -> tuple[Endpoint, list[str]]:
    """The endpoint and the arguments that `call` gave this process."""
    return Endpoint(**json.loads(Path(sys.argv[1]).read_text())), sys.argv[2:]


def peak_memory() -> int:
    """Bytes. On Linux `getrusage` starts from the parent's peak, so /proc is read first."""
    status = Path("/proc/self/status")
    match = re.search(r"VmHWM:\s+(\d+) kB", status.read_text()) if status.exists() else None
    if match:
        return int(match[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
