from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.load import LoadHarness
from tests.support.prune import PruneHarness
from tests.support.seed import SeedHarness
from tests.support.tables import Tables
from tests.support.verify import VerifyHarness


@pytest.fixture
def tables(server: Any) -> Iterator[Tables]:
    """Reuse the tables of an earlier test: creating them takes half a second. `LoadHarness` empties them."""
    admin = server.connect(autocommit=True)
    tables = Tables(admin)
    names = {name for (name,) in tables.run("SHOW TABLES")}
    if "sidecar_log" not in names:
        tables.drop_all()
        tables.create()
    yield tables
    admin.close()


@pytest.fixture
def make_harness(server: Any, tables: Tables) -> Iterator[Callable[..., LoadHarness]]:
    yield from _makers(LoadHarness, server, tables)


@pytest.fixture
def make_seeds(server: Any, tables: Tables) -> Iterator[Callable[..., SeedHarness]]:
    yield from _makers(SeedHarness, server, tables)


@pytest.fixture
def make_prune(server: Any, tables: Tables) -> Iterator[Callable[..., PruneHarness]]:
    yield from _makers(PruneHarness, server, tables)


@pytest.fixture
def make_verify(server: Any, tables: Tables) -> Iterator[Callable[..., VerifyHarness]]:
    yield from _makers(VerifyHarness, server, tables)


def _makers(kind: type[Any], server: Any, tables: Tables) -> Iterator[Callable[..., Any]]:
    """No test here cuts the server's power, so commits need not wait for the disk."""
    made: list[Any] = []
    tables.run("SET GLOBAL innodb_flush_log_at_trx_commit = 0")

    def make(**options: Any) -> Any:
        made.append(kind(server, tables, **options))
        return made[-1]

    yield make
    tables.run("SET GLOBAL innodb_flush_log_at_trx_commit = 1")
    for harness in made:
        harness.database.drop()


@pytest.fixture
def harness(make_harness: Callable[..., LoadHarness]) -> LoadHarness:
    return make_harness()


@pytest.fixture
def seeds(make_seeds: Callable[..., SeedHarness]) -> SeedHarness:
    return make_seeds()


@pytest.fixture
def pruning(make_prune: Callable[..., PruneHarness]) -> PruneHarness:
    return make_prune()
