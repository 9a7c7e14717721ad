"""One execution of a job that walks over the table: start it, follow it, read how it ended."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from backstream.deployment import Deployment
from backstream.execution import ExecutionResult, running_execution, start_execution
from common.bucket import Bucket, GoneError
from common.layout import RunKeys, open_run_key


@dataclass(frozen=True)
class JobStatus:
    """Where a job is. `estimate` is that of its report, empty until it is known.

    `units` are read units; a seed's are of writes, too, and a prune's are rows that were deleted. `seconds` and
    `recent_units` are of the time since it has been watched.
    """

    status: str
    items: int = 0
    units: float = 0.0
    seconds: float = 0.0
    recent_units: float = 0.0
    estimate: dict[str, Any] | None = None

    @property
    def units_per_second(self) -> float:
        return self.recent_units / self.seconds if self.seconds else 0.0

    @property
    def seconds_left(self) -> float | None:
        """By the units that remain of the estimate; None where that is unknown."""
        if not self.estimate or not self.units_per_second:
            return None
        total = self.estimate.get("write_units", self.estimate["read_units"])
        return max(0.0, float(total) - self.units) / self.units_per_second


class JobExecution:
    """`job` is `load`, `verify`, `seed` or `prune`."""

    def __init__(self, deployment: Deployment, job: str, arn: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.job, self.arn = job, arn
        self._states = deployment.client("stepfunctions")
        self._bucket = Bucket(deployment.client("s3"), deployment.bucket)
        self._clock, self._began = clock, clock()
        self._first_units: float | None = None
        self._run: str | None = None

    @classmethod
    def start(cls, deployment: Deployment, job: str, given: dict[str, Any]) -> JobExecution:
        return cls(deployment, job, start_execution(deployment, deployment.job_state_machine(job), given))

    @classmethod
    def running(cls, deployment: Deployment, job: str) -> JobExecution | None:
        arn = running_execution(deployment, deployment.job_state_machine(job))
        return cls(deployment, job, arn) if arn else None

    def follow(self, interval: float = 1.0, sleep: Callable[[float], None] = time.sleep) -> Iterator[JobStatus]:
        """The status every `interval` seconds, the last one when the execution has ended."""
        while True:
            status = self.status()
            yield status
            if status.status != "RUNNING":
                return
            sleep(interval)

    def status(self) -> JobStatus:
        status = str(self._states.describe_execution(executionArn=self.arn)["status"])
        self._run = self._open_run() or self._run
        if self._run is None:
            return JobStatus(status)
        keys = RunKeys(self.job, self._run)
        try:
            estimate = self._bucket.read_json(keys.start)["estimate"]
        except GoneError:
            return JobStatus(status)
        lanes = [self._bucket.read_json(key) for key, _ in self._bucket.list(keys.lanes)]
        units = sum(lane["units"] for lane in lanes)
        if self._first_units is None:
            self._first_units, self._began = units, self._clock()
        return JobStatus(
            status,
            sum(lane["counts"].get("items", lane["counts"].get("rows", 0)) for lane in lanes),
            units,
            self._clock() - self._began,
            units - self._first_units,
            estimate,
        )

    def _open_run(self) -> str | None:
        """The run under way, which an earlier execution may have begun."""
        try:
            return str(self._bucket.read_json(open_run_key(self.job))["run"]) or None
        except GoneError:
            return None

    def result(self) -> ExecutionResult:
        """Of an execution that has ended. The report is its output, or, when it failed, the object in the bucket."""
        described = self._states.describe_execution(executionArn=self.arn)
        status = described["status"]
        report = json.loads(described["output"]) if status == "SUCCEEDED" else self._stored_report()
        return ExecutionResult(status, report, described.get("error") or "", described.get("cause") or "")

    def _stored_report(self) -> dict[str, Any]:
        """That of the run, if this execution wrote it: one that ended before may have."""
        run = self._open_run() or self._run
        try:
            report: dict[str, Any] = self._bucket.read_json(RunKeys(self.job, run).report) if run else {}
        except GoneError:
            return {}
        return report if report.get("execution_arn") == self.arn else {}
