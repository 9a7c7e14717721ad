"""The replay's promise as a property, for any target table."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import pytest
from hypothesis import strategies as st

from dlq_replayer import collect, drain, splits
from tests.support.replay import CHILD, SHARD, ReplayExecution, ReplayHarness, StoppedError

KEYS = range(6)
# Records that are collected at once, changes that are applied at once, bytes of a split that are sorted in memory.
SIZES = ((collect, "_PART_RECORDS"), (drain, "_CHUNK"), (splits, "_IN_MEMORY"))


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
class GeneratedBacklog:
    """What failed, how it was cut into batches, and what interrupts the replay."""

    changes: list[list[tuple[int, str]]]
    cuts: list[tuple[int, int, int, bool, bool]]
    workers: int
    sizes: tuple[int, int, int]
    kills: list[tuple[int, str]]
    retries: int
    seed: int
    every_change: bool

    def assert_replays(self, make_harness: Callable[..., ReplayHarness]) -> None:
        """At the end MySQL has the last state of each key."""
        harness, rng = make_harness(concurrency=self.workers, every_change=self.every_change), random.Random(self.seed)
        records = [
            [harness.dataset.make(stream, n, key, event) for n, (key, event) in enumerate(self.changes[stream])]
            for stream in (0, 1)
        ]
        failed = []
        for stream, start, size, pointer, twice in self.cuts:
            batch = records[stream][start : start + size]
            if not batch:
                continue
            failed += batch
            for _ in range(1 + twice):
                if pointer:
                    harness.send_pointer(batch)
                else:
                    harness.put_batch(batch, shardId=rng.choice([SHARD, CHILD]), escaped=rng.random() < 0.5)
        harness.out_of_time = lambda: rng.random() < 0.5
        for call, moment in self.kills:
            harness.faults.kill(call, moment)
        with pytest.MonkeyPatch.context() as patch:
            for (module, name), size in zip(SIZES, self.sizes, strict=True):
                patch.setattr(module, name, size)
            replay_until_empty(harness, self.retries, rng)
        harness.database.drop()
        harness.assert_last_states(failed)


backlogs = st.builds(
    GeneratedBacklog,
    changes=_streams,
    cuts=st.lists(_cut, min_size=1, max_size=10),
    workers=st.integers(1, 5),
    sizes=st.tuples(st.sampled_from([1, 5, 1000]), st.sampled_from([1, 2, 1000]), st.sampled_from([0, 1_000_000])),
    kills=st.lists(st.tuples(st.integers(1, 120), st.sampled_from(["before", "after"])), max_size=4),
    retries=st.integers(0, 6),
    seed=st.integers(0, 1000),
    every_change=st.booleans(),
)


def replay_until_empty(harness: ReplayHarness, retries: int, rng: random.Random) -> None:
    for _ in range(12):
        with suppress(StoppedError):
            ReplayExecution(harness, retries=retries, rng=rng).resume()
        harness.clock.advance(200)
        if not harness.left() and not harness.sqs.messages:
            return
    raise AssertionError("it does not come to an end")
