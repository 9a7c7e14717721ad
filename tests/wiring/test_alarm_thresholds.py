"""At which value, and after how many minutes, each alarm rings."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from test_terraform_wiring import MOCKS_SINCE, version

from tests.support.alarm_conditions import DataPoint, is_true, watched
from tests.support.alarm_plans import named
from tests.support.alarm_rules import METRIC_ALARM
from tests.support.plans import Planned

pytestmark = pytest.mark.skipif(version() < MOCKS_SINCE, reason="terraform test overrides data from Terraform 1.7 on")

NOW = 1_000_000_200


class Rings(NamedTuple):
    """The last value that is fine, the first that is not, and for how many minutes it must stay, in 5-minute periods.

    Values of several metrics have their names in the expression.
    """

    fine: float | dict[str, float]
    breaching: float | dict[str, float]
    minutes: int


AT_ONCE, TWICE, LASTING = 5, 10, 15
EVENT = Rings(0, 1, AT_ONCE)
PARKED = Rings({"parked": 2, "deferred": 2}, {"parked": 2, "deferred": 1}, AT_ONCE)
JOBS = [
    f"warning-{job}-{end}" for job in ("load", "prune", "seed", "verify") for end in ("aborted", "failed", "timed-out")
]
FUNCTIONS = ("dlq-replayer", "monitor", "reconciler", "stream-consumer")
TABLES = ("idempotency-reads", "idempotency-writes", "reads", "writes")
ALARMS = {
    "critical-clock-tripped-in-consumer": EVENT,
    "critical-clock-tripped-in-replay": EVENT,
    "critical-destination-delivery": EVENT,
    "critical-dropped-events": EVENT,
    "critical-hours-until-loss": Rings(6, 5.99, LASTING),
    "critical-iterator-age": Rings(16_200_000, 16_200_001, AT_ONCE),
    "critical-pointers": Rings(21_600, 21_599, AT_ONCE),
    "page-api-errors": Rings(5, 6, TWICE),
    "page-consumer-stopped": EVENT,
    "page-expired-ranges": EVENT,
    "page-iterator-age": Rings(5_400_000, 5_400_001, AT_ONCE),
    "page-mapping-disabled": Rings(1, 0, LASTING),
    "page-not-invoked": Rings(0, 1, TWICE),
    "page-oldest-batch": Rings(3600, 3601, LASTING),
    "page-parked-by-consumer": PARKED,
    "page-parked-by-replay": PARKED,
    "page-replay-failed": Rings(0, 1, TWICE),
    "page-throttled-api": Rings(0, 1, TWICE),
    "page-throttled-api-authorizer": Rings(0, 1, TWICE),
    "page-unknown-error-in-consumer": EVENT,
    "page-unknown-error-in-replay": EVENT,
    "warning-api-latency": Rings(3000, 3001, LASTING),
    "warning-batches-waiting": Rings(0, 1, LASTING),
    "warning-consumer-errors": Rings(0, 1, TWICE),
    "warning-deferred": Rings(86_400, 86_401, LASTING),
    "warning-drift": Rings({"drift": 0, "refused": 0}, {"drift": 0, "refused": 1}, AT_ONCE),
    "warning-iterator-age": Rings(300_000, 300_001, AT_ONCE),
    "warning-monitor-errors": Rings(0, 1, TWICE),
    "warning-proxy-borrow": Rings(1_000_000, 1_000_001, LASTING),
    "warning-proxy-connections": Rings({"open": 80, "allowed": 100}, {"open": 81, "allowed": 100}, LASTING),
    "warning-quarantine": Rings(0, 1, LASTING),
    "warning-replay-problems": EVENT,
    "warning-unverified": Rings(864_000, 864_001, LASTING),
    **dict.fromkeys(JOBS, EVENT),
    **{f"warning-throttled-{function}": Rings(0, 1, TWICE) for function in FUNCTIONS},
    **{f"warning-throttled-{table}": Rings({"throttled": 0}, {"throttled": 1}, TWICE) for table in TABLES},
}
# Tests of their own, in test_alarms.py.
ELSEWHERE = {"critical-unaccounted-events", "page-heartbeat-late", "page-monitor-silent"}


@pytest.fixture(scope="module")
def metric_alarms(planned_alarms: list[Planned]) -> dict[str, Planned]:
    found = named(planned_alarms, "everything")
    return {name: alarm for name, alarm in found.items() if alarm.type == METRIC_ALARM}


def points(alarm: Planned, values: float | dict[str, float], periods: int) -> list[DataPoint]:
    """The values in each of the newest periods."""
    given = values if isinstance(values, dict) else {"": values}
    metrics = {name: watched(alarm.values)[name] for name in given}
    return [
        DataPoint(metric.namespace, metric.name, metric.dimensions, NOW - period * metric.period - 1, given[name])
        for period in range(periods)
        for name, metric in metrics.items()
    ]


def test_every_alarm_has_its_threshold_here(metric_alarms: dict[str, Planned]) -> None:
    assert set(metric_alarms) == set(ALARMS) | ELSEWHERE


@pytest.mark.parametrize(("name", "rings"), ALARMS.items(), ids=ALARMS)
def test_an_alarm_rings_at_its_threshold(metric_alarms: dict[str, Planned], name: str, rings: Rings) -> None:
    alarm, needed = metric_alarms[name], rings.minutes // 5
    assert is_true(alarm.values, points(alarm, rings.breaching, needed), NOW)
    assert not is_true(alarm.values, points(alarm, rings.breaching, needed - 1), NOW)
    assert not is_true(alarm.values, points(alarm, rings.fine, 12), NOW)


@pytest.mark.parametrize("name", sorted(name for name, rings in ALARMS.items() if rings is EVENT))
def test_a_single_event_stays_visible(metric_alarms: dict[str, Planned], name: str) -> None:
    """For an hour, or for a quarter of one where the event repeats while its cause lasts."""
    alarm = metric_alarms[name]
    minutes = 15 if name == "page-consumer-stopped" else 60
    (event,) = points(alarm, 1, 1)
    assert is_true(alarm.values, [event], NOW + (minutes - 5) * 60)
    assert not is_true(alarm.values, [event], NOW + minutes * 60)
