"""The definitions of the state machines, not run: valid, complete, and each step can fail and be repeated."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import pytest
from statelint.linter import Linter

from reconciler.jobs import MOST_STAGE_SECONDS
from scripts.build import ROOT
from scripts.generators.hcl import TERRAFORM, blocks

PIPELINE = TERRAFORM / "modules" / "pipeline"
FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:steps"
LAMBDA_TIMEOUT = 300
# https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
MOST_EVENTS = 25_000
EVENTS = {"Wait": 2, "Choice": 2, "Task": 5}
# Of an execution besides its checks.
SPARE_EVENTS = 500
States = dict[str, dict[str, Any]]


def machines(machine: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The state machine, and those inside its maps."""
    yield machine
    for state in machine["States"].values():
        if "ItemProcessor" in state:
            yield from machines(state["ItemProcessor"])


@dataclass(frozen=True)
class Definition:
    """A file of statemachines/, and what differs between them.

    `package` is that of the function. `steps` and `schema` are its files for the steps and for the input.
    """

    name: str
    package: str
    steps: str
    schema: str
    function_variable: str
    map_state: str
    lane_state: str
    after_map: str
    start_again: str
    failures: frozenset[str]

    @cached_property
    def text(self) -> str:
        return (ROOT / "statemachines" / f"{self.name}.asl.json").read_text()

    @cached_property
    def machine(self) -> dict[str, Any]:
        text = self.text.replace(f"${{{self.function_variable}}}", FUNCTION).replace("${wait_seconds}", "10")
        machine: dict[str, Any] = json.loads(text)
        return machine

    @cached_property
    def states(self) -> States:
        """Those inside the map included."""
        return {name: state for machine in machines(self.machine) for name, state in machine["States"].items()}

    @property
    def tasks(self) -> list[str]:
        return [name for name, state in self.states.items() if state["Type"] == "Task"]


REPLAY = Definition(
    name="replay",
    package="dlq_replayer",
    steps="steps.py",
    schema="input.schema.json",
    function_variable="replayer_arn",
    map_state="Drain",
    lane_state="DrainLane",
    after_map="Settle",
    start_again="start a new replay",
    failures=frozenset({"WrongInput", "DatabaseDown", "Incomplete"}),
)
LOAD = Definition(
    name="load",
    package="reconciler",
    steps="jobs.py",
    schema="load/input.schema.json",
    function_variable="reconciler_arn",
    map_state="Walk",
    lane_state="WalkLane",
    after_map="Next",
    start_again="start the load again",
    failures=frozenset({"WrongInput", "NotReady", "DatabaseDown", "Incomplete"}),
)
VERIFY = replace(LOAD, name="verify", schema="verify/input.schema.json", start_again="start the verification again")
SEED = replace(LOAD, name="seed", schema="seed/input.schema.json", start_again="start the seed again")
PRUNE = replace(LOAD, name="prune", schema="prune/input.schema.json", start_again="start the prune again")
JOBS = (LOAD, VERIFY, SEED, PRUNE)
DEFINITIONS = (REPLAY, *JOBS)
TASKS = [(definition, name) for definition in DEFINITIONS for name in definition.tasks]

each_definition = pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda definition: definition.name)
each_job = pytest.mark.parametrize("job", JOBS, ids=lambda job: job.name)
each_task = pytest.mark.parametrize(
    ("definition", "name"), TASKS, ids=[f"{definition.name}-{name}" for definition, name in TASKS]
)


def ways(state: dict[str, Any]) -> set[str]:
    following = [state, *state.get("Choices", ()), *state.get("Catch", ())]
    return {step[key] for step in following for key in ("Next", "Default") if key in step}


def round_trip(states: States, waiting: str, outcome: str) -> int:
    """The events of the way from a Wait state back to it, while each Choice finds `outcome` where it can."""
    name, events = waiting, 0
    while not events or name != waiting:
        state = states[name]
        events += EVENTS[state["Type"]]
        found = [rule["Next"] for rule in state.get("Choices", ()) if rule["StringEquals"] == outcome]
        name = found[0] if found else state.get("Next") or state["Default"]
    return events


