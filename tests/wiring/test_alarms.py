"""Alarms and dashboard: each watches what exists, says what to do, and is found when it is put in wrongly."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from decimal import Decimal

import pytest
from test_docs import ROOT, heading_anchors
from test_terraform_wiring import MOCKS_SINCE, version

from tests.support.alarm_conditions import DataPoint, is_true, watched
from tests.support.alarm_plans import named, one
from tests.support.alarm_rules import (
    COMPOSITE_ALARM,
    DASHBOARD,
    METRIC_ALARM,
    alarm_faults,
    composite_faults,
    dashboard_faults,
    short_name,
)
from tests.support.metrics import AWS
from tests.support.outage_metrics import MINUTE, outage, quiet
from tests.support.plans import Planned

pytestmark = pytest.mark.skipif(version() < MOCKS_SINCE, reason="terraform test overrides data from Terraform 1.7 on")

RUNBOOK = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
HEADINGS = heading_anchors(RUNBOOK)
RECORD_AGES = {"defaults": 21_600, "everything": 21_600, "local": 60, "smallest": 60, "largest": 82_800}


@pytest.fixture(scope="module")
def planned(planned_alarms: list[Planned]) -> list[Planned]:
    return planned_alarms


def thresholds(planned: list[Planned], variant: str, *names: str) -> list[float]:
    found = named(planned, variant)
    return [found[name].values["threshold"] for name in names]


def test_every_alarm_obeys_the_rules(planned: list[Planned]) -> None:
    """Its metric exists, its link leads somewhere, somebody is told, and missing data does not ring."""
    assert alarm_faults(planned, HEADINGS) == []


def test_the_composite_alarm_names_alarms_that_exist(planned: list[Planned]) -> None:
    assert composite_faults(planned) == []


def test_every_widget_obeys_the_rules(planned: list[Planned]) -> None:
    """It asks a question, shows metrics that exist, and has a place of its own in the grid."""
    assert dashboard_faults(planned, HEADINGS) == []


def test_an_alarm_for_what_is_off_is_not_created(planned: list[Planned]) -> None:
    optional = {
        "critical-pointers",
        "page-heartbeat-late",
        "warning-proxy-borrow",
        "warning-proxy-connections",
        "warning-unverified",
    }
    assert set(named(planned, "everything")) - set(named(planned, "defaults")) == optional
    assert set(named(planned, "own_topic")) - set(named(planned, "defaults")) == {
        "warning-proxy-borrow",
        "warning-proxy-connections",
    }


def test_without_alarms_there_is_nothing(planned: list[Planned]) -> None:
    kinds = (METRIC_ALARM, COMPOSITE_ALARM, DASHBOARD, "aws_sns_topic", "aws_sns_topic_policy")
    assert [found.address for found in planned if found.plan == "none" and found.type in kinds] == []


def test_a_topic_of_ones_own_is_used(planned: list[Planned]) -> None:
    told = {tuple(alarm.values["alarm_actions"]) for alarm in named(planned, "own_topic").values()}
    assert told == {("arn:aws:sns:eu-west-1:123456789012:own",)}
    assert [found for found in planned if found.plan == "own_topic" and found.type == "aws_sns_topic"] == []


def test_only_addresses_that_are_given_get_mails(planned: list[Planned]) -> None:
    found = [(one.plan, one.values["endpoint"]) for one in planned if one.type == "aws_sns_topic_subscription"]
    assert found == [("everything", "oncall@example.com")]


@pytest.mark.parametrize(("variant", "record_age"), RECORD_AGES.items(), ids=RECORD_AGES)
def test_the_iterator_age_rings_before_a_batch_is_given_up(
    planned: list[Planned], variant: str, record_age: int
) -> None:
    """Three tiers in order, in milliseconds. The last one leaves a quarter of the record age."""
    tiers = thresholds(planned, variant, *(f"{tier}-iterator-age" for tier in ("warning", "page", "critical")))
    assert tiers == [
        1000 * min(300, record_age / 8),
        1000 * record_age / 4,
        1000 * min(43_200, record_age * 3 / 4),
    ]


@pytest.mark.parametrize("variant", ["everything", "smallest"])
def test_pointers_ring_between_arrival_and_expiry(planned: list[Planned], variant: str) -> None:
    """A pointer arrives with 24 hours less the record age."""
    (threshold,) = thresholds(planned, variant, "critical-pointers")
    assert 0 < threshold < 86_400 - RECORD_AGES[variant]


@pytest.mark.parametrize(
    ("variant", "hours"),
    [("everything", 2 * 12 * 10), ("smallest", 24), ("largest", 2 * 7 * 24 * 9999)],
)
def test_two_rounds_may_pass_unverified(planned: list[Planned], variant: str, hours: int) -> None:
    """A cron expression counts as weekly, and the least is a day."""
    assert thresholds(planned, variant, "warning-unverified") == [hours * 3600]


def test_the_composite_alarm_has_what_endangers_data(planned: list[Planned]) -> None:
    """Every critical alarm, and every page but for records that are set aside, whose item goes on."""
    composite = one(planned, "everything", COMPOSITE_ALARM)
    children = {short_name(replace_name(name)) for name in re.findall(r'"([^"]+)"', composite.values["alarm_rule"])}
    of_pipeline = {
        name
        for name, alarm in named(planned, "everything").items()
        if alarm.address.startswith("module.pipeline.aws_cloudwatch_metric_alarm")
    }
    urgent = {name for name in of_pipeline if not name.startswith("warning-")}
    set_aside = {name for name in urgent if name.startswith(("page-parked", "page-unknown"))}
    assert set_aside
    assert children == urgent - set_aside


def replace_name(name: str) -> Planned:
    return Planned("named", name, METRIC_ALARM, {"alarm_name": name})


def test_the_runbook_lists_every_alarm(planned: list[Planned]) -> None:
    """Its table has each name, with the link of the alarm's description."""
    listed: dict[str, str] = {}
    table = RUNBOOK.split("## The alarms\n")[1].split("\n## ")[0]
    for row in re.findall(r"^\| (`.+) \|$", table, re.MULTILINE):
        names, *_, link = row.split(" | ")
        listed |= dict.fromkeys(re.findall(r"`([a-z-]+)`", names), re.findall(r"\(#([a-z-]+)\)", link)[-1])
    planned_links = {
        name: alarm.values["alarm_description"].rpartition("#")[2]
        for name, alarm in named(planned, "everything").items()
    }
    assert listed | {"critical-replication-at-risk": "the-alarms"} == planned_links


