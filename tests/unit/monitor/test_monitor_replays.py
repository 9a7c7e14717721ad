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
    """Executions, the newest start first, as ListExecutions gives them. `described` counts DescribeExecution."""

    def __init__(self) -> None:
        self.executions: list[dict[str, Any]] = []
        self.described = 0

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

    def list_executions(self, *, stateMachineArn: str, maxResults: int) -> dict[str, Any]:  # noqa: N803
        assert stateMachineArn == MACHINE
        assert maxResults <= 1000
        names = ("executionArn", "status", "startDate", "stopDate")
        newest = self.executions[::-1][:maxResults]
        return {"executions": [{name: one[name] for name in names if name in one} for one in newest]}

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
def test_a_burst_of_executions_is_looked_at_within_a_bound(states: States, first: str, *, expected: bool) -> None:
    """Hundreds of events start hundreds of executions, one of which works."""
    states.add(first, error="Incomplete" if first == "FAILED" else "")
    for _ in range(60):
        states.add("SUCCEEDED", outcome="already_running")
    assert has_failed(states) is expected
    assert states.described == 25
