from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.replay import ReplayHarness
from tests.support.tables import Tables


@pytest.fixture
def tables(server: Any) -> Iterator[Tables]:
    """Reuse the tables of an earlier test: creating them takes half a second. `ReplayHarness` empties them."""
    admin = server.connect(autocommit=True)
    tables = Tables(admin)
    names = {name for (name,) in tables.run("SHOW TABLES")}
    if "sidecar_log" not in names:
        tables.drop_all()
        tables.create()
    yield tables
    admin.close()


@pytest.fixture
def make_harness(server: Any, tables: Tables) -> Iterator[Callable[..., ReplayHarness]]:
    """No test here cuts the server's power, so commits need not wait for the disk."""
    made: list[ReplayHarness] = []
    tables.run("SET GLOBAL innodb_flush_log_at_trx_commit = 0")

    def make(**options: Any) -> ReplayHarness:
        made.append(ReplayHarness(server, tables, **options))
        return made[-1]

    yield make
    tables.run("SET GLOBAL innodb_flush_log_at_trx_commit = 1")
    for harness in made:
        harness.database.drop()


@pytest.fixture
def harness(make_harness: Callable[..., ReplayHarness]) -> ReplayHarness:
    return make_harness()


@pytest.fixture
def three_letters(harness: ReplayHarness) -> Iterator[None]:
    """MySQL refuses a currency of another length; the mapping accepts it."""
    harness.tables.run("ALTER TABLE tbl_orders ADD CONSTRAINT three CHECK (CHAR_LENGTH(currency) = 3)")
    yield
    harness.tables.run("ALTER TABLE tbl_orders DROP CONSTRAINT three")
