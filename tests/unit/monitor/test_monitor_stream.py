"""The oldest change that may wait in the stream, and the hours until it is lost: never a reassuring guess."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from common.consumer_lag import ConsumerMetrics
from monitor.loss import hours_until_loss, pointer_left
from monitor.stream import UnreadChanges, is_on

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=300)
ENABLED = {"State": "Enabled", "LastProcessingResult": "OK"}
FAILING = {"State": "Enabled", "LastProcessingResult": "PROBLEM: Function call failed"}
UNREADABLE = {"State": "Enabled", "LastProcessingResult": "PROBLEM: Lambda cannot read the stream"}
DISABLED = {"State": "Disabled", "LastProcessingResult": "OK"}
DELETED = {"State": "Deleted"}
UPDATING = {"State": "Updating", "LastProcessingResult": "OK"}
STOPPED = [DISABLED, DELETED, UNREADABLE, {"State": "Disabling"}, {"State": "Enabling"}, {"State": "Creating"}]


class CloudWatch:
    """Points by metric: minutes before now, and the value. Age is in seconds."""

    def __init__(self, age: dict[float, float], errors: dict[float, float] | None = None, **sums: Any) -> None:
        self.points = {
            "IteratorAge": {at: seconds * 1000 for at, seconds in age.items()},
            "Errors": errors or {},
            "Throttles": sums.get("throttles", {}),
        }

    def get_metric_statistics(self, **asked: Any) -> dict[str, Any]:
        assert asked["Dimensions"] == [{"Name": "FunctionName", "Value": "consumer"}]
        # The limit of one answer: https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricStatistics.html
        assert (asked["EndTime"] - asked["StartTime"]).total_seconds() / asked["Period"] <= 1440
        found = {NOW - timedelta(minutes=at): value for at, value in self.points[asked["MetricName"]].items()}
        [statistic] = asked["Statistics"]
        return {
            "Datapoints": [
                {"Timestamp": time, statistic: value}
                for time, value in found.items()
                if asked["StartTime"] <= time <= asked["EndTime"]
            ]
        }


MINUTE = timedelta(minutes=1)


def age(
    watch: CloudWatch,
    mapping: dict[str, Any],
    created: datetime = LONG_AGO,
    record_age: timedelta = timedelta(hours=6),
    longest_call: timedelta = MINUTE,
) -> timedelta:
    return UnreadChanges(ConsumerMetrics(watch, "consumer", longest_call), created, record_age).age(mapping, NOW)


def test_a_working_consumer_is_as_far_behind_as_it_says() -> None:
    """The highest age of the last minutes; nothing is behind where there is none."""
    assert age(CloudWatch({1: 2.5, 7: 40, 8: 900}), ENABLED) == timedelta(seconds=40)
    assert age(CloudWatch({}), ENABLED) == timedelta()


def test_an_update_of_a_quiet_mapping_is_no_trouble() -> None:
    """An apply leaves the mapping `Updating` for some seconds. A problem that Lambda reports counts all the same."""
    assert age(CloudWatch({}), UPDATING) == timedelta()
    assert age(CloudWatch({1: 2.5}), UPDATING) == timedelta(seconds=2.5)
    assert age(CloudWatch({}), {**UPDATING, "LastProcessingResult": "PROBLEM: no"}) == timedelta(hours=24)


@pytest.mark.parametrize(("minutes", "seen"), [(33, True), (34, False)])
def test_a_call_is_seen_when_the_one_after_it_may_have_ended(minutes: int, seen: bool) -> None:
    """The time of a point is that of the call's begin, and each call may take its whole timeout."""
    long = timedelta(minutes=14)
    assert age(CloudWatch({minutes: 900}), ENABLED, longest_call=long) == timedelta(seconds=900 if seen else 0)
    found = age(CloudWatch({}, errors={minutes: 1}), ENABLED, longest_call=long)
    assert found == timedelta(hours=6 if seen else 0)


@pytest.mark.parametrize(
    ("minutes", "proven"), [(25, True), (26, False), (40, False), (41, False), (55, False), (56, True)]
)
def test_a_call_that_fails_for_long_proves_nothing_of_its_time(minutes: int, proven: bool) -> None:
    """Other shards go on meanwhile. Calls that failed began 55, 40 and 2 minutes ago, and took up to 14 minutes."""
    watch = CloudWatch({minutes: 0, 20 * 60: 0}, errors={2: 1, 40: 1, 55: 1})
    found = age(watch, FAILING, record_age=timedelta(hours=24), longest_call=timedelta(minutes=14))
    assert found == (timedelta(minutes=minutes) if proven else timedelta(hours=20))


