"""The hostile table, and connections of an account that may write the target and the sidecar and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from scripts.local_stack.database import Account
from scripts.local_stack.mariadb import MariaDB
from tests.faults.conftest import log as status_log
from tests.faults.conftest import new_consumer, observer_of, parked, proxy, s3
from tests.support.connections import connections
from tests.support.deliveries import Consumer
from tests.support.legacy import HostileTables
from tests.support.legacy_meters import HostileMeterItems, HostileMeters
from tests.support.proxy import Proxy
from tests.support.replay import ReplayHarness
from tests.support.tables import Tables
from tests.support.two_mappings import Items, OrderItems

__all__ = ["new_consumer", "parked", "proxy", "s3", "status_log"]


@pytest.fixture
def items(request: pytest.FixtureRequest, server: MariaDB) -> Iterator[Items]:
    """Orders, where a test does not say otherwise, in a hostile table.

    Dropped at the end, because the replay's tests use the tables that they find.
    """
    kind = getattr(request, "param", OrderItems)
    tables = {OrderItems: HostileTables, HostileMeterItems: HostileMeters}[kind](server.connect(autocommit=True))
    tables.drop_all()
    tables.create()
    tables.build()
    observer = observer_of(server, kind.mapping)
    yield kind(tables, observer)
    observer.drop()
    tables.drop_all()
    tables.admin.close()


@pytest.fixture
def tables(items: Items) -> Tables:
    return items.tables


@pytest.fixture
def least(server: MariaDB, tables: HostileTables) -> Account:
    return tables.account(server.app.password)


@pytest.fixture
def connect(server: MariaDB, least: Account) -> Iterator[Any]:
    with connections(server, least) as connect:
        yield connect


@pytest.fixture
def consumer(tables: HostileTables, least: Account, new_consumer: Any, proxy: Proxy) -> Iterator[Consumer]:
    """Behind the proxy, which sees each statement because the server allows connections without TLS here."""
    tables.run("SET GLOBAL require_secure_transport = OFF")
    yield new_consumer(port=proxy.port, username=least.user, tls="off", read_timeout=5)
    tables.run("SET GLOBAL require_secure_transport = ON")


@pytest.fixture
def make_harness(server: MariaDB, tables: HostileTables, least: Account) -> Iterator[Callable[..., ReplayHarness]]:
    """As in the replay's tests; the functions connect as the least-privilege account."""
    made: list[ReplayHarness] = []
    view = SimpleNamespace(
        host=server.host, port=server.port, database=server.database, ca_pem=server.ca_pem, app=least
    )

    def make(kind: type[ReplayHarness] = ReplayHarness, **options: Any) -> ReplayHarness:
        made.append(kind(view, tables, **options))
        return made[-1]

    yield make
    for harness in made:
        harness.database.drop()
