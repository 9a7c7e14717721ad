"""The sidecar knows whose versions it holds. Another source is refused, and nothing changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

import pymysql
import pytest
from moto import mock_aws
from pymysql.constants import CLIENT

from common.database import StopError
from common.mysql import answers
from common.mysql import database as module
from common.mysql.database import MySQLDatabase
from common.mysql.registry import SourceError, check, register
from common.mysql.settings import MySQLSettings
from common.source import Source
from scripts.local_stack.mariadb import MariaDB
from scripts.local_stack.process import poll
from tests.support.deliveries import FakeParameters
from tests.support.functions import Context, FunctionWorld
from tests.support.records import ARN, SOURCE, STREAM, record
from tests.support.tables import Rows, Tables, order
from tests.support.writes import MAPPING

HERE, THERE = SOURCE.table_arn, SOURCE.table_arn.replace("us-east-1", "eu-west-1")
OLD, LABEL, NEW = "2025-01-01T00:00:00.000", STREAM.label, "2026-12-31T00:00:00.000"
FIRST = (0, HERE, LABEL)


@pytest.fixture
def unregistered(tables: Tables) -> Tables:
    tables.run("DELETE FROM replication_sources")
    return tables


def known(tables: Tables, *sources: tuple[int, str, str]) -> None:
    for source in sources:
        tables.run(f"INSERT INTO replication_sources VALUES {('orders', *source, '2026-01-01 00:00:00')}")


def applied(tables: Tables, version: str) -> None:
    tables.run(
        "INSERT INTO replication_versions (item_key, version, deleted, source_time, token)"
        f" VALUES ('a', '{version}', 0, 0, 0)"
    )


def everything(tables: Tables) -> list[Rows]:
    return [tables.run("SELECT * FROM replication_sources ORDER BY 1, 2"), tables.whole_sidecar(), tables.orders()]


REFUSED = {
    "another table": (
        [FIRST], "", (THERE, 0), NEW,
        [f"belongs to {HERE}", f"come from {THERE}", "a database of its own", "set stream_generation to 1"],
    ),
    "another table of a later generation": (
        [FIRST, (1, THERE, OLD)], "", (HERE, 1), NEW, [f"belongs to {THERE}", "set stream_generation to 2"],
    ),
    "an older stream": ([FIRST], "", (HERE, 0), OLD, [OLD, LABEL, "older", "set stream_generation to 1"]),
    "an earlier generation": (
        [FIRST, (7, THERE, OLD)], "", (HERE, 0), NEW,
        ["generation 7 is registered", THERE, HERE, "set stream_generation to 8"],
    ),
    "a generation that was left out": (
        [FIRST, (7, THERE, OLD)], "", (HERE, 3), NEW, ["generation 7 is registered", "set stream_generation to 8"],
    ),
    "an older stream than what was applied": (
        [], f"{LABEL}_02_17", (HERE, 0), OLD, [f"up to {LABEL}_02_17", OLD, HERE, "set stream_generation to 1"],
    ),
    "a generation before what was applied": (
        [], f"g0003_{OLD}_02_17", (HERE, 0), NEW, ["set stream_generation to 4"],
    ),
    "an older stream of the generation applied": (
        [], f"g0003_{LABEL}_02_17", (HERE, 3), OLD, ["set stream_generation to 4"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("registered", "version", "source", "label", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_a_source_that_could_count_as_stale_is_refused(
    *, registered: Any, version: str, source: Any, label: str, words: list[str], unregistered: Tables, connect: Any
):
    """The message names both sources and what to do. No table is changed or locked."""
    known(unregistered, *registered)
    if version:
        applied(unregistered, version)
    before = everything(unregistered)

    with pytest.raises(SourceError) as refused:
        register(connect(), MAPPING, Source(*source), label)

    assert [word for word in words if word not in str(refused.value)] == []
    assert everything(unregistered) == before
    unregistered.assert_unlocked()


TAKEN = {
    "the first": ([], "", (HERE, 0), LABEL, "registered", [FIRST]),
    "the first of a later generation": ([], "", (HERE, 4), LABEL, "registered", [(4, HERE, LABEL)]),
    "the same again": ([FIRST], f"{NEW}_02_17", (HERE, 0), LABEL, "known", [FIRST]),
    "a newer stream of the table": ([FIRST], "", (HERE, 0), NEW, "renewed", [(0, HERE, NEW)]),
    "another table, one generation later": (
        [FIRST], "", (THERE, 1), OLD, "registered", [FIRST, (1, THERE, OLD)],
    ),
    "an older stream, one generation later": (
        [FIRST], "", (HERE, 1), OLD, "registered", [FIRST, (1, HERE, OLD)],
    ),
    "back again": (
        [FIRST, (1, THERE, NEW)], "", (HERE, 2), OLD, "registered", [FIRST, (1, THERE, NEW), (2, HERE, OLD)],
    ),
    "the stream that was applied": ([], f"{LABEL}_02_17", (HERE, 0), LABEL, "registered", [FIRST]),
    "a newer stream than was applied": ([], f"{OLD}_02_17", (HERE, 0), LABEL, "registered", [FIRST]),
    "a generation after what was applied": (
        [], f"{NEW}_02_17", (THERE, 1), OLD, "registered", [(1, THERE, OLD)],
    ),
    "nothing but loaded rows": ([], " ", (HERE, 0), OLD, "registered", [(0, HERE, OLD)]),
}  # fmt: skip


@pytest.mark.parametrize(
    ("registered", "version", "source", "label", "answer", "after"), TAKEN.values(), ids=TAKEN.keys()
)
def test_a_source_newer_than_what_was_applied_is_registered(
    *,
    registered: Any,
    version: str,
    source: Any,
    label: str,
    answer: str,
    after: Any,
    unregistered: Tables,
    connect: Any,
):
    known(unregistered, *registered)
    if version:
        applied(unregistered, version.strip())

    assert register(connect(), MAPPING, Source(*source), label) == answer

    assert unregistered.sources() == after
    unregistered.assert_unlocked()


def test_registering_again_changes_nothing(tables: Tables, connect: Any):
    tables.run("UPDATE replication_sources SET registered_at = '2026-01-01 00:00:00'")
    before = everything(tables)
    assert register(connect(), MAPPING, SOURCE, LABEL) == "known"
    assert everything(tables) == before


@pytest.mark.parametrize("isolation", ["REPEATABLE READ", "READ COMMITTED"])
def test_of_two_tables_registering_at_once_one_succeeds(unregistered: Tables, connect: Any, isolation: str):
    """The first to commit wins and the other is refused. Each gives the same answer again."""
    connections = [connect(init_command=f"SET SESSION TRANSACTION ISOLATION LEVEL {isolation}") for _ in range(4)]

    def answer(number: int) -> str:
        try:
            return register(connections[number], MAPPING, Source((HERE, THERE)[number % 2]), LABEL)
        except SourceError:
            return "refused"

    for _ in range(10):
        unregistered.run("DELETE FROM replication_sources")
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(answer, range(4)))
        assert sorted(answers) == ["known", "refused", "refused", "registered"]
        winner = (HERE, THERE)[answers.index("registered") % 2]
        assert unregistered.sources() == [(0, winner, LABEL)]


def test_a_schema_step_waits_for_the_one_before_it(tables: Tables, connect: Any):
    """Otherwise an older stream's label could replace a newer one that was registered in the meantime."""
    first, second = connect(), connect()
    first.query(f"UPDATE replication_sources SET stream_label = '{NEW}'")
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(register, second, MAPPING, SOURCE, "2026-06-30T00:00:00.000")
        waits = "SELECT 1 FROM information_schema.INNODB_TRX WHERE trx_state = 'LOCK WAIT'"
        # Both servers refresh this table only if it has not been read for 0.1 seconds.
        assert poll(lambda: tables.run(waits), timeout=10, interval=0.2)
        first.commit()
        with pytest.raises(SourceError, match=f"older than its stream {NEW}"):
            answer.result()
    assert tables.sources() == [(0, HERE, NEW)]


