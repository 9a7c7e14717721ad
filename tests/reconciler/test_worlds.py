"""Whatever happens together, and wherever it dies, MySQL ends as the table is."""

from __future__ import annotations

import random
from typing import Any

import pytest

from tests.support.load import LoadExecution
from tests.support.worlds import KEYS, World

JOBS = 4
SEEDS = range(10)


def live(world: World, rng: random.Random) -> None:
    """Jobs one after the other, and all that happens before and within them; then rest."""
    for _ in range(JOBS):
        for _ in range(rng.randint(0, 8)):
            world.act()
        world.run_any_job()
    world.come_to_rest()


def assert_equal_in_the_end(world: World) -> None:
    """After one repair a verification finds nothing, but for rows of expired items that nobody can judge."""
    assert world.left() == []
    repaired = world.verify(repair=True, restart=True)
    assert repaired["outcome"] == "complete"
    report = world.verify(restart=True)
    assert [one for one in report["findings"] if one["key"].partition("/")[2] not in world.kept] == []
    assert world.rows_of_items() == world.expected()


@pytest.mark.parametrize("seed", SEEDS)
def test_any_life_ends_equal_and_no_key_goes_back(server: Any, tables: Any, seed: int) -> None:
    """Live writes, redelivery, failed batches, replays, strangers, repairs and deaths at any call."""
    rng = random.Random(seed)
    world = World(server, tables, rng, loads=False)
    try:
        live(world, rng)
        assert_equal_in_the_end(world)
        world.assert_nothing_went_back()
    except BaseException:
        print(*world.trail, sep="\n")  # noqa: T201 - how it came to this
        raise
    finally:
        world.database.drop()


@pytest.mark.parametrize("seed", SEEDS)
def test_any_life_with_loads_ends_equal(server: Any, tables: Any, seed: int) -> None:
    """The same with items of before the stream. A load may show a newer state before an older one."""
    rng = random.Random(seed)
    world = World(server, tables, rng, loads=True)
    try:
        for key in KEYS:
            if rng.random() < 0.6:
                world.put_unseen(key)
        live(world, rng)
        world.run_job(LoadExecution(world, {"restart": True}))
        assert_equal_in_the_end(world)
    except BaseException:
        print(*world.trail, sep="\n")  # noqa: T201 - how it came to this
        raise
    finally:
        world.database.drop()
