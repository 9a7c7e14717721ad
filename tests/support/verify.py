"""A verification in one process: real steps, a real database, and a driver that follows the state machine."""

from __future__ import annotations

from typing import Any

from common.bucket import Bucket
from common.database import ApplyOptions
from common.lock import Lock
from reconciler.pace import Surroundings
from reconciler.table import Table
from reconciler.verify.deletions import Deletions
from reconciler.verify.exports import Exports
from reconciler.verify.pending import Pending
from reconciler.verify.readings import Readings
from reconciler.verify.recheck import Rechecker
from reconciler.verify.repaired import RepairedKeys
from reconciler.verify.steps import VerifySteps
from reconciler.verify.walk import VerifyWalker
from tests.support.exports import TABLE_ARN, TableExports
from tests.support.load import LoadExecution, LoadHarness
from tests.support.replay import BUCKET

SETTLE = 60.0


class VerifyHarness(LoadHarness):
    """The account in which verifications run.

    `messages` are those in the queue of failed batches. `exports` are those of the table, and `key_arn` names the
    bucket's KMS key. `is_lag_proven` is false while the event source mapping has just been changed.
    """

    messages = 0
    key_arn = ""
    is_lag_proven = True

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.s3.now = self.clock
        self.exports = TableExports(self.s3, self.table, self.clock)

    def steps_of(self, job: str) -> Any:
        return self.verify_steps() if job == "verify" else super().steps_of(job)

    def verify_steps(self) -> VerifySteps:
        bucket = Bucket(self.faults.watch(self.s3), BUCKET)
        database = self.faults.watch(self.database, "apply", "ping", "levels", "compare", "page", "boundaries", "size")
        table = Table(self.faults.watch(self.table, "scan", "batch_get_item", "describe_table"), self.table.name)
        readings = Readings(self.mapping, database)
        pending, repaired = Pending(bucket, lambda: self.messages), RepairedKeys(bucket, self.clock.seconds)
        return VerifySteps(
            bucket=bucket,
            mapping=self.mapping,
            database=database,
            table=table,
            stream_arn=self.stream_arn,
            consumer_state=lambda: self.consumer_state,
            walker=VerifyWalker(
                bucket=bucket,
                mapping=self.mapping,
                database=database,
                table=table,
                readings=readings,
                rechecker=Rechecker(
                    readings, database, pending, Deletions(bucket), repaired, ApplyOptions(), self.clock.seconds
                ),
                meter=self.meter,
                invocation=Surroundings(
                    lag=lambda: self.lag,
                    out_of_time=self.out_of_time,
                    clock=self.clock.seconds,
                    sleep=self.clock.advance,
                ),
                now=self.clock.seconds,
                settle_seconds=SETTLE,
                proven_lag=lambda: self.lag if self.is_lag_proven else None,
            ),
            reported_lag=lambda: self.lag,
            exports=Exports(self.faults.watch(self.exports), bucket, TABLE_ARN, self.key_arn),
            lock=Lock(self.faults.watch(self.load_lock), self.executions, "lock", "reconciler"),
            meter=self.meter,
            concurrency=self.options["concurrency"],
            on_demand_rate=self.options.get("on_demand_rate", 1_000_000),
            database_wait_seconds=self.options["database_wait_seconds"],
            clock=self.clock,
        )

    def verify(self, **given: Any) -> dict[str, Any]:
        return LoadExecution(self, given, job="verify").resume()

    def found(self, **given: Any) -> dict[str, Any]:
        """The findings of a verification, by key: kind, columns and outcome."""
        report = self.verify(**given)
        assert report["outcome"] == "complete"
        return {one["key"]: (one["kind"], *one["columns"], one["outcome"]) for one in report["findings"]}
