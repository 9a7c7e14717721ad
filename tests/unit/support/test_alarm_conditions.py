"""The evaluator of alarms decides as CloudWatch documents it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.alarm_conditions import DataPoint, emitted, is_true

NOW = 1_000_000.0
SERVICE = {"service": "consumer"}


def alarm(**changed: Any) -> dict[str, Any]:
    """Rings when the sum of `parked` is above 0 in the last five minutes."""
    given = {
        "namespace": "Backstream",
        "metric_name": "parked",
        "dimensions": SERVICE,
        "statistic": "Sum",
        "period": 300,
        "evaluation_periods": 1,
        "datapoints_to_alarm": 1,
        "comparison_operator": "GreaterThanThreshold",
        "threshold": 0,
        "treat_missing_data": "notBreaching",
    }
    return given | changed


def point(value: float, ago: float = 1, name: str = "parked", **dimensions: str) -> DataPoint:
    return DataPoint("Backstream", name, dimensions or SERVICE, NOW - ago, value)


def calculated(expression: str, *names: str, **changed: Any) -> dict[str, Any]:
    metrics = [
        {
            "id": name,
            "metric": [
                {
                    "namespace": "Backstream",
                    "metric_name": name,
                    "dimensions": SERVICE,
                    "stat": "Sum",
                    "period": 300,
                }
            ],
        }
        for name in names
    ]
    return alarm(**changed) | {"metric_query": [{"id": "watched", "expression": expression}, *metrics]}


@pytest.mark.parametrize(
    ("values", "statistic", "threshold"),
    [
        ([1, 2, 9], "Sum", 11),
        ([1, 2, 9], "Average", 3),
        ([1, 2, 9], "Maximum", 8),
        ([1, 2, 9], "Minimum", 0),
        ([1, 2, 9], "SampleCount", 2),
        ([1, 2, 9], "p50", 1),
        ([1, 2, 9], "p99", 8),
    ],
)
def test_a_statistic_is_compared(values: list[float], statistic: str, threshold: float) -> None:
    """Each threshold is one below the value of the statistic."""
    points = [point(value) for value in values]
    assert is_true(alarm(statistic=statistic, threshold=threshold), points, NOW)
    assert not is_true(alarm(statistic=statistic, threshold=threshold + 1), points, NOW)


@pytest.mark.parametrize(
    ("comparison", "below", "equal", "above"),
    [
        ("GreaterThanThreshold", False, False, True),
        ("GreaterThanOrEqualToThreshold", False, True, True),
        ("LessThanThreshold", True, False, False),
        ("LessThanOrEqualToThreshold", True, True, False),
    ],
)
def test_every_comparison(comparison: str, *, below: bool, equal: bool, above: bool) -> None:
    rings = [is_true(alarm(comparison_operator=comparison, threshold=5), [point(value)], NOW) for value in (4, 5, 6)]
    assert rings == [below, equal, above]


def test_a_percentile_is_read_from_its_own_attribute() -> None:
    watching = alarm(statistic=None, extended_statistic="p99", threshold=8)
    assert is_true(watching, [point(1), point(9)], NOW)


@pytest.mark.parametrize(
    "other",
    [
        point(1, name="deferred"),
        point(1, service="replayer"),
        DataPoint("AWS/Lambda", "parked", SERVICE, NOW - 1, 1),
        point(1, ago=301),
        point(1, ago=0),
    ],
    ids=["name", "dimensions", "namespace", "too old", "too new"],
)
def test_another_value_does_not_count(other: DataPoint) -> None:
    assert not is_true(alarm(), [other], NOW)


def test_a_value_at_the_start_of_the_period_counts() -> None:
    assert is_true(alarm(), [point(1, ago=300)], NOW)


@pytest.mark.parametrize(("missing", "rings"), [("notBreaching", False), ("breaching", True)])
def test_missing_data_is_treated_as_planned(missing: str, *, rings: bool) -> None:
    assert is_true(alarm(treat_missing_data=missing), [], NOW) is rings


def test_a_treatment_that_keeps_a_state_is_refused() -> None:
    with pytest.raises(ValueError, match="missing data is treated as ignore"):
        is_true(alarm(treat_missing_data="ignore"), [], NOW)


@pytest.mark.parametrize(
    ("ages", "rings"),
    [([0], False), ([0, 2], True), ([0, 1, 2], True), ([0, 3], False)],
)
def test_enough_periods_must_breach(ages: list[int], *, rings: bool) -> None:
    """Two of the newest three."""
    points = [point(1, ago=age * 300 + 1) for age in ages]
    assert is_true(alarm(evaluation_periods=3, datapoints_to_alarm=2), points, NOW) is rings


def test_without_a_number_every_period_must_breach() -> None:
    watching = alarm(evaluation_periods=2, datapoints_to_alarm=None)
    assert not is_true(watching, [point(1)], NOW)
    assert is_true(watching, [point(1), point(1, ago=301)], NOW)


@pytest.mark.parametrize(
    ("parked", "deferred", "rings"),
    [([2], [2], False), ([2], [1], True), ([2], [], True), ([], [], False), ([], [1], False)],
)
def test_fill_replaces_a_missing_operand(parked: list[float], deferred: list[float], *, rings: bool) -> None:
    """Without the other operand there is no value, and missing data does not ring."""
    watching = calculated("parked - FILL(deferred, 0)", "parked", "deferred")
    points = [point(value) for value in parked] + [point(value, name="deferred") for value in deferred]
    assert is_true(watching, points, NOW) is rings


def test_a_quotient_is_calculated() -> None:
    watching = calculated("100 * open / allowed", "open", "allowed", threshold=80)
    assert is_true(watching, [point(9, name="open"), point(10, name="allowed")], NOW)
    assert not is_true(watching, [point(8, name="open"), point(10, name="allowed")], NOW)
    assert not is_true(watching, [point(8, name="open"), point(0, name="allowed")], NOW)


def test_a_sum_is_calculated() -> None:
    watching = calculated("parked + deferred", "parked", "deferred", threshold=2)
    assert is_true(watching, [point(1), point(2, name="deferred")], NOW)


@pytest.mark.parametrize("expression", ["RATE(parked)", "parked > 1", "other", "parked ** 2", "FILL(parked)"])
def test_unknown_math_is_refused(expression: str) -> None:
    with pytest.raises(ValueError, match="is not metric math"):
        is_true(calculated(expression, "parked"), [point(1)], NOW)


def test_an_unknown_statistic_is_refused() -> None:
    with pytest.raises(ValueError, match="TM90 is no statistic"):
        is_true(alarm(statistic="TM90"), [point(1)], NOW)


def test_values_are_read_from_log_lines() -> None:
    """A list has several values of one metric."""
    line = {
        "_aws": {
            "Timestamp": 1_500,
            "CloudWatchMetrics": [
                {
                    "Namespace": "Backstream",
                    "Dimensions": [["service"]],
                    "Metrics": [{"Name": "parked", "Unit": "Count"}, {"Name": "lag_seconds", "Unit": "Seconds"}],
                }
            ],
        },
        "service": "consumer",
        "parked": [2.0],
        "lag_seconds": [1.0, 3.0],
    }
    assert list(emitted(json.dumps(line))) == [
        DataPoint("Backstream", "parked", SERVICE, 1.5, 2.0),
        DataPoint("Backstream", "lag_seconds", SERVICE, 1.5, 1.0),
        DataPoint("Backstream", "lag_seconds", SERVICE, 1.5, 3.0),
    ]


@pytest.mark.parametrize("line", ["START RequestId: 1", '{"message": "batch applied"}', "[1]", ""])
def test_another_line_has_no_values(line: str) -> None:
    assert list(emitted(line)) == []
