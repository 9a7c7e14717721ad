"""One replay: its name, when it started, and what it was asked for."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from common.keys import entity_and_tail
from common.layout import ReplayKeys
from common.mapping import Mapping
from dlq_replayer.states import ReplayDescription, ReplayInput

_LONGEST_MESSAGE, _MOST_PROBLEMS = 200, 10


class InputError(Exception):
    """The execution's input is invalid; the message names every invalid field."""


@dataclass(frozen=True)
class Replay:
    """`name` and `arn` are those of the execution; `started` is its start time, in ISO format."""

    name: str
    arn: str
    started: str
    input: ReplayInput

    @classmethod
    def of(cls, description: ReplayDescription) -> Replay:
        return cls(**description)

    @property
    def keys(self) -> ReplayKeys:
        return ReplayKeys(self.name)

    @property
    def dry(self) -> bool:
        return self.input.get("dry_run", False)


def check_input(given: Any) -> ReplayInput:
    """Return `given`. Raises InputError when it does not match input.schema.json."""
    problems = [
        f"{'.'.join(map(str, error.absolute_path)) or 'input'}: {_shortened(error.message)}"
        for error in _validator().iter_errors(given)
    ]
    if problems:
        raise InputError("invalid input, nothing was changed: " + "; ".join(sorted(problems)[:_MOST_PROBLEMS]))
    checked: ReplayInput = given
    return checked


def require_keys(checked: ReplayInput, mapping: Mapping) -> None:
    """Raises InputError for a key that names no entity of `mapping`. The message shows the right form."""
    names = [entity.name for entity in mapping.entities]
    wrong = next((key for key in checked.get("keys", ()) if entity_and_tail(key)[0] not in names), None)
    if wrong is None:
        return
    right = f"{names[0]}/{wrong}" if len(names) == 1 and "/" not in wrong else "<entity>/<key>"
    raise InputError(
        f"invalid input, nothing was changed: keys: {_shortened(wrong)} names no entity: write {_shortened(right)};"
        f" the mapping {mapping.name} has {_shortened(', '.join(names))}"
    )


@cache
def _validator() -> Any:
    from jsonschema import Draft202012Validator  # noqa: PLC0415 - used once per execution

    schema = json.loads((Path(__file__).parent / "input.schema.json").read_text(encoding="utf-8"))
    return Draft202012Validator(schema)


def _shortened(message: str) -> str:
    """A message repeats the value, which may be a list of a thousand keys."""
    return message if len(message) <= _LONGEST_MESSAGE else f"{message[:60]} ... {message[-80:]}"
