"""The state machine's definition, walked with the real steps: who comes after whom is not written down twice."""

from __future__ import annotations

import json
from dataclasses import dataclass

from scripts.bench.environment import ROOT
from scripts.bench.replay_function import State, Step

DEFINITION = ROOT / "statemachines" / "replay.asl.json"


@dataclass
class Walk:
    """`entered` counts states, which is what Step Functions bills as transitions, those of child executions too."""

    step: Step
    entered: int = 0

    def whole(self, given: State) -> State:
        """The output of an execution that completes; children run one after another. Raises RuntimeError."""
        text = DEFINITION.read_text().replace("${wait_seconds}", "1")
        report = self._run(json.loads(text), given)
        if report.get("outcome") != "complete":
            raise RuntimeError(f"the replay did not complete: {report}")
        return report

    def _run(self, machine: State, state: State) -> State:
        name = machine["StartAt"]
        while True:
            self.entered += 1
            entered = machine["States"][name]
            if entered["Type"] == "Succeed":
                return state
            if entered["Type"] == "Choice":
                name = _chosen(entered, state)
            elif entered["Type"] == "Task":
                state, name = self.step(entered["Parameters"]["action"], state), entered["Next"]
            elif entered["Type"] == "Map":
                drained = [self._run(entered["ItemProcessor"], lane) for lane in state["lanes"]]
                state, name = state | {"drained": drained}, entered["Next"]
            else:
                raise RuntimeError(f"{name}, where nothing should have failed or waited: {state}")


def _chosen(choice: State, state: State) -> str:
    outcomes = {rule["StringEquals"]: rule["Next"] for rule in choice["Choices"]}
    return str(outcomes.get(state["outcome"], choice["Default"]))