@pytest.fixture
def opened(server: MariaDB) -> Iterator[Callable[[Source | None], MySQLDatabase]]:
    made: list[MySQLDatabase] = []
    endpoint = {"hostname": server.host, "port": server.port, "db": server.database, "driver": "mysql"}
    parameters = FakeParameters(**endpoint, username=server.app.user, password=server.app.password)

    def open_as(source: Source | None) -> MySQLDatabase:
        settings = MySQLSettings(param_name="p", secret_arn="s", ca_pem=server.ca_pem)
        made.append(MySQLDatabase(settings, parameters, MAPPING, source=source))
        return made[-1]

    yield open_as
    for database in made:
        database.drop()


Opened = Callable[[Source | None], MySQLDatabase]


@pytest.mark.parametrize("source", [SOURCE, Source(THERE, 1), None], ids=["older", "newest", "none"])
def test_a_connection_of_a_registered_source_works(tables: Tables, opened: Opened, source: Source | None):
    """Older generations as well: their late changes compare lower, which is right."""
    known(tables, (1, THERE, LABEL))
    assert opened(source).execute("asking", lambda *_: tables.assert_unlocked() or "answer") == "answer"


@pytest.mark.parametrize("source", [Source(THERE), Source(HERE, 1), Source(THERE, 1)], ids=repr)
@pytest.mark.parametrize("tells", [True, False], ids=["with info", "without info"])
def test_a_connection_of_an_unknown_source_stops(
    *, source: Source, tells: bool, tables: Tables, opened: Opened, monkeypatch: pytest.MonkeyPatch
):
    """It works once the schema step has registered it. The server's answer may carry no text."""
    if not tells:
        monkeypatch.setattr(answers, "rows_matched", lambda _: None)
    before, database = everything(tables), opened(source)
    with pytest.raises(StopError, match=f"has no entry for {source.table_arn} .*run the schema step"):
        database.execute("writing", lambda connection, _: connection.query("DELETE FROM replication_sources"))
    assert everything(tables) == before
    known(tables, (2, source.table_arn, LABEL))
    tables.run(
        f"DELETE FROM replication_sources WHERE generation = {source.generation}",
        f"UPDATE replication_sources SET generation = {source.generation} WHERE generation = 2",
    )
    assert database.execute("asking", lambda *_: "answer") == "answer"


