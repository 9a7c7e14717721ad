"""An alarm or a widget that is put in wrongly is found."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from test_alarms import HEADINGS
from test_terraform_wiring import MOCKS_SINCE, version

from tests.support.alarm_plans import named, one
from tests.support.alarm_rules import COMPOSITE_ALARM, DASHBOARD, alarm_faults, composite_faults, dashboard_faults
from tests.support.plans import Planned

pytestmark = pytest.mark.skipif(version() < MOCKS_SINCE, reason="terraform test overrides data from Terraform 1.7 on")


@pytest.fixture(scope="module")
def planned(planned_alarms: list[Planned]) -> list[Planned]:
    return planned_alarms


def wrong_metric(values: dict[str, Any]) -> None:
    values["metric_name"] = "parkd"


def wrong_service(values: dict[str, Any]) -> None:
    values["dimensions"] = {"service": "backstream-test-consumer"}


def metric_of_another_function(values: dict[str, Any]) -> None:
    values["dimensions"] = {"service": "backstream-test-monitor"}


def wrong_dimension(values: dict[str, Any]) -> None:
    values["dimensions"] = {"FunctionName": "backstream-test-stream-consumer"}


def wrong_metric_of_aws(values: dict[str, Any]) -> None:
    values |= {"namespace": "AWS/Lambda", "metric_name": "Error", "dimensions": {"FunctionName": "f"}}


def wrong_dimension_of_aws(values: dict[str, Any]) -> None:
    values |= {"namespace": "AWS/Lambda", "metric_name": "Errors", "dimensions": {"service": "f"}}


def missing_heading(values: dict[str, Any]) -> None:
    values["alarm_description"] = "It rings. Runbook: docs/runbook.md#no-such-heading"


def no_link(values: dict[str, Any]) -> None:
    values["alarm_description"] = "It rings."


def ringing_without_data(values: dict[str, Any]) -> None:
    values["treat_missing_data"] = "breaching"


def no_action(values: dict[str, Any]) -> None:
    values["alarm_actions"] = []


def no_end(values: dict[str, Any]) -> None:
    values["ok_actions"] = []


def disabled(values: dict[str, Any]) -> None:
    values["actions_enabled"] = False


def no_severity(values: dict[str, Any]) -> None:
    values["alarm_name"] = "backstream-test-stopped"


def another_severity(values: dict[str, Any]) -> None:
    values["tags"] = {"Severity": "warning"}


def too_long(values: dict[str, Any]) -> None:
    values["evaluation_periods"] = 289


def too_many_datapoints(values: dict[str, Any]) -> None:
    values["datapoints_to_alarm"] = 4


MISTAKES: dict[Callable[[dict[str, Any]], None], str] = {
    wrong_metric: "docs/metrics.md lists no parkd of the consumer",
    wrong_service: "no function that emits metrics is called backstream-test-consumer",
    metric_of_another_function: "docs/metrics.md lists no stopped of the monitor",
    wrong_dimension: "stopped has the dimension service, not ['FunctionName']",
    wrong_metric_of_aws: "AWS/Lambda has no metric Error in tests/support/metrics.py",
    wrong_dimension_of_aws: "Errors has the dimensions ['FunctionName'], not ['service']",
    missing_heading: "its description links to no heading of the runbook",
    no_link: "its description links to no heading of the runbook",
    ringing_without_data: "missing data is breaching",
    no_action: "nobody is told that it rings, or that it is over",
    no_end: "nobody is told that it rings, or that it is over",
    disabled: "its actions are disabled",
    no_severity: "the name has no severity, or the tag has another one",
    another_severity: "the name has no severity, or the tag has another one",
    too_long: "CloudWatch evaluates no 289 periods of [300] s",
    too_many_datapoints: "4 of 3 periods cannot breach",
}


@pytest.mark.parametrize(("mistake", "error"), MISTAKES.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_a_wrong_alarm_is_found(planned: list[Planned], mistake: Callable[[dict[str, Any]], None], error: str) -> None:
    alarm = named(planned, "defaults")["page-consumer-stopped"]
    values = dict(alarm.values)
    mistake(values)
    assert [fault.error for fault in alarm_faults([replace(alarm, values=values)], HEADINGS)] == [error]


@pytest.mark.parametrize(
    ("name", "old", "new", "error"),
    [
        (
            "page-parked-by-consumer",
            "FILL(deferred, 0)",
            "0",
            "the expression uses ['parked'] of ['deferred', 'parked']",
        ),
        (
            "page-parked-by-consumer",
            '"return_data": true',
            '"return_data": false',
            "an alarm watches the result of one expression",
        ),
        ("page-parked-by-consumer", '"period": 300', '"period": 90', "CloudWatch evaluates no 12 periods of [90] s"),
        (
            "warning-throttled-reads",
            "FILL(throttled, 0)",
            "throttled",
            "an alarm on a metric of DynamoDB keeps its state while data is missing, unless FILL gives a value",
        ),
        ("critical-unaccounted-events", '"stat": "Sum"', '"stat": "Sum"', ""),
        ("page-monitor-silent", "breaching", "notBreaching", "missing data is notBreaching"),
        ("critical-replication-at-risk", "the-alarms", "nothing", "its description links to no heading of the runbook"),
    ],
)
def test_a_wrong_text_is_found(planned: list[Planned], name: str, old: str, new: str, error: str) -> None:
    """The last but two is right, and stays so."""
    alarm = named(planned, "defaults")[name]
    text = json.dumps(dict(alarm.values))
    assert old in text
    changed = replace(alarm, values=json.loads(text.replace(old, new)))
    assert [fault.error for fault in alarm_faults([changed], HEADINGS)] == [error] * bool(error)


def test_two_alarms_of_one_name_are_found(planned: list[Planned]) -> None:
    """CloudWatch would replace the first one."""
    alarm = named(planned, "defaults")["page-consumer-stopped"]
    assert [fault.error for fault in alarm_faults([alarm, alarm], HEADINGS)] == ["two alarms have this name"]


def test_a_composite_alarm_of_a_missing_alarm_is_found(planned: list[Planned]) -> None:
    composite = one(planned, "defaults", COMPOSITE_ALARM)
    errors = [fault.error for fault in composite_faults([composite])]
    assert "it names backstream-test-critical-iterator-age, which does not exist" in errors
    assert [fault.error for fault in composite_faults([with_rule(composite, "FALSE")])] == ["it names 0 alarms"]
    many = " OR ".join(['ALARM("a")'] * 101)
    assert "it names 101 alarms" in [fault.error for fault in composite_faults([with_rule(composite, many)])]


def with_rule(composite: Planned, rule: str) -> Planned:
    return replace(composite, values={**composite.values, "alarm_rule": rule})


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ('"y": 0', '"y": 1', "two widgets overlap"),
        ('"x": 12', '"x": 13', "What to do first: it is outside of the 24 columns"),
        ('"title": "Does anything ring?"', '"title": "Alarms"', "Alarms: the title asks no question"),
        ("#an-outage", "#nowhere", "What to do first: the runbook has no heading nowhere"),
        (
            "lag_seconds",
            "lag",
            "How long does a change take to reach MySQL?: docs/metrics.md lists no lag of the consumer",
        ),
        (
            '"metrics": [["AWS/Lambda", "IteratorAge"',
            '"metrics": [["AWS/Lambda", "Iterator"',
            "AWS/Lambda has no metric Iterator",
        ),
    ],
)
def test_a_wrong_widget_is_found(planned: list[Planned], old: str, new: str, error: str) -> None:
    dashboard = one(planned, "defaults", DASHBOARD)
    text = json.dumps(json.loads(dashboard.values["dashboard_body"]))
    assert old in text
    changed = replace(dashboard, values={**dashboard.values, "dashboard_body": text.replace(old, new)})
    assert any(error in fault.error for fault in dashboard_faults([changed], HEADINGS))


def test_an_empty_widget_is_found(planned: list[Planned]) -> None:
    dashboard = one(planned, "defaults", DASHBOARD)
    body = json.loads(dashboard.values["dashboard_body"])
    empty = next(widget for widget in body["widgets"] if widget["type"] == "metric")
    empty["properties"]["metrics"] = []
    changed = replace(dashboard, values={**dashboard.values, "dashboard_body": json.dumps(body)})
    assert [fault.error for fault in dashboard_faults([changed], HEADINGS)] == [
        f"{empty['properties']['title']}: it shows nothing"
    ]
