"""Any order of legacy writes, seeds, API writes, echoes, kills and redeliveries ends with both sides as promised."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from common.seeds import MARK
from reconciler.seed import writer
from tests.support.load import LoadExecution
from tests.support.seed import SeedHarness, seeded
from tests.support.tables import order

KEYS = [f"k{number:02d}" for number in range(14)]
SINCE = {"column": "updated_at"}


class World:
    """The legacy application owns a key until the API writes its item. `rows` is what the application has written."""

    def __init__(self, seeds: SeedHarness, chosen: random.Random) -> None:
        self.seeds, self.random = seeds, chosen
        self.rows: dict[str, tuple[Any, ...]] = {}
        self.api: dict[str, str | None] = {}  # the status that the API wrote last, None where it deleted the item
        self.consumed: set[str] = set()  # keys of which MySQL knows every change

    def legacy(self) -> None:
        free = [key for key in KEYS if key not in self.api]
        for key in self.random.choices(free, k=self.random.randint(0, 3)) if free else ():
            if self.random.random() < 0.2:
                self.rows.pop(key, None)
                self.seeds.legacy_delete(key)
            else:
                values = {"status": f"L{self._number()}", "updated_at": int(self.seeds.clock.seconds())}
                self.rows[key] = order(key, **values)
                self.seeds.legacy(key, **values)

    def seed(self) -> None:
        """The legacy application writes meanwhile, and the seed may be killed."""
        if self.random.random() < 0.5:
            self.seeds.faults.kill(self.random.randint(1, 60), self.random.choice(["before", "after"]))
        self.seeds.table.before_write = lambda _: self.random.random() < 0.3 and self.legacy()
        given = self.random.choice([{}, {"since": SINCE}, {"restart": True}])
        report = self.seeds.seed(**given)
        assert report["outcome"] in ("complete", "not_ready"), report
        self.seeds.table.before_write = lambda _: None

    def stop(self) -> None:
        """A seed that is stopped half-way. The next one may go on with its run."""
        given = self.random.choice([{}, {"since": SINCE}])
        execution = LoadExecution(self.seeds, given, job="seed")
        while execution.action not in (None, "next"):
            execution.step()
        execution.stop()

    def api_put(self) -> None:
        """A new order, or a change of a seeded one, which keeps the mark."""
        key = self.random.choice(KEYS)
        if self.seeds.item(key) is None and (key in self.rows or key in self.api):
            return  # the API knows no such order
        status = f"A{self._number()}"
        self.seeds.api_put(key, status=status)
        self.api[key] = status
        self.rows.pop(key, None)

    def api_delete(self) -> None:
        """Of an item whose changes have all arrived: before, a seed may take its row for a new one."""
        self.seeds.consume()
        if keys := [key for key in KEYS if self.seeds.item(key)]:
            key = self.random.choice(keys)
            self.seeds.api_delete(key)
            self.api[key] = None
            self.rows.pop(key, None)

    def consume(self) -> None:
        end = self.random.randint(self.seeds.delivered, len(self.seeds.table.stream))
        self.seeds.consume(end, again=self.random.randint(0, 4))

    def wait(self) -> None:
        self.seeds.clock.advance(self.random.randint(0, 3_000))

    def _number(self) -> int:
        return self.random.randint(0, 10**6)

    def legacy_rows_stay(self) -> None:
        found = {row[0]: row for row in self.seeds.tables.orders()}
        assert {key: found.get(key) for key in self.rows} == self.rows
        assert {key.removeprefix("order/") for key, _ in self.seeds.backstream_writes()} <= set(self.api)


@pytest.mark.parametrize("number", range(12))
def test_any_order_of_seeds_and_writers_ends_as_promised(
    make_seeds: Callable[..., SeedHarness], monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """The legacy application's rows stay as it wrote them. What the API wrote or deleted is what MySQL has."""
    monkeypatch.setattr(writer, "_AT_ONCE", 1)  # the same number makes the same order
    world = World(make_seeds(), random.Random(number))
    steps = [world.legacy] * 4 + [world.seed, world.consume, world.wait] * 3 + [world.api_put] * 2
    for _ in range(50):
        world.random.choice([*steps, world.api_delete, world.stop])()
        world.legacy_rows_stay()

    seeds = world.seeds
    seeds.faults.spare()
    if seeds.seed(since=SINCE)["outcome"] == "not_ready":
        seeds.seed()  # it may go on with an earlier one
        seeds.seed(since=SINCE)
    seeds.consume(again=10)

    world.legacy_rows_stay()
    items = {one["p_key"]["S"]: {n: v for n, v in one.items() if n != MARK} for one in seeds.table.items.values()}
    for key, row in world.rows.items():
        assert items[key] == seeded(key, status=row[4], updated_at=row[6])
    rows = {row[0]: row[4] for row in seeds.tables.orders()}
    for key, status in world.api.items():
        assert (rows.get(key), items.get(key, {}).get("status", {}).get("S")) == (status, status), key
    # An order that the legacy application has deleted keeps its item.
    assert rows.keys() <= items.keys()
