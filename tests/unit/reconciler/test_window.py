"""The window of a verification, and the spans in which it is exported."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.run import InputError
from reconciler.verify.window import MARGIN, Window, require_window, spans, widened, window_of

NOW = datetime(2026, 2, 1, tzinfo=UTC)
NOON = datetime(2026, 1, 20, 12, tzinfo=UTC)
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)


def test_a_window_has_one_notation() -> None:
    """Runs of one window have the same options, in whatever offset it is given."""
    same = [
        {"changed_from": "2026-01-20T12:00:00Z", "changed_until": "2026-01-20T13:00:00+00:00"},
        {"changed_from": "2026-01-20 14:00+02:00", "changed_until": "2026-01-20T08:00:00-05:00", "repair": True},
    ]
    expected = {"changed_from": "2026-01-20T12:00:00+00:00", "changed_until": "2026-01-20T13:00:00+00:00"}
    assert [require_window(one, NOW) for one in same] == [expected, expected]
    assert window_of(expected) == (NOON, NOON + HOUR)
    assert (require_window({"slice": "1/3"}, NOW), window_of({"slice": "1/3"})) == ({}, None)


@pytest.mark.parametrize("end", [NOW + MARGIN, NOW])
def test_a_window_may_end_now(end: datetime) -> None:
    """Within the margin, because clocks differ."""
    given = {"changed_from": NOON.isoformat(), "changed_until": end.isoformat()}
    assert require_window(given, NOW)["changed_until"] == end.isoformat()
    late = {**given, "changed_until": (end + MARGIN + SECOND).isoformat()}
    with pytest.raises(InputError, match="is in the future: it is 2026-02-01T00:00:00"):
        require_window(late, NOW)


@pytest.mark.parametrize(
    "text",
    ["", "2026-01-20", "2026-01-20T12:00:00", "12:00Z", "0001-01-01T00:00:00+23:00", "0001-01-01T00:02:00Z",
     "2011-12-31T23:59:59Z"],
)  # fmt: skip
def test_a_time_without_an_offset_or_long_ago_is_refused(text: str) -> None:
    """It would be taken for a time of some zone. Before DynamoDB there was no change."""
    with pytest.raises(
        InputError, match="changed_from: is not a time with an offset since 2012, such as 2026-01-31T12:00:00Z"
    ):
        require_window({"changed_from": text, "changed_until": NOON.isoformat()}, NOW)


def test_a_short_window_is_widened_to_what_can_be_exported() -> None:
    """By the margin on both sides, in whole seconds, and to 15 minutes."""
    moment = Window(NOON + timedelta(microseconds=1), NOON + timedelta(microseconds=2))
    assert widened(moment) == (NOON + 5 * MINUTE + SECOND - 15 * MINUTE, NOON + 5 * MINUTE + SECOND)
    assert widened(Window(NOON, NOON + HOUR)) == (NOON - 5 * MINUTE, NOON + HOUR + 5 * MINUTE)


def test_a_day_is_one_span_and_a_second_more_are_two() -> None:
    """The halves differ by a second at most."""
    day = timedelta(hours=24)
    assert spans(Window(NOON, NOON + day)) == [(NOON, NOON + day)]
    half = NOON + 12 * HOUR
    assert spans(Window(NOON, NOON + day + SECOND)) == [(NOON, half), (half, NOON + day + SECOND)]


@given(st.integers(0, 40 * 86_400_000_000), st.integers(1, 40 * 86_400_000_000))
def test_spans_cover_a_window_without_gaps(offset: int, length: int) -> None:
    """Each is 15 minutes to 24 hours long, in whole seconds, and begins where the one before ends."""
    start = NOON + timedelta(microseconds=offset)
    window = Window(start, start + timedelta(microseconds=length))
    found = spans(widened(window))
    assert found[0].start <= window.start - MARGIN
    assert found[-1].end >= window.end + MARGIN
    assert [one.end for one in found[:-1]] == [one.start for one in found[1:]]
    assert all(15 * MINUTE <= one.end - one.start <= 24 * HOUR for one in found)
    assert all(time.microsecond == 0 for one in found for time in one)
    assert len(found) <= (window.end - window.start + 2 * MARGIN + 2 * SECOND) // (24 * HOUR) + 1


def test_the_end_of_a_window_is_not_in_it() -> None:
    """As in an export."""
    window = Window(NOON, NOON + HOUR)
    assert window.covers(NOON, NOON + HOUR - SECOND)
    assert not window.covers(NOON, NOON + HOUR)
    assert not window.covers(NOON - SECOND, NOON)
    assert not window.covers(NOON + MINUTE, NOON)
    start = int(NOON.timestamp())
    assert [window.covers_seconds(start + seconds) for seconds in (-1, 0, 3_599, 3_600)] == [False, True, True, False]
