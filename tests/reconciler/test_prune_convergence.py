"""Whatever happens between prunes, MySQL ends as the last state of each item, and no key goes back.

Live writes, deletes and expiries, redelivery of what the stream still has, outages, replays, records that are parked
and retried, settled batches that a person puts back, loads, and days that pass.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.layout import REPLAYED, SETTLED_BATCHES
from reconciler.prune.reach import Horizon, Reach
from tests.support.convergence import PROPERTY
from tests.support.prune import DAY, HORIZON, PruneHarness
from tests.support.records import TTL_IDENTITY, record
from tests.support.replay import BUCKET, applied, change

KEYS = "abc"
USER = {"type": "AssumedRole", "principalId": "app"}
Record = dict[str, Any]
# What happens, and how often it is drawn.
ACTS = ["put"] * 5 + ["delete"] * 3 + ["expire"] + ["deliver"] * 4 + ["prune"] * 4 + ["days"] * 4 + [
    "redeliver", "fail", "fail", "replay", "replay", "park", "retry", "put_back", "put_back", "load",
]  # fmt: skip
acts = st.lists(st.tuples(st.sampled_from(ACTS), st.integers(0, 11)), min_size=5, max_size=40)


class World:
    """Orders, a stream that forgets after a day, and a bucket whose settled batches expire after 30 days."""

    def __init__(self, harness: PruneHarness) -> None:
        self.harness, self.number = harness, 0
        self.items: dict[str, tuple[str, int]] = {}  # of each key: put, delete or expire, and the row's number
        self.waiting: list[Record] = []
        self.delivered: list[Record] = []
        self.loaded = False
        harness.s3.now = harness.clock

    def act(self, what: str, number: int) -> None:
        getattr(self, what)(number)

    # The application

    def put(self, number: int) -> None:
        key = KEYS[number % len(KEYS)]
        exists = self.items.get(key, ("",))[0] == "put"
        made = change(key, self._next(), time=self.harness.now)
        made["eventName"] = "MODIFY" if exists else "INSERT"
        self.harness.table.put(made["dynamodb"]["NewImage"])
        self.items[key] = ("put", self.number)
        self.waiting.append(made)

    def delete(self, number: int) -> None:
        self._remove(number, "delete", USER)

    def expire(self, number: int) -> None:
        self._remove(number, "expire", TTL_IDENTITY)

    def _remove(self, number: int, kind: str, identity: dict[str, str]) -> None:
        key = KEYS[number % len(KEYS)]
        before, row = self.items.get(key, ("", 0))
        if before == "put":
            made = record(key, self._next(), "REMOVE", time=self.harness.now, identity=identity)
            self.harness.table.delete(made["dynamodb"]["Keys"])
            self.items[key] = (kind, row)
            self.waiting.append(made)

    def _next(self) -> int:
        self.number += 1
        return self.number

    # The stream

    def deliver(self, number: int) -> None:
        part = self._take(number)
        if part:
            self.harness.deliver(*part)
            self.delivered += part

    def redeliver(self, number: int) -> None:
        """Only what the stream still has. A consumer that begins at its beginning takes all of it."""
        kept = [one for one in self.delivered if one["dynamodb"]["ApproximateCreationDateTime"] > self._day_ago]
        if kept:
            self.harness.deliver(*(kept if number == 0 else kept[-number:]))

    def fail(self, number: int) -> None:
        if part := self._take(number):
            at = f"{self.harness.clock.time:%Y-%m-%dT%H.%M.%S}"
            self.harness.put_batch(part, key=f"aws/lambda/e1/shard/{at}-{self._next():06d}")

    def park(self, _: int) -> None:
        """The first record that waits cannot be written for now."""
        if part := self._take(1):
            self.harness.put_quarantined(part[0])

    def _take(self, number: int) -> list[Record]:
        part, self.waiting = self.waiting[: number or None], self.waiting[number or len(self.waiting) :]
        return part

    @property
    def _day_ago(self) -> int:
        return self.harness.now - DAY

    # Operators and time

    def replay(self, _: int) -> None:
        self.harness.replay()

    def retry(self, _: int) -> None:
        self.harness.replay({"include_quarantine": True})

    def put_back(self, number: int) -> None:
        """A person copies a settled batch to where it was."""
        settled = self.harness.keys(SETTLED_BATCHES)
        if settled:
            chosen = settled[number % len(settled)]
            body = self.harness.s3.body(chosen)
            self.harness.s3.put_object(Bucket=BUCKET, Key=chosen.removeprefix(REPLAYED), Body=body)

    def load(self, _: int) -> None:
        self.loaded = True
        self.harness.load({"restart": True})

    def prune(self, number: int) -> None:
        answer = self.harness.prune(older_than_days=(37, HORIZON)[number % 2])
        assert answer["outcome"] in ("complete", "not_ready"), answer

    def days(self, number: int) -> None:
        """What waits fails before the stream forgets it."""
        self.fail(0)
        self.harness.pass_days((1, 2, 12, 29, 31, 36, 38, 45)[number % 8])
        oldest: datetime = self.harness.clock.time - timedelta(days=30)
        s3 = self.harness.s3
        for key in [key for key in self.harness.keys(REPLAYED) if s3.modified[key] < oldest]:
            s3.delete_object(Bucket=BUCKET, Key=key)
            self.harness.batches.pop(key.removeprefix(REPLAYED), None)  # nobody misses it

    # The end

    def come_to_rest(self) -> None:
        self.deliver(0)
        self.harness.replay({"include_quarantine": True})
        assert self.harness.left() == []

    def assert_equal(self) -> None:
        """The row of an expired order stays as it was."""
        expected = [applied(key, row) for key, (kind, row) in sorted(self.items.items()) if kind != "delete"]
        assert self.harness.tables.orders() == expected

    def assert_nothing_went_back(self) -> None:
        seen: dict[str, int] = {}
        for key, sequence in self.harness.tables.run("SELECT item_key, seq FROM target_log ORDER BY id"):
            assert seen.get(key, 0) < sequence, f"{key} went back from {seen[key]} to {sequence}"
            seen[key] = sequence


def test_any_life_with_prunes_ends_in_the_last_state(make_prune: Callable[..., PruneHarness]) -> None:
    @settings(PROPERTY, max_examples=60)
    @given(acts)
    def converges(life: list[tuple[str, int]]) -> None:
        harness = make_prune(concurrency=1)
        try:
            world = World(harness)
            for what, number in life:
                world.act(what, number)
            world.come_to_rest()
            world.assert_equal()
            if not world.loaded:  # a load may show a newer state before an older one
                world.assert_nothing_went_back()
        finally:
            harness.database.drop()

    converges()


def written_and_deleted(harness: PruneHarness) -> World:
    """An order whose two records wait. The first one arrives again after the tombstone has become old."""
    world = World(harness)
    world.put(0)
    world.delete(0)
    return world


def late_batch(world: World) -> None:
    """It waits all the time."""
    world.fail(1)
    world.deliver(0)
    world.days(7)
    world.prune(0)
    world.replay(0)


def put_back_by_hand(world: World) -> None:
    """It waited for 29 days, and was replayed and settled then."""
    world.fail(1)
    world.deliver(0)
    world.days(3)
    world.replay(0)
    world.days(3)
    world.prune(0)
    world.put_back(0)
    world.replay(0)


def parked(world: World) -> None:
    world.park(0)
    world.deliver(0)
    world.days(7)
    world.prune(0)
    world.retry(0)


CHECKS = {
    late_batch: ("require_nothing_waits", lambda _: None),
    put_back_by_hand: ("horizon", lambda _, wanted: Horizon(wanted)),
    parked: ("parked", lambda _: lambda _: False),
}


@pytest.mark.parametrize("way", CHECKS, ids=lambda way: way.__name__)
def test_an_old_change_does_not_bring_an_order_back(pruning: PruneHarness, way: Callable[..., None]) -> None:
    way(written_and_deleted(pruning))
    assert pruning.tables.orders() == []


@pytest.mark.parametrize("way", CHECKS, ids=lambda way: way.__name__)
def test_without_a_check_a_deleted_order_comes_back(
    pruning: PruneHarness, monkeypatch: pytest.MonkeyPatch, way: Callable[..., None]
) -> None:
    """The negative control: each check is needed."""
    monkeypatch.setattr(Reach, *CHECKS[way])
    with pytest.raises(AssertionError, match="order/a went back"):
        way(written_and_deleted(pruning))
    assert pruning.tables.orders() == [applied("a", 1)]