def test_every_definition_is_tested() -> None:
    files = {file.name.removesuffix(".asl.json") for file in (ROOT / "statemachines").iterdir()}
    assert {definition.name for definition in DEFINITIONS} == files


@each_definition
def test_it_is_valid_under_the_states_language(definition: Definition) -> None:
    """But for Label, which only AWS's own documentation knows:
    https://docs.aws.amazon.com/step-functions/latest/dg/state-map-distributed.html
    """
    plain = deepcopy(definition.machine)
    del plain["States"][definition.map_state]["Label"]
    assert Linter.validate(plain) == []


@each_definition
@pytest.mark.parametrize(
    ("right", "wrong"),
    [('"ErrorEquals"', '"ErrorEqual"'), ("${wait_seconds}", '"soon"'), ('"Next": "Report"', '"Next": "Repport"')],
)
def test_the_validator_sees_what_is_wrong(definition: Definition, right: str, wrong: str) -> None:
    text = definition.text.replace(right, wrong).replace("${wait_seconds}", "10")
    assert Linter.validate(json.loads(text.replace(f'"Label": "{definition.map_state}",', ""))) != []


@each_definition
def test_terraform_fills_in_nothing_but_function_and_wait(definition: Definition) -> None:
    assert set(re.findall(r"\$\{(\w+)\}", definition.text)) == {definition.function_variable, "wait_seconds"}
    assert "%{" not in definition.text


@each_definition
def test_every_state_can_be_reached(definition: Definition) -> None:
    for machine in machines(definition.machine):
        found, new = set(), {machine["StartAt"]}
        while new:
            found |= new
            new = {way for name in new for way in ways(machine["States"][name])} - found
        assert found == set(machine["States"])


@each_definition
def test_every_state_says_what_it_is_for(definition: Definition) -> None:
    assert [name for name, state in definition.states.items() if "Comment" not in state] == []
    assert all(len(name) <= 80 for name in definition.states)


@each_definition
def test_the_label_of_the_map_is_the_one_in_its_role(definition: Definition) -> None:
    """Lanes are executions under the label."""
    label = definition.states[definition.map_state]["Label"]
    assert len(label) <= 40
    in_role = {
        "replay": set(re.findall(r"local\.replay_executions_arn\}/(\w+):\*", (PIPELINE / "replay.tf").read_text())),
        **{name: {job["map_label"]} for name, job in reconciler_jobs().items()},
    }
    assert in_role[definition.name] == {label}


def reconciler_jobs() -> dict[str, dict[str, Any]]:
    """The jobs of the reconciler, as Terraform has them."""
    (jobs,) = (
        block.attributes["reconciler_jobs"]
        for block in blocks("locals", folder=PIPELINE)
        if "reconciler_jobs" in block.attributes
    )
    return dict(jobs)


@each_task
def test_every_step_is_retried_for_a_while(definition: Definition, name: str) -> None:
    task = definition.states[name]
    (retry,) = task["Retry"]
    assert retry["ErrorEquals"] == ["States.ALL"]
    assert retry["MaxDelaySeconds"] == 30
    assert sum(min(2 * 2**n, 30) for n in range(retry["MaxAttempts"])) == 90


@each_task
def test_every_step_outlasts_its_function(definition: Definition, name: str) -> None:
    assert LAMBDA_TIMEOUT < definition.states[name]["TimeoutSeconds"] <= LAMBDA_TIMEOUT + 60
    (function,) = blocks("resource", "aws_lambda_function", definition.package)
    assert function.attributes["timeout"] == LAMBDA_TIMEOUT


