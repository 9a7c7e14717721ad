"""The replayer's own handler on a bucket and a server of ours: log lines and metrics included."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from common.bucket import Bucket
from common.mysql.database import MySQLDatabase
from common.mysql.sidecar import SIDECAR
from common.quarantine import Quarantine
from dlq_replayer import handler as function
from scripts.bench.consumer import Fixed
from scripts.bench.nowhere import silence
from scripts.bench.replay_bucket import FolderBucket
from scripts.bench.server import TABLE, Where

State = dict[str, Any]
Step = Callable[[str, State], State]

TIMEOUT_SECONDS = 300  # as terraform/replay.tf has it


class Free:
    """In place of the lock, which nobody else asks for: two calls of DynamoDB for a replay, whatever its size."""

    def acquire(self, _arn: str) -> None:
        return None

    def release(self, _arn: str) -> None:
        return None


@dataclass(frozen=True)
class Context:
    started: float = field(default_factory=time.monotonic)

    def get_remaining_time_in_millis(self) -> int:
        return int(1000 * (self.started + TIMEOUT_SECONDS - time.monotonic()))


def stepper(where: Where, s3: FolderBucket, statement_bytes: int) -> Step:
    """A warm environment: its connection is made by the first step that needs one, and kept."""
    bucket = Bucket(s3, "failures")
    collector = replace(function.COLLECTOR, bucket=bucket)
    drainer = replace(
        function.DRAINER,
        bucket=bucket,
        database=MySQLDatabase(function.SETTINGS, Fixed(where), function.TABLE, source=function.SETTINGS.source),
        quarantine=Quarantine(lambda: s3, bucket.name),
        statement_bytes=statement_bytes,
    )

    def step(action: str, state: State) -> State:
        function.BUCKET, function.COLLECTOR, function.DRAINER = bucket, collector, drainer
        function.LOCK = Free()
        event = json.loads(json.dumps({"action": action, "state": state}))  # as Step Functions hands it over
        with silence():
            return function.handler(event, Context())

    return step


def start(**given: object) -> State:
    """What the state machine gives its first step."""
    arn = "arn:aws:states:us-east-1:123456789012:execution:backstream-prod-replay:bench"
    return {"name": "bench", "arn": arn, "started": "2026-01-31T01:00:00Z", "input": given}


def empty(where: Where) -> None:
    with where.connect() as connection, connection.cursor() as cursor:
        for name in (TABLE.name, SIDECAR):
            cursor.execute(f"TRUNCATE TABLE {name}")
