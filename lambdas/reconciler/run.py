"""One run: its input, and the description that every execution of it shares."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from reconciler.states import RunInput

_LONGEST_MESSAGE, _MOST_PROBLEMS = 200, 10


class InputError(Exception):
    """The execution's input is invalid; the message names every invalid field."""


class NotReadyError(Exception):
    """A job cannot begin. The message says what to do first."""


class StageStoppedError(Exception):
    """A stage, or a lane of it, cannot go on. The message says what failed and what to do next."""


class LostRunError(StageStoppedError):
    """The run can never go on, so the next start begins a new one."""


class LostFileError(LostRunError):
    """A file that a run needs is gone or damaged."""


def check_input(given: Any, schema: Path) -> RunInput:
    """Return `given`. Raises InputError when it does not match the schema."""
    problems = [
        f"{'.'.join(map(str, error.absolute_path)) or 'input'}: {error.message[:_LONGEST_MESSAGE]}"
        for error in _validator(schema).iter_errors(given)
    ]
    if problems:
        raise InputError("invalid input, nothing was changed: " + "; ".join(sorted(problems)[:_MOST_PROBLEMS]))
    checked: RunInput = given
    return checked


@cache
def _validator(schema: Path) -> Any:
    from jsonschema import Draft202012Validator  # noqa: PLC0415 - used once per execution

    return Draft202012Validator(json.loads(schema.read_text(encoding="utf-8")))
