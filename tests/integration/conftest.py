from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from common.mapping import Mapping
from common.mysql.database import MySQLDatabase
from common.mysql.settings import MySQLSettings
from tests.support.deliveries import FakeParameters
from tests.support.tables import Tables
from tests.support.writes import Applier, WriteLog


@pytest.fixture
def writer(connect: Any, tables: Tables) -> Applier:
    return Applier(connect())


@pytest.fixture
def log(tables: Tables) -> WriteLog:
    return WriteLog(tables)


@pytest.fixture
def make_database(server: Any, tables: Tables) -> Iterator[Callable[[Mapping], MySQLDatabase]]:
    """A function that makes the database of a mapping, without a source."""
    made: list[MySQLDatabase] = []
    endpoint = {"hostname": server.host, "port": server.port, "db": server.database, "driver": "mysql"}
    parameters = FakeParameters(**endpoint, username=server.app.user, password=server.app.password)
    settings = MySQLSettings(param_name="p", secret_arn="s", ca_pem=server.ca_pem)

    def make(mapping: Mapping) -> MySQLDatabase:
        made.append(MySQLDatabase(settings, parameters, mapping))
        return made[-1]

    yield make
    for one in made:
        one.drop()
