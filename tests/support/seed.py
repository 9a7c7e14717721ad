"""Seeds in one process beside a legacy application, an API and a consumer that lags."""

from __future__ import annotations

import json
from typing import Any

from common.bucket import Bucket
from common.lock import Lock
from common.seeds import MARK, is_marked
from reconciler.pace import Surroundings
from reconciler.seed.steps import SeedSteps
from reconciler.seed.walk import SeedWalker
from reconciler.table import Table
from tests.support.load import LoadExecution
from tests.support.records import START, item
from tests.support.replay import BUCKET
from tests.support.source_table import key_text
from tests.support.tables import Rows, order
from tests.support.verify import VerifyHarness

_TABLE_CALLS = ("scan", "batch_get_item", "describe_table", "put_item", "update_item")
_DATABASE_CALLS = ("ping", "levels", "page", "boundaries", "size", "since", "versions")


_USER = "SUBSTRING_INDEX(USER(), '@', 1)"


def seeded(key: str, **values: Any) -> dict[str, Any]:
    """The item of `order(key, **values)`, without its mark."""
    made = item(key, **values)
    del made["record_ttl"]
    return made


class SeedHarness(VerifyHarness):
    """The account in which seeds run. Legacy rows are written by the administrator, others by Backstream's user."""

    delivered = 0

    def _prepare(self) -> None:
        super()._prepare()
        present = self._triggers()
        self.tables.run(
            "CREATE TABLE IF NOT EXISTS writers (item_key VARCHAR(255), event VARCHAR(6), writer VARCHAR(80))",
            "DELETE FROM writers",
        )
        for table, (key, _) in self.dataset.logged.items():
            for event, row in (("insert", "NEW"), ("update", "NEW"), ("delete", "OLD")):
                if f"writer_{table}_{event}" in present:
                    continue
                self.tables.run(
                    f"CREATE TRIGGER writer_{table}_{event} AFTER {event.upper()} ON {table} FOR EACH ROW"
                    f" INSERT INTO writers VALUES ({key.replace('NEW.', f'{row}.')}, '{event}', {_USER})"
                )

    def steps_of(self, job: str) -> Any:
        return self.seed_steps() if job == "seed" else super().steps_of(job)

    def seed_steps(self) -> SeedSteps:
        bucket = Bucket(self.faults.watch(self.s3), BUCKET)
        database = self.faults.watch(self.database, *_DATABASE_CALLS)
        table = Table(self.faults.watch(self.table, *_TABLE_CALLS), self.table.name)
        return SeedSteps(
            bucket=bucket,
            mapping=self.mapping,
            database=database,
            table=table,
            stream_arn=self.stream_arn,
            consumer_state=lambda: self.consumer_state,
            walker=SeedWalker(
                bucket=bucket,
                mapping=self.mapping,
                database=database,
                table=table,
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

    def seed(self, **given: Any) -> dict[str, Any]:
        return LoadExecution(self, given, job="seed").resume()

    def counts(self, **given: Any) -> dict[str, int]:
        """Those of a seed that finishes, without zeros."""
        report = self.seed(**given)
        assert report["outcome"] == "complete", report
        return {name: count for name, count in report["counts"].items() if count}

    # Legacy application, API and consumer

    def legacy(self, key: str, **values: Any) -> None:
        """The legacy application writes an order."""
        row = ", ".join(repr(str(value)) for value in order(key, **values))
        self.tables.run(f"REPLACE INTO tbl_orders VALUES ({row})")

    def legacy_delete(self, key: str) -> None:
        self.tables.run(f"DELETE FROM tbl_orders WHERE order_id = '{key}'")

    def item(self, key: str) -> dict[str, Any] | None:
        name = {"p_key": {"S": key}, "s_key": {"S": "ORDER"}}
        return self.table.items.get(key_text(name))

    def api_put(self, key: str, **values: Any) -> None:
        """The API changes an item, and keeps what else it has, the mark too."""
        self.table.write((self.item(key) or {}) | item(key, **values))

    def api_delete(self, key: str, **identity: Any) -> None:
        self.table.remove(item(key), **identity)

    def consume(self, until: int | None = None, *, again: int = 0) -> None:
        """Deliver what the stream has, up to the record `until`; the last `again` records once more."""
        end = len(self.table.stream) if until is None else until
        if batch := self.table.stream[max(0, self.delivered - again) : end]:
            self.deliver(*batch)
        self.delivered = max(self.delivered, end)

    # What is there

    def seeded_items(self) -> dict[str, dict[str, Any]]:
        """The items that are as a seed wrote them, by order id, without their marks."""
        return {
            one["p_key"]["S"]: {name: value for name, value in one.items() if name != MARK}
            for one in self.table.items.values()
            if is_marked(one, self.mapping.name)
        }

    def backstream_writes(self) -> Rows:
        """What Backstream's user did to rows: key and event."""
        user = json.loads(self.database.server.credentials())["username"]
        return self.tables.run(f"SELECT item_key, event FROM writers WHERE writer = '{user}' ORDER BY item_key")


def at(second: int) -> int:
    """A time as the orders have it."""
    return START + second