def test_the_runbook_says_what_the_alarms_cost(planned: list[Planned]) -> None:
    """CloudWatch charges for each metric that an alarm reads, 0.10 USD a month, and 0.50 USD for a composite alarm."""
    metrics = [
        metric
        for one in planned
        if one.type == METRIC_ALARM and one.plan == "defaults"
        for metric in watched(one.values)
    ]
    cost = Decimal("0.10") * len(metrics) + Decimal("0.50")
    said = re.findall(r"read (\d+) metrics.*?(\d+\.\d+) USD", RUNBOOK, re.DOTALL)
    assert said == [(str(len(metrics)), str(cost))]


def test_the_runbook_is_linked_where_it_is(planned: list[Planned]) -> None:
    described = {alarm.values["alarm_description"] for alarm in named(planned, "own_topic").values()}
    body = one(planned, "own_topic", DASHBOARD).values["dashboard_body"]
    assert all(" Runbook: https://wiki.example/runbook#" in text for text in described)
    assert "(https://wiki.example/runbook#an-outage)" in body
    assert "docs/runbook.md" not in body


def test_every_metric_of_aws_is_used(planned: list[Planned]) -> None:
    """A documented metric that nothing reads would stay in the table for ever."""
    text = json.dumps([dict(one.values) for one in planned if one.type in (METRIC_ALARM, DASHBOARD)])
    documented = {name for groups in AWS.values() for group in groups for name in group.names}
    assert {name for name in documented if not re.search(rf"\b{name}\b", text)} == set()


