"""The replay's definition, looked at without running it: valid, whole, and each step able to fail and be repeated."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
from statelint.linter import Linter

from scripts.build import ROOT

TEXT = (ROOT / "statemachines" / "replay.asl.json").read_text()
REPLAYER = "arn:aws:lambda:us-east-1:123456789012:function:replayer"
DEFINITION = json.loads(TEXT.replace("${replayer_arn}", REPLAYER).replace("${wait_seconds}", "10"))
LAMBDA_TIMEOUT = 300
States = dict[str, dict[str, Any]]


def machines(definition: dict[str, Any] = DEFINITION) -> Iterator[dict[str, Any]]:
    """The state machine, and those inside its maps."""
    yield definition
    for state in definition["States"].values():
        if "ItemProcessor" in state:
            yield from machines(state["ItemProcessor"])


ALL: States = {name: state for machine in machines() for name, state in machine["States"].items()}
TASKS = [name for name, state in ALL.items() if state["Type"] == "Task"]


def ways(state: dict[str, Any]) -> set[str]:
    following = [state, *state.get("Choices", ()), *state.get("Catch", ())]
    return {step[key] for step in following for key in ("Next", "Default") if key in step}


def test_it_is_valid_under_the_states_language() -> None:
    """But for Label, which only AWS's own documentation knows:
    https://docs.aws.amazon.com/step-functions/latest/dg/state-map-distributed.html
    """
    plain = deepcopy(DEFINITION)
    del plain["States"]["Drain"]["Label"]
    assert Linter.validate(plain) == []


@pytest.mark.parametrize(
    ("right", "wrong"),
    [('"ErrorEquals"', '"ErrorEqual"'), ("${wait_seconds}", '"soon"'), ('"Next": "Report"', '"Next": "Repport"')],
)
def test_the_validator_sees_what_is_wrong(right: str, wrong: str) -> None:
    text = TEXT.replace(right, wrong).replace("${wait_seconds}", "10").replace('"Label": "Drain",', "")
    assert Linter.validate(json.loads(text)) != []


def test_terraform_fills_in_nothing_but_function_and_wait() -> None:
    assert set(re.findall(r"\$\{(\w+)\}", TEXT)) == {"replayer_arn", "wait_seconds"}
    assert "%{" not in TEXT


def test_every_state_can_be_reached() -> None:
    for machine in machines():
        found, new = set(), {machine["StartAt"]}
        while new:
            found |= new
            new = {way for name in new for way in ways(machine["States"][name])} - found
        assert found == set(machine["States"])


def test_every_state_says_what_it_is_for() -> None:
    assert [name for name, state in ALL.items() if "Comment" not in state] == []
    assert all(len(name) <= 80 for name in ALL)


def test_the_label_of_the_map_is_the_one_in_its_role() -> None:
    label = DEFINITION["States"]["Drain"]["Label"]
    assert len(label) <= 40
    assert (
        f"${{local.replay_executions_arn}}/{label}:*"
        in (ROOT / "terraform" / "modules" / "pipeline" / "replay.tf").read_text()
    )


@pytest.mark.parametrize("name", TASKS)
def test_every_step_is_retried_for_a_while(name: str) -> None:
    task = ALL[name]
    (retry,) = task["Retry"]
    assert retry["ErrorEquals"] == ["States.ALL"]
    assert retry["MaxDelaySeconds"] == 30
    assert sum(min(2 * 2**n, 30) for n in range(retry["MaxAttempts"])) == 90


@pytest.mark.parametrize("name", TASKS)
def test_every_step_outlasts_its_function(name: str) -> None:
    assert LAMBDA_TIMEOUT < ALL[name]["TimeoutSeconds"] <= LAMBDA_TIMEOUT + 60
    assert (
        f"timeout          = {LAMBDA_TIMEOUT} "
        in (ROOT / "terraform" / "modules" / "pipeline" / "replay.tf").read_text()
    )


def test_only_the_map_and_its_lanes_catch_errors() -> None:
    """Elsewhere a failed step fails the execution there, so that a redrive continues with that step."""
    assert {name for name, state in ALL.items() if "Catch" in state} == {"Drain", "DrainLane"}
    for name, way_out in (("Drain", "Settle"), ("DrainLane", "LaneFailed")):
        assert ALL[name]["Catch"] == [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": way_out}]


def test_the_map_tolerates_failing_lanes_and_never_retries() -> None:
    drain = ALL["Drain"]
    most = json.loads((ROOT / "lambdas" / "dlq_replayer" / "input.schema.json").read_text())
    assert drain["ToleratedFailureCount"] == most["properties"]["concurrency"]["maximum"] == drain["MaxConcurrency"]
    assert "Retry" not in drain
    assert "No Retry" in drain["Comment"]


def test_each_failure_says_what_to_do() -> None:
    failures = {name: state for name, state in ALL.items() if state["Type"] == "Fail"}
    assert set(failures) == {"WrongInput", "DatabaseDown", "Incomplete"}
    for name, state in failures.items():
        assert state["Error"] == name
        assert state.get("CausePath") == "$.message" or "start a new replay" in state["Cause"]


def test_the_actions_are_those_that_the_function_knows() -> None:
    asked = {ALL[name]["Parameters"]["action"] for name in TASKS}
    known = re.findall(r'"(\w+)": self\.\1\b', (ROOT / "lambdas" / "dlq_replayer" / "steps.py").read_text())
    assert asked == set(known)


def test_only_what_runs_alike_everywhere_is_used() -> None:
    """JSONPath, and Lambda functions called by their ARN."""
    assert {state["Type"] for state in ALL.values()} <= {"Task", "Choice", "Wait", "Map", "Pass", "Succeed", "Fail"}
    assert "QueryLanguage" not in TEXT
    assert {ALL[name]["Resource"] for name in TASKS} == {REPLAYER}


def test_the_longest_wait_fits_into_an_execution_history() -> None:
    """25,000 events at most: https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html"""
    events = {"Wait": 2, "Choice": 2, "Task": 5}
    states, name, round_trip = DEFINITION["States"], "WaitForDatabase", 0
    while not round_trip or name != "WaitForDatabase":
        state = states[name]
        round_trip += events[state["Type"]]
        down = [rule["Next"] for rule in state.get("Choices", ()) if rule["StringEquals"] == "down"]
        name = down[0] if down else state.get("Next") or state["Default"]
    rules = (ROOT / "terraform" / "modules" / "pipeline" / "replay.tf").read_text()
    looks = int(re.search(r"<= (\d+) \* var.replay_check_interval_seconds", rules)[1])
    assert looks * round_trip <= 24_500
