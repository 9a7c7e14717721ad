"""MySQL behind the interface of `common.database`: what it reads, and how large its statements are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pymysql
import pytest

from common import mapping
from common.changes import Mark
from common.database import ApplyOptions, Database, StopError, StoredKey, StoredVersion
from common.mysql import schema
from common.mysql.database import MySQLDatabase
from common.mysql.settings import MySQLSettings
from common.mysql.writer import Writer
from common.records import parse_records
from scripts.local_stack.mariadb import MariaDB
from tests.support.deliveries import FakeParameters
from tests.support.records import SOURCE, START, record, remove
from tests.support.tables import Tables, order
from tests.support.writes import changes_of, round_trips

MAPPING = mapping.load()
NEVER = "an-order-that-was-never-written"


@pytest.fixture
def database(server: MariaDB, tables: Tables) -> Iterator[MySQLDatabase]:
    endpoint = {"hostname": server.host, "port": server.port, "db": server.database, "driver": "mysql"}
    parameters = FakeParameters(**endpoint, username=server.app.user, password=server.app.password)
    settings = MySQLSettings(param_name="p", secret_arn="s", ca_pem=server.ca_pem)
    database = MySQLDatabase(settings, parameters, MAPPING, source=SOURCE)
    yield database
    database.drop()


def test_the_mysql_database_is_a_database(database: MySQLDatabase):
    """Its methods are those of the interface, with the same parameters."""
    interface: Database = database
    names = [name for name in vars(Database) if not name.startswith("_")]
    assert names == [
        "apply", "versions", "rows", "levels", "page", "since", "boundaries", "size", "sidecar_size", "compare",
        "page_of_stored_keys", "page_of_removals", "prune", "prepare", "durability_warnings", "ping",
    ]  # fmt: skip
    assert all(callable(getattr(interface, name)) for name in names)


def test_rows_are_read_in_mapping_order(database: MySQLDatabase, tables: Tables):
    batch = parse_records(
        [record("a", 1, amount="12.5"), record("b", 2), record("c", 3), remove("c", 4)], MAPPING, source=SOURCE
    )
    database.apply(batch.changes, ApplyOptions())

    found = database.rows(0, [("c",), ("b",), ("a",), (NEVER,)])

    assert found == {("a",): order("a", amount="12.5"), ("b",): order("b")}
    assert found["a",][2] == Decimal("12.5000")
    tables.assert_unlocked()


def test_rows_are_exactly_those_of_the_keys(database: MySQLDatabase, tables: Tables):
    """A collation that folds case finds another key's row, which is not the answer."""
    tables.run("ALTER TABLE tbl_orders MODIFY order_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci")
    tables.run("INSERT INTO tbl_orders VALUES ('KEY', 'm', 1, 'INR', 'NEW', 1, 1)")

    assert database.rows(0, [("key",)]) == {}
    assert list(database.rows(0, [("KEY",)])) == [("KEY",)]


def test_versions_of_rows_and_tombstones_are_read(database: MySQLDatabase, tables: Tables):
    changes = parse_records([record("a", 1), record("b", 2), remove("b", 3)], MAPPING, source=SOURCE).changes
    database.apply(changes, ApplyOptions())

    assert database.versions(iter(["order/b", "order/a", f"order/{NEVER}", "other/a"])) == {
        "order/a": StoredVersion(changes[0].version, changes[0].source_time),
        "order/b": StoredVersion(changes[2].version, changes[2].source_time),
    }
    tables.assert_unlocked()


def test_a_text_that_is_not_a_key_finds_no_other_mapping(database: MySQLDatabase, tables: Tables):
    """A key has no space. The name of another mapping's key has one."""
    tables.run(
        "INSERT INTO replication_versions (item_key, version, deleted, source_time, token)"
        " VALUES ('shop.order a', 'v', 0, 1, 0)"
    )
    assert database.versions(["order/shop.order a"]) == {}


def test_what_is_read_is_the_state_of_now(database: MySQLDatabase, tables: Tables):
    """An open read view would show the tables as they were, and hold back the server's purge."""
    for ask, write in (
        (lambda: database.rows(0, [("a",)]), "INSERT INTO tbl_orders VALUES ('a', 'm', 1, 'INR', 'NEW', 1, 1)"),
        (
            lambda: database.versions(["order/a"]),
            (
                "INSERT INTO replication_versions (item_key, version, deleted, source_time, token)"
                " VALUES ('a', 'v', 0, 1, 0)"
            ),
        ),
    ):
        assert ask() == {}
        tables.run(write)
        assert len(ask()) == 1


def test_a_comparison_and_a_page_leave_no_transaction_open(database: MySQLDatabase, tables: Tables):
    """And each sees the state of now."""
    changes = parse_records([record("a", 1), record("b", 2)], MAPPING, source=SOURCE).changes
    database.apply(changes, ApplyOptions())
    sent = database.execute("spying", lambda connection, _: round_trips(connection))
    asks = {
        "compare": (lambda: database.compare(changes), []),
        "page": (lambda: database.page(0, limit=5, keys_only=True).rows, [("a",), ("b",)]),
        "page_of_stored_keys": (
            lambda: database.page_of_stored_keys(0, None, 5),
            [StoredKey("order/a", Mark.LIVE, START), StoredKey("order/b", Mark.LIVE, START)],
        ),
    }
    for ask, answer in asks.values():
        assert ask() == answer
        assert sent[-1] == "ROLLBACK"
    tables.run("DELETE FROM tbl_orders WHERE order_id = 'a'", "DELETE FROM replication_versions WHERE item_key = 'a'")
    assert [len(ask()) for ask, _ in asks.values()] == [1, 1, 1]
    tables.assert_unlocked()


