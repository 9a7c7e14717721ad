"""Which rows of the sidecar a prune deletes, and which locks it takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pymysql
import pytest
from pymysql.constants import ER

from common.database import ApplyOptions, Removals
from common.mapping import Mapping
from common.mysql.database import MySQLDatabase
from tests.support.records import START, TTL_IDENTITY, record, remove
from tests.support.replay import STOCK
from tests.support.stock import KEYS as STOCK_KEYS
from tests.support.stock import stock_record
from tests.support.tables import Tables, order
from tests.support.writes import MAPPING, Applier, changes_of

MakeDatabase = Callable[[Mapping], MySQLDatabase]
NOW = START + 100
every_limit = pytest.mark.parametrize("limit", [1, 2, 3, 5, 100])


@pytest.fixture
def database(make_database: MakeDatabase) -> MySQLDatabase:
    return make_database(MAPPING)


def expire(key: str, sequence: int, **options: Any) -> dict[str, Any]:
    return remove(key, sequence, identity=TTL_IDENTITY, **options)


def pages(database: MySQLDatabase, limit: int, *, before: int = NOW, entity: int = 0) -> list[Removals]:
    found = [database.page_of_removals(entity, None, limit, before)]
    while found[-1].cursor is not None:
        found.append(database.page_of_removals(entity, found[-1].cursor, limit, before))
    return found


def prune(database: MySQLDatabase, *, before: int = NOW, entity: int = 0, **options: Any) -> tuple[int, int]:
    """How many rows a page proposes, and how many are pruned."""
    keys = database.page_of_removals(entity, None, 1_000, before).keys
    return len(keys), database.prune(entity, keys, before, **options) if keys else 0


def keys(tables: Tables) -> list[str]:
    return [key for key, *_ in tables.whole_sidecar()]


def test_a_tombstone_from_before_the_time_goes(database: MySQLDatabase, writer: Applier, tables: Tables) -> None:
    """One of that time or later stays, and so does an item that exists."""
    writer(record("live", 1), *(record(key, 2) for key in ("old", "same", "young")))
    writer(remove("old", 3, time=NOW - 1), remove("same", 3, time=NOW), remove("young", 3, time=NOW + 1))
    assert prune(database) == (1, 1)
    assert keys(tables) == ["live", "same", "young"]
    assert tables.orders() == [order("live")]


def test_a_tombstone_of_an_expiry_goes(make_database: MakeDatabase, tables: Tables) -> None:
    """The mapping deletes the rows of expired items."""
    mirroring = MAPPING.mirroring_expiry()
    database = make_database(mirroring)
    database.apply(changes_of(record("old", 1), declared=mirroring), ApplyOptions())
    database.apply(changes_of(expire("old", 2), declared=mirroring), ApplyOptions())
    assert tables.sidecar() == [("old", 2, 2)]
    assert prune(database) == (1, 1)
    assert keys(tables) == []


def test_the_note_of_a_row_that_stays_stays(database: MySQLDatabase, writer: Applier, tables: Tables) -> None:
    """Without it, the row of an expired item would be a stranger. When somebody has purged the row, it goes."""
    writer(record("here", 1), record("purged", 1))
    writer(expire("here", 2), expire("purged", 2))
    tables.run("DELETE FROM tbl_orders WHERE order_id = 'purged'")
    assert prune(database) == (2, 1)
    assert keys(tables) == ["here"]


def test_the_newest_time_of_a_row_counts(database: MySQLDatabase, writer: Applier, tables: Tables) -> None:
    """A note is younger than the row's own change."""
    writer(record("k", 1))
    writer(expire("k", 2, time=NOW))
    tables.run("DELETE FROM tbl_orders")
    assert prune(database, before=NOW) == (0, 0)
    assert prune(database, before=NOW + 1) == (1, 1)


