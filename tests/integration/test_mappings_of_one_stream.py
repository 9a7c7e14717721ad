"""Two pipelines read one stream, each with a mapping of its own, and write to one database without any cross-talk."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from moto import mock_aws

from common import mapping
from common.database import HoldError
from common.layout import FAILED
from scripts.local_stack.mariadb import MariaDB
from tests.support.aws import Executions
from tests.support.functions import Context, FunctionWorld
from tests.support.proxy import Proxy
from tests.support.records import START, record, remove
from tests.support.replay import ReplayClock, ReplayExecution, failure, last_rows
from tests.support.tables import Rows, Tables, order

Record = dict[str, Any]
# The entity has the name and the keys of the orders' one, and flags what that deletes.
REPORT: dict[str, Any] = {
    "partition_key": {"attribute": "p_key", "type": "string"},
    "sort_key": {"attribute": "s_key", "type": "string"},
    "entities": {
        "order": {
            "when": {"sort_key": {"equals": "ORDER"}},
            "target": {
                "table": "tbl_report",
                "key": {"partition_key": "{order_id}"},
                "key_columns": [{"column": "order_id", "type": "string", "length": 64, "ascii": True}],
            },
            "columns": [
                {"column": "total", "from": ["amount"], "type": "decimal", "precision": 12, "scale": 2},
                {"column": "state", "from": ["status"], "type": "enum", "values": ["NEW", "PAID"]},
            ],
            "deletes": {"flag": "is_deleted", "time": "deleted_at"},
        }
    },
}
TABLES = {"orders": "tbl_orders", "report": "tbl_report"}


class Pipeline:
    """The functions of one pipeline: its own mapping, bucket and lock, and its own way to the database.

    It is the account of a `ReplayExecution`.
    """

    def __init__(self, name: str, server: MariaDB, world: FunctionWorld, tables: Tables) -> None:
        self.name, self.bucket = name, f"failures-{name}"
        self._tables, self._s3, self._numbers = tables, world.s3, itertools.count(1)
        self.way, self.executions, self.clock = Proxy(server.host, server.port), Executions(), ReplayClock()
        connection = {"hostname": server.host, "port": self.way.port, "db": server.database, "driver": "mysql"}
        world.ssm.put_parameter(Name=f"/{name}/mysql", Value=json.dumps(connection), Type="String")
        world.s3.create_bucket(Bucket=self.bucket)
        boto3.client("dynamodb").create_table(
            TableName=f"{name}-lock",
            AttributeDefinitions=[{"AttributeName": "p_key", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "p_key", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
        )
        environ: dict[str, str | None] = {
            "MAPPING": name,
            "FAILURES_BUCKET": self.bucket,
            "LOCK_TABLE_NAME": f"{name}-lock",
            "RDS_CONNECTION_PARAM_NAME": f"/{name}/mysql",
            "REPLAY_CONCURRENCY": "1",
            "VERIFY_STATE_MACHINE_ARN": "unused",
        }
        world.cold_start("stream_consumer.schema_step", **environ).handler({}, Context())
        self._consumer = world.cold_start("stream_consumer.handler", **environ)
        self._replayer = world.cold_start("dlq_replayer.handler", **environ)

    def close(self) -> None:
        for function in (self._consumer, self._replayer):
            function.DATABASE.drop()
        self.way.close()

    def clear(self) -> None:
        for key in self.objects():
            self._s3.delete_object(Bucket=self.bucket, Key=key)

    def deliver(self, *records: Record) -> dict[str, int]:
        return self._consumer.handler({"Records": list(records)}, Context())

    def fail(self, *records: Record) -> None:
        """In an outage the batch is retried, and then written to the bucket."""
        self.way.refuse()
        for _ in range(2):
            with pytest.raises(HoldError):
                self.deliver(*records)
        batch = failure(list(records)) | {"payload": json.dumps({"Records": records})}
        self._s3.put_object(Bucket=self.bucket, Key=f"{FAILED}{next(self._numbers)}", Body=json.dumps(batch))
        self.way.listen()

    def replay(self) -> dict[str, Any]:
        return ReplayExecution(self).resume()  # type: ignore[arg-type]

    def failed(self) -> list[str]:
        return [key for key in self.objects() if key.startswith(FAILED)]

    def objects(self) -> list[str]:
        return [found["Key"] for found in self._s3.list_objects_v2(Bucket=self.bucket).get("Contents", [])]

    def rows(self) -> Rows:
        found = self._tables.run(f"SELECT * FROM {TABLES[self.name]} ORDER BY order_id")
        return [tuple(str(value) if hasattr(value, "year") else value for value in row) for row in found]

    # what a ReplayExecution asks for

    def steps(self) -> Pipeline:
        return self

    def step(self, action: str, state: Any) -> dict[str, Any]:
        return self._replayer.handler({"action": action, "state": state}, Context(lambda: 600_000))

    def check(self) -> None:
        """What must hold is held by the tests."""


@pytest.fixture
def pipelines(
    server: MariaDB, tables: Tables, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[dict[str, Pipeline]]:
    (tmp_path / "report.json").write_text(json.dumps(REPORT))
    monkeypatch.setattr(mapping, "_FOLDERS", (*mapping._FOLDERS, tmp_path))  # noqa: SLF001
    with mock_aws():
        world = FunctionWorld(server, monkeypatch)
        found = {name: Pipeline(name, server, world, tables) for name in TABLES}
        yield found
        for pipeline in found.values():
            pipeline.close()


@pytest.fixture
def orders(pipelines: dict[str, Pipeline]) -> Pipeline:
    return pipelines["orders"]


@pytest.fixture
def report(pipelines: dict[str, Pipeline]) -> Pipeline:
    return pipelines["report"]


def reported(key: str, total: str = "200.00", state: str = "NEW", deleted_at: str | None = None) -> tuple[Any, ...]:
    return key, total, state, int(deleted_at is not None), deleted_at


def test_versions_of_two_mappings_are_not_compared(orders: Pipeline, report: Pipeline):
    """One pipeline is ahead. Its changes are neither stale nor redelivered to the other."""
    changes = [record("a", 1), record("b", 2), record("a", 3, status="PAID"), remove("b", 4, time=START + 60)]

    assert report.deliver(*changes) == {"upserted": 2, "superseded": 1, "deleted": 1}
    assert orders.rows() == []
    assert orders.deliver(*changes[:2]) == {"upserted": 2}
    assert report.deliver(*changes[:2]) == {"stale": 1, "redelivered": 1}, "a flag leaves the version of the row"
    assert orders.deliver(*changes[2:]) == {"upserted": 1, "deleted": 1}

    assert orders.rows() == [order("a", status="PAID")]
    assert text(report.rows()) == [
        reported("a", state="PAID"),
        reported("b", deleted_at="2026-02-02 02:41:00"),
    ]


def test_an_outage_of_one_pipeline_does_not_stop_the_other(orders: Pipeline, report: Pipeline):
    """Its replay drains its own bucket, and writes its own table."""
    report.fail(record("a", 1), remove("b", 2))
    assert orders.deliver(record("a", 1), record("b", 1)) == {"upserted": 2}
    report.way.refuse()
    assert orders.deliver(record("a", 3, status="PAID")) == {"upserted": 1}
    report.way.listen()
    orders.fail(record("c", 4))
    before = orders.rows()

    assert report.replay()["counts"]["records"] == 2

    assert (report.failed(), len(orders.failed())) == ([], 1)
    assert text(report.rows()) == [reported("a")]
    assert orders.rows() == before
    assert report.deliver(record("a", 3, status="PAID"), record("c", 4)) == {"upserted": 2}
    assert orders.replay()["counts"]["applied"] == 1
    assert orders.rows() == [order("a", status="PAID"), order("b"), order("c")]


def test_a_record_may_be_poison_to_one_mapping_alone(orders: Pipeline, report: Pipeline):
    """A record is parked in the bucket of the pipeline that it is poison to."""
    change = record("a", 1, status="SHIPPED")

    assert report.deliver(change) == {"parked": 1}
    assert orders.deliver(change) == {"upserted": 1}

    assert [len(pipeline.objects()) for pipeline in (report, orders)] == [1, 0]
    assert (report.rows(), orders.rows()) == ([], [order("a", status="SHIPPED")])


def text(rows: Rows) -> Rows:
    """Decimals as the server prints them."""
    return [(key, str(total), *rest) for key, total, *rest in rows]


@dataclass(frozen=True)
class Turn:
    """A pipeline gets the next `size` records of the stream, `times` times, and loses the batch in an outage."""

    pipeline: str
    size: int
    times: int
    fails: bool


turns = st.builds(
    Turn, st.sampled_from(sorted(TABLES)), st.integers(1, 6), st.integers(1, 2), st.sampled_from([False, False, True])
)
streams = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["put", "put", "gone"])), min_size=1, max_size=12)


def test_two_pipelines_of_one_stream_end_in_its_last_state(pipelines: dict[str, Pipeline], tables: Tables):
    """Each pipeline has any deliveries, and outages of its own."""

    @settings(
        max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    @given(stream=streams, plan=st.lists(turns, max_size=10))
    def end(stream: list[tuple[str, str]], plan: list[Turn]) -> None:
        tables.run(*(f"DELETE FROM {name}" for name in (*TABLES.values(), "replication_versions")))
        for pipeline in pipelines.values():
            pipeline.clear()
        records = [change(key, number, kind) for number, (key, kind) in enumerate(stream, 1)]
        left = {name: list(records) for name in pipelines}
        for turn in (*plan, *(Turn(name, len(records), 1, fails=False) for name in pipelines)):
            batch, left[turn.pipeline] = left[turn.pipeline][: turn.size], left[turn.pipeline][turn.size :]
            for _ in range(turn.times if batch else 0):
                getattr(pipelines[turn.pipeline], "fail" if turn.fails else "deliver")(*batch)
        for name, pipeline in pipelines.items():
            pipeline.replay()
            assert pipeline.failed() == []
            assert pipeline.rows() == last_rows(records, mapping.load(name))[TABLES[name]]

    end()


def change(key: str, number: int, kind: str) -> Record:
    options: dict[str, Any] = {"time": START + number, "updated_at": START + number, "amount": str(number)}
    return remove(key, number, **options) if kind == "gone" else record(key, number, **options)
