"""Times, ages and counts as people say them."""

from __future__ import annotations

from datetime import UTC, timedelta, timezone

import pytest

from backstream.status.words import ago, clock, counted, duration
from tests.support.status import NOW, before


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-3, "0 s"), (0, "0 s"), (0.04, "0 s"), (0.44, "0.4 s"), (3.0, "3 s"), (9.96, "9.9 s"), (59.9, "59 s"),
        (60, "1 min"), (252, "4 min 12 s"), (3_599, "59 min 59 s"), (3_600, "1 h"), (85_200, "23 h 40 min"),
        (86_400, "1 d"), (273_700, "3 d 4 h"),
    ],
)  # fmt: skip
def test_a_duration_has_its_two_largest_units(seconds: float, said: str) -> None:
    """Nothing is rounded up: what is left is never said to be more."""
    assert duration(seconds) == said


def test_a_time_of_another_day_has_its_date() -> None:
    """The day is that of the user's zone."""
    assert clock(before(hours=1), NOW, UTC) == "19:45:15"
    assert clock(before(hours=21), NOW, UTC) == "2026-03-13 23:45"
    assert clock(before(hours=21), NOW, timezone(timedelta(hours=2))) == "01:45:15"


@pytest.mark.parametrize(
    ("seconds", "said"), [(-5, "now (20:45:20)"), (0.9, "now (20:45:14)"), (252, "4 min 12 s ago (20:41:03)")]
)
def test_an_age_is_said_with_its_time(seconds: float, said: str) -> None:
    """A clock that is a little ahead makes no negative age."""
    assert ago(before(seconds=seconds), NOW, UTC) == said


def test_a_count_has_its_noun() -> None:
    """A listing that was cut short has at least so many."""
    assert [counted(number, "batch", "batches") for number in (0, 1, 1234)] == ["0 batches", "1 batch", "1,234 batches"]
    assert counted(1, "record", more=True) == "at least 1 records"
