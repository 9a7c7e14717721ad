"""One connection serves many invocations. A dead one is replaced, and while the server is down the shard holds."""

from __future__ import annotations

import time
from typing import Any

import pymysql
import pytest

from common.database import HoldError, StopError
from common.mysql.database import CONNECTION_SECONDS
from scripts.local_stack.process import poll
from tests.support.deliveries import PLAIN
from tests.support.records import record
from tests.support.tables import Rows, order
from tests.support.two_mappings import Items, over_both


def test_a_live_connection_is_reused_without_a_round_trip(tables, proxy, consumer):
    consumer.deliver(record("a", 1))
    proxy.statements.clear()

    consumer.deliver(record("b", 2))

    assert [statement.split(" (")[0] for statement in proxy.statements] == [
        "INSERT INTO replication_versions",
        "INSERT INTO `tbl_orders`",
        "COMMIT",
    ]
    assert proxy.connections == 1


def test_a_live_connection_is_used_again_over_tls_too(tables, new_consumer):
    consumer = new_consumer()
    consumer.deliver(record("a", 1))
    before = consumer.connection_id()

    consumer.deliver(record("a", 2))

    assert consumer.connection_id() == before


@over_both
def test_an_old_connection_is_replaced(items, new_consumer):
    """A scale narrowed under a live connection would round silently: MySQL only gives a note."""
    now = [0.0]
    consumer = new_consumer(clock=lambda: now[0])
    consumer.deliver(items.put("a", 1))
    items.tables.run(f"ALTER TABLE {items.table} MODIFY amount DECIMAL(19,2)")
    now[0] = CONNECTION_SECONDS

    with pytest.raises(StopError, match=r"column amount is decimal\(19,2\)"):
        consumer.deliver(items.put("a", 2, amount="1.005"))

    assert items.rows() == [items.row("a")]


_NAMES = [f"k{n:03}" for n in range(1, 301)]


def large(items: Items) -> tuple[list[dict[str, Any]], Rows, dict[str, int]]:
    """A batch, and with the item `before` the rows and the versions that are there when it is written."""
    batch = [items.put(name, n) for n, name in enumerate(_NAMES, 1)]
    rows = [items.row(name) for name in ("before", *_NAMES)]
    return batch, rows, {"before": 1} | {name: n for n, name in enumerate(_NAMES, 1)}


@pytest.fixture
def killable(server):
    """The server, started again whatever happens."""
    yield server
    server.start(move_port=False)


def _killed(server, tables, consumer) -> None:
    tables.run(f"KILL {consumer.connection_id()}")


def _idle_too_long(server, tables, consumer) -> None:
    # For as long as wait_timeout says, seen from the connection itself: the global one is for new connections.
    consumer.database.execute("waiting less", lambda connection, _: connection.query("SET SESSION wait_timeout = 1"))


@pytest.mark.parametrize("close", [_killed, _idle_too_long])
def test_a_closed_idle_connection_is_replaced_silently(close, server, tables, new_consumer):
    """The server closed it between two invocations."""
    consumer = new_consumer()
    consumer.deliver(record("a", 1))
    first = consumer.connection_id()
    close(server, tables, consumer)
    assert poll(lambda: tables.sessions_of(server.app.user) == [], timeout=10)

    assert consumer.deliver(record("b", 2)) == {"upserted": 1}

    assert consumer.connection_id() != first
    assert tables.orders() == [order("a"), order("b")]


def test_a_noticed_close_does_not_use_up_the_replacement(tables, proxy, consumer):
    consumer.deliver(record("a", 1))
    proxy.reset()
    proxy.before("INSERT", proxy.reset)  # on the connection that replaces it

    assert consumer.deliver(record("b", 2)) == {"upserted": 1}

    assert proxy.connections == 3


@over_both
def test_a_reused_connection_that_dies_is_replaced_once(items, log, proxy, consumer):
    consumer.deliver(items.put("a", 1))
    proxy.before("INSERT", proxy.reset)

    assert consumer.deliver(items.put("b", 2)) == {"upserted": 1}

    assert proxy.connections == 2
    assert items.rows() == [items.row("a"), items.row("b")]
    assert log() == [("a", "NEW"), ("b", "NEW")]


def test_a_connection_that_dies_again_holds_the_shard(tables, proxy, consumer):
    consumer.deliver(record("a", 1))
    proxy.before("INSERT", proxy.reset)
    proxy.before("INSERT", proxy.reset, skip=1)

    with pytest.raises(HoldError):
        consumer.deliver(record("b", 2))
    assert proxy.connections == 2
    assert tables.orders() == [order("a")]

    assert consumer.deliver(record("b", 2)) == {"upserted": 1}


