"""The replayer's own handler on a bucket and a server of ours, led by the state machine's definition.

Run by itself, it takes one replay and prints its seconds, peak memory, transitions and counts:

python -m scripts.bench.replayer <file with the endpoint> <folder of the bucket> <statement bytes>
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from common.bucket import Bucket
from common.mysql.database import MySQLDatabase
from common.mysql.sidecar import SIDECAR
from common.quarantine import Quarantine
from dlq_replayer import handler as function
from scripts.bench.environment import ROOT, LambdaContext
from scripts.bench.failures_bucket import FolderBucket
from scripts.bench.own_process import called_with, peak_memory
from scripts.bench.quiet import quiet
from scripts.bench.server import MAPPING, ORDER, Endpoint, FixedParameters

State = dict[str, Any]
Step = Callable[[str, State], State]

DEFINITION = ROOT / "statemachines" / "replay.asl.json"
TIMEOUT_SECONDS = 300  # as terraform/modules/pipeline/replay.tf has it


class NoLock:
    """In place of the lock, which makes two DynamoDB calls in a replay of any size."""

    def acquire(self, _arn: str) -> None:
        return None

    def release(self, _arn: str) -> None:
        return None


def stepper(endpoint: Endpoint, s3: FolderBucket, statement_bytes: int) -> Step:
    """A warm environment: the first step that needs a connection makes it, the later ones use it."""
    parameters, source = FixedParameters(endpoint), function.SETTINGS.source
    bucket = Bucket(s3, "failures")
    lock: Any = NoLock()
    collector = replace(function.COLLECTOR, bucket=bucket)
    drainer = replace(
        function.DRAINER,
        bucket=bucket,
        database=MySQLDatabase(function.SETTINGS, parameters, MAPPING, source=source, statement_bytes=statement_bytes),
        quarantine=Quarantine(lambda: s3, bucket.name),
    )

    def step(action: str, state: State) -> State:
        function.BUCKET, function.COLLECTOR, function.DRAINER = bucket, collector, drainer
        function.LOCK = lock
        event = json.loads(json.dumps({"action": action, "state": state}))  # as Step Functions passes it on
        with quiet():
            done: State = function.handler(event, LambdaContext(TIMEOUT_SECONDS))
        return done

    return step


def first_state(**given: object) -> State:
    """What the state machine passes to its first step. A run that began weeks ago would end."""
    arn = "arn:aws:states:us-east-1:123456789012:execution:backstream-prod-replay:bench"
    return {"name": "bench", "arn": arn, "started": datetime.now(UTC).isoformat(), "input": given}


def truncate(endpoint: Endpoint) -> None:
    with endpoint.connect() as connection, connection.cursor() as cursor:
        for name in (ORDER.table, SIDECAR):
            cursor.execute(f"TRUNCATE TABLE {name}")


def count_versions(endpoint: Endpoint) -> int:
    """The rows of the sidecar: one for each key that was ever written or deleted."""
    with endpoint.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"SELECT COUNT(*) FROM {SIDECAR}")
        ((count,),) = cursor.fetchall()
    return int(count)


@dataclass
class LocalExecution:
    """An execution of a state machine. The order of the steps comes from its definition.

    `may_wait`: it may enter a state that waits. `transitions` counts the states entered, child executions included, as
    Step Functions bills them.
    """

    step: Step
    definition: Path = DEFINITION
    may_wait: bool = False
    transitions: int = 0

    def output(self, given: State) -> State:
        """The output of an execution that completes; children run one after another. Raises RuntimeError."""
        text = self.definition.read_text().replace("${wait_seconds}", "1")
        report = self._run(json.loads(text), given)
        if report.get("outcome") != "complete":
            raise RuntimeError(f"the execution did not complete: {report}")
        return report

    def _run(self, machine: State, state: State) -> State:
        name = machine["StartAt"]
        while True:
            self.transitions += 1
            entered = machine["States"][name]
            if entered["Type"] == "Succeed":
                return state
            if entered["Type"] == "Choice":
                name = _chosen(entered, state)
            elif entered["Type"] == "Task":
                state, name = self.step(entered["Parameters"]["action"], state), entered["Next"]
            elif entered["Type"] == "Map":
                done = [self._run(entered["ItemProcessor"], lane) for lane in state["lanes"]]
                state, name = state | {entered["ResultPath"].removeprefix("$."): done}, entered["Next"]
            elif entered["Type"] == "Wait" and self.may_wait:
                time.sleep(entered["Seconds"])
                name = entered["Next"]
            else:
                raise RuntimeError(f"the execution reached {name}, where a step has failed or waits: {state}")


def _chosen(choice: State, state: State) -> str:
    outcomes = {rule["StringEquals"]: rule["Next"] for rule in choice["Choices"]}
    return str(outcomes.get(state["outcome"], choice["Default"]))


if __name__ == "__main__":
    given, (folder, statement_bytes) = called_with()
    execution = LocalExecution(stepper(given, FolderBucket(Path(folder)), int(statement_bytes)))
    started = time.perf_counter()
    report = execution.output(first_state())
    answer = {
        "seconds": time.perf_counter() - started,
        "peak": peak_memory(),
        "transitions": execution.transitions,
        "counts": report["counts"],
    }
    print(json.dumps(answer))
