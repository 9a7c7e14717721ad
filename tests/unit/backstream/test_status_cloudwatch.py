"""Measures from CloudWatch's metrics, and the reason of a failure from the log."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from backstream.status.cloudwatch_measures import CloudWatchMeasures
from backstream.status.measures import CAUSES, TOTALS
from backstream.status.snapshot import Bin, Flow
from tests.support.status import NOW

MINUTE = NOW.replace(second=0)
EPOCH = datetime.fromtimestamp(0, UTC)
# Values by namespace, metric, statistic and minutes before now.
Values = dict[tuple[str, str, str], dict[int, float]]


class Pages:
    def __init__(self, pages: Any) -> None:
        self._pages = pages

    def paginate(self, **asked: Any) -> Any:
        return self._pages(asked)


class CloudWatch:
    """Answers in two pages, with the metrics of the consumer and of the functions that measure pointers."""

    def __init__(self, values: Values) -> None:
        self.values, self.asked, self.status = values, list[dict[str, Any]](), "Complete"

    def get_paginator(self, operation: str) -> Pages:
        assert operation == "get_metric_data"
        return Pages(self._pages)

    def _pages(self, asked: dict[str, Any]) -> list[dict[str, Any]]:
        self.asked.append(asked)
        results = [self._result(query, asked) for query in asked["MetricDataQueries"]]
        return [{"MetricDataResults": results[:3]}, {"MetricDataResults": results[3:]}]

    def _result(self, query: dict[str, Any], asked: dict[str, Any]) -> dict[str, Any]:
        metric, statistic = query["MetricStat"]["Metric"], query["MetricStat"]["Stat"]
        (dimension,) = metric["Dimensions"]
        of_lambda = "EventSourceMappingUUID" if metric["MetricName"] == "DroppedEventCount" else "FunctionName"
        assert dimension["Name"] == {"Backstream": "service", "AWS/Lambda": of_lambda}[metric["Namespace"]]
        name = (dimension["Value"], metric["MetricName"], statistic)
        period = timedelta(seconds=query["MetricStat"]["Period"])
        found: dict[datetime, float] = {}
        for ago, value in sorted(self.values.get(name, {}).items()):
            start = at(ago) - (at(ago) - EPOCH) % period
            if asked["StartTime"] <= start < asked["EndTime"]:
                found[start] = found.get(start, 0) + value
        return {
            "Id": query["Id"],
            "StatusCode": self.status,
            "Timestamps": list(found),
            "Values": list(found.values()),
        }


class Logs:
    def __init__(self, *pages: list[str]) -> None:
        self.pages, self.asked = pages, list[dict[str, Any]]()

    def get_paginator(self, operation: str) -> Pages:
        assert operation == "filter_log_events"
        return Pages(self._pages)

    def _pages(self, asked: dict[str, Any]) -> list[dict[str, Any]]:
        self.asked.append(asked)
        return [{"events": [{"message": text} for text in page]} for page in self.pages]


def at(minutes: int) -> datetime:
    return MINUTE - timedelta(minutes=minutes)


def read(values: Values, logs: Logs | None = None) -> Flow:
    measures = CloudWatchMeasures(CloudWatch(values), logs or Logs(), "consumer", "uuid", ["monitor", "replayer"])
    return measures.read(NOW)


def test_no_metric_is_no_measure() -> None:
    assert read({}) == Flow(60, tuple(Bin(at(59 - number)) for number in range(60)))


def test_an_outage_is_read_from_the_metrics() -> None:
    """A sum of 0 is no event. The reason is the last one in the log since the last failure."""
    logs = Logs([], [json.dumps({"reason": "first"}), "no JSON", "{}"], [json.dumps({"reason": "second"})])
    found = read(
        {
            ("consumer", "received", "Sum"): {9: 5.0, 8: 7.0, 2: 0.0},
            ("consumer", "upserted", "Sum"): {9: 5.0},
            ("consumer", "held", "Sum"): {10: 1.0, 7: 2.0, 3: 1.0, 1: 0.0},
            ("consumer", "stopped", "Sum"): {4: 1.0},
            ("consumer", "database_unreachable", "Sum"): {3: 1.0},
            ("consumer", "lag_seconds", "p50"): {9: 0.1},
            ("consumer", "lag_seconds", "p99"): {9: 0.0},
            ("consumer", "lag_seconds", "Maximum"): {9: 0.9},
            ("consumer", "Errors", "Sum"): {3: 1.0},
            ("consumer", "Throttles", "Sum"): {5: 1.0, 1: 0.0},
            ("monitor", "hours_until_loss", "Minimum"): {2: 1.5},
            ("consumer", "IteratorAge", "Maximum"): {4: 61_500.0, 6: 1.0},
            ("monitor", "pointer_seconds_left", "Minimum"): {2: 900.0},
            ("replayer", "pointer_seconds_left", "Minimum"): {3: 100.0},
        },
        logs,
    )
    assert (found.applied, found.held, found.stopped, found.errors) == (at(8), at(3), at(4), at(3))
    assert (found.failing_since, found.reason) == (at(7), "second")
    assert found.totals == {"received": 12, "upserted": 5, "held": 4, "stopped": 1}
    assert found.causes == {"database_unreachable": at(3)}
    assert found.bins[50] == Bin(at(9), 5.0, 0.1, 0.0, 0.9)
    assert found.iterator_age_seconds == 61.5
    assert found.pointer_seconds_left == 900 - 120 - 15
    assert (found.loss_seconds_left, found.throttled) == (5_400 - 120 - 15, at(5))
    assert logs.asked == [
        {
            "logGroupName": "/aws/lambda/consumer",
            "filterPattern": '"batch not applied"',
            "startTime": int(at(3).timestamp() * 1000),
        }
    ]


@pytest.mark.parametrize(("monitor", "replayer"), [(100.0, 900.0), (900.0, 100.0)])
def test_of_two_functions_in_one_minute_the_less_time_counts(monitor: float, replayer: float) -> None:
    """Each has seen other pointers of the queue. A newer minute replaces both."""
    one = ("monitor", "pointer_seconds_left", "Minimum")
    other = ("replayer", "pointer_seconds_left", "Minimum")
    assert read({one: {2: monitor, 3: 1.0}, other: {2: replayer}}).pointer_seconds_left == 100 - 120 - 15


DAY = 24 * 60
UNDELIVERED, DROPPED = ("consumer", "DestinationDeliveryFailures", "Sum"), ("uuid", "DroppedEventCount", "Sum")


@pytest.mark.parametrize(
    ("values", "undelivered", "dropped", "ended"),
    [
        ({UNDELIVERED: {600: 2.0, 60: 1.0}}, 3, 0, 55),
        ({UNDELIVERED: {14 * DAY: 2.0}}, 2, 0, 14 * DAY - 5),
        ({UNDELIVERED: {16 * DAY: 2.0}}, 0, 0, None),
        ({DROPPED: {5 * DAY: 7.0}}, 0, 7, 5 * DAY - 5),
        ({UNDELIVERED: {62: 1.0}, DROPPED: {600: 7.0, 52: 1.0}}, 1, 8, 50),
        ({UNDELIVERED: {0: 1.0}, DROPPED: {5: 0.0}}, 1, 0, -5),
    ],
)
def test_a_lost_batch_is_seen_for_fifteen_days(
    values: Values, undelivered: int, dropped: int, ended: int | None
) -> None:
    """By the batches that Lambda could not store and the changes that it dropped. The end of five minutes counts."""
    found = read(values)
    assert (found.undelivered, found.dropped) == (undelivered, dropped)
    assert found.lost_at == (None if ended is None else at(ended))


@pytest.mark.parametrize("status", ["InternalError", "Forbidden"])
def test_a_metric_that_is_refused_is_no_silence(status: str) -> None:
    """CloudWatch answers all the same, without values."""
    cloudwatch = CloudWatch({})
    cloudwatch.status = status
    with pytest.raises(ValueError, match=f"CloudWatch does not answer for [a-zA-Z_]+: {status}"):
        CloudWatchMeasures(cloudwatch, Logs(), "consumer", "uuid", []).read(NOW)


def test_a_failure_in_the_minute_of_a_commit_may_last() -> None:
    """A metric has no order within its minute."""
    found = read({("consumer", "received", "Sum"): {1: 5.0}, ("consumer", "held", "Sum"): {1: 1.0}})
    assert found.failing_since == at(1)


def test_the_search_for_a_reason_is_bounded() -> None:
    """A page may be empty, and a log is long."""
    pages = [[json.dumps({"reason": str(number)})] for number in range(1, 13)]
    assert read({("consumer", "held", "Sum"): {1: 1.0}}, Logs(*pages)).reason == "10"


@pytest.mark.parametrize(("minutes", "age"), [(4, 2.0), (5, None)])
def test_an_old_iterator_age_says_nothing(minutes: int, age: float | None) -> None:
    """Without traffic Lambda measures none. The newest minute ends after now."""
    assert read({("consumer", "IteratorAge", "Maximum"): {minutes: 2_000.0}}).iterator_age_seconds == age


def test_what_is_asked_is_the_last_hour_and_15_days() -> None:
    """Each metric costs: no log is read without a failure, and a minute passes before the same is asked again."""
    cloudwatch, logs = CloudWatch({}), Logs()
    measures = CloudWatchMeasures(cloudwatch, logs, "consumer", "uuid", ["replayer"])
    first = measures.read(NOW)
    assert measures.read(NOW + timedelta(seconds=59)) is first
    assert measures.read(NOW + timedelta(seconds=60)) is not first
    until = MINUTE + timedelta(minutes=1)
    spans = [(one["StartTime"], one["EndTime"]) for one in cloudwatch.asked[:2]]
    next_hour = NOW.replace(minute=0, second=0) + timedelta(hours=1)
    assert spans == [(until - timedelta(hours=1), until), (next_hour - timedelta(days=15), next_hour)]
    periods = [{query["MetricStat"]["Period"] for query in one["MetricDataQueries"]} for one in cloudwatch.asked[:2]]
    assert periods == [{60}, {3_600}]
    assert (len(cloudwatch.asked), logs.asked) == (4, [])
    names = [query["MetricStat"]["Metric"]["MetricName"] for query in cloudwatch.asked[0]["MetricDataQueries"]]
    more = ["lag_seconds"] * 3 + ["Errors", "Throttles", "IteratorAge", "pointer_seconds_left", "hours_until_loss"]
    assert names == [*TOTALS, *CAUSES, *more]
