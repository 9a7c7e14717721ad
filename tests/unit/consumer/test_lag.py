"""The lag of a batch: from the time of each change to the commit, in at most 100 values."""

from __future__ import annotations

import math
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from stream_consumer.lag import MOST_VALUES, lags

COMMIT = 1_770_000_100.25
times = st.lists(st.integers(1_770_000_000, 1_770_000_200), max_size=700)


def percentile(values: Sequence[float], percent: int) -> float:
    """By the nearest rank."""
    return sorted(values)[math.ceil(len(values) * percent / 100) - 1]


def test_each_change_has_a_lag_in_seconds():
    assert sorted(lags(COMMIT, [1_770_000_099, 1_770_000_040, 1_770_000_099])) == [1.25, 1.25, 60.25]


def test_no_change_has_no_lag():
    assert lags(COMMIT, []) == []


def test_a_commit_before_its_change_is_no_lag():
    """Clocks differ."""
    assert sorted(lags(COMMIT, [1_770_000_101, 1_770_000_100])) == [0.0, 0.25]


def test_one_line_takes_a_hundred_changes_as_they_are():
    assert sorted(lags(COMMIT, range(1_770_000_000, 1_770_000_100))) == [n + 0.25 for n in range(1, 101)]


@given(times)
def test_percentiles_and_the_maximum_of_any_batch_are_true(given_times: list[int]):
    every = [max(0.0, COMMIT - time) for time in given_times]
    made = lags(COMMIT, given_times)
    assert len(made) == min(len(every), MOST_VALUES)
    if every:
        assert [percentile(made, p) for p in (50, 90, 99, 100)] == [percentile(every, p) for p in (50, 90, 99, 100)]
        assert max(made) == max(every)
        assert min(made) >= 0
