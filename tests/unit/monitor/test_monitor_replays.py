"""Whether the newest replay that ended has failed."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from monitor.replays import Replays

START = datetime(2026, 1, 31, tzinfo=UTC)
MACHINE = "arn:aws:states:eu-west-1:123456789012:stateMachine:replay"


class States:
    """Executions, the newest start first, as ListExecutions gives them. `described` and `listed` count calls."""

    def __init__(self) -> None:
        self.executions: list[dict[str, Any]] = []
        self.described = self.listed = 0

    def add(self, status: str, minutes: int = 1, outcome: str = "", error: str = "", given: str = "{}") -> None:
        """An execution that starts a minute after the last one and takes so many minutes."""
        number = len(self.executions)
        started = START + timedelta(minutes=number)
        execution = {"executionArn": str(number), "status": status, "startDate": started, "input": given}
        if status != "RUNNING":
            execution["stopDate"] = started + timedelta(minutes=minutes)
        if status == "SUCCEEDED":
            execution["output"] = json.dumps({"outcome": outcome or "complete", "counts": {"problems": 1}})
        self.executions.append(execution | ({"error": error} if error else {}))

    def list_executions(
        self,
        *,
        stateMachineArn: str,  # noqa: N803 - AWS's names
        maxResults: int,  # noqa: N803
        statusFilter: str,  # noqa: N803
        nextToken: str = "0",  # noqa: N803
    ) -> dict[str, Any]:
        assert stateMachineArn == MACHINE
        assert maxResults <= 1000
        self.listed += 1
        names = ("executionArn", "status", "startDate", "stopDate")
        found = [one for one in self.executions[::-1] if one["status"] == statusFilter]
        first, end = int(nextToken), int(nextToken) + maxResults
        page = [{name: one[name] for name in names if name in one} for one in found[first:end]]
        return {"executions": page, **({"nextToken": str(end)} if end < len(found) else {})}

    def describe_execution(self, *, executionArn: str) -> dict[str, Any]:  # noqa: N803
        self.described += 1
        return self.executions[int(executionArn)]


@pytest.fixture
def states() -> States:
    return States()


def has_failed(states: States) -> bool:
    return Replays(states, MACHINE).has_failed()


def test_no_replay_has_failed_where_none_has_ended(states: States) -> None:
    assert not has_failed(states)
    states.add("RUNNING")
    assert not has_failed(states)


@pytest.mark.parametrize("status", ["FAILED", "TIMED_OUT", "ABORTED"])
def test_a_replay_that_did_not_end_well_has_failed(states: States, status: str) -> None:
    states.add("SUCCEEDED")
    states.add(status, error="DatabaseDown")
    assert has_failed(states)
    states.add("RUNNING")
    assert has_failed(states)


@pytest.mark.parametrize("outcome", ["complete", "nothing_to_do"])
def test_a_later_replay_that_ends_well_settles_the_failure(states: States, outcome: str) -> None:
    """Also one that leaves work for a person."""
    states.add("FAILED", error="Incomplete")
    states.add("SUCCEEDED", outcome=outcome)
    assert not has_failed(states)


def test_the_end_counts_and_not_the_start(states: States) -> None:
    """A replay that waited long for the database may end after one that started later."""
    states.add("FAILED", minutes=60, error="DatabaseDown")
    states.add("SUCCEEDED", minutes=1)
    assert has_failed(states)


def test_executions_that_replayed_nothing_do_not_count(states: States) -> None:
    """One that found another one running, a dry run, and a wrong input: whether they ended well or not."""
    states.add("FAILED", error="Incomplete")
    states.add("SUCCEEDED", outcome="already_running")
    states.add("SUCCEEDED", outcome="planned", given='{"dry_run": true}')
    assert has_failed(states)
    states.add("SUCCEEDED")
    states.add("FAILED", error="WrongInput")
    states.add("FAILED", error="DatabaseDown", given='{"dry_run": true}')
    assert not has_failed(states)


@pytest.mark.parametrize("given", ['{"id": "0a"}', "[]", "no JSON", '{"dry_run": false}'])
def test_any_input_can_be_that_of_a_replay(states: States, given: str) -> None:
    states.add("FAILED", error="Incomplete", given=given)
    assert has_failed(states)


@pytest.mark.parametrize(("first", "expected"), [("FAILED", True), ("SUCCEEDED", False)])
@pytest.mark.parametrize("idle", [60, 700])
def test_a_burst_of_idle_executions_hides_no_failure(states: States, first: str, idle: int, *, expected: bool) -> None:
    """Hundreds of events start hundreds of executions, one of which works."""
    states.add(first, error="Incomplete" if first == "FAILED" else "")
    for _ in range(idle):
        states.add("SUCCEEDED", outcome="already_running")
    assert has_failed(states) is expected


def test_a_burst_hides_no_replay_that_settles_a_failure(states: States) -> None:
    """It worked before the burst and after the failure. It took longer than those that only looked."""
    states.add("FAILED", error="Incomplete")
    states.add("SUCCEEDED", minutes=30)
    for _ in range(300):
        states.add("SUCCEEDED", minutes=1, outcome="already_running")
    assert not has_failed(states)


def test_the_calls_of_one_look_are_bounded(states: States) -> None:
    """Where nothing is found, the monitor must still measure all else within its timeout."""
    states.add("FAILED", error="Incomplete")
    for _ in range(3_000):
        states.add("SUCCEEDED", outcome="already_running")
    assert has_failed(states)
    assert (states.listed, states.described) == (3 + 10, 1 + 100)


def test_where_nothing_failed_no_execution_is_described(states: States) -> None:
    for _ in range(300):
        states.add("SUCCEEDED")
    assert not has_failed(states)
    assert (states.listed, states.described) == (3, 0)


def test_failures_that_do_not_count_are_told_by_status_at_last(states: States) -> None:
    """After some that were looked at, one more counts as failed: no trouble is hidden by a guess."""
    for _ in range(10):
        states.add("FAILED", error="WrongInput")
    assert not has_failed(states)
    states.add("FAILED", error="WrongInput")
    assert has_failed(states)
    assert states.described == 10 + 10