def test_a_note_that_a_newer_upsert_made_void_is_none(database: MySQLDatabase, writer: Applier, tables: Tables) -> None:
    """The item exists again, though its row was purged."""
    writer(record("k", 1))
    writer(expire("k", 2))
    writer(record("k", 3))
    tables.run("DELETE FROM tbl_orders")
    assert prune(database) == (0, 0)


def test_a_tombstone_whose_row_is_there_stays(database: MySQLDatabase, writer: Applier, tables: Tables) -> None:
    """A verification must go on finding a deleted row, and not a stranger."""
    writer(record("k", 1), remove("k", 2))
    row = ", ".join(repr(str(value)) for value in order("k"))
    tables.run(f"INSERT INTO tbl_orders VALUES ({row})")
    assert prune(database) == (1, 0)
    assert keys(tables) == ["k"]


def test_a_row_without_a_time_stays(database: MySQLDatabase, writer: Applier, tables: Tables) -> None:
    """A repair may leave the tombstone of a loaded item, and nobody knows how old that is."""
    writer(record("k", 1), remove("k", 2))
    tables.run("UPDATE replication_versions SET source_time = 0, version = '0'")
    assert prune(database) == (0, 0)


def test_a_key_whose_text_was_cut_stays(database: MySQLDatabase, writer: Applier, tables: Tables) -> None:
    """Whether it has a row cannot be told."""
    writer(record("k" * 20, 1), remove("k" * 20, 2))
    tables.run("UPDATE replication_versions SET item_key = CONCAT('cut%#', REPEAT('0', 64))")
    assert prune(database) == (1, 0)
    assert len(keys(tables)) == 1


def test_a_key_that_is_live_again_stays(database: MySQLDatabase, writer: Applier, tables: Tables) -> None:
    """A live change comes between the page and the lock. So does a younger removal, and another prune."""
    writer(*(record(key, 1) for key in "abc"))
    writer(*(remove(key, 2) for key in "abc"))
    found = database.page_of_removals(0, None, 10, NOW).keys
    writer(record("a", 3))
    writer(remove("b", 3, time=NOW))
    tables.run("DELETE FROM replication_versions WHERE item_key = 'c'")
    assert found == ["order/a", "order/b", "order/c"]
    assert database.prune(0, found, NOW) == 0
    assert tables.sidecar() == [("a", 3, 0), ("b", 3, 1)]


def test_a_count_changes_nothing(database: MySQLDatabase, writer: Applier, tables: Tables) -> None:
    writer(record("k", 1), remove("k", 2))
    before = tables.whole_sidecar()
    assert prune(database, count_only=True) == (1, 1)
    assert tables.whole_sidecar() == before


@every_limit
def test_each_row_is_looked_at_once(database: MySQLDatabase, writer: Applier, tables: Tables, limit: int) -> None:
    """The rows of other mappings between them are passed over."""
    names = [f"k{number}" for number in range(7)]
    writer(*(record(key, 1) for key in names))
    writer(*(remove(key, 2) for key in names[::2]))
    tables.run("INSERT INTO replication_versions SELECT CONCAT('k.x ', item_key), '1', 1, 1, 1, NULL, NULL, NULL, NULL"
               " FROM replication_versions")  # fmt: skip
    found = pages(database, limit)
    assert [key for page in found for key in page.keys] == [f"order/{key}" for key in names[::2]]
    assert sum(page.rows for page in found) == 14
    assert all(page.rows == limit for page in found[:-1])


