from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.replay import World
from tests.support.tables import Tables


@pytest.fixture
def tables(server: Any) -> Iterator[Tables]:
    """The tables of the test before, if there are any: `World` empties them. Making them anew takes half a second."""
    admin = server.connect(autocommit=True)
    tables = Tables(admin)
    names = {name for (name,) in tables.run("SHOW TABLES")}
    if "sidecar_log" not in names:
        tables.drop_all()
        tables.create()
    yield tables
    admin.close()


@pytest.fixture
def make_world(server: Any, tables: Tables) -> Iterator[Callable[..., World]]:
    """No test here pulls the server's plug, so none waits for its disk."""
    made: list[World] = []
    tables.run("SET GLOBAL innodb_flush_log_at_trx_commit = 0")

    def make(**options: Any) -> World:
        made.append(World(server, tables, **options))
        return made[-1]

    yield make
    tables.run("SET GLOBAL innodb_flush_log_at_trx_commit = 1")
    for world in made:
        world.database.drop()


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    return make_world()


@pytest.fixture
def three_letters(world: World) -> Iterator[None]:
    """MySQL itself refuses a currency of another length, which the mapping lets through."""
    world.tables.run("ALTER TABLE tbl_orders ADD CONSTRAINT three CHECK (CHAR_LENGTH(currency) = 3)")
    yield
    world.tables.run("ALTER TABLE tbl_orders DROP CONSTRAINT three")
