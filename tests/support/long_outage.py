"""Replays a long outage in its own process, to measure its memory. Prints one JSON object.

python -m tests.support.long_outage HOME_OF_THE_SERVER FOLDER SEED CHANGES KEYS
"""

from __future__ import annotations

import json
import random
import resource
import sys
from pathlib import Path

from common.records import parse_records
from scripts.local_stack.mariadb import MariaDB
from tests.support.aws import S3
from tests.support.records import remove
from tests.support.replay import ReplayExecution, ReplayHarness, change
from tests.support.tables import Tables

BATCH = 1_000
KILLS = 6


def fill(harness: ReplayHarness, rng: random.Random, count: int, keys: int) -> dict[str, tuple[object, ...] | None]:
    """Write batches out of order, some twice, with one delete in ten changes. Returns the last row of each key."""
    last: dict[str, tuple[object, ...] | None] = {}
    starts = list(range(0, count, BATCH))
    rng.shuffle(starts)
    for at, start in enumerate([*starts, *starts[:3]]):
        mine = random.Random(start)
        records = []
        for sequence in range(start, min(start + BATCH, count)):
            key = f"k{mine.randrange(keys):06d}"
            records.append(remove(key, sequence) if mine.random() < 0.1 else change(key, sequence))
        harness.put_batch(records, key=f"aws/lambda/e1/shard/{at:06d}")
        harness.batches.clear()
    for start in sorted(starts):
        mine = random.Random(start)
        for sequence in range(start, min(start + BATCH, count)):
            key = f"k{mine.randrange(keys):06d}"
            gone = mine.random() < 0.1
            last[key] = None if gone else (sequence,)
    return last


def peak_mb() -> int:
    """The peak of this process alone, on Linux: getrusage starts with the parent's peak."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().partition("VmHWM:")[2].split()[0]) // 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main(home: str, folder: str, seed: str, count: str, keys: str) -> dict[str, object]:
    server, rng = MariaDB(Path(home)), random.Random(int(seed))
    tables = Tables(server.connect(autocommit=True))
    harness = ReplayHarness(server, tables, S3(Path(folder), page_size=1000), concurrency=4)
    last = fill(harness, rng, int(count), int(keys))
    parse_records([change("a", 1)], harness.mapping)  # imports and caches are not the replay's memory
    before = peak_mb()
    if int(seed) > 1:  # the first one fills its parts as far as they go
        harness.out_of_time = lambda: rng.random() < 0.3
    crashes = 0
    for _ in range(KILLS):
        harness.faults.kill(rng.randrange(1, 100 + int(count) // 200), rng.choice(["before", "after"]))
    for _ in range(3):
        execution = ReplayExecution(harness, rng=rng)
        execution.resume()
        crashes += execution.crashes
    rows = dict(tables.run("SELECT order_id, CAST(amount AS SIGNED) FROM tbl_orders"))
    return {
        "right": harness.left() == [] and rows == {key: row[0] for key, row in last.items() if row},
        "rows": len(rows),
        "crashes": crashes,
        "before_mb": before,
        "peak_mb": peak_mb(),
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(*sys.argv[1:])))
