"""A load in one process: real steps, a real database, and a driver that follows the state machine."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import Any

from common.bucket import Bucket, ReplacedError
from common.database import ApplyOptions
from common.lock import Lock
from common.records import parse_records
from common.versions import LOWEST_VERSION
from reconciler.load.loader import Loader
from reconciler.load.steps import LoadSteps
from reconciler.load.walk import Walker
from reconciler.pace import Surroundings
from reconciler.run import InputError, NotReadyError
from reconciler.table import Table
from tests.support.aws import LockTable
from tests.support.records import ARN
from tests.support.replay import BUCKET, ORDERS, STATE_LIMIT, Dataset, Killed, ReplayHarness, StoppedError
from tests.support.source_table import SourceTable
from tests.support.tables import Tables

_MOST_CALLS = 3_000
_names = itertools.count(1)


class LoadHarness(ReplayHarness):
    """The account in which loads run: that of replays, with the DynamoDB table and the consumer's state."""

    def __init__(self, server: Any, tables: Tables, dataset: Dataset = ORDERS, **options: Any) -> None:
        super().__init__(server, tables, dataset=dataset, **options)
        key = (self.mapping.partition_key, self.mapping.sort_key)
        self.table = SourceTable(key=[one.attribute for one in key if one])
        self.stream_arn = ARN
        self.load_lock = LockTable()
        self.consumer_state = "Enabled"
        self.lag: float | None = 0.0

    def steps_of(self, job: str) -> Any:
        """The steps of a job, as one Lambda has them."""
        assert job == "load"
        return self.load_steps()

    def load_steps(self) -> LoadSteps:
        bucket = Bucket(self.faults.watch(self.s3), BUCKET)
        database = self.faults.watch(self.database, "apply", "ping", "levels")
        table = Table(self.faults.watch(self.table, "scan", "batch_get_item", "describe_table"), self.table.name)
        return LoadSteps(
            bucket=bucket,
            mapping=self.mapping,
            database=database,
            table=table,
            stream_arn=self.stream_arn,
            consumer_state=lambda: self.consumer_state,
            walker=Walker(
                bucket=bucket,
                table=table,
                loader=Loader(self.mapping, database, ApplyOptions()),
                meter=self.meter,
                invocation=Surroundings(
                    lag=lambda: self.lag,
                    out_of_time=self.out_of_time,
                    clock=self.clock.seconds,
                    sleep=self.clock.advance,
                ),
            ),
            lock=Lock(self.faults.watch(self.load_lock), self.executions, "lock", "reconciler"),
            meter=self.meter,
            concurrency=self.options["concurrency"],
            on_demand_rate=self.options.get("on_demand_rate", 1_000_000),
            database_wait_seconds=self.options["database_wait_seconds"],
            clock=self.clock,
        )

    def load(self, given: dict[str, Any] | None = None) -> dict[str, Any]:
        return LoadExecution(self, given).resume()

    def deliver(self, *records: dict[str, Any]) -> None:
        """What the consumer does with records of the stream."""
        batch = parse_records(records, self.mapping, source=self.source)
        if batch.changes:
            self.database.apply(batch.changes, ApplyOptions())

    def versions(self) -> dict[str, str]:
        """The number of the version of each key in the sidecar, empty for a loaded row."""
        rows = self.tables.run("SELECT item_key, version FROM replication_versions ORDER BY item_key")
        return {
            key: "" if version == LOWEST_VERSION else str(int(version.rpartition("_")[2]) % 10**20)
            for key, version in rows
        }


class LoadExecution:
    """One execution of the state machine. A call that is killed or overtaken is tried again from the state before."""

    def __init__(self, harness: LoadHarness, given: Any = None, *, retries: int = 6, job: str = "load") -> None:
        self.harness, self.retries, self.job = harness, retries, job
        self.name = f"l{next(_names):04d}"
        self.arn = f"arn:aws:states:us-east-1:123456789012:execution:backstream-dev-{job}:{self.name}"
        self.action: str | None = "start"
        self.state: dict[str, Any] = {
            "name": self.name,
            "arn": self.arn,
            "started": harness.clock().isoformat(),
            "input": {} if given is None else given,
        }
        self.lanes: list[dict[str, Any]] = []
        self.trail: list[str] = []
        self.on_wait: Callable[[], None] = lambda: None

    def resume(self) -> dict[str, Any]:
        """Start it, or redrive it where it stopped. Returns the output, or the state in which it failed."""
        self.harness.executions.status[self.arn] = "RUNNING"
        while self.action:
            self.step()
        self.harness.executions.status[self.arn] = "SUCCEEDED"
        return self.state

    def until(self, action: str) -> LoadExecution:
        self.harness.executions.status[self.arn] = "RUNNING"
        while self.action != action:
            self.step()
        return self

    def stop(self) -> None:
        self.harness.executions.status[self.arn] = "ABORTED"

    def step(self) -> None:
        """One state of the state machine; of the lanes, all of them to their ends, in turns."""
        assert self.action
        if self.action == "walk":
            self._walk()
        else:
            self._follow(self._task(self.action, self.state))

    def _follow(self, result: dict[str, Any]) -> None:
        self.state = result
        outcome = result["outcome"]
        if outcome in ("down", "waiting"):
            self._wait()
        following = {
            ("start", "go"): "check", ("check", "down"): "check", ("check", "more"): "check",
            ("check", "gave_up"): "report", ("check", "waiting"): "check", ("check", "stopped"): "report",
            ("check", "go"): "walk", ("next", "more"): "check", ("next", "done"): "report",
            ("next", "incomplete"): "report",
        }  # fmt: skip
        self.action = following.get((str(self.action), outcome))

    def _walk(self) -> None:
        self.lanes = self.lanes or [dict(lane) for lane in self.state["lanes"]]
        ended: list[dict[str, Any]] = []
        while self.lanes:
            lane = self.lanes.pop(0)
            result = self._task("walk", lane)
            if result["outcome"] == "waiting":
                self._wait()
            (self.lanes if result["outcome"] in ("more", "waiting") else ended).append(result)
        self.state = {**self.state, "walked": ended}
        self.action = "next"

    def _wait(self) -> None:
        self.on_wait()
        self.harness.clock.advance(30)

    def _task(self, action: str, state: dict[str, Any]) -> dict[str, Any]:
        text = json.dumps(state)
        assert len(text) < STATE_LIMIT, f"{len(text)} bytes go into {action}"
        for _ in range(self.retries + 1):
            try:
                self.trail.append(action)
                assert len(self.trail) < _MOST_CALLS, "it does not come to an end"
                result = self.harness.steps_of(self.job).step(action, json.loads(text))
            except Killed:
                self.harness.faults.revive()
                self.harness.database.drop()
                continue
            except ReplacedError:
                continue
            except InputError as error:
                return {"outcome": "wrong_input", "message": str(error)}
            except NotReadyError as error:
                return {"outcome": "not_ready", "message": str(error)}
            written: dict[str, Any] = json.loads(json.dumps(result))
            return written
        self.stop()
        raise StoppedError(action)
