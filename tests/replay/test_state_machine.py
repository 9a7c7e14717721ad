"""Every path through the replay's state machine, on an emulator, with a stub that each test scripts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from machine import Machine, StateWalk, definition, lane_definition

from scripts.local_stack.emulator import MiniStack

CRASH = "crash"
TRIES = 7  # the first, and six retries

PLANNED = {"outcome": "go", "lanes": [0, 1]}
REPORT = {"outcome": "complete", "execution": "this one", "counts": {"applied": 3}, "next": []}
# The steps of an execution without incident.
SMOOTH: dict[str, list[Any]] = {
    "start": ["go"], "check": ["up"], "hydrate": ["done"], "collect": ["done"], "plan": [PLANNED], "drain/0": ["done"],
    "drain/1": ["done"], "settle": ["done"], "report": [REPORT],
}  # fmt: skip

BEGIN = ["Start", "StartOutcome"]
CHECK = ["Check", "CheckOutcome"]
HYDRATE = ["Hydrate", "HydrateOutcome"]
COLLECT = ["Collect", "CollectOutcome"]
PLAN = ["Plan", "PlanOutcome"]
SETTLE = ["Settle", "SettleOutcome"]
REPORTED = ["Report", "ReportOutcome"]
UNTIL_PLAN = BEGIN + HYDRATE + CHECK + COLLECT + PLAN
LANE = ["DrainLane", "DrainOutcome"]

VISITED: set[str] = set()
VISITED_IN_LANES: set[str] = set()


class QuickMiniStack(MiniStack):
    """Waits and retries take no time."""

    def _environment(self) -> dict[str, str]:
        return super()._environment() | {"SFN_WAIT_SCALE": "0"}


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    home = tmp_path_factory.mktemp("ministack")
    emulator = QuickMiniStack(home)
    try:
        emulator.start_fresh()
        yield Machine(emulator.url, tmp_path_factory.mktemp("stub"))
    finally:
        emulator.stop()


@pytest.fixture
def walk(machine: Machine) -> Any:
    """An execution without incident, except for the given answers."""

    def run(*, given: Any = None, of: str = "replay", **answers: list[Any]) -> StateWalk:
        script = SMOOTH | {step.replace("drain", "drain/"): each for step, each in answers.items()}
        walked = machine.walk(script, given or {}, of)
        VISITED.update(walked.states)
        return walked

    return run


@pytest.fixture
def walk_lane(machine: Machine) -> Any:
    def run(*answers: Any) -> StateWalk:
        walked = machine.walk_lane(*answers)
        VISITED_IN_LANES.update(walked.states)
        return walked

    return run


def failed(walked: StateWalk, error: str) -> bool:
    return (walked.status, walked.error) == ("FAILED", error)


def steps(walked: StateWalk) -> list[str]:
    return [call["step"] for call in walked.calls]


def test_an_execution_takes_every_step_and_returns_the_report(walk: Any) -> None:
    walked = walk()
    assert walked.states == [*UNTIL_PLAN, "Drain", *SETTLE, *REPORTED, "Done"]
    assert walked.status == "SUCCEEDED"
    assert walked.output == REPORT
    assert sorted(steps(walked)) == sorted(SMOOTH)


def test_start_is_given_the_execution_and_its_input(walk: Any) -> None:
    (given,) = walk(given={"keys": ["order/1"], "dry_run": True}).given("start")
    assert given["input"] == {"keys": ["order/1"], "dry_run": True}
    assert given["arn"].endswith(f":{given['name']}")
    assert given["started"].startswith("20")


def test_a_second_start_ends_without_touching_anything(walk: Any) -> None:
    walked = walk(start=[{"outcome": "already_running", "running": "arn:of:the:other"}])
    assert walked.states == [*BEGIN, "AlreadyRunning"]
    assert walked.status == "SUCCEEDED"
    assert walked.output["running"] == "arn:of:the:other"
    assert steps(walked) == ["start"]


def test_a_start_with_nothing_to_do_ends_after_three_transitions(walk: Any) -> None:
    walked = walk(start=[{"outcome": "nothing_to_do", "counts": {"batches": 0}}])
    assert walked.states == [*BEGIN, "NothingToDo"]
    assert walked.status == "SUCCEEDED"
    assert walked.output["counts"] == {"batches": 0}


def test_an_invalid_input_fails_with_its_message_as_the_cause(walk: Any) -> None:
    walked = walk(start=[{"outcome": "wrong_input", "message": "keys: 7 is not of type 'array'"}])
    assert walked.states == [*BEGIN, "WrongInput"]
    assert failed(walked, "WrongInput")
    assert walked.cause == "keys: 7 is not of type 'array'"
    assert steps(walked) == ["start"]


def test_a_database_that_is_down_is_waited_for(walk: Any) -> None:
    """Messages that arrive during the wait are stored before the stream trims their records."""
    walked = walk(check=["down", "down", "up"])
    wait = [*HYDRATE, *CHECK, "WaitForDatabase"]
    assert walked.states[:18] == [*BEGIN, *wait, *wait, *HYDRATE, *CHECK, *COLLECT]
    assert walked.status == "SUCCEEDED"


def test_a_database_that_stays_down_ends_in_a_report_and_a_cause(walk: Any) -> None:
    walked = walk(check=["down", "gave_up"], report=["database_down"])
    assert walked.states == [*BEGIN, *HYDRATE, *CHECK, "WaitForDatabase", *HYDRATE, *CHECK, *REPORTED, "DatabaseDown"]
    assert failed(walked, "DatabaseDown")
    assert "Repair the database" in str(walked.cause)


def test_hydrating_and_collecting_go_on_while_there_is_more(walk: Any) -> None:
    walked = walk(hydrate=["more", "done"], collect=["more", "more", "done"])
    assert walked.states[:14] == [*BEGIN, *HYDRATE * 2, *CHECK, *COLLECT * 3]
    assert walked.status == "SUCCEEDED"


def test_a_dry_run_surveys_and_applies_nothing(walk: Any) -> None:
    walked = walk(plan=["more", "planned"], report=[{"outcome": "planned"}])
    assert walked.states == [*BEGIN, *HYDRATE, *CHECK, *COLLECT, *PLAN * 2, *REPORTED, "Done"]
    assert walked.output == {"outcome": "planned"}


def test_a_plan_without_changes_goes_to_the_report(walk: Any) -> None:
    walked = walk(plan=["nothing"], report=[{"outcome": "nothing_to_do"}])
    assert walked.states == [*UNTIL_PLAN, *REPORTED, "Done"]
    assert walked.status == "SUCCEEDED"


def test_each_lane_is_drained_on_its_own(walk: Any) -> None:
    walked = walk(drain0=["more", "waiting", "done"], drain1=["gave_up"])
    assert steps(walked).count("drain/0") == 3
    assert steps(walked).count("drain/1") == 1
    assert [lane["outcome"] for lane in walked.given("settle")[0]["drained"]] == ["done", "gave_up"]


def test_a_lane_that_fails_for_good_does_not_stop_the_others(walk: Any) -> None:
    walked = walk(drain0=[CRASH], drain1=["more", "waiting", "done"], report=["incomplete"])
    assert walked.states == [*UNTIL_PLAN, "Drain", *SETTLE, *REPORTED, "Incomplete"]
    assert walked.given("settle")[0]["drained"][0] == {"outcome": "failed", "lane": 0}
    assert walked.given("settle")[0]["drained"][1]["outcome"] == "done"
    assert steps(walked).count("drain/0") == TRIES


def test_lanes_that_are_killed_leave_the_rest_to_settle(walk: Any) -> None:
    walked = walk(of="killed lanes", report=["incomplete"])
    assert walked.states == [*UNTIL_PLAN, "Drain", *SETTLE, *REPORTED, "Incomplete"]
    assert "drained" not in walked.given("settle")[0]
    assert failed(walked, "Incomplete")


def test_settling_goes_on_while_there_is_more(walk: Any) -> None:
    walked = walk(settle=["more", "done"])
    assert walked.states == [*UNTIL_PLAN, "Drain", *SETTLE * 2, *REPORTED, "Done"]


def test_an_incomplete_replay_fails_and_says_what_to_do(walk: Any) -> None:
    walked = walk(report=["incomplete"])
    assert walked.states[-1] == "Incomplete"
    assert failed(walked, "Incomplete")
    assert "start a new replay" in str(walked.cause)


@pytest.mark.parametrize("step", ["start", "check", "hydrate", "collect", "plan", "settle", "report"])
def test_a_step_that_crashes_is_called_again_with_the_same_state(walk: Any, step: str) -> None:
    walked = walk(**{step: [CRASH, *SMOOTH[step]]})
    first, second = walked.given(step)
    assert first == second
    assert walked.output == REPORT
    assert len(walked.states) == len(UNTIL_PLAN) + 6  # a retry enters no state, though it is a transition


@pytest.mark.parametrize("step", ["start", "check", "hydrate", "collect", "plan", "settle", "report"])
def test_a_step_that_keeps_crashing_fails_the_execution_there(walk: Any, step: str) -> None:
    """The console shows the failed step with its error, and a redrive goes on there."""
    walked = walk(**{step: [CRASH]})
    assert walked.states[-1] == step.capitalize()
    assert walked.status == "FAILED"
    assert "scripted" in str(walked.cause)
    assert len(walked.given(step)) == TRIES


def test_a_lane_is_done(walk_lane: Any) -> None:
    walked = walk_lane("done")
    assert walked.states == [*LANE, "LaneDone"]
    assert walked.output["outcome"] == "done"


def test_a_lane_goes_on_with_its_next_splits(walk_lane: Any) -> None:
    walked = walk_lane({"outcome": "more", "position": 5}, "done")
    assert walked.states == [*LANE * 2, "LaneDone"]
    assert walked.given("drain/0")[1]["position"] == 5


def test_a_lane_waits_for_the_database(walk_lane: Any) -> None:
    walked = walk_lane("waiting", "waiting", "done")
    assert walked.states == [*[*LANE, "WaitInLane"] * 2, *LANE, "LaneDone"]


def test_a_lane_gives_up_without_failing(walk_lane: Any) -> None:
    walked = walk_lane("waiting", "gave_up")
    assert walked.states == [*LANE, "WaitInLane", *LANE, "LaneDone"]
    assert walked.status == "SUCCEEDED"


def test_a_lane_that_crashes_is_called_again(walk_lane: Any) -> None:
    assert walk_lane(CRASH, "done").states == [*LANE, "LaneDone"]


def test_a_lane_that_keeps_crashing_says_no_more_than_that(walk_lane: Any) -> None:
    """Forty causes with stack traces would exceed the limit of a state."""
    walked = walk_lane(CRASH)
    assert walked.states == ["DrainLane", "LaneFailed"]
    assert walked.output == {"outcome": "failed", "lane": 0}


def test_100000_changes_take_far_less_than_500_transitions(walk: Any) -> None:
    """60,000 changes per call of Collect, four lanes of two calls each, and three minutes without a database."""
    walked = walk(
        check=["down"] * 18 + ["up"],
        collect=["more"] * 2 + ["done"],
        drain0=["more", "done"],
        drain1=["more", "done"],
    )
    a_lane = len([*LANE * 2, "LaneDone"])
    assert len(walked.states) + 4 * a_lane <= 150


def test_every_state_was_visited() -> None:
    """It runs last and checks that the tests have visited every state."""
    whole = definition()
    assert set(whole["States"]) == VISITED
    assert set(lane_definition(whole)["States"]) == VISITED_IN_LANES