@each_definition
def test_only_the_map_and_its_lanes_catch_errors(definition: Definition) -> None:
    """Elsewhere a failed step fails the execution there, so that a redrive continues with that step."""
    caught = {definition.map_state: definition.after_map, definition.lane_state: "LaneFailed"}
    assert {name for name, state in definition.states.items() if "Catch" in state} == set(caught)
    for name, way_out in caught.items():
        expected = [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": way_out}]
        assert definition.states[name]["Catch"] == expected


@each_definition
def test_the_map_tolerates_failing_lanes_and_never_retries(definition: Definition) -> None:
    mapped = definition.states[definition.map_state]
    schema = json.loads((ROOT / "lambdas" / definition.package / definition.schema).read_text())
    most = schema["properties"].get("concurrency", {"maximum": 1})["maximum"]
    assert mapped["ToleratedFailureCount"] == mapped["MaxConcurrency"] == most
    assert "Retry" not in mapped
    assert "No Retry" in mapped["Comment"]


@each_definition
def test_each_failure_says_what_to_do(definition: Definition) -> None:
    failures = {name: state for name, state in definition.states.items() if state["Type"] == "Fail"}
    assert set(failures) == definition.failures
    for name, state in failures.items():
        assert state["Error"] == name
        assert state.get("CausePath") == "$.message" or definition.start_again in state["Cause"]


@pytest.mark.parametrize("job", [VERIFY, SEED], ids=lambda job: job.name)
def test_a_check_that_runs_out_of_time_is_called_again(job: Definition) -> None:
    """It cuts the target tables into ranges, at once and for as long as it takes. A load has none."""
    assert round_trip(job.states, "Check", "more") == EVENTS["Task"] + EVENTS["Choice"]


@each_definition
def test_the_actions_are_those_that_the_function_knows(definition: Definition) -> None:
    asked = {definition.states[name]["Parameters"]["action"] for name in definition.tasks}
    steps = (ROOT / "lambdas" / definition.package / definition.steps).read_text()
    known = re.findall(r'"(\w+)": self\.\1\b(?![(.])', steps)
    assert asked == set(known)


@each_job
def test_every_step_of_a_job_names_the_job(job: Definition) -> None:
    """One function runs the steps of all jobs."""
    assert {job.states[name]["Parameters"]["job"] for name in job.tasks} == {job.name}


@each_definition
def test_only_what_runs_alike_everywhere_is_used(definition: Definition) -> None:
    """JSONPath, and Lambda functions called by their ARN."""
    types = {state["Type"] for state in definition.states.values()}
    assert types <= {"Task", "Choice", "Wait", "Map", "Pass", "Succeed", "Fail"}
    assert "QueryLanguage" not in definition.text
    assert {definition.states[name]["Resource"] for name in definition.tasks} == {FUNCTION}


def test_the_longest_wait_of_a_replay_fits_its_history() -> None:
    """Terraform limits the number of checks."""
    rules = (PIPELINE / "replay.tf").read_text()
    (checks,) = re.findall(r"<= (\d+) \* var.replay_check_interval_seconds", rules)
    assert int(checks) * round_trip(REPLAY.states, "WaitForDatabase", "down") <= MOST_EVENTS - SPARE_EVENTS


@each_job
def test_the_longest_wait_of_a_job_fits_its_history(job: Definition) -> None:
    """Terraform limits the events of all checks. A lane waits in an execution of its own."""
    counted = reconciler_jobs()[job.name]["events_per_check"]
    assert counted == round_trip(job.states, "WaitForDatabase", "down")
    assert counted >= round_trip(job.states, "WaitInLane", "waiting")
    rules = (PIPELINE / "reconciler.tf").read_text()
    (events,) = re.findall(r"<= (\d+) \* var.replay_check_interval_seconds", rules)
    assert int(events) <= MOST_EVENTS - SPARE_EVENTS


def test_the_longest_wait_for_exports_fits_beside_that_of_a_job() -> None:
    """The code limits the time. Terraform's limit is that of the database's checks."""
    rules = (PIPELINE / "reconciler.tf").read_text()
    (events,) = re.findall(r"<= (\d+) \* var.replay_check_interval_seconds", rules)
    checks = MOST_STAGE_SECONDS / VERIFY.states["WaitForExports"]["Seconds"]
    for_exports = checks * round_trip(VERIFY.states, "WaitForExports", "waiting")
    assert int(events) + for_exports <= MOST_EVENTS - SPARE_EVENTS


@each_job
def test_a_stage_that_cannot_go_on_is_reported(job: Definition) -> None:
    """The report has the reason."""
    ways_out = {rule["StringEquals"]: rule["Next"] for rule in job.states["CheckOutcome"]["Choices"]}
    assert ways_out["stopped"] == "Report"
