"""A prune in one process: real steps, a real database, and a driver that follows the state machine."""

from __future__ import annotations

from typing import Any

from common.bucket import Bucket
from common.lock import Lock
from reconciler.pace import Surroundings
from reconciler.prune.reach import Reach
from reconciler.prune.steps import PruneSteps
from reconciler.prune.walk import PruneWalker
from reconciler.table import Table
from reconciler.verify.pending import Pending
from tests.support.load import LoadExecution
from tests.support.replay import BUCKET
from tests.support.verify import VerifyHarness

DAY = 86_400
HORIZON = 40


class PruneHarness(VerifyHarness):
    """The account in which prunes run."""

    def steps_of(self, job: str) -> Any:
        return self.prune_steps() if job == "prune" else super().steps_of(job)

    def prune_steps(self) -> PruneSteps:
        bucket = Bucket(self.faults.watch(self.s3), BUCKET)
        database = self.faults.watch(self.database, "ping", "levels", "page_of_removals", "prune", "sidecar_size")
        return PruneSteps(
            bucket=bucket,
            mapping=self.mapping,
            database=database,
            table=Table(self.faults.watch(self.table, "describe_table"), self.table.name),
            stream_arn=self.stream_arn,
            consumer_state=lambda: self.consumer_state,
            walker=PruneWalker(
                bucket=bucket,
                mapping=self.mapping,
                database=database,
                reach=Reach(bucket, Pending(bucket, lambda: self.messages), self.mapping),
                meter=self.meter,
                invocation=Surroundings(
                    lag=lambda: self.lag,
                    out_of_time=self.out_of_time,
                    clock=self.clock.seconds,
                    sleep=self.clock.advance,
                ),
            ),
            horizon_days=HORIZON,
            lock=Lock(self.faults.watch(self.load_lock), self.executions, "lock", "reconciler"),
            meter=self.meter,
            concurrency=self.options["concurrency"],
            on_demand_rate=1_000,
            database_wait_seconds=self.options["database_wait_seconds"],
            clock=self.clock,
        )

    def prune(self, **given: Any) -> dict[str, Any]:
        return LoadExecution(self, given, job="prune").resume()

    def pass_days(self, days: float) -> None:
        self.clock.advance(days * DAY)

    @property
    def now(self) -> int:
        return int(self.clock.seconds())
