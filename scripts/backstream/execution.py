"""One execution of a state machine: start it, follow it, read how it ended."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from typing import Any

from backstream.deployment import Deployment
from common.bucket import Bucket, GoneError
from common.layout import ReplayKeys

DRAIN = "Drain"  # the state that drains the splits
# The states of a lane, which one emulator writes into the history of the whole execution.
_LANE = ("DrainLane", "WaitInLane", "LaneDone", "LaneFailed")
# The states that take turns while the replay waits for the database.
_WAITING = ("WaitForDatabase", "Hydrate", "Check")
_CHOICE = "Outcome"  # how the names of Choice states end; they take no time


@dataclass(frozen=True)
class ExecutionStatus:
    """Where an execution is: its state, the drained splits, and the changes in them, applied or stale.

    `waiting` says since when and why it waits for the database, and is empty when it does not wait.
    """

    status: str
    state: str
    splits: int | None = None  # None until they are known
    drained: int = 0
    changes: int = 0
    seconds: float = 0.0  # since the drain began, as far as it was watched
    waiting: str = ""

    @property
    def seconds_left(self) -> float | None:
        """Extrapolated from the drained splits; None before the first."""
        if not self.splits or not self.drained or self.drained >= self.splits:
            return None
        return self.seconds / self.drained * (self.splits - self.drained)


@dataclass(frozen=True)
class ExecutionResult:
    """How an execution ended. `report` is its report, and is empty when there is none."""

    status: str
    report: dict[str, Any]
    error: str
    cause: str


class Execution:
    def __init__(self, deployment: Deployment, arn: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.arn = arn
        self._keys = ReplayKeys(arn.rpartition(":")[2])
        self._states = deployment.client("stepfunctions")
        self._bucket = Bucket(deployment.client("s3"), deployment.bucket)
        self._clock = clock
        self._changes: dict[str, int] = {}  # by the result's key; each result is read once
        self._splits: int | None = None
        self._drain_began: float | None = None

    @classmethod
    def start(cls, deployment: Deployment, replay_input: dict[str, Any]) -> Execution:
        return cls(deployment, start_execution(deployment, deployment.state_machine, replay_input))

    @classmethod
    def running(cls, deployment: Deployment) -> Execution | None:
        """The running one. Of several it is the one started first: the others end as soon as they see it."""
        arn = running_execution(deployment, deployment.state_machine)
        return cls(deployment, arn) if arn else None

    def follow(self, interval: float = 1.0, sleep: Callable[[float], None] = time.sleep) -> Iterator[ExecutionStatus]:
        """The status every `interval` seconds, the last one when the execution has ended."""
        while True:
            status = self.status()
            yield status
            if status.status != "RUNNING":
                return
            sleep(interval)

    def status(self) -> ExecutionStatus:
        status = str(self._states.describe_execution(executionArn=self.arn)["status"])
        state, state_input = self._entered()
        if state == DRAIN and self._drain_began is None:
            self._drain_began, self._splits = self._clock(), _splits(state_input)
        if self._drain_began is None:
            return ExecutionStatus(status, state, waiting=_waiting(state, state_input))
        for key, _ in self._bucket.list(self._keys.results):
            if key not in self._changes:
                self._changes[key] = self._bucket.read_json(key)["counts"].get("changes", 0)
        seconds = self._clock() - self._drain_began
        return ExecutionStatus(status, state, self._splits, len(self._changes), sum(self._changes.values()), seconds)

    def result(self) -> ExecutionResult:
        """Of an execution that has ended. The report is its output, or, when it failed, the object in the bucket."""
        described = self._states.describe_execution(executionArn=self.arn)
        status = described["status"]
        report = json.loads(described["output"]) if status == "SUCCEEDED" else self._stored_report()
        return ExecutionResult(status, report, described.get("error") or "", described.get("cause") or "")

    def _stored_report(self) -> dict[str, Any]:
        try:
            report: dict[str, Any] = self._bucket.read_json(self._keys.report)
        except GoneError:
            return {}
        return report

    def _entered(self) -> tuple[str, str]:
        """The state entered last, and its input."""
        history = self._states.get_execution_history(executionArn=self.arn, reverseOrder=True, maxResults=50)
        for event in history["events"]:
            entered = event.get("stateEnteredEventDetails", {})
            if entered and entered["name"] not in _LANE and not entered["name"].endswith(_CHOICE):
                return str(entered["name"]), str(entered.get("input", ""))
        return "", ""


def start_execution(deployment: Deployment, state_machine: str, given: dict[str, Any]) -> str:
    """The ARN of a new execution."""
    started = deployment.client("stepfunctions").start_execution(stateMachineArn=state_machine, input=json.dumps(given))
    return str(started["executionArn"])


def running_execution(deployment: Deployment, state_machine: str) -> str | None:
    """The ARN of the running execution that was started first."""
    query = {"stateMachineArn": state_machine, "statusFilter": "RUNNING"}
    found = deployment.client("stepfunctions").list_executions(**query)["executions"]
    return str(min(found, key=itemgetter("startDate"))["executionArn"]) if found else None


def _waiting(state: str, state_input: str) -> str:
    try:
        values = json.loads(state_input) if state in _WAITING else {}
        since = datetime.fromisoformat(values["waiting_since"])
        return f"since {since:%H:%M:%S} UTC: {values['reason']}"
    except (ValueError, LookupError, TypeError):  # it does not wait, or the history cut a long input short
        return ""


def _splits(state_input: str) -> int | None:
    """How many there are: those that the lanes share, and one for the unreadable records."""
    try:
        return int(json.loads(state_input)["lanes"][0]["splits"]) + 1
    except (ValueError, LookupError, TypeError):  # the history cut a long input short
        return None