def test_a_comparison_with_an_altered_table_stops(database: MySQLDatabase, tables: Tables):
    changes = parse_records([record("a", 1)], MAPPING, source=SOURCE).changes
    database.apply(changes, ApplyOptions())
    tables.run("ALTER TABLE tbl_orders DROP COLUMN currency")

    for attempt in ("by the server", "by the inspection of a new connection"):
        with pytest.raises(StopError, match="comparing 1 keys of mapping orders") as stopped:
            database.compare(changes)
        assert "merchant" not in str(stopped.value), attempt


def test_a_ping_leaves_no_transaction_open(database: MySQLDatabase):
    """RDS Proxy keeps its connection to the server until the transaction ends."""
    database.ping()
    sent = database.execute("spying", lambda connection, _: round_trips(connection))
    database.ping()
    assert sent == ["SELECT 1", "ROLLBACK"]


def test_nothing_is_read_for_no_key(database: MySQLDatabase):
    assert (database.rows(0, []), database.versions([])) == ({}, {})


@pytest.mark.parametrize(
    "host", ["orders.proxy-c1example.eu-west-1.rds.amazonaws.com", "127.0.0.1", "orders-proxy.local"]
)
def test_behind_an_rds_proxy_statements_are_small(connect: Callable[..., Any], tables: Tables, host: str):
    """A statement of 16 KB pins a session of RDS Proxy. Other servers take a quarter of max_allowed_packet."""
    connection = connect()
    packet_bytes = tables.run("SELECT @@max_allowed_packet")[0][0]
    connection.host = host

    targets = schema.inspect(connection, MAPPING)

    assert targets.statement_bytes == (15_000 if ".proxy-" in host else packet_bytes // 4)
    assert Writer(connection, targets, None).sender.limit == targets.statement_bytes


def test_the_largest_packet_makes_no_huge_statement(connect: Callable[..., Any], tables: Tables):
    """A function holds a statement more than once, and has less memory than max_allowed_packet may be."""
    before = tables.run("SELECT @@GLOBAL.max_allowed_packet")[0][0]
    tables.run("SET GLOBAL max_allowed_packet = 1073741824")
    try:
        assert schema.inspect(connect(), MAPPING).statement_bytes == 16_000_000
    finally:
        tables.run(f"SET GLOBAL max_allowed_packet = {before}")


def test_the_operator_may_set_the_statement_size(connect: Callable[..., Any], tables: Tables):
    connection = connect()

    assert Writer(connection, schema.inspect(connection, MAPPING), 2_000).sender.limit == 2_000


@pytest.mark.parametrize("key", ["\u00e9", "\ud800", "'", "a\\'\"", "%s", "", "x" * 300])
def test_any_text_may_be_asked_for(database: MySQLDatabase, key: str):
    """The key of an unreadable record may be anything. The server refuses to compare an ascii column with it."""
    assert database.versions([key, f"order/{key}", NEVER]) == {}


MANY: dict[str, Callable[[MySQLDatabase], Any]] = {
    "versions": lambda database: database.versions([f"order/{NEVER}-{n}" for n in range(200)]),
    "rows": lambda database: database.rows(0, [(f"{NEVER}-{n}",) for n in range(200)]),
}


@pytest.mark.parametrize("method", ["versions", "rows"])
def test_reads_keep_the_statement_size_of_the_operator(database: MySQLDatabase, method: str):
    """A proxy behind another hostname pins a session at a large read as at a large write."""
    database._statement_bytes = 1_000  # noqa: SLF001
    sent = database.execute("spying", lambda connection, _: round_trips(connection))

    assert MANY[method](database) == {}

    assert len(sent) > 200 // 25
    assert max(len(statement.encode()) for statement in sent) <= 1_000


@pytest.mark.parametrize("method", ["versions", "rows"])
def test_reads_behind_a_proxy_fit_into_a_small_packet(database: MySQLDatabase, method: str):
    """The server cuts the connection at a larger statement."""
    targets = database.execute("looking", lambda _, targets: targets)
    small = replace(targets, packet_bytes=1_024, statement_bytes=15_000)
    database._session = replace(database._session, targets=small)  # noqa: SLF001
    sent = database.execute("spying", lambda connection, _: round_trips(connection))

    assert MANY[method](database) == {}

    assert max(len(statement.encode()) for statement in sent) < 1_024


def statements(connection: pymysql.Connection[Any], host: str, batch: list[Any]) -> int:
    """How many statements insert the rows of `batch` behind `host`."""
    connection.host = host
    targets = schema.inspect(connection, MAPPING)
    connection.rollback()
    sent = round_trips(connection)
    Writer(connection, targets, None).write(batch)
    connection.rollback()
    return sum(text.startswith("INSERT INTO `tbl_orders`") for text in sent)


def test_a_thousand_rows_are_one_statement_without_a_proxy(connect: Callable[..., Any], tables: Tables):
    batch = changes_of(*(record(f"key-{n:04d}", n + 1, updated_at=START) for n in range(1_000)))

    assert statements(connect(), "127.0.0.1", batch) == 1
    assert statements(connect(), "x.proxy-y.rds.amazonaws.com", batch) == 5