def test_each_entity_has_its_own_rows(make_database: MakeDatabase, tables: Tables) -> None:
    """Those of another entity, and of another mapping, stay. Keys are of several columns, bytes and numbers too."""
    tables.drop_all()
    database = make_database(STOCK.mapping)
    database.prepare("2026-01-31T00:00:00.000")
    for number, event in ((1, "INSERT"), (2, "REMOVE")):
        made = [stock_record(key, number, event, "sale", time=START) for key in STOCK_KEYS]
        database.apply(changes_of(*made, declared=STOCK.mapping), ApplyOptions())
    tables.run("INSERT INTO replication_versions VALUES ('order.x 1', '1', 1, 1, 1, NULL, NULL, NULL, NULL)")
    every = len(STOCK_KEYS)
    assert len(keys(tables)) == 1 + 2 * every
    assert [database.page_of_removals(entity, None, 1_000, NOW).rows for entity in (0, 1)] == [every, every]
    assert [prune(database, entity=entity) for entity in (0, 1)] == [(every, 0), (every, every)]
    tables.run("DELETE FROM stock_sales")  # they were flagged
    assert [prune(database, entity=entity) for entity in (0, 1)] == [(every, every), (0, 0)]
    assert keys(tables) == ["order.x 1"]


@contextmanager
def blocked(database: MySQLDatabase, tables: Tables, found: list[str], last: str) -> Iterator[Future[int]]:
    """A prune of `found` that holds the locks of all keys before `last`, and waits for that one."""
    tables.run("BEGIN", f"SELECT 1 FROM replication_versions WHERE item_key = '{last}' FOR UPDATE")
    with ThreadPoolExecutor(1) as pool:
        try:
            pruning = pool.submit(database.prune, 0, found, NOW)
            tables.assert_waiting()
            yield pruning
        finally:
            tables.run("ROLLBACK")


def test_live_changes_of_other_keys_never_wait(
    database: MySQLDatabase, writer: Applier, tables: Tables, connect: Any
) -> None:
    """While a prune holds its locks, new keys are written before, between and behind its own, and others change."""
    writer(*(record(key, 1) for key in ("b", "d", "e", "f", "h")))
    writer(*(remove(key, 2) for key in ("b", "d", "f", "h")))
    found = database.page_of_removals(0, None, 10, NOW).keys
    live = connect()
    live.query("SET innodb_lock_wait_timeout = 1")
    with blocked(database, tables, found, "h") as pruning:
        Applier(live)(record("a", 1), record("c", 1), record("e", 2), record("g", 1), record("i", 1))
        with pytest.raises(pymysql.MySQLError) as refused:
            Applier(live)(record("b", 3))
        assert refused.value.args[0] == ER.LOCK_WAIT_TIMEOUT
    assert pruning.result() == 4
    assert tables.sidecar() == [(key, sequence, 0) for key, sequence in zip("acegi", (1, 1, 2, 1, 1), strict=True)]


def test_a_live_change_that_waits_for_a_prune_is_written(
    database: MySQLDatabase, writer: Applier, tables: Tables, connect: Any
) -> None:
    """It finds no tombstone, and is newer than the one that was there."""
    writer(record("b", 1), record("h", 1))
    writer(remove("b", 2), remove("h", 2))
    live = Applier(connect())
    with ThreadPoolExecutor(1) as pool:
        with blocked(database, tables, ["order/b", "order/h"], "h") as pruning:
            writing = pool.submit(live, record("b", 3))
            tables.assert_waiting(2)
        assert (pruning.result(), writing.result().counts) == (2, {"upserted": 1})
    assert tables.sidecar() == [("b", 3, 0)]


def test_a_prune_that_waits_for_a_live_change_spares_it(
    database: MySQLDatabase, writer: Applier, tables: Tables
) -> None:
    """The row is tested when it is locked, not before."""
    writer(record("b", 1), record("h", 1))
    writer(remove("b", 2), remove("h", 2))
    revived = "UPDATE replication_versions SET deleted = 0, version = REPLACE(version, '2', '3') WHERE item_key = 'h'"
    tables.run("BEGIN", revived)
    with ThreadPoolExecutor(1) as pool:
        pruning = pool.submit(database.prune, 0, ["order/b", "order/h"], NOW)
        tables.assert_waiting()
        tables.run("COMMIT")
        assert pruning.result() == 1
    assert keys(tables) == ["h"]
