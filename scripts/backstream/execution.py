"""One execution of the replay: started, followed, and read at its end."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from typing import Any

from backstream.reach import Reach
from common.bucket import Bucket, GoneError
from common.layout import ReplayKeys

# The states of a lane, where an emulator writes them into the history of the whole.
_LANE = ("DrainLane", "WaitInLane", "LaneDone", "LaneFailed")
# The states that take turns while the database is waited for.
_WAITING = ("WaitForDatabase", "Hydrate", "Check")
_CHOICE = "Outcome"  # how the names of choices end, which take no time and tell nothing


@dataclass(frozen=True)
class Progress:
    """Where a running replay is: its state, splits drained of all, changes applied or found stale so far.

    `waiting` says since when and why it waits for the database; empty where it does not.
    """

    status: str
    state: str
    splits: int | None = None  # None before they are known
    drained: int = 0
    changes: int = 0
    seconds: float = 0.0  # since the draining began, as far as it was watched
    waiting: str = ""

    @property
    def seconds_left(self) -> float | None:
        """By the splits done so far, None before the first."""
        if not self.splits or not self.drained or self.drained >= self.splits:
            return None
        return self.seconds / self.drained * (self.splits - self.drained)


@dataclass(frozen=True)
class Ended:
    status: str
    output: dict[str, Any]
    error: str
    cause: str


class Execution:
    def __init__(self, reach: Reach, arn: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.arn = arn
        self._keys = ReplayKeys(arn.rpartition(":")[2])
        self._states, self._bucket = reach.client("stepfunctions"), Bucket(reach.client("s3"), reach.bucket)
        self._clock = clock
        self._changes: dict[str, int] = {}  # of each drained split, read once
        self._splits: int | None = None
        self._drain_began: float | None = None

    @classmethod
    def start(cls, reach: Reach, given: dict[str, Any]) -> Execution:
        started = reach.client("stepfunctions").start_execution(
            stateMachineArn=reach.state_machine, input=json.dumps(given)
        )
        return cls(reach, started["executionArn"])

    @classmethod
    def running(cls, reach: Reach) -> Execution | None:
        """The one that runs; of several the one started first, as the others only find that it does."""
        given = {"stateMachineArn": reach.state_machine, "statusFilter": "RUNNING"}
        found = reach.client("stepfunctions").list_executions(**given)["executions"]
        return cls(reach, min(found, key=itemgetter("startDate"))["executionArn"]) if found else None

    def follow(self, interval: float = 1.0, sleep: Callable[[float], None] = time.sleep) -> Iterator[Progress]:
        """Progress until the execution has ended."""
        while True:
            progress = self.progress()
            yield progress
            if progress.status != "RUNNING":
                return
            sleep(interval)

    def progress(self) -> Progress:
        status = str(self._states.describe_execution(executionArn=self.arn)["status"])
        state, given = self._entered()
        if state == "Drain" and self._drain_began is None:
            self._drain_began, self._splits = self._clock(), _splits(given)
        if self._drain_began is None:
            return Progress(status, state, waiting=_waiting(state, given))
        for key, _ in self._bucket.list(self._keys.results):
            if key not in self._changes:
                self._changes[key] = self._bucket.read_json(key)["counts"].get("changes", 0)
        seconds = self._clock() - self._drain_began
        return Progress(status, state, self._splits, len(self._changes), sum(self._changes.values()), seconds)

    def end(self) -> Ended:
        """The execution as it ended, with its report: the output, or the object in the bucket where it failed."""
        described = self._states.describe_execution(executionArn=self.arn)
        status = described["status"]
        output = json.loads(described["output"]) if status == "SUCCEEDED" else self._report()
        return Ended(status, output, described.get("error") or "", described.get("cause") or "")

    def _report(self) -> dict[str, Any]:
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


def _waiting(state: str, given: str) -> str:
    try:
        held = json.loads(given) if state in _WAITING else {}
        since = datetime.fromisoformat(held["waiting_since"])
        return f"since {since:%H:%M:%S} UTC: {held['reason']}"
    except (ValueError, LookupError, TypeError):  # it does not wait, or a long input comes cut short
        return ""


def _splits(given: str) -> int | None:
    """How many there are to drain: those that its lanes share, and one for the records that cannot be read."""
    try:
        return int(json.loads(given)["lanes"][0]["splits"]) + 1
    except (ValueError, LookupError, TypeError):  # a long input comes cut short
        return None
