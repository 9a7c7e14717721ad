"""The stream's consumer as Lambda runs it. It turns events into rows, parked records and counts, or raises."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pymysql
import pytest
from moto import mock_aws

from common.changes import Kind, Parked
from common.config import ConfigError
from common.database import HoldError, Outcome, StopError
from common.quarantine import ParkError
from common.versions import version
from scripts.local_stack.mariadb import MariaDB
from tests.support.functions import BUCKET, PARAMETER, Context, FunctionWorld, counts_of, metrics_of, series_of
from tests.support.heartbeats import beat
from tests.support.records import ARN, SOURCE, START, STREAM, TTL_IDENTITY, record, remove
from tests.support.tables import Tables, order

CONSUMER, SCHEMA_STEP = "stream_consumer.handler", "stream_consumer.schema_step"
Consume = Callable[..., dict[str, int]]


@pytest.fixture
def world(server: MariaDB, monkeypatch: pytest.MonkeyPatch) -> Iterator[FunctionWorld]:
    with mock_aws():
        yield FunctionWorld(server, monkeypatch)


@pytest.fixture
def start(world: FunctionWorld, tables: Tables) -> Iterator[Callable[..., Consume]]:
    """Start an execution environment with `environ` set."""
    started = []

    def start(**environ: str | None) -> Consume:
        module = world.cold_start(CONSUMER, **environ)
        started.append(module)
        return lambda *records: module.handler({"Records": list(records)}, Context())

    yield start
    for module in started:
        module.DATABASE.drop()


@pytest.fixture
def start_late(world: FunctionWorld, tables: Tables) -> Iterator[Callable[..., Consume]]:
    """Start an execution environment whose invocations have no time left once they have begun."""
    started = []

    def start(**environ: str | None) -> Consume:
        module = world.cold_start(CONSUMER, **environ)
        started.append(module)

        def deliver(*records: Any) -> dict[str, int]:
            remaining = itertools.chain([60_000], itertools.repeat(0))
            return module.handler({"Records": list(records)}, Context(lambda: next(remaining)))

        return deliver

    yield start
    for module in started:
        module.DATABASE.drop()


@pytest.fixture
def consume(start: Callable[..., Consume]) -> Consume:
    return start()


def object_name(key: str, sequence: int, prefix: str = "quarantine") -> str:
    return f"{prefix}/order/{key}/{version(ARN, str(8 * 10**20 + sequence))}.json"


class TestEvents:
    def test_a_batch_becomes_rows_and_is_counted(self, consume: Consume, tables: Tables, capsys: Any):
        assert consume(record("a", 1), record("b", 1), record("a", 2, status="PAID"), remove("c", 1)) == {
            "upserted": 2,
            "deleted": 1,
            "superseded": 1,
        }

        assert tables.orders() == [order("a", status="PAID"), order("b")]
        assert tables.sidecar() == [("a", 2, 0), ("b", 1, 0), ("c", 1, 1)]
        assert counts_of(capsys.readouterr().out) == {"received": 4, "upserted": 2, "deleted": 1, "superseded": 1}

    def test_the_lag_of_what_reached_mysql_is_measured(self, consume: Consume, capsys: Any):
        """Of `a` its newest change, and of `c`, whose clock is ahead. No new change of `b` has arrived."""
        now = int(time.time())
        consume(record("b", 1))
        capsys.readouterr()

        consume(record("a", 1), record("a", 2, time=now - 100), record("b", 1), record("c", 1, time=now + 3_600))

        series = series_of(capsys.readouterr().out)
        unit, values = series["lag_seconds"]
        ahead, lag = sorted(values)
        assert (unit, ahead, 100 <= lag < 200) == ("Seconds", 0.0, True)
        unit, [milliseconds] = series["transaction_ms"]
        assert (unit, 0 < milliseconds < 10_000) == ("Milliseconds", True)

    def test_a_batch_without_changes_has_no_times(self, consume: Consume, capsys: Any):
        consume(record("a", 1, amount="x"))
        consume(record("a", 2))
        capsys.readouterr()
        consume(record("a", 1, amount="x"))
        assert series_of(capsys.readouterr().out) == {"received": ("Count", [1]), "parked": ("Count", [1])}
        consume(record("a", 2))
        assert set(series_of(capsys.readouterr().out)) == {"received", "redelivered", "transaction_ms"}

    def test_the_log_names_the_first_keys(self, consume: Consume, caplog: pytest.LogCaptureFixture):
        """A batch may have 10,000."""
        consume(*(record(f"k{number:02}", 1) for number in range(50)))

        [line] = [one for one in caplog.records if one.message == "batch applied"]
        assert line.__dict__["keys"] == [f"order/k{number:02}" for number in range(40)]

    def test_a_batch_of_unreadable_records_alone_is_parked(
        self, consume: Consume, world: FunctionWorld, tables: Tables
    ):
        """None of them can be read as a change, and none is lost."""
        bad = [record("a", 1, merchant_id=None), record("b", 2, amount="many")]

        assert consume(*bad) == {"parked": 2}
        assert sorted(world.objects()) == [object_name("a", 1), object_name("b", 2)]
        assert [world.objects()[object_name(*name)]["record"] for name in (("a", 1), ("b", 2))] == bad
        assert tables.orders() == []

    def test_a_batch_delivered_again_is_recognised(self, consume: Consume, tables: Tables):
        consume(record("a", 1), remove("b", 1))
        before = tables.orders(), tables.whole_sidecar()

        assert consume(record("a", 1), remove("b", 1)) == {"redelivered": 2}
        assert (tables.orders(), tables.whole_sidecar()) == before

    def test_an_empty_batch_is_nothing_to_do(self, consume: Consume):
        assert consume() == {}

    def test_an_event_without_records_is_an_error_and_no_success(self, world: FunctionWorld, tables: Tables):
        with pytest.raises(KeyError):
            world.cold_start(CONSUMER).handler({}, Context())

    def test_other_and_expired_items_are_skipped_and_counted(self, consume: Consume, tables: Tables):
        consume(record("a", 1), record("b", 1))
        note = record("n", 1)
        note["dynamodb"]["Keys"]["s_key"] = {"S": "NOTE"}

        assert consume(note, remove("a", 2, identity=TTL_IDENTITY), remove("b", 2)) == {
            "unmapped_item": 1,
            "ttl_delete": 1,
            "deleted": 1,
        }
        assert tables.orders() == [order("a")], "the legacy row outlives the item"

    def test_an_unmapped_attribute_is_logged_and_counted_once(
        self, consume: Consume, tables: Tables, capsys: Any, caplog: pytest.LogCaptureFixture
    ):
        """The log has its name, but not its value."""
        assert consume(record("a", 1, gift_wrap="secret")) == {"upserted": 1}
        consume(record("a", 2, gift_wrap="secret"))

        out = capsys.readouterr().out
        assert counts_of(out) == {"received": 2, "upserted": 2, "unmapped_attribute": 1}
        [warning] = [one for one in caplog.records if one.message == "attributes are not mapped"]
        assert warning.__dict__["attributes"] == ["order.gift_wrap"]
        assert "secret" not in out

    def test_expired_items_delete_their_rows_when_mirrored(self, start: Callable[..., Consume], tables: Tables):
        consume = start(MIRROR_TTL_DELETES="true")
        consume(record("a", 1))

        assert consume(remove("a", 2, identity=TTL_IDENTITY)) == {"deleted": 1}
        assert tables.orders() == []

    def test_every_change_is_applied_when_asked(self, start: Callable[..., Consume]):
        assert start(APPLY_EVERY_CHANGE="true")(record("a", 1), record("a", 2)) == {"upserted": 2}

    def test_the_connection_is_kept_between_invocations(self, consume: Consume, tables: Tables):
        ours = "SELECT ID FROM information_schema.PROCESSLIST WHERE USER = 'backstream'"
        consume(record("a", 1))
        before = tables.run(ours)

        consume(record("a", 2))

        assert tables.run(ours) == before

    def test_no_value_of_a_row_gets_into_the_log(self, consume: Consume, tables: Tables, capsys: Any):
        tables.run("ALTER TABLE tbl_orders ADD UNIQUE KEY uq (merchant_id)")
        consume(record("a", 1, merchant_id="secret-1"))

        consume(record("b", 1, merchant_id="secret-1"), record("c", 1, status="x" * 40, merchant_id="secret-2"))

        assert "secret" not in capsys.readouterr().out


class TestQuarantine:
    def test_poison_is_parked_whole_and_the_rest_is_applied(
        self, consume: Consume, tables: Tables, world: FunctionWorld, capsys: Any
    ):
        tables.run("ALTER TABLE tbl_orders MODIFY status VARCHAR(32) CHARACTER SET latin1 NOT NULL")
        bad_amount, emoji = record("a", 1, amount="0.00001"), record("b", 1, status="😀")

        counts = consume(bad_amount, emoji, record("c", 1))

        assert counts == {"upserted": 1, "parked": 2}
        assert world.objects() == {
            object_name("a", 1): {
                "key": "order/a",
                "version": version(ARN, str(8 * 10**20 + 1)),
                "reason": "attribute amount does not fit DECIMAL(19,4)",
                "hint": "correct the item; its next version supersedes this one",
                "errno": None,
                "record": bad_amount,
                "kind": "poison",
            },
            object_name("b", 1): {
                "key": "order/b",
                "version": version(ARN, str(8 * 10**20 + 1)),
                "reason": "MySQL error 1366 (TRUNCATED_WRONG_VALUE_FOR_FIELD) on column status",
                "hint": "the value does not fit its column; correct the item, its next version supersedes this one",
                "errno": 1366,
                "record": emoji,
                "kind": "poison",
            },
        }
        assert tables.orders() == [order("c")]
        assert counts_of(capsys.readouterr().out) == {"received": 3, "upserted": 1, "parked": 2}

    def test_what_waits_for_another_row_is_deferred_and_counted(
        self, consume: Consume, tables: Tables, world: FunctionWorld, capsys: Any, caplog: pytest.LogCaptureFixture
    ):
        """Delivered again, it has still waited since the first time."""
        tables.run(
            "CREATE TABLE merchants (id VARCHAR(64) PRIMARY KEY) ENGINE=InnoDB CHARSET=utf8mb4",
            "INSERT INTO merchants VALUES ('known')",
            "ALTER TABLE tbl_orders ADD FOREIGN KEY (merchant_id) REFERENCES merchants (id)",
            "ALTER TABLE tbl_orders ADD UNIQUE KEY uq (status)",
        )
        good, orphan = record("a", 1, merchant_id="known"), record("b", 1, status="PAID")
        clash = record("c", 1, merchant_id="known")
        before = int(time.time())

        assert consume(good, orphan, clash) == {"upserted": 1, "parked": 2, "deferred": 2}

        out = capsys.readouterr().out
        assert counts_of(out) == {"received": 3, "upserted": 1, "parked": 2, "deferred": 2}
        assert caplog.messages == ["batch applied, records deferred"]
        objects = world.objects()
        assert list(objects) == [object_name("b", 1, "deferred"), object_name("c", 1, "deferred")]
        assert [parked["record"] for parked in objects.values()] == [orphan, clash]
        assert {parked["kind"] for parked in objects.values()} == {"deferred"}
        assert all(before <= parked["since"] <= time.time() for parked in objects.values())
        assert consume(good, orphan, clash) == {"redelivered": 1, "parked": 2, "deferred": 2}
        assert world.objects() == objects

    def test_poison_beside_a_deferred_record_is_logged_as_parked(
        self, start: Callable[..., Consume], tables: Tables, world: FunctionWorld, caplog: pytest.LogCaptureFixture
    ):
        tables.run("ALTER TABLE tbl_orders ADD UNIQUE KEY uq (status)")

        assert start()(record("a", 1), record("b", 1), record("c", 1, amount="x")) == {
            "upserted": 1,
            "parked": 2,
            "deferred": 1,
        }

        assert caplog.messages == ["batch applied, records parked"]
        assert list(world.objects()) == [object_name("b", 1, "deferred"), object_name("c", 1)]

    def test_an_unknown_error_is_counted_by_itself(
        self, start: Callable[..., Consume], monkeypatch: Any, capsys: Any, caplog: pytest.LogCaptureFixture
    ):
        """The metric is there for an alarm: every replay tries it again, and a person should know."""
        consume = start()
        unknown = Parked("a", "1", "MySQL error 31001", "wait", 31001, {}, Kind.UNKNOWN)
        outcome = Outcome(Counter(upserted=1), [unknown, unknown._replace(key="b", kind=Kind.DEFERRED)])
        monkeypatch.setattr("common.mysql.database.apply", lambda *_, **__: outcome)

        assert consume(record("c", 1)) == {"upserted": 1, "parked": 2, "deferred": 1, "unknown": 1}

        out = capsys.readouterr().out
        assert counts_of(out) == {"received": 1, "upserted": 1, "parked": 2, "deferred": 1, "unknown": 1}
        assert caplog.messages == ["batch applied, records parked"]

    def test_a_clock_contradiction_is_parked_and_counted(self, consume: Consume, world: FunctionWorld, capsys: Any):
        """The metric is there for an alarm."""
        consume(record("a", 5))
        capsys.readouterr()

        assert consume(record("a", 4, time=START + 3)) == {"parked": 1, "clock_tripped": 1}
        assert list(world.objects()) == [object_name("a", 4)]
        assert counts_of(capsys.readouterr().out) == {"received": 1, "parked": 1, "clock_tripped": 1}

    def test_a_record_that_cannot_be_parked_raises(
        self, consume: Consume, tables: Tables, world: FunctionWorld, capsys: Any
    ):
        """Parking comes after the commit. The next delivery finds the written changes redelivered."""
        poison = record("a", 1, amount="x")
        world.s3.delete_bucket(Bucket=BUCKET)

        with pytest.raises(ParkError):
            consume(poison, record("b", 1))

        assert tables.orders() == [order("b")]
        assert counts_of(capsys.readouterr().out) == {"held": 1}
        world.s3.create_bucket(Bucket=BUCKET)
        assert consume(poison, record("b", 1)) == {"redelivered": 1, "parked": 1}
        assert [parked["record"] for parked in world.objects().values()] == [poison]

    def test_a_batch_too_hard_for_one_invocation_ends(
        self, world: FunctionWorld, start_late: Callable[..., Consume], tables: Tables, capsys: Any
    ):
        """Each delivery gets further. Nothing is parked or counted twice, and the note of another batch stays."""
        tables.run("ALTER TABLE tbl_orders ADD CONSTRAINT positive CHECK (amount >= 0)")
        deliver = start_late()
        batch = [record("unreadable", 1, amount="x")]
        batch += [record(f"k{i:02}", 1, amount="-1" if i % 2 else "1") for i in range(60)]

        lefts = []
        for _ in range(60):
            try:
                deliver(*batch)
            except HoldError as error:
                lefts.append(int(str(error).split(", ")[1].split(" ")[0]))
            else:
                break

        assert lefts == sorted(set(lefts), reverse=True)
        assert 2 < len(lefts) < 60
        sums = counts_of(capsys.readouterr().out)
        assert {name: sums[name] for name in ("held", "parked", "upserted")} == {
            "held": len(lefts),
            "parked": 31,
            "upserted": 30,
        }
        assert tables.orders() == [order(f"k{i:02}", amount="1") for i in range(0, 60, 2)]
        bad = [f"k{i:02}" for i in range(1, 60, 2)]
        names = [name for name in world.objects() if not name.startswith("unfinished/")]
        assert names == [object_name(key, 1) for key in [*bad, "unreadable"]]
        assert len(world.objects()) == len(names) + 1

        with pytest.raises(HoldError):
            deliver(*batch[2:])

        assert counts_of(capsys.readouterr().out)["parked"] > 0, "it has a note of its own"

    def test_a_note_that_cannot_be_read_leaves_the_batch(
        self, consume: Consume, tables: Tables, world: FunctionWorld, capsys: Any
    ):
        """Then it is not known what was parked of the batch before, and nothing is written."""
        tables.run("ALTER TABLE tbl_orders ADD CONSTRAINT positive CHECK (amount >= 0)")
        world.s3.delete_bucket(Bucket=BUCKET)

        with pytest.raises(ParkError, match="cannot read s3://failures/unfinished/"):
            consume(record("a", 1, amount="-1"), record("b", 1))

        assert (tables.orders(), tables.sidecar()) == ([], [])
        assert counts_of(capsys.readouterr().out) == {"held": 1}

    @pytest.mark.parametrize("thing", [None, "record", {}, {"dynamodb": {"Keys": []}}], ids=repr)
    def test_any_malformed_record_is_parked_beside_a_good_one(
        self, consume: Consume, tables: Tables, world: FunctionWorld, thing: Any
    ):
        assert consume(thing, record("a", 1)) == {"parked": 1, "upserted": 1}

        assert tables.orders() == [order("a")]
        assert [parked["record"] for parked in world.objects().values()] == [thing]

    def test_unreadable_records_alone_need_no_database(self, consume: Consume, tables: Tables, world: FunctionWorld):
        world.put_parameter({"hostname": "nowhere.invalid", "port": 1, "db": "x", "driver": "mysql"})

        assert consume({}) == {"parked": 1}


class TestHoldAndStop:
    """Nothing of the batch is acknowledged: the invocation raises, with what to do next."""

    def test_a_missing_table_stops(self, consume: Consume, tables: Tables, world: FunctionWorld, capsys: Any):
        tables.run("DROP TABLE tbl_orders")

        with pytest.raises(StopError, match="table tbl_orders does not fit the mapping: it does not exist"):
            consume(record("a", 1))

        assert counts_of(capsys.readouterr().out) == {"stopped": 1}
        assert (tables.whole_sidecar(), world.objects()) == ([], {})

    def test_it_continues_once_the_table_exists(self, start: Callable[..., Consume], tables: Tables):
        consume = start()
        consume(record("a", 1))
        tables.run("RENAME TABLE tbl_orders TO away")
        with pytest.raises(StopError, match="MySQL error 1146: the schema differs"):
            consume(record("a", 2, status="PAID"))

        tables.run("RENAME TABLE away TO tbl_orders")

        assert consume(record("a", 2, status="PAID")) == {"upserted": 1}
        assert tables.orders() == [order("a", status="PAID")]

    def test_a_server_that_is_not_there_holds(self, consume: Consume, world: FunctionWorld, capsys: Any):
        world.put_parameter({"hostname": "127.0.0.1", "port": 1, "db": "x", "driver": "mysql"})

        with pytest.raises(HoldError, match="MySQL error 2003: the database is down or unreachable"):
            consume(record("a", 1))

        assert counts_of(capsys.readouterr().out) == {"held": 1, "database_unreachable": 1}

    def test_a_certificate_that_is_not_trusted_stops(self, start: Callable[..., Consume]):
        with pytest.raises(StopError, match="check MYSQL_TLS, MYSQL_CA_PEM"):
            start(MYSQL_CA_PEM=None)(record("a", 1))

    def test_a_failure_says_which_batch_and_repeats_no_value(self, consume: Consume, world: FunctionWorld):
        world.put_parameter({"hostname": "127.0.0.1", "port": 1, "db": "x", "driver": "mysql"})

        with pytest.raises(HoldError) as held:
            consume(record("a", 1, merchant_id="secret"), record("b", 1))

        assert str(held.value).startswith(
            "applying 2 changes of mapping orders, the first of key order/a: MySQL error 2003: "
        )
        assert held.value.__cause__ is None, "a chained MySQL error may hold row values"


class TestHeartbeat:
    """The monitor's item shows how long a change takes to arrive, and that MySQL answers."""

    def test_its_time_is_emitted_after_the_commit(self, consume: Consume, tables: Tables, capsys: Any):
        """The oldest of a batch, by the monitor's own clock. It is no change, no row and no unmapped item."""
        assert consume(beat(1, time.time() - 60), record("a", 1), beat(2, time.time())) == {"upserted": 1}
        emitted = metrics_of(capsys.readouterr().out)
        assert 60 <= emitted.pop("heartbeat_seconds") < 90
        assert emitted.keys() & {"unmapped_item", "unmapped_attribute", "parked"} == set()
        assert (tables.orders(), tables.sidecar()) == ([order("a")], [("a", 1, 0)])

    def test_a_batch_of_heartbeats_alone_asks_mysql(self, consume: Consume, world: FunctionWorld, capsys: Any):
        """While MySQL does not answer it waits, as any other batch does, and emits no time."""
        assert consume(beat(1, time.time())) == {}
        assert 0 <= metrics_of(capsys.readouterr().out)["heartbeat_seconds"] < 30

        world.put_parameter({"hostname": "127.0.0.1", "port": 1, "db": "orders", "driver": "mysql"})
        consume_later = world.cold_start(CONSUMER)
        with pytest.raises(HoldError):
            consume_later.handler({"Records": [beat(2, time.time())]}, Context())
        emitted = metrics_of(capsys.readouterr().out)
        assert (emitted["held"], "heartbeat_seconds" in emitted) == (1, False)

    def test_a_removed_heartbeat_asks_nothing(self, consume: Consume, tables: Tables, capsys: Any):
        assert consume(beat(1, event="REMOVE")) == {}
        assert "heartbeat_seconds" not in metrics_of(capsys.readouterr().out)
        assert tables.sidecar() == []


