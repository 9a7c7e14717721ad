"""One replay: where its objects lie and what it was asked for. Passed from state to state as plain JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from common.layout import ReplayKeys

State = dict[str, Any]
_LONGEST_MESSAGE, _MOST_PROBLEMS = 200, 10


class InputError(Exception):
    """The execution's input is wrong; the message names every field that is."""


@cache
def _validator() -> Any:
    from jsonschema import Draft202012Validator  # noqa: PLC0415 - needed once an execution

    schema = json.loads((Path(__file__).parent / "input.schema.json").read_text(encoding="utf-8"))
    return Draft202012Validator(schema)


def check_input(given: Any) -> None:
    """Raises InputError."""
    problems = [
        f"{'.'.join(map(str, error.absolute_path)) or 'input'}: {_shortened(error.message)}"
        for error in _validator().iter_errors(given)
    ]
    if problems:
        raise InputError("wrong input, nothing was changed: " + "; ".join(sorted(problems)[:_MOST_PROBLEMS]))


def _shortened(message: str) -> str:
    """A message repeats the value, which may be a list of a thousand keys."""
    return message if len(message) <= _LONGEST_MESSAGE else f"{message[:60]} ... {message[-80:]}"


@dataclass(frozen=True)
class Run:
    name: str
    arn: str
    started: str
    input: dict[str, Any]

    @classmethod
    def of(cls, state: State) -> Run:
        return cls(**state["run"])

    @property
    def keys(self) -> ReplayKeys:
        return ReplayKeys(self.name)

    @property
    def dry(self) -> bool:
        return bool(self.input.get("dry_run", False))
