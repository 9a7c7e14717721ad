"""For any set of failed batches, any split and any interruption, the end is the last state of each key."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
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
    return record(
        key, number, event, arn=[ARN, LATER_ARN][stream], time=START + at, amount=str(at), updated_at=START + at
    )


streams = st.lists(
    st.lists(
        st.tuples(st.sampled_from(KEYS), st.sampled_from(["INSERT", "MODIFY", "MODIFY", "REMOVE"])),
        max_size=25,
    ),
    min_size=2,
    max_size=2,
)
cut = st.tuples(st.integers(0, 1), st.integers(0, 24), st.integers(1, 12), st.booleans(), st.booleans())


@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)
@given(
    changes=streams,
    cuts=st.lists(cut, min_size=1, max_size=10),
    workers=st.integers(1, 5),
    sizes=st.tuples(st.sampled_from([1, 5, 1000]), st.sampled_from([1, 2, 1000]), st.sampled_from([0, 1_000_000])),
    kills=st.lists(st.tuples(st.integers(1, 120), st.sampled_from(["before", "after"])), max_size=4),
    retries=st.integers(0, 6),
    seed=st.integers(0, 1000),
    every_change=st.booleans(),
)
def test_any_backlog_however_cut_split_and_interrupted(  # noqa: PLR0917
    make_world: Callable[..., World],
    changes: list[list[tuple[str, str]]],
    cuts: list[tuple[int, int, int, bool, bool]],
    workers: int,
    sizes: tuple[int, int, int],
    kills: list[tuple[int, str]],
    retries: int,
    seed: int,
    every_change: bool,
):
    """Batches overlap, repeat, are bisected, come from parent and child shards and from two streams of one table."""
    world, rng = make_world(concurrency=workers, every_change=every_change), random.Random(seed)
    records = [[made(s, n, key, event) for n, (key, event) in enumerate(changes[s])] for s in (0, 1)]
    failed = []
    for stream, start, size, pointer, twice in cuts:
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
    for call, when in kills:
        world.faults.kill(call, when)
    with pytest.MonkeyPatch.context() as patch:
        for (module, name), size in zip(SIZES, sizes, strict=True):
            patch.setattr(module, name, size)
        replay_until_empty(world, retries, rng)
    world.database.inner.drop()
    assert last_states(failed) == world.tables.orders()


def replay_until_empty(world: World, retries: int, rng: random.Random) -> None:
    for _ in range(12):
        with suppress(StoppedError):
            Execution(world, retries=retries, rng=rng).resume()
        world.clock.advance(200)
        if not world.left() and not world.sqs.messages:
            return
    raise AssertionError("it does not come to an end")
