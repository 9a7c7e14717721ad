"""Two executions of one run: one was stopped and is redriven, or a call of it ends late, while another one works."""

from __future__ import annotations

from typing import Any

import pytest

from common.bucket import ReplacedError
from common.layout import open_run_key
from reconciler.verify.lane import RECHECK
from tests.support.load import LoadExecution
from tests.support.replay import change
from tests.support.verify import VerifyHarness

KEYS = "abcd"


@pytest.fixture
def harness(server: Any, tables: Any) -> Any:
    made = VerifyHarness(server, tables, concurrency=1)
    yield made
    made.database.drop()


def fill(harness: VerifyHarness) -> None:
    """Items and their rows. The removal of one is lost."""
    for number, key in enumerate(KEYS):
        made = change(key, number + 1)
        harness.table.put(made["dynamodb"]["NewImage"])
        harness.deliver(made)
    harness.table.delete(change("c", 3)["dynamodb"]["NewImage"])


def found(report: dict[str, Any]) -> set[str]:
    assert report["outcome"] == "complete"
    return {one["key"] for one in report["findings"]}


def advance(execution: LoadExecution, action: str, stage: int = RECHECK) -> LoadExecution:
    """Run an execution until an action of a stage is next."""
    execution.harness.executions.status[execution.arn] = "RUNNING"
    while (execution.action, execution.state.get("stage")) != (action, stage):
        execution.step()
    return execution


@pytest.mark.parametrize("action", ["check", "walk", "next"])
def test_a_redriven_execution_does_not_join_another(harness: VerifyHarness, action: str) -> None:
    """It ends and names the other one, which goes on with the run of both."""
    fill(harness)
    first = advance(LoadExecution(harness, {}, job="verify"), action)
    first.stop()
    second = advance(LoadExecution(harness, {}, job="verify"), "walk")
    assert second.state["run"]["name"] == first.name
    before = dict(harness.s3.objects)
    report = first.resume()
    assert (report["outcome"], report["verified_through"]) == ("incomplete", "")
    assert second.arn in report["reason"]
    lanes = f"{harness.steps_of('verify').keys(second.state['run']).lanes}"
    assert {key: body for key, body in harness.s3.objects.items() if key.startswith(lanes)} == {
        key: body for key, body in before.items() if key.startswith(lanes)
    }
    assert harness.load_lock.holder == second.arn
    assert found(second.resume()) == {"order/c"}


def test_a_redriven_execution_goes_on_with_a_free_lock(harness: VerifyHarness) -> None:
    """The other execution has ended."""
    fill(harness)
    first = advance(LoadExecution(harness, {}, job="verify"), "walk")
    first.stop()
    second = advance(LoadExecution(harness, {}, job="verify"), "walk")
    second.stop()
    assert found(first.resume()) == {"order/c"}
    assert harness.load_lock.holder is None


def test_a_redriven_report_keeps_the_run_of_another(harness: VerifyHarness) -> None:
    """The open run is the one that the next execution goes on with."""
    fill(harness)
    first = LoadExecution(harness, {}, job="verify").until("report")
    first.stop()
    second = LoadExecution(harness, {"slice": "1/2"}, job="verify").until("next")
    assert found(first.resume()) == {"order/c"}
    assert harness.bucket.read_json(open_run_key("verify")) == {"run": second.name}
    second.resume()
    assert harness.bucket.read_json(open_run_key("verify")) == {"run": ""}


def test_a_late_call_overwrites_no_lane_of_another(harness: VerifyHarness) -> None:
    """The call of a stopped execution saves when another one has finished the lane: its suspects would be lost."""
    fill(harness)
    first = advance(LoadExecution(harness, {}, job="verify"), "walk")
    second = LoadExecution(harness, {}, job="verify")
    read, calls = harness.table.batch_get_item, []

    def late(**asked: Any) -> Any:
        answer = read(**asked)
        calls.append(asked)
        if len(calls) == 1:
            first.stop()
            advance(second, "next")
        return answer

    harness.table.batch_get_item = late
    with pytest.raises(ReplacedError):
        harness.steps_of("verify").step("walk", dict(first.state["lanes"][0]))
    assert found(second.resume()) == {"order/c"}


def test_a_call_that_failed_late_disturbs_no_lane(harness: VerifyHarness) -> None:
    """It notes that it has ended by itself, but not where another call is working."""
    fill(harness)
    first = advance(LoadExecution(harness, {}, job="verify"), "walk")
    key = harness.steps_of("verify").keys(first.state["run"]).lane(RECHECK, 0)
    get = harness.s3.get_object

    def meanwhile(**asked: Any) -> Any:
        answer = get(**asked)
        if asked["Key"] == key and harness.server.down:
            harness.server.down = False
            stored = harness.bucket.read_json(key)
            harness.bucket.write_json(key, stored | {"position": 7})
        return answer

    def fail(_: Any) -> Any:
        harness.server.down = True
        harness.database.drop()

    harness.table.batch_get_item, read = lambda **asked: fail(asked) or read(**asked), harness.table.batch_get_item
    harness.s3.get_object = meanwhile
    assert harness.steps_of("verify").step("walk", dict(first.state["lanes"][0]))["outcome"] == "waiting"
    stored = harness.bucket.read_json(key)
    assert (stored["position"], stored["at_work"]) == (7, True)