class TestColdStart:
    """A wrong or missing configuration fails at cold start, in one message."""

    ABSENT = dict.fromkeys(["RDS_CONNECTION_PARAM_NAME", "RDS_SECRET_ARN", "STREAM_ARN", "FAILURES_BUCKET"])

    @pytest.mark.parametrize(
        ("module", "names"),
        [
            (CONSUMER, ["RDS_CONNECTION_PARAM_NAME", "RDS_SECRET_ARN", "STREAM_ARN", "FAILURES_BUCKET"]),
            (SCHEMA_STEP, ["RDS_CONNECTION_PARAM_NAME", "RDS_SECRET_ARN", "STREAM_ARN"]),
        ],
    )
    def test_every_missing_variable_is_named(self, world: FunctionWorld, module: str, names: list[str]):
        with pytest.raises(ConfigError) as refused:
            world.cold_start(module, **self.ABSENT)

        assert str(refused.value) == "bad configuration: " + "; ".join(f"{name} is not set" for name in names)

    @pytest.mark.parametrize("name", ["RDS_CONNECTION_PARAM_NAME", "RDS_SECRET_ARN", "STREAM_ARN", "FAILURES_BUCKET"])
    def test_each_required_variable_is_required(self, world: FunctionWorld, name: str):
        with pytest.raises(ConfigError) as refused:
            world.cold_start(CONSUMER, **{name: None})

        assert str(refused.value) == f"bad configuration: {name} is not set"

    def test_every_bad_value_is_named_and_none_repeated(self, world: FunctionWorld):
        bad = "MYSQL_TLS MYSQL_CA_PEM MYSQL_CONNECT_TIMEOUT MYSQL_READ_TIMEOUT MIRROR_TTL_DELETES APPLY_EVERY_CHANGE"
        names = [*bad.split(), "MAX_STATEMENT_BYTES", "STREAM_ARN", "STREAM_GENERATION"]

        with pytest.raises(ConfigError) as refused:
            world.cold_start(CONSUMER, **dict.fromkeys(names, "hunter2"), FAILURES_BUCKET=None)

        message = str(refused.value)
        assert [name for name in [*names, "FAILURES_BUCKET"] if name not in message] == []
        assert "hunter2" not in message

    @pytest.mark.parametrize(
        ("value", "problem"),
        [
            ("", "is not a JSON object"),
            ("[]", "is not a JSON object"),
            ("{}", "lacks or has a bad hostname, port, db, driver"),
            ('{"hostname": "h", "port": "x", "db": "d", "driver": "mysql"}', "lacks or has a bad port"),
            ('{"hostname": "h", "port": 3306, "db": "d", "driver": "pg"}', "names another driver than mysql"),
        ],
    )
    def test_a_bad_parameter_is_named(
        self, consume: Consume, world: FunctionWorld, capsys: Any, value: str, problem: str
    ):
        world.ssm.put_parameter(Name=PARAMETER, Value=value or " ", Type="String", Overwrite=True)

        with pytest.raises(ConfigError) as refused:
            consume(record("a", 1))

        assert str(refused.value) == f"SSM parameter {PARAMETER} {problem}"
        assert counts_of(capsys.readouterr().out) == {"stopped": 1}

    def test_a_missing_parameter_is_named(self, consume: Consume, world: FunctionWorld):
        world.ssm.delete_parameter(Name=PARAMETER)

        with pytest.raises(ConfigError, match=f"SSM parameter {PARAMETER} cannot be read"):
            consume(record("a", 1))


