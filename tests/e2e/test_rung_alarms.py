"""What needs a person makes the conditions of its alarms true, and its end makes them false again.

The conditions are computed from what a deployed stack emitted. They are those of one period, with the values of one
phase of the story alone. An alarm needs up to three periods of five minutes, for which no test waits:
tests/unit/support/test_alarm_conditions.py has the rules for several periods.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from common.layout import PARKED
from scripts.local_stack.process import poll
from tests.e2e.alarms import Alarms
from tests.e2e.deployed import ARRIVAL, Deployed
from tests.e2e.replays import FAILED_WITHIN, Failures, Operator, stream_is_drained

WAITING = {"warning-batches-waiting", "page-oldest-batch"}
STOPPED = {"page-consumer-stopped"}
# MiniStack does not count the calls of an event source mapping that fail.
FAILING = {"warning-consumer-errors"}
# Records that a pointer names are lost with the stream's retention. The bucket has whole records.
EXPIRING = {"critical-pointers", "critical-hours-until-loss"}


@pytest.fixture(scope="module")
def alarms(stack: Deployed) -> Alarms:
    return Alarms(stack)


@pytest.fixture(scope="module")
def failures(stack: Deployed) -> Failures:
    return Failures(stack, stack.outputs)


@pytest.fixture(scope="module")
def operator(stack: Deployed) -> Operator:
    return Operator(stack)


@pytest.fixture(autouse=True, scope="module")
def nothing_is_parked(failures: Failures) -> None:
    """Other tests leave parked records, which ring."""
    failures.remove(*PARKED)


@pytest.fixture
def refusing(stack: Deployed) -> Iterator[str]:
    """A merchant whose rows MySQL refuses."""
    stack.execute(
        "CREATE TRIGGER refuse_alarming BEFORE INSERT ON tbl_orders FOR EACH ROW"
        " IF NEW.merchant_id = 'merchant-alarming' THEN SIGNAL SQLSTATE '45000'; END IF",
    )
    yield "merchant-alarming"
    stack.execute("DROP TRIGGER IF EXISTS refuse_alarming")


def require(alarms: Alarms, expected: set[str], since: float) -> None:
    """Fails with the alarms whose conditions differ."""
    if not alarms.become(expected, since):
        assert alarms.ringing(since) == expected


def require_quiet(stack: Deployed, alarms: Alarms) -> None:
    """A new change reaches MySQL, and no condition is true for what is emitted from now on."""
    since = time.time()
    stack.create()
    assert stack.settles()
    assert poll(lambda: "upserted" in {point.name for point in alarms.emitted(since)}, ARRIVAL, interval=1)
    require(alarms, set(), since)


def test_an_outage_rings_and_its_end_is_quiet(
    stack: Deployed, alarms: Alarms, failures: Failures, operator: Operator
) -> None:
    """MySQL is away for longer than the record age, then refuses the login, and is back. A replay ends it."""
    rings = WAITING | (EXPIRING if failures.has_queue else set()) | (FAILING if stack.is_localstack else set())
    refused = STOPPED if stack.stack.settings.server else set()  # a server that is not ours refuses the login
    require_quiet(stack, alarms)

    since = time.time()
    stack.db_stop()
    try:
        stack.create()
        assert poll(failures.count, FAILED_WITHIN, interval=1)
        require(alarms, rings | refused, since)
    finally:
        stack.db_start()

    stack.lock_application_out()
    try:
        since = time.time()
        stack.create()
        require(alarms, rings | STOPPED, since)
    finally:
        stack.let_application_in()

    assert stream_is_drained(stack)
    replayed = operator.replay()
    assert replayed.code == 0, replayed
    require_quiet(stack, alarms)


def test_a_parked_record_rings_until_it_is_retried(
    stack: Deployed, alarms: Alarms, operator: Operator, refusing: str
) -> None:
    since = time.time()
    refused = stack.create(merchant=refusing)
    require(alarms, {"page-parked-by-consumer", "warning-quarantine"}, since)

    stack.execute("DROP TRIGGER refuse_alarming")
    retried = operator.replay("retry", f"order/{refused}")
    assert retried.code == 0, retried
    require_quiet(stack, alarms)


def test_a_disabled_mapping_rings_until_it_is_enabled(stack: Deployed, alarms: Alarms, failures: Failures) -> None:
    """No time is proven then at which the stream was empty, so the hours until a loss count from its beginning.

    AWS goes on where it stopped. LocalStack reads the stream again from its beginning, and the consumer parks again
    what other tests had parked.
    """
    since = time.time()
    stack.enable_mapping(enabled=False)
    try:
        require(alarms, {"page-mapping-disabled", "critical-hours-until-loss"}, since)
    finally:
        stack.enable_mapping(enabled=True)
    assert stream_is_drained(stack)
    failures.remove(*PARKED)
    require_quiet(stack, alarms)


def test_the_planned_alarms_are_deployed(stack: Deployed, alarms: Alarms) -> None:
    if not stack.is_localstack:
        pytest.skip("the local stack creates no alarms on MiniStack, which keeps nothing of one but its name")
    assert alarms.deployed() == set(alarms.planned)