def test_names_fit(planned: list[Planned]) -> None:
    """CloudWatch takes 255 characters. The prefix has 26 at most without the name of a pipeline, which adds 31."""
    assert max(len(name) for name in named(planned, "everything")) + 26 + 31 < 255


def ringing(planned: list[Planned], points: list[DataPoint], minute: int) -> set[str]:
    """The alarms of a default deployment whose conditions are true."""
    metric_alarms = {name: one for name, one in named(planned, "defaults").items() if one.type == METRIC_ALARM}
    return {name for name, one in metric_alarms.items() if is_true(one.values, points, minute * MINUTE)}


LATE = {"warning-iterator-age", "warning-consumer-errors"}


@pytest.mark.parametrize(
    ("minute", "rings"),
    [
        (4, set()),
        (20, LATE),
        (100, LATE | {"page-iterator-age"}),
        (280, LATE | {"page-iterator-age", "critical-iterator-age"}),
        (400, LATE | {"page-iterator-age", "critical-iterator-age", "warning-batches-waiting"}),
        (440, LATE | {"page-iterator-age", "critical-iterator-age", "warning-batches-waiting", "page-oldest-batch"}),
        (520, set()),
    ],
)
def test_an_outage_rings_louder_until_it_ends(planned: list[Planned], minute: int, rings: set[str]) -> None:
    """MySQL is away for 480 minutes. Batches are given up after 360, and replayed ten minutes after its return."""
    early = quiet(20)
    shifted = [replace(point, time=point.time - 20 * MINUTE) for point in early]
    assert ringing(planned, shifted + outage(minute), minute) == rings


def test_a_monitor_that_emits_nothing_rings(planned: list[Planned]) -> None:
    """The only alarm of a default deployment that rings without data."""
    assert ringing(planned, quiet(20, monitor=False), 20) == {"page-monitor-silent"}
    assert ringing(planned, [], 20) == {"page-monitor-silent"}


def test_a_disabled_mapping_is_no_silent_monitor(planned: list[Planned]) -> None:
    """The monitor says 0, and goes on."""
    points = [replace(point, value=0) if point.name == "mapping_enabled" else point for point in quiet(20)]
    assert ringing(planned, points, 20) == {"page-mapping-disabled"}


@pytest.mark.parametrize(
    ("seconds", "rings"),
    [
        ([1, 1, 1], False),
        ([300, 300, 300], False),
        ([301, 301, 301], True),
        ([301, 1, 301], False),
        ([1, None, None], False),
        ([None, None, None], True),
        ([None, 301, None], True),
        ([None, None, 1], False),
    ],
)
def test_a_heartbeat_that_stays_away_rings(planned: list[Planned], seconds: list[int | None], *, rings: bool) -> None:
    """In an outage none is committed, so none has a time. Three periods of five minutes, the oldest first."""
    alarm = named(planned, "everything")["page-heartbeat-late"].values
    (metric,) = watched(alarm).values()
    points = [
        DataPoint(metric.namespace, metric.name, metric.dimensions, period * 300 + 1, value)
        for period, value in enumerate(seconds)
        if value is not None
    ]
    assert is_true(alarm, points, 900) is rings


def test_a_quiet_deployment_does_not_ring(planned: list[Planned]) -> None:
    assert ringing(planned, quiet(20), 20) == set()


@pytest.mark.parametrize(
    ("hours", "rings"), [([1000, 1000, 1000], False), ([1001, 1001, 1001], True), ([1001, -1001, 1001], False)]
)
def test_a_batch_in_flight_does_not_ring(planned: list[Planned], hours: list[int], *, rings: bool) -> None:
    """Polled less invoked in each of three hours, for batches of at most 1000 and one lane."""
    alarm = named(planned, "defaults")["critical-unaccounted-events"].values
    metrics = watched(alarm)
    points = [
        DataPoint(metrics[name].namespace, metrics[name].name, metrics[name].dimensions, hour * 3600 + 1, value)
        for hour, difference in enumerate(hours)
        for name, value in {"polled": 5000 + difference, "invoked": 5000}.items()
    ]
    assert is_true(alarm, points, 3 * 3600) is rings
