"""The replay's promise as a property, over whatever target the tables have."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import strategies as st

from dlq_replayer import collect, drain, splits
from tests.support.records import ARN, START, record
from tests.support.replay import CHILD, SHARD, Execution, StoppedError, World, last_states

LATER_ARN = ARN.replace("2026-01-31", "2026-02-01")  # the table's stream, switched off and on again
KEYS = "abcdef"
# Records that are collected at once, changes that are applied at once, bytes of a split that are sorted in memory.
SIZES = ((collect, "_PART_RECORDS"), (drain, "_BATCH"), (splits, "_IN_MEMORY"))


def made(stream: int, number: int, key: str, event: str) -> dict[str, Any]:
    """The clock runs with the sequence, and on from the first stream to the second."""
    at = stream * 100 + number
    when = START + at  # unique, so that the column may be
    arn = [ARN, LATER_ARN][stream]
    return record(key, number, event, arn=arn, time=when, amount=str(at), created_at=when, updated_at=when)


_streams = st.lists(
    st.lists(
        st.tuples(st.sampled_from(KEYS), st.sampled_from(["INSERT", "MODIFY", "MODIFY", "REMOVE"])),
        max_size=25,
    ),
    min_size=2,
    max_size=2,
)
_cut = st.tuples(st.integers(0, 1), st.integers(0, 24), st.integers(1, 12), st.booleans(), st.booleans())


@dataclass(frozen=True)
class Backlog:
    """What failed, how it was cut into batches, and what interrupts its replay."""

    changes: list[list[tuple[str, str]]]
    cuts: list[tuple[int, int, int, bool, bool]]
    workers: int
    sizes: tuple[int, int, int]
    kills: list[tuple[int, str]]
    retries: int
    seed: int
    every_change: bool

    def assert_replays(self, make_world: Callable[..., World]) -> None:
        """In the end MySQL holds the last state of each key."""
        world, rng = make_world(concurrency=self.workers, every_change=self.every_change), random.Random(self.seed)
        records = [[made(s, n, key, event) for n, (key, event) in enumerate(self.changes[s])] for s in (0, 1)]
        failed = []
        for stream, start, size, pointer, twice in self.cuts:
            batch = records[stream][start : start + size]
            if not batch:
                continue
            failed += batch
            for _ in range(1 + twice):
                if pointer:
                    world.send_pointer(batch)
                else:
                    world.put_batch(batch, shardId=rng.choice([SHARD, CHILD]), escaped=rng.random() < 0.5)
        world.out_of_time = lambda: rng.random() < 0.5
        for call, when in self.kills:
            world.faults.kill(call, when)
        with pytest.MonkeyPatch.context() as patch:
            for (module, name), size in zip(SIZES, self.sizes, strict=True):
                patch.setattr(module, name, size)
            replay_until_empty(world, self.retries, rng)
        world.database.drop()
        assert last_states(failed) == world.tables.orders()


backlogs = st.builds(
    Backlog,
    changes=_streams,
    cuts=st.lists(_cut, min_size=1, max_size=10),
    workers=st.integers(1, 5),
    sizes=st.tuples(st.sampled_from([1, 5, 1000]), st.sampled_from([1, 2, 1000]), st.sampled_from([0, 1_000_000])),
    kills=st.lists(st.tuples(st.integers(1, 120), st.sampled_from(["before", "after"])), max_size=4),
    retries=st.integers(0, 6),
    seed=st.integers(0, 1000),
    every_change=st.booleans(),
)


def replay_until_empty(world: World, retries: int, rng: random.Random) -> None:
    for _ in range(12):
        with suppress(StoppedError):
            Execution(world, retries=retries, rng=rng).resume()
        world.clock.advance(200)
        if not world.left() and not world.sqs.messages:
            return
    raise AssertionError("it does not come to an end")
