"""A stub of the replayer: returns the answers that the test has written, in order, and stores what it was given.

Both are files, because a call that raises cannot pass anything on through the state.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

FOLDER = Path(os.environ["STUB_FOLDER"])
CRASH = "crash"


def handler(event: dict[str, Any], _context: object) -> Any:
    action, state = event["action"], event["state"]
    folder = FOLDER / _execution(state)
    step = f"{action}/{state['lane']}" if action == "drain" else action
    answers = json.loads((folder / "script.json").read_text())[step]
    with (folder / "calls.jsonl").open("a") as calls:
        calls.write(json.dumps({"step": step, "state": state}) + "\n")
    answer = answers[min(_count(folder, step), len(answers)) - 1]
    if answer == CRASH:
        raise RuntimeError("scripted")
    if not isinstance(answer, dict):
        answer = {"outcome": answer}
    if "lanes" in answer:
        answer["lanes"] = [{"execution": folder.name, "lane": lane} for lane in answer["lanes"]]
    return answer if action == "report" else {**_handed_on(state), **answer}


def _execution(state: dict[str, Any]) -> str:
    """Start is given the name; from there it is handed on."""
    return state.get("execution") or state["name"]


def _handed_on(state: dict[str, Any]) -> dict[str, Any]:
    return state if "execution" in state else {"execution": _execution(state)}


def _count(folder: Path, step: str) -> int:
    return sum(json.loads(line)["step"] == step for line in (folder / "calls.jsonl").open())
