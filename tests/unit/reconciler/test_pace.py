"""How fast a load reads: the token bucket, and the share of the rate while the consumer lags."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError
from hypothesis import given
from hypothesis import strategies as st

from common.consumer_lag import ConsumerMetrics
from reconciler.lag import ConsumerLag, share_of_rate
from reconciler.token_bucket import TokenBucket


class SetClock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@given(
    rate=st.floats(1, 10_000),
    costs=st.lists(st.tuples(st.floats(0.5, 300), st.floats(0, 2)), min_size=20, max_size=60),
)
def test_no_more_than_the_rate_is_consumed(rate: float, costs: list[tuple[float, float]]) -> None:
    """At any moment, at most the rate times the time since the start, for known costs; pauses of the reader do not
    count beyond two seconds.
    """
    clock = SetClock()
    bucket, consumed = TokenBucket(rate, clock), 0.0
    for units, pause in costs:
        clock.now += pause
        clock.now += bucket.delay(units)
        bucket.consume(units)
        consumed += units
        assert consumed <= rate * clock.now * 1.000001 + 0.0001


def test_a_reader_that_never_waits_long_uses_its_rate() -> None:
    """Over a minute, a reader whose pages take less time than the rate allows consumes 0.9 to 1.0 of it."""
    clock = SetClock()
    bucket, consumed = TokenBucket(100.0, clock), 0.0
    while clock.now < 60:
        clock.now += bucket.delay(90.0)
        bucket.consume(90.0)
        consumed += 90.0
        clock.now += 0.4  # loading the page
    assert 0.9 <= consumed / (100.0 * clock.now) <= 1.0


def test_what_was_not_foreseen_is_paid_later() -> None:
    """A page that consumed more than was expected makes the next one wait longer."""
    clock = SetClock()
    bucket = TokenBucket(10.0, clock)
    clock.now += bucket.delay(10)
    bucket.consume(60)
    assert bucket.delay(10) == pytest.approx(6.0)


def test_an_idle_bucket_holds_two_seconds() -> None:
    """After a long pause, a reader may not catch up with all of it."""
    clock = SetClock()
    bucket = TokenBucket(10.0, clock)
    clock.now = 1_000
    bucket.consume(20)
    assert bucket.delay(10) == pytest.approx(1.0)


def test_a_new_rate_holds_from_now_on() -> None:
    """What was saved at the old rate stays."""
    clock = SetClock()
    bucket = TokenBucket(10.0, clock)
    clock.now = 1.0
    bucket.set_rate(1.0)
    clock.now = 2.0
    assert bucket.delay(12) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("lag", "share"), [(None, 1.0), (0.0, 1.0), (30.0, 1.0), (60.0, 0.5), (300.0, 0.1), (86_400.0, 0.02)]
)
def test_the_rate_falls_while_the_consumer_lags(lag: float | None, share: float) -> None:
    """Above half a minute in proportion; never to nothing; an unknown lag changes nothing."""
    assert share_of_rate(lag) == pytest.approx(share)


class CloudWatch:
    """`points` are those of IteratorAge, `sums` the sums of other metrics."""

    def __init__(self, points: list[dict[str, Any]], **sums: float) -> None:
        self.points, self.sums, self.is_away = points, sums, False
        self.asked: list[dict[str, Any]] = []

    def get_metric_statistics(self, **asked: Any) -> dict[str, Any]:
        self.asked.append(asked)
        if self.is_away:
            raise EndpointConnectionError(endpoint_url="https://monitoring")
        name = asked["MetricName"]
        if name == "IteratorAge":
            return {"Datapoints": self.points}
        return {"Datapoints": [{"Timestamp": NOW, "Sum": self.sums[name]}] if name in self.sums else []}


NOW = datetime(2026, 1, 1, 0, 5, tzinfo=UTC)
ENABLED = {"State": "Enabled", "LastProcessingResult": "OK"}


def lag_of(watch: CloudWatch, clock: SetClock | None = None, mapping: dict[str, Any] | None = None) -> ConsumerLag:
    metrics = ConsumerMetrics(watch, "consumer", timedelta(minutes=1))
    return ConsumerLag(metrics, lambda: mapping or ENABLED, clock or SetClock(), now=lambda: NOW)


def _point(minute: int, milliseconds: float) -> dict[str, Any]:
    return {"Timestamp": datetime(2026, 1, 1, 0, minute, tzinfo=UTC), "Maximum": milliseconds}


def test_the_lag_is_the_latest_iterator_age() -> None:
    """In seconds; asked for every half a minute; 0 where the stream has had no changes."""
    clock, watch = SetClock(), CloudWatch([_point(2, 90_000.0), _point(3, 45_500.0), _point(1, 1.0)])
    lag = lag_of(watch, clock)
    assert [lag.seconds(), lag.seconds()] == [45.5, 45.5]
    assert len(watch.asked) == 1
    asked = watch.asked[0]
    assert (asked["Namespace"], asked["MetricName"], asked["Statistics"]) == ("AWS/Lambda", "IteratorAge", ["Maximum"])
    assert asked["Dimensions"] == [{"Name": "FunctionName", "Value": "consumer"}]
    assert (asked["StartTime"], asked["EndTime"]) == (NOW - timedelta(minutes=7), NOW)
    clock.now, watch.points = 30.0, []
    assert lag.seconds() == 0.0


def test_the_proven_lag_is_the_highest_of_the_last_minutes() -> None:
    """A lower age that came later does not prove that what is older has arrived. It is asked for each time."""
    watch = CloudWatch([_point(2, 90_000.0), _point(3, 45_500.0)], Errors=0.0, Throttles=0.0)
    lag = lag_of(watch)
    assert lag.proven() == 90.0
    watch.points = []
    assert lag.proven() == 0.0


@pytest.mark.parametrize(
    ("sums", "mapping"),
    [
        ({"Errors": 1.0}, ENABLED),
        ({"Throttles": 3.0}, ENABLED),
        ({}, {"State": "Disabled"}),
        ({}, {"State": "Enabled", "LastProcessingResult": "PROBLEM: Function call failed"}),
    ],
)
def test_a_consumer_that_may_have_stopped_proves_nothing(sums: dict[str, float], mapping: dict[str, Any]) -> None:
    """It may report no age, which must not be taken for an age of 0."""
    assert lag_of(CloudWatch([], **sums), mapping=mapping).proven() is None


@pytest.mark.parametrize(
    ("minutes", "proven"), [(0, None), (5, None), (6, 0.0), (7, 0.0)], ids=["now", "first batch", "known", "later"]
)
def test_an_enabled_mapping_proves_nothing_before_its_batch(minutes: int, proven: float | None) -> None:
    """Its first batch may take the function's timeout, and its age reaches CloudWatch after that."""
    changed = NOW - timedelta(minutes=minutes)
    lag = lag_of(CloudWatch([]), mapping=ENABLED | {"LastModified": changed})
    assert lag.proven() == proven
    assert lag.reported() == 0.0


@pytest.mark.parametrize("changed", [None, "yesterday", NOW.timestamp(), NOW.replace(tzinfo=None)])
def test_a_mapping_without_a_time_is_taken_for_an_old_one(changed: Any) -> None:
    """boto3 makes a time of what AWS answers. An emulator may leave it out."""
    assert lag_of(CloudWatch([]), mapping=ENABLED | {"LastModified": changed}).proven() == 0.0


def test_without_cloudwatch_the_lag_is_unknown() -> None:
    """A load goes on at its rate, and a verification waits; the reason is logged."""
    watch = CloudWatch([])
    watch.is_away = True
    lag = lag_of(watch)
    assert (lag.seconds(), lag.proven()) == (None, None)
