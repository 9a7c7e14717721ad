"""The replay's definition on an emulator, with a stub instead of its function."""

from __future__ import annotations

import io
import json
import secrets
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scripts.local_stack.emulator import client
from scripts.local_stack.process import poll
from scripts.local_stack.settings import REPOSITORY

DEFINITION = REPOSITORY / "statemachines" / "replay.asl.json"
STUB = Path(__file__).parent / "stub" / "handler.py"
ROLE = "arn:aws:iam::000000000000:role/any"
PATIENCE = 60


def definition(replayer_arn: str = "arn:aws:lambda:us-east-1:000000000000:function:replayer") -> dict[str, Any]:
    """As Terraform's templatefile renders it."""
    text = DEFINITION.read_text().replace("${replayer_arn}", replayer_arn).replace("${wait_seconds}", "1")
    rendered: dict[str, Any] = json.loads(text)
    return rendered


def lane_definition(whole: dict[str, Any]) -> dict[str, Any]:
    """What each child of Drain runs, as its own state machine: an emulator keeps no history of children."""
    processor = whole["States"]["Drain"]["ItemProcessor"]
    return {name: value for name, value in processor.items() if name != "ProcessorConfig"}


def with_killed_lanes(whole: dict[str, Any]) -> dict[str, Any]:
    """More children than are tolerated fail where nothing in them catches the error."""
    drain = whole["States"]["Drain"]
    lanes = drain["ItemProcessor"] | {"StartAt": "Killed", "States": {"Killed": {"Type": "Fail", "Error": "Killed"}}}
    killed = drain | {"ToleratedFailureCount": 0, "ItemProcessor": lanes}
    return whole | {"States": whole["States"] | {"Drain": killed}}


@dataclass(frozen=True)
class StateWalk:
    """One execution: its end, the states it visited, and what the stub was given."""

    status: str
    output: Any
    error: str | None
    cause: str | None
    states: list[str]
    calls: list[dict[str, Any]] = field(repr=False)

    def given(self, step: str) -> list[dict[str, Any]]:
        return [call["state"] for call in self.calls if call["step"] == step]


class Machine:
    def __init__(self, url: str, folder: Path) -> None:
        self._url, self._folder = url, folder
        self._states = client("stepfunctions", url)
        self._function = self._deploy_stub()
        whole = definition(self._function)
        machines = {"replay": whole, "lane": lane_definition(whole), "killed lanes": with_killed_lanes(whole)}
        self._arns = {name: self._create(name.replace(" ", "-"), machine) for name, machine in machines.items()}

    def walk(self, script: dict[str, list[Any]], given: Any, machine: str = "replay") -> StateWalk:
        return self._run(machine, script, given, secrets.token_hex(8))

    def walk_lane(self, *answers: Any) -> StateWalk:
        name = secrets.token_hex(8)
        return self._run("lane", {"drain/0": list(answers)}, {"execution": name, "lane": 0}, name)

    def _run(self, machine: str, script: dict[str, list[Any]], given: Any, name: str) -> StateWalk:
        folder = self._folder / name
        folder.mkdir()
        (folder / "script.json").write_text(json.dumps(script))
        (folder / "calls.jsonl").touch()
        started = self._states.start_execution(stateMachineArn=self._arns[machine], name=name, input=json.dumps(given))
        ended = poll(lambda: self._ended(started["executionArn"]), PATIENCE)
        assert ended, f"{name} still runs after {PATIENCE} s"
        return StateWalk(
            status=ended["status"],
            output=json.loads(ended["output"]) if ended["status"] == "SUCCEEDED" else None,
            error=ended.get("error"),
            cause=ended.get("cause"),
            states=self._visited(started["executionArn"]),
            calls=[json.loads(line) for line in (folder / "calls.jsonl").read_text().splitlines()],
        )

    def _ended(self, arn: str) -> dict[str, Any] | None:
        execution: dict[str, Any] = self._states.describe_execution(executionArn=arn)
        return None if execution["status"] == "RUNNING" else execution

    def _visited(self, arn: str) -> list[str]:
        pages = self._states.get_paginator("get_execution_history").paginate(executionArn=arn)
        entered = (event.get("stateEnteredEventDetails") for page in pages for event in page["events"])
        return [details["name"] for details in entered if details]

    def _create(self, name: str, given: dict[str, Any]) -> str:
        created = self._states.create_state_machine(
            name=f"{name}-{secrets.token_hex(3)}", definition=json.dumps(given), roleArn=ROLE
        )
        return str(created["stateMachineArn"])

    def _deploy_stub(self) -> str:
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as content:
            content.writestr("handler.py", STUB.read_bytes())
        functions = client("lambda", self._url)
        name = f"stub-{secrets.token_hex(3)}"
        arn = functions.create_function(
            FunctionName=name,
            Runtime="python3.13",
            Role=ROLE,
            Handler="handler.handler",
            Code={"ZipFile": archive.getvalue()},
            Timeout=30,
            Environment={"Variables": {"STUB_FOLDER": str(self._folder)}},
        )["FunctionArn"]
        functions.get_waiter("function_active_v2").wait(FunctionName=name)
        return str(arn)