@over_both
def test_a_server_that_is_down_holds_and_recovers(items, proxy, consumer):
    """The error says its number and what to do."""
    consumer.deliver(items.put("a", 1))
    proxy.refuse()

    for _ in range(2):
        with pytest.raises(
            HoldError, match=rf"^applying 1 changes of mapping {items.mapping.name},.*: MySQL error 2003: .*unreachable"
        ) as e:
            consumer.deliver(items.put("b", 2))
        assert e.value.errno == 2003
    proxy.listen()

    assert consumer.deliver(items.put("b", 2)) == {"upserted": 1}
    assert items.rows() == [items.row("a"), items.row("b")]


def test_a_name_that_does_not_resolve_holds(tables, new_consumer):
    with pytest.raises(HoldError, match="MySQL error 2003"):
        new_consumer(hostname="no-such-host.invalid").deliver(record("a", 1))


def test_a_server_that_hangs_holds_within_the_read_timeout(tables, proxy, new_consumer):
    consumer = new_consumer(port=proxy.port, username=PLAIN, tls="off", read_timeout=1)
    proxy.hang()
    started = time.monotonic()

    with pytest.raises(HoldError, match="MySQL error 2013"):
        consumer.deliver(record("a", 1))
    assert time.monotonic() - started < 3

    proxy.flow()
    assert consumer.deliver(record("a", 1)) == {"upserted": 1}


def test_a_silent_server_holds_within_twice_the_read_timeout(tables, log, proxy, new_consumer):
    """Twice, because the reused connection may be lost on the way while a new one works."""
    consumer = new_consumer(port=proxy.port, username=PLAIN, tls="off", read_timeout=1)
    consumer.deliver(record("a", 1))
    proxy.before("COMMIT", proxy.hang)
    started = time.monotonic()

    with pytest.raises(HoldError, match="MySQL error 2013"):
        consumer.deliver(record("b", 2))
    assert time.monotonic() - started < 4

    proxy.flow()
    assert consumer.deliver(record("b", 2)) == {"upserted": 1}
    assert log() == [("a", "NEW"), ("b", "NEW")]


@over_both
def test_a_server_killed_before_the_commit_has_nothing(*, killable, items, log, proxy, consumer):
    batch, rows, versions = large(items)
    consumer.deliver(items.put("before", 1))
    proxy.before("COMMIT", killable.kill)

    for _ in range(2):
        with pytest.raises(HoldError, match="MySQL error 2013"):
            consumer.deliver(*batch)
    killable.start(move_port=False)
    items.tables.admin.connect()
    assert (items.rows(), items.versions("before")) == ([items.row("before")], {"before": 1})

    assert consumer.deliver(*batch) == {"upserted": 300}
    assert items.rows() == rows
    assert items.versions(*versions) == versions
    assert len(log()) == 301


@over_both
def test_a_server_killed_after_the_commit_has_everything(*, killable, items, log, proxy, consumer):
    """The redelivered batch is not written again."""
    batch, rows, versions = large(items)
    consumer.deliver(items.put("before", 1))
    proxy.after("COMMIT", lambda: (killable.kill(), proxy.reset()))

    for _ in range(2):
        with pytest.raises(HoldError, match="MySQL error 2013"):
            consumer.deliver(*batch)
    killable.start(move_port=False)
    items.tables.admin.connect()

    assert consumer.deliver(*batch) == {"redelivered": 300}
    assert items.rows() == rows
    assert items.versions(*versions) == versions
    assert len(log()) == 301


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit, MemoryError])
def test_an_interrupted_invocation_drops_its_connection(interruption, tables, proxy, consumer):
    """The next one starts clean."""

    def interrupted(connection: pymysql.Connection, _target: object) -> None:
        connection.query("DELETE FROM tbl_orders")
        raise interruption

    consumer.deliver(record("a", 1))

    with pytest.raises(interruption):
        consumer.database.execute("being interrupted", interrupted)

    assert poll(lambda: tables.sessions_of(PLAIN) == [], timeout=5)
    assert consumer.deliver(record("b", 2)) == {"upserted": 1}
    assert tables.orders() == [order("a"), order("b")]


def test_a_batch_without_changes_needs_no_database(tables, proxy, consumer):
    proxy.refuse()

    assert consumer.deliver() == {}