class TestSchemaStep:
    @pytest.fixture
    def step(self, world: FunctionWorld, tables: Tables) -> Callable[[], dict[str, Any]]:
        tables.drop_all()
        return lambda: world.cold_start(SCHEMA_STEP).handler({"anything": 1}, Context())

    def test_it_creates_then_finds_that_all_fits(self, step: Callable[[], dict[str, Any]], tables: Tables):
        assert step() == {"target": "created", "sidecar": "created", "source": "registered", "warnings": []}
        assert step() == {"target": "fits", "sidecar": "fits", "source": "known", "warnings": []}
        assert (tables.orders(), tables.sources()) == ([], [(0, SOURCE.table_arn, STREAM.label)])

    def test_it_waits_for_a_database_that_does_not_answer_yet(self, world: FunctionWorld, tables: Tables):
        """Terraform does not wait until a new RDS Proxy has found its database."""
        module, answers, pauses = world.cold_start(SCHEMA_STEP), [_down(), _down(), {"target": "fits"}], []

        assert module.patiently(lambda: _give(answers.pop(0)), lambda: True, pauses.append) == {"target": "fits"}
        assert len(pauses) == 2

    def test_the_wait_ends_before_the_function_times_out(self, world: FunctionWorld, tables: Tables):
        module = world.cold_start(SCHEMA_STEP)

        with pytest.raises(HoldError):
            module.patiently(lambda: _give(_down()), lambda: False, lambda _: None)

    def test_a_table_that_does_not_fit_fails_the_deployment(self, step: Callable[[], Any], tables: Tables):
        step()
        tables.run("ALTER TABLE tbl_orders MODIFY amount FLOAT, DROP COLUMN status")

        with pytest.raises(StopError) as stopped:
            step()

        assert str(stopped.value).endswith(
            "table tbl_orders does not fit the mapping: column amount is float; the mapping needs DECIMAL(19,4) or"
            " wider; column status is missing"
        )

    def test_it_warns_of_commits_that_may_be_lost(
        self, step: Callable[[], dict[str, Any]], tables: Tables, caplog: pytest.LogCaptureFixture
    ):
        """The deployment goes on. The answer and the log have the setting, and what to do."""
        tables.run("SET GLOBAL innodb_flush_log_at_trx_commit = 2")
        try:
            answer = step()
        finally:
            tables.run("SET GLOBAL innodb_flush_log_at_trx_commit = 1")
        warning = (
            "innodb_flush_log_at_trx_commit is 2: a committed change may be lost when the database crashes; set it to 1"
            " in the parameter group or the server's options, then apply again"
        )

        assert answer == {
            "target": "created", "sidecar": "created", "source": "registered", "warnings": [warning],
        }  # fmt: skip
        logged = [(one.message, vars(one)["reason"]) for one in caplog.records if one.levelname == "WARNING"]
        assert logged == [("committed changes may be lost", warning)]

    def test_its_connection_does_not_outlive_it(self, step: Callable[[], Any], tables: Tables):
        step()

        tables.assert_unlocked()


def _down() -> HoldError:
    return HoldError("creating and checking tables", pymysql.OperationalError(9501, "timed out"), "wait")


def _give(answer: Any) -> Any:
    if isinstance(answer, Exception):
        raise answer
    return answer
