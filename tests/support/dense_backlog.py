"""Replays the largest possible batches, thirty times as large as objects, in its own process.

python -m tests.support.dense_backlog HOME_OF_THE_SERVER FOLDER KIND, where KIND tells what becomes of the changes:
`applied`, `hydrated` (the same, from pointers in the queue), `unreadable` (parked as the mapping refuses them) or
`refused` (parked as MySQL, which takes currencies of three letters only, refuses them). Prints one JSON object.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from common.records import parse_records
from scripts.local_stack.mariadb import MariaDB
from tests.support.aws import S3, Streams
from tests.support.long_outage import peak_mb
from tests.support.replay import ReplayHarness, change
from tests.support.tables import Tables

BATCHES, RECORDS = 8, 6
# An item has at most 400 KB, in which an empty map counts 3 bytes and 1 for its place; it is 9 bytes of JSON, and
# some 250 as objects: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
DENSE = {"L": [{"M": {}}] * 100_000}
VALUES: dict[str, dict[str, Any]] = {"unreadable": {"amount": {"S": "many"}}, "refused": {"currency": "R"}}


class FreshStreams(Streams):
    """Returns new objects in each answer, as HTTP does, which has at most 1 MB of records."""

    def get_records(self, **request: Any) -> dict[str, Any]:
        page = super().get_records(**request)
        for record in page["Records"]:
            record["dynamodb"]["NewImage"] = record["dynamodb"]["NewImage"] | {"notes": json.loads(json.dumps(DENSE))}
        return page


def dense(kind: str, sequence: int) -> dict[str, Any]:
    return change(f"k{sequence:03d}", sequence, **VALUES.get(kind, {}), notes=DENSE)


def main(home: str, folder: str, kind: str) -> dict[str, Any]:
    server = MariaDB(Path(home))
    tables = Tables(server.connect(autocommit=True))
    harness = ReplayHarness(server, tables, S3(Path(folder)))
    harness.streams = FreshStreams(page_size=2)
    fail = harness.send_pointer if kind == "hydrated" else harness.put_batch
    for start in range(0, BATCHES * RECORDS, RECORDS):
        fail([dense(kind, start + n) for n in range(RECORDS)])
    parse_records([change("a", 1)], harness.mapping)  # imports and caches are not the replay's memory
    before = peak_mb()
    harness.replay()
    parked = harness.keys("quarantine/")
    return {
        "left": [*harness.left(), *harness.sqs.messages],
        "rows": len(tables.orders()),
        "parked": len(parked),
        "whole": all(
            harness.bucket.read_json(key)["record"]["dynamodb"]["NewImage"]["notes"] == DENSE for key in parked
        ),
        "before_mb": before,
        "peak_mb": peak_mb(),
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(*sys.argv[1:])))
