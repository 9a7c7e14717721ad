"""Run by itself: one replay, every step of it in this process; prints its seconds, peak memory and transitions.

python -m scripts.bench.replay_once <file with the server> <folder of the bucket> <statement bytes>
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from scripts.bench.environment import prepare

prepare()

from scripts.bench.consume_once import peak  # noqa: E402 - needs the environment
from scripts.bench.replay_bucket import FolderBucket  # noqa: E402
from scripts.bench.replay_function import start, stepper  # noqa: E402
from scripts.bench.replay_machine import Walk  # noqa: E402
from scripts.bench.server import Where  # noqa: E402

if __name__ == "__main__":
    where = Where(**json.loads(Path(sys.argv[1]).read_text()))
    walk = Walk(stepper(where, FolderBucket(Path(sys.argv[2])), int(sys.argv[3])))
    started = time.perf_counter()
    report = walk.whole(start())
    seconds = time.perf_counter() - started
    print(json.dumps({"seconds": seconds, "peak": peak(), "entered": walk.entered, "counts": report["counts"]}))
