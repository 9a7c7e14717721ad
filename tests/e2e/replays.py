"""Failed batches of a deployed pipeline, and the operator who replays them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scripts.local_stack.process import poll
from scripts.local_stack.settings import REPOSITORY
from tests.e2e.deployed import Deployed
from tests.support.replay import failure

# Seconds until Lambda gives a batch up: a record age of 60 s, or five retries with pauses between them.
FAILED_WITHIN = 300
ENDS_WITHIN = 180
DRAINED = "aws/lambda/"
SETTLED = f"replayed/{DRAINED}"


class Failures:
    """The failed batches of a pipeline: objects in the bucket, pointers in the queue."""

    def __init__(self, stack: Deployed, outputs: Mapping[str, Any]) -> None:
        """`outputs` are those of the pipeline."""
        self._s3, self._sqs = stack.client("s3"), stack.client("sqs")
        self.bucket, self._queue = outputs["failures_bucket"], outputs["failures_queue_url"]

    @property
    def has_queue(self) -> bool:
        return bool(self._queue)

    def objects(self, prefix: str) -> list[str]:
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        return [entry["Key"] for page in pages for entry in page.get("Contents", ())]

    def messages(self) -> int:
        if not self.has_queue:
            return 0
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self._sqs.get_queue_attributes(QueueUrl=self._queue, AttributeNames=names)["Attributes"]
        return sum(int(found[name]) for name in names)

    def count(self) -> int:
        return len(self.objects(DRAINED)) + self.messages()

    def put(self, record: dict[str, Any]) -> None:
        """A failed batch of one record, as the event source mapping leaves it."""
        batch = failure([record]) | {"payload": {"Records": [record]}}
        self._s3.put_object(Bucket=self.bucket, Key=f"{DRAINED}e2e/one-record", Body=json.dumps(batch))

    def put_back(self) -> int:
        """Copies settled batches back, as an operator may do, so that they are replayed again."""
        settled = self.objects(SETTLED)
        for name in settled:
            source = {"Bucket": self.bucket, "Key": name}
            self._s3.copy_object(Bucket=self.bucket, Key=name.removeprefix("replayed/"), CopySource=source)
        return len(settled)

    def remove(self, *prefixes: str) -> None:
        for name in [name for prefix in prefixes for name in self.objects(prefix)]:
            self._s3.delete_object(Bucket=self.bucket, Key=name)


@dataclass(frozen=True)
class CommandResult:
    code: int
    stdout: str
    stderr: str

    @property
    def report(self) -> dict[str, Any]:
        return json.loads(self.stdout)


class Operator:
    """The operator, at the console or at a terminal.

    `deployment` are the options of the command that name a pipeline other than that of the orders.
    """

    def __init__(self, stack: Deployed, *deployment: str) -> None:
        self._stack, self._deployment = stack, deployment
        self._states = stack.client("stepfunctions")

    def start(self) -> str:
        """As the console does, with `{}`."""
        machine = self._stack.outputs["replay_state_machine_arn"]
        return self._states.start_execution(stateMachineArn=machine, input="{}")["executionArn"]

    def end(self, execution: str) -> dict[str, Any]:
        poll(lambda: self._described(execution)["status"] != "RUNNING", ENDS_WITHIN, interval=0.5)
        described = self._described(execution)
        assert described["status"] == "SUCCEEDED", described
        return json.loads(described["output"])

    def waits_for_database(self, execution: str) -> bool:
        events = self._states.get_execution_history(executionArn=execution)["events"]
        return any(event.get("stateEnteredEventDetails", {}).get("name") == "WaitForDatabase" for event in events)

    def replay(self, *arguments: str) -> CommandResult:
        process = self.begin(*arguments)
        stdout, stderr = process.communicate(timeout=ENDS_WITHIN)
        return CommandResult(process.returncode, stdout, stderr)

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "backstream", "replay", *arguments, *self._deployment],
            cwd=REPOSITORY,
            env=dict(self._stack.environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def _described(self, execution: str) -> dict[str, Any]:
        return self._states.describe_execution(executionArn=execution)


def stream_is_drained(stack: Deployed) -> bool:
    """Whether the last order arrives: every record before it was applied or has failed."""
    marker = stack.create(merchant="merchant-marker")
    return bool(poll(lambda: stack.mysql_order(marker), FAILED_WITHIN, interval=0.5))
