"""One execution of the replay: started, followed, and read at its end."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from scripts.ops.reach import Reach


@dataclass(frozen=True)
class Progress:
    """Where a running replay is: its state, splits drained of all, changes applied or found stale so far."""

    status: str
    state: str
    splits: int
    drained: int
    changes: int
    seconds: float

    @property
    def seconds_left(self) -> float | None:
        """By the splits done so far, None before the first."""
        if not self.drained or self.drained >= self.splits:
            return None
        return self.seconds / self.drained * (self.splits - self.drained)


@dataclass(frozen=True)
class Ended:
    status: str
    output: dict[str, Any]
    error: str
    cause: str


class Execution:
    def __init__(self, reach: Reach, arn: str) -> None:
        self.arn = arn
        self.name = arn.rpartition(":")[2]
        self._bucket = reach.bucket
        self._states, self._s3 = reach.client("stepfunctions"), reach.client("s3")
        self._changes: dict[str, int] = {}  # of each drained split, read once
        self._drain_began: float | None = None

    @classmethod
    def start(cls, reach: Reach, given: dict[str, Any]) -> Execution:
        started = reach.client("stepfunctions").start_execution(
            stateMachineArn=reach.state_machine, input=json.dumps(given)
        )
        return cls(reach, started["executionArn"])

    def follow(self, interval: float = 1.0, sleep: Callable[[float], None] = time.sleep) -> Iterator[Progress]:
        """Progress until the execution has ended."""
        while True:
            progress = self.progress()
            yield progress
            if progress.status != "RUNNING":
                return
            sleep(interval)

    def progress(self) -> Progress:
        status = self._states.describe_execution(executionArn=self.arn)["status"]
        for key in self._keys("done/"):
            if key not in self._changes:
                self._changes[key] = self._json(key)["counts"].get("changes", 0)
        if self._changes and self._drain_began is None:
            self._drain_began = time.monotonic()
        return Progress(
            status,
            self._state(),
            splits=self._splits(),
            drained=len(self._changes),
            changes=sum(self._changes.values()),
            seconds=time.monotonic() - (self._drain_began or time.monotonic()),
        )

    def end(self) -> Ended:
        """The execution as it ended; the report from the bucket where a failed one has no output."""
        described = self._states.describe_execution(executionArn=self.arn)
        output = json.loads(described.get("output") or "{}") or self._report()
        return Ended(described["status"], output, described.get("error") or "", described.get("cause") or "")

    def _report(self) -> dict[str, Any]:
        try:
            report: dict[str, Any] = self._json(f"replay/{self.name}/report.json")
        except ClientError as error:
            if error.response["Error"]["Code"] in ("NoSuchKey", "404"):
                return {}
            raise
        return report

    def _state(self) -> str:
        """The state entered last."""
        history = self._states.get_execution_history(executionArn=self.arn, reverseOrder=True, maxResults=50)
        for event in history["events"]:
            if "stateEnteredEventDetails" in event:
                return str(event["stateEnteredEventDetails"]["name"])
        return ""

    def _splits(self) -> int:
        """One note each, and one for the records that cannot be read."""
        return len({key.split("/")[3] for key in self._keys("splits/")}) + 1

    def _keys(self, part: str) -> Iterator[str]:
        pages = self._s3.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=f"replay/{self.name}/{part}"
        )
        return (entry["Key"] for page in pages for entry in page.get("Contents", ()))

    def _json(self, key: str) -> Any:
        return json.loads(self._s3.get_object(Bucket=self._bucket, Key=key)["Body"].read())
