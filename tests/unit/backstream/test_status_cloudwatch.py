"""Measures from CloudWatch's metrics, and the reason of a failure from the log."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from backstream.status.cloudwatch_measures import CloudWatchMeasures
from backstream.status.measures import CAUSES, TOTALS
from backstream.status.snapshot import Bin, Flow
from tests.support.status import NOW

MINUTE = NOW.replace(second=0)
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
        results = [self._result(query) for query in asked["MetricDataQueries"]]
        return [{"MetricDataResults": results[:3]}, {"MetricDataResults": results[3:]}]

    def _result(self, query: dict[str, Any]) -> dict[str, Any]:
        metric, statistic = query["MetricStat"]["Metric"], query["MetricStat"]["Stat"]
        (dimension,) = metric["Dimensions"]
        assert dimension["Name"] == {"Backstream": "service", "AWS/Lambda": "FunctionName"}[metric["Namespace"]]
        name = (dimension["Value"], metric["MetricName"], statistic)
        found = sorted(self.values.get(name, {}).items())
        return {
            "Id": query["Id"],
            "StatusCode": self.status,
            "Timestamps": [MINUTE - timedelta(minutes=ago) for ago, _ in found],
            "Values": [value for _, value in found],
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
    return CloudWatchMeasures(CloudWatch(values), logs or Logs(), "consumer", ["monitor", "replayer"]).read(NOW)


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
            ("consumer", "DestinationDeliveryFailures", "Sum"): {600: 2.0, 60: 1.0},
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
    assert (found.undelivered, found.undelivered_at) == (3, at(55)), "the end of its five minutes"
    assert logs.asked == [
        {
            "logGroupName": "/aws/lambda/consumer",
            "filterPattern": '"batch not applied"',
            "startTime": int(at(3).timestamp() * 1000),
        }
    ]


@pytest.mark.parametrize("status", ["InternalError", "Forbidden"])
def test_a_metric_that_is_refused_is_no_silence(status: str) -> None:
    """CloudWatch answers all the same, without values."""
    cloudwatch = CloudWatch({})
    cloudwatch.status = status
    with pytest.raises(ValueError, match=f"CloudWatch does not answer for [a-zA-Z_]+: {status}"):
        CloudWatchMeasures(cloudwatch, Logs(), "consumer", []).read(NOW)


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


def test_what_is_asked_is_the_last_hour_and_day() -> None:
    """Each metric costs: no log is read without a failure, and a minute passes before the same is asked again."""
    cloudwatch, logs = CloudWatch({}), Logs()
    measures = CloudWatchMeasures(cloudwatch, logs, "consumer", ["replayer"])
    first = measures.read(NOW)
    assert measures.read(NOW + timedelta(seconds=59)) is first
    assert measures.read(NOW + timedelta(seconds=60)) is not first
    until = MINUTE + timedelta(minutes=1)
    spans = [(one["StartTime"], one["EndTime"]) for one in cloudwatch.asked[:2]]
    assert spans == [(until - timedelta(hours=1), until), (until - timedelta(days=1), until)]
    periods = [{query["MetricStat"]["Period"] for query in one["MetricDataQueries"]} for one in cloudwatch.asked[:2]]
    assert periods == [{60}, {300}]
    assert (len(cloudwatch.asked), logs.asked) == (4, [])
    names = [query["MetricStat"]["Metric"]["MetricName"] for query in cloudwatch.asked[0]["MetricDataQueries"]]
    more = ["lag_seconds"] * 3 + ["Errors", "Throttles", "IteratorAge", "pointer_seconds_left", "hours_until_loss"]
    assert names == [*TOTALS, *CAUSES, *more]
