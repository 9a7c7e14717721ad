"""The server refuses: it is read-only, locked, overloaded or full. The shard holds until it accepts."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pymysql
import pytest

from common.database import HoldError
from scripts.local_stack.mariadb import MariaDB
from scripts.local_stack.process import poll
from tests.support.records import record
from tests.support.tables import Tables, order
from tests.support.two_mappings import over_both

CLAIM = "INSERT INTO replication_versions"


@pytest.fixture
def settings(tables):
    """Sets global variables of the server; each is as before at the end."""
    before: dict[str, Any] = {}

    def set_global(name: str, value: Any) -> None:
        before.setdefault(name, tables.run(f"SELECT @@GLOBAL.{name}")[0][0])
        tables.run(f"SET GLOBAL {name} = {value}")

    yield set_global
    for name, value in before.items():
        tables.run(f"SET GLOBAL {name} = {value}")


@pytest.fixture
def other(server, tables):
    """Another session on the same rows, in a transaction."""
    connection = server.connect()
    yield connection
    connection.close()


def claims(proxy) -> int:
    return sum(statement.startswith(CLAIM) for statement in proxy.statements)


@over_both
def test_a_read_only_server_holds_and_is_reconnected(*, settings, items, proxy, consumer):
    """After a failover a new connection leads to the new writer."""
    consumer.deliver(items.put("a", 1))
    settings("read_only", 1)

    with pytest.raises(HoldError, match=r"MySQL error (1290|1836): the server is read-only"):
        consumer.deliver(items.put("a", 2, status="PAID"), items.put("b", 3))
    assert (items.rows(), items.versions("a")) == ([items.row("a")], {"a": 1})
    settings("read_only", 0)

    assert consumer.deliver(items.put("a", 2, status="PAID"), items.put("b", 3)) == {"upserted": 2}
    assert proxy.connections == 2
    assert items.rows() == [items.row("a", status="PAID"), items.row("b")]


def test_a_row_locked_for_long_holds_after_a_few_tries(*, settings, tables, log, other, proxy, consumer):
    """The whole transaction is tried each time."""
    consumer.deliver(record("b", 1))
    settings("innodb_lock_wait_timeout", 1)
    consumer.database.drop()
    proxy.statements.clear()
    other.query("SELECT * FROM replication_versions WHERE item_key = 'b' FOR UPDATE")

    with pytest.raises(HoldError, match="MySQL error 1205: another transaction holds the rows"):
        consumer.deliver(record("a", 2), record("b", 3, status="PAID"))
    assert claims(proxy) == 4
    assert (tables.orders(), tables.sidecar()) == ([order("b")], [("b", 1, 0)])
    other.rollback()

    assert consumer.deliver(record("a", 2), record("b", 3, status="PAID")) == {"upserted": 2}
    assert tables.orders() == [order("a"), order("b", status="PAID")]
    assert log() == [("b", "NEW"), ("b", "PAID"), ("a", "NEW")]


@over_both
def test_a_row_locked_for_a_moment_only_delays_its_batch(*, settings, items, log, other, proxy, consumer):
    """Error 1205 rolls back one statement only. The claim before it must go too, or the next try loses to itself."""
    consumer.deliver(items.put("b", 1))
    settings("innodb_lock_wait_timeout", 1)
    consumer.database.drop()
    other.query(f"SELECT * FROM {items.table} FOR UPDATE")
    proxy.after("ROLLBACK", other.rollback, skip=1)  # the first one ends the look at the schema

    assert consumer.deliver(items.put("a", 2), items.put("b", 3, status="PAID")) == {"upserted": 2}

    assert items.rows() == [items.row("a"), items.row("b", status="PAID")]
    assert items.versions("a", "b") == {"a": 2, "b": 3}
    assert log() == [("b", "NEW"), ("b", "PAID"), ("a", "NEW")]


def test_the_victim_of_a_deadlock_is_tried_again_as_a_whole(*, tables, log, other, proxy, consumer):
    consumer.deliver(record("a", 1), record("z", 2))
    tables.run("CREATE TABLE ballast (n INT) ENGINE=InnoDB")
    proxy.statements.clear()
    # The other transaction has written more, so the server prefers to roll the consumer back.
    other.query("INSERT INTO ballast VALUES " + ",".join(["(1)"] * 1000))
    other.query("UPDATE replication_versions SET token = 0 WHERE item_key = 'z'")
    with ThreadPoolExecutor(1) as invocation:
        answer = invocation.submit(consumer.deliver, record("a", 3, status="PAID"), record("z", 4, status="PAID"))
        waits = "SELECT COUNT(*) FROM information_schema.INNODB_TRX WHERE trx_state = 'LOCK WAIT'"
        # Both servers refresh this table only if it has not been read for 0.1 seconds.
        assert poll(lambda: tables.run(waits) == [(1,)], timeout=10, interval=0.2)

        other.query("UPDATE replication_versions SET token = 0 WHERE item_key = 'a'")
        other.commit()

        assert answer.result(timeout=10) == {"upserted": 2}
    assert "LATEST DETECTED DEADLOCK" in str(tables.run("SHOW ENGINE INNODB STATUS"))
    assert claims(proxy) == 2
    assert proxy.connections == 1
    assert tables.orders() == [order("a", status="PAID"), order("z", status="PAID")]
    assert tables.sidecar() == [("a", 3, 0), ("z", 4, 0)]
    assert log() == [("a", "NEW"), ("z", "NEW"), ("a", "PAID"), ("z", "PAID")]


def test_too_many_connections_hold_until_one_is_free(*, settings, server, tables, new_consumer):
    consumer = new_consumer()
    settings("max_connections", 10)
    crowd = [server.connect(server.app) for _ in range(9)]

    with pytest.raises(HoldError, match="MySQL error 1040: the database is overloaded"):
        consumer.deliver(record("a", 1))

    crowd.pop().close()
    assert poll(lambda: len(tables.sessions_of(server.app.user)) == len(crowd), timeout=5)
    assert consumer.deliver(record("a", 1)) == {"upserted": 1}
    for connection in crowd:
        connection.close()


def test_too_many_connections_of_the_user_hold(*, server, tables, new_consumer):
    """Until one is free."""
    consumer = new_consumer()
    tables.run(f"ALTER USER '{server.app.user}'@'%' WITH MAX_USER_CONNECTIONS 1")
    only = server.connect(server.app)

    with pytest.raises(HoldError, match=r"MySQL error (1203|1226): the database is overloaded"):
        consumer.deliver(record("a", 1))

    tables.run(f"ALTER USER '{server.app.user}'@'%' WITH MAX_USER_CONNECTIONS 0")
    only.close()
    assert consumer.deliver(record("a", 1)) == {"upserted": 1}


@over_both
def test_a_killed_query_holds_and_writes_nothing(*, items, other, proxy, consumer):
    consumer.deliver(items.put("a", 1))
    victim = consumer.connection_id()
    other.query(f"SELECT * FROM {items.table} FOR UPDATE")
    with ThreadPoolExecutor(1) as invocation:
        answer = invocation.submit(consumer.deliver, items.put("a", 2, status="PAID"), items.put("b", 3))
        state = f"SELECT INFO FROM information_schema.PROCESSLIST WHERE ID = {victim}"
        assert poll(lambda: items.table in str(items.tables.run(state)), timeout=5)
        items.tables.run(f"KILL QUERY {victim}")
        with pytest.raises(HoldError, match="MySQL error 1317"):
            answer.result(timeout=10)
    other.rollback()
    assert (items.rows(), items.versions("a")) == ([items.row("a")], {"a": 1})

    assert consumer.deliver(items.put("a", 2, status="PAID"), items.put("b", 3)) == {"upserted": 2}


def test_a_statement_over_the_servers_time_limit_holds(*, settings, tables, other, consumer):
    """Nothing is written."""
    if not tables.run("SHOW VARIABLES LIKE 'max_statement_time'"):
        pytest.skip("MySQL limits the time of reading statements only")
    consumer.deliver(record("a", 1))
    consumer.database.drop()
    settings("max_statement_time", 0.3)
    other.query("SET SESSION max_statement_time = 0")
    other.query("SELECT * FROM replication_versions WHERE item_key = 'a' FOR UPDATE")

    with pytest.raises(HoldError, match="MySQL error 1969"):
        consumer.deliver(record("a", 2, status="PAID"), record("b", 3))
    other.rollback()
    assert (tables.orders(), tables.sidecar()) == ([order("a")], [("a", 1, 0)])

    assert consumer.deliver(record("a", 2, status="PAID"), record("b", 3)) == {"upserted": 2}


@over_both
def test_an_unknown_number_holds_and_its_text_is_not_told(items, consumer, parked):
    """The text may quote a row."""
    items.tables.run(
        f"CREATE TRIGGER whim BEFORE INSERT ON {items.table} FOR EACH ROW SIGNAL SQLSTATE '45000'"
        " SET MYSQL_ERRNO = 31999, MESSAGE_TEXT = 'not for merchant-102'"
    )

    with pytest.raises(HoldError, match="MySQL error 31999: Backstream does not know this error"):
        consumer.deliver(items.put("a", 1), items.put("b", 2))
    assert (items.rows(), items.versions(), parked()) == ([], {}, [])
    items.tables.run("DROP TRIGGER whim")

    assert consumer.deliver(items.put("a", 1), items.put("b", 2)) == {"upserted": 2}


@pytest.fixture
def small_disk(tmp_path):
    """A server whose tables share one file that may not grow."""
    options = ["--innodb-file-per-table=0", f"--tmpdir={tmp_path}"]
    server = MariaDB(tmp_path / "small", [*options, f"--innodb-data-file-path={_FILE}:max:20M"])
    server.start()
    yield server
    server.destroy()


_FILE = "ibdata1:12M:autoextend"


def test_a_full_disk_holds_with_nothing_half_written(small_disk, new_consumer):
    """The batch applies once the disk is enlarged."""
    tables = Tables(small_disk.connect(autocommit=True))
    tables.create()
    app = small_disk.app
    consumer = new_consumer(port=small_disk.port, username=app.user, password=app.password, ca_pem=small_disk.ca_pem)
    consumer.deliver(record("a", 1))
    tables.run("CREATE TABLE filler (dead LONGBLOB) ENGINE=InnoDB")
    for size in (1_000_000, 50_000):
        with pytest.raises(pymysql.OperationalError, match="1114"):
            tables.run(*[f"INSERT INTO filler VALUES (REPEAT('x', {size}))"] * 50)
    # Rows as wide as the mapping lets them be: enough of them need new pages.
    wide = {"merchant_id": "m" * 64, "status": "s" * 32}
    batch = [record(f"k{n:04}", n, **wide) for n in range(2, 4000)]

    for _ in range(2):
        with pytest.raises(HoldError, match="MySQL error 1114: the server has no storage left"):
            consumer.deliver(*batch)
        assert (tables.orders(), tables.sidecar()) == ([order("a")], [("a", 1, 0)])

    small_disk.stop()
    small_disk.options = [*small_disk.options[:-1], f"--innodb-data-file-path={_FILE}"]
    small_disk.start(move_port=False)
    tables.admin.connect()

    assert consumer.deliver(*batch) == {"upserted": 3998}
    assert tables.orders() == [order("a"), *(order(f"k{n:04}", **wide) for n in range(2, 4000))]
    assert len(tables.sidecar()) == 3999
    tables.admin.close()
