"""The verification that a replay starts for expired ranges."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dlq_replayer.replay import Replay
from dlq_replayer.verification import input_of, name_of

NOW = datetime(2026, 2, 1, 12, tzinfo=UTC)


def expired(first: str | None = "2026-01-30T10:00:00Z", last: str | None = "2026-01-30T10:05:00Z") -> Any:
    times = {"first_arrival": first, "last_arrival": last}
    return {"object": "o", **{name: time for name, time in times.items() if time is not None}}


def replay(name: str = "r", **given: Any) -> Replay:
    return Replay(name, "arn", NOW.isoformat(), {**given})  # type: ignore[typeddict-item]


def test_the_window_is_the_time_of_all_ranges() -> None:
    """From the earliest arrival to the second of the latest one, in any offset."""
    ranges = [
        expired(),
        expired("2026-01-30T09:30:00Z", "2026-01-30T09:30:00Z"),
        expired("2026-01-30T11:00:00+01:00", "2026-01-30T13:00:00+02:00"),
    ]
    assert input_of(ranges, NOW) == {
        "repair": True,
        "changed_from": "2026-01-30T09:30:00+00:00",
        "changed_until": "2026-01-30T11:00:01+00:00",
    }


def test_one_record_is_a_window_of_a_second() -> None:
    """Its end is behind its start."""
    moment = "2026-01-30T10:00:00+00:00"
    given = input_of([expired(moment, moment)], NOW)
    assert given == {"repair": True, "changed_from": moment, "changed_until": "2026-01-30T10:00:01+00:00"}


@pytest.mark.parametrize(
    "unknown",
    [
        expired(None), expired("soon"), expired(last=None), expired(last=""), expired("1999-01-01T00:00:00Z"),
        expired(last=NOW.isoformat()), expired((NOW - timedelta(days=35, seconds=1)).isoformat()),
    ],
)  # fmt: skip
def test_without_a_known_time_the_whole_table_is_verified(unknown: Any) -> None:
    """The time of a range is missing, is no time, is to come, or is longer ago than point-in-time recovery reaches."""
    assert input_of([expired(), unknown], NOW) == {"repair": True}


def test_35_days_are_a_window() -> None:
    start = NOW - timedelta(days=35)
    assert input_of([expired(start.isoformat())], NOW)["changed_from"] == start.isoformat()
    end = NOW - timedelta(seconds=1)
    assert input_of([expired(last=end.isoformat())], NOW)["changed_until"] == NOW.isoformat()


def test_each_replay_starts_a_verification_of_its_own() -> None:
    """Once for the same ranges: that of an earlier replay may have ended without a clean result."""
    ranges = [{"object": "a"}, {"object": "b"}]
    name = name_of(replay("r1"), ranges, NOW)
    assert name == name_of(replay("r1"), ranges[::-1], NOW + timedelta(days=3))
    others = {name_of(replay("r2"), ranges, NOW), name_of(replay("r1"), ranges[:1], NOW)}
    assert name not in others
    assert len(others) == 2
    assert all(len(one) <= 80 and one.startswith("expired-") for one in others)


def test_automatic_replays_start_one_a_day() -> None:
    """They come every few minutes, and their names differ."""
    ranges = [{"object": "a"}]
    names = [
        name_of(replay(f"r{hour}", id=f"event-{hour}"), ranges, NOW + timedelta(hours=hour)) for hour in range(0, 60, 5)
    ]
    assert len(set(names)) == 3