@pytest.mark.parametrize("source", [SOURCE, None], ids=["a source", "none"])
@pytest.mark.parametrize("tells", [True, False], ids=["with info", "without info"])
@pytest.mark.parametrize("is_known", [True, False], ids=["registered", "empty"])
def test_a_connection_with_wrong_row_counts_stops(
    *,
    source: Source | None,
    tells: bool,
    is_known: bool,
    tables: Tables,
    opened: Opened,
    monkeypatch: pytest.MonkeyPatch,
):
    """A proxy may set CLIENT_FOUND_ROWS. The writer would then treat a stale change as a winner."""
    if not tells:
        monkeypatch.setattr(answers, "rows_matched", lambda _: None)
    if not is_known:
        tables.run("DELETE FROM replication_sources")
    before, honest = everything(tables), pymysql.connect
    with monkeypatch.context() as lying:
        lying.setattr(module.pymysql, "connect", lambda **given: honest(**given | {"client_flag": CLIENT.FOUND_ROWS}))
        problem = "CLIENT_FOUND_ROWS" if is_known or not source else "run the schema step"
        with pytest.raises(StopError, match=problem):
            opened(source).execute("writing", lambda *_: pytest.fail("it went on"))
    assert everything(tables) == before
    if is_known or not source:
        assert opened(source).execute("asking", lambda *_: "answer") == "answer"


def test_the_check_leaves_no_lock_behind(tables: Tables, connect: Any):
    """A client that vanishes after the check must not stop the others."""
    connection = connect()
    assert check(connection, MAPPING, SOURCE)
    tables.assert_unlocked()
    assert not connection.get_autocommit(), "what follows is one transaction"


class TestFailover:
    """A failover to another Region and back, through the functions as deployed."""

    @pytest.fixture
    def world(self, server: MariaDB, tables: Tables, monkeypatch: pytest.MonkeyPatch) -> Iterator[FunctionWorld]:
        tables.run("DELETE FROM replication_sources")
        with mock_aws():
            yield FunctionWorld(server, monkeypatch)

    NAMES: ClassVar = {
        "LOCK_TABLE_NAME": "lock",
        "VERIFY_STATE_MACHINE_ARN": "verify",
        "CONSUMER_FUNCTION_NAME": "consumer",
        "EVENT_SOURCE_MAPPING_UUID": "mapping",
    }

    @staticmethod
    def deploy(world: FunctionWorld, arn: str, generation: int) -> Callable[..., dict[str, int]]:
        """The schema step, then what delivers records to the consumer."""
        world.set({"STREAM_ARN": arn, "STREAM_GENERATION": str(generation)})
        world.cold_start("stream_consumer.schema_step").handler({}, Context())
        consumer = world.cold_start("stream_consumer.handler")

        def deliver(*records: Any) -> dict[str, int]:
            try:
                return dict(consumer.handler({"Records": list(records)}, Context()))
            finally:
                consumer.DATABASE.drop()

        return deliver

    @pytest.mark.parametrize("name", ["stream_consumer", "dlq_replayer", "reconciler"])
    def test_a_function_that_was_deployed_alone_stops(self, world: FunctionWorld, tables: Tables, name: str):
        """Until the schema step has registered its generation."""
        self.deploy(world, ARN, 0)
        function = world.cold_start(f"{name}.handler", STREAM_GENERATION="5", **self.NAMES)
        with pytest.raises(StopError, match="as generation 5 of mapping orders; run the schema step"):
            function.DATABASE.execute("writing", lambda *_: pytest.fail("it went on"))
        self.deploy(world, ARN, 5)
        assert function.DATABASE.execute("asking", lambda *_: "answer") == "answer"
        function.DATABASE.drop()

    def test_a_replica_with_an_older_stream_takes_over(self, world: FunctionWorld, tables: Tables):
        """It is refused at first. One generation later its changes win. The way back is the same."""
        there = f"{THERE}/stream/{OLD}"
        first = self.deploy(world, ARN, 0)
        assert first(record("a", 9)) == {"upserted": 1}
        before = everything(tables)
        with pytest.raises(StopError, match="set stream_generation to 1"):
            self.deploy(world, there, 0)
        assert everything(tables) == before

        second = self.deploy(world, there, 1)
        assert second(record("a", 1, status="PAID", arn=there)) == {"upserted": 1}
        assert first(record("a", 10, status="LATE")) == {"stale": 1}
        assert second(record("a", 2, status="OTHER")) == {"parked": 1}, "a record of the table before"

        with pytest.raises(StopError, match="set stream_generation to 2"):
            self.deploy(world, ARN, 0)
        assert self.deploy(world, ARN, 2)(record("a", 3, status="BACK")) == {"upserted": 1}
        assert tables.orders() == [order("a", status="BACK")]
        assert tables.sources() == [FIRST, (1, THERE, OLD), (2, HERE, LABEL)]
