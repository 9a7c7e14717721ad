"""Run by itself: one event through the consumer's handler, then this process's peak memory in bytes.

python -m scripts.bench.consume_once <file with the server> <file with the event> <statement bytes>
"""

from __future__ import annotations

import json
import re
import resource
import sys
from pathlib import Path

from scripts.bench.environment import prepare

prepare()

from scripts.bench.consumer import handler  # noqa: E402 - needs the environment
from scripts.bench.server import Where  # noqa: E402


def peak() -> int:
    """Linux lets `getrusage` start from the parent's peak, so its own book is looked at first."""
    status = Path("/proc/self/status")
    match = re.search(r"VmHWM:\s+(\d+) kB", status.read_text()) if status.exists() else None
    if match:
        return int(match[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


if __name__ == "__main__":
    where = Where(**json.loads(Path(sys.argv[1]).read_text()))
    counts = handler(where, int(sys.argv[3]))(json.loads(Path(sys.argv[2]).read_bytes()))
    print(json.dumps({"counts": counts, "peak": peak()}))