@pytest.mark.parametrize("mapping", STOPPED)
def test_a_stopped_mapping_counts_from_the_last_good_batch(mapping: dict[str, Any]) -> None:
    """Its own age included: what had arrived by then was not all in MySQL."""
    assert age(CloudWatch({60: 5, 50: 30}), mapping) == timedelta(minutes=50, seconds=30)


@pytest.mark.parametrize("mapping", STOPPED)
def test_a_stopped_mapping_without_a_good_batch_is_a_day_behind(mapping: dict[str, Any]) -> None:
    """Nothing says when the oldest change was made, so it may be about to be lost."""
    assert age(CloudWatch({}), mapping) == timedelta(hours=24)
    assert age(CloudWatch({25 * 60: 0}), mapping) == timedelta(hours=24)


def test_no_change_is_older_than_the_stream() -> None:
    assert age(CloudWatch({}), DISABLED, created=NOW - timedelta(hours=2)) == timedelta(hours=2)
    assert age(CloudWatch({60: 7200}), DISABLED, created=NOW - timedelta(hours=2)) == timedelta(hours=2)
    assert age(CloudWatch({}), DISABLED, created=NOW + timedelta(minutes=1)) == timedelta()


@pytest.mark.parametrize("trouble", [{"errors": {2: 1}}, {"throttles": {2: 1}}])
def test_a_failing_consumer_counts_from_the_last_good_batch(trouble: dict[str, Any]) -> None:
    """An age that another shard reports meanwhile proves nothing of the failing one."""
    assert age(CloudWatch({2: 0, 40: 0}, **trouble), ENABLED) == timedelta(minutes=40)


def test_a_period_with_an_error_proves_nothing() -> None:
    """In it, one shard may have failed while others went on."""
    watch = CloudWatch({2: 0, 15: 0, 20: 0, 90: 0}, errors={2: 1, 15: 3}, throttles={20: 1})
    assert age(watch, FAILING) == timedelta(minutes=90)


def test_a_period_of_calls_without_error_is_good() -> None:
    """CloudWatch has points of 0 for them."""
    assert age(CloudWatch({15: 0}, errors={2: 1, 15: 0}, throttles={15: 0}), FAILING) == timedelta(minutes=15)


@pytest.mark.parametrize("mapping", [ENABLED, FAILING, {"State": "Updating"}])
def test_a_called_consumer_has_no_change_past_the_record_age(mapping: dict[str, Any]) -> None:
    """Lambda gives it up then: it is in the bucket, or a pointer in the queue."""
    watch = CloudWatch({}, errors={2: 1})
    assert age(watch, mapping, record_age=timedelta(hours=6)) == timedelta(hours=6)


@pytest.mark.parametrize("mapping", STOPPED)
def test_without_calls_no_record_age_holds(mapping: dict[str, Any]) -> None:
    """A mapping that does not read the stream gives nothing up."""
    assert age(CloudWatch({}), mapping, record_age=timedelta(hours=6)) == timedelta(hours=24)


def test_errors_of_a_mapping_that_is_off_are_of_the_past() -> None:
    """It was disabled a minute ago, and gives nothing up from then on."""
    assert age(CloudWatch({}, errors={1: 1}), DISABLED, record_age=timedelta(hours=6)) == timedelta(hours=24)


@pytest.mark.parametrize(
    ("state", "on"),
    [
        ("Enabled", True),
        ("Enabling", True),
        ("Creating", True),
        ("Updating", True),
        ("Disabling", False),
        ("Disabled", False),
        ("Deleting", False),
        ("Deleted", False),
    ],
)
def test_a_mapping_on_its_way_to_enabled_is_on(state: str, *, on: bool) -> None:
    assert is_on({"State": state}) is on


@pytest.mark.parametrize(
    ("unread", "pointer", "hours"),
    [
        (0, None, 24.0),
        (6, None, 18.0),
        (24, None, 0.0),
        (30, None, 0.0),
        (0, 10, 10.0),
        (20, 10, 4.0),
        (0, -3, 0.0),
        (0, 23.5, 23.5),
    ],
)
def test_the_first_loss_counts(unread: float, pointer: float | None, hours: float) -> None:
    """The lesser of stream and queue, from 0 to 24 hours. A batch in the bucket is never lost."""
    left = None if pointer is None else timedelta(hours=pointer)
    assert hours_until_loss(timedelta(hours=unread), left) == hours


def test_a_pointer_lives_24_hours_from_its_first_record() -> None:
    assert pointer_left(NOW - timedelta(hours=14), NOW) == timedelta(hours=10)
    assert pointer_left(NOW - timedelta(hours=25), NOW) == timedelta(hours=-1)
