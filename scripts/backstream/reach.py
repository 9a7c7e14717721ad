"""A deployed stack, reached by its Terraform outputs: on AWS, LocalStack or MiniStack alike."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3

from scripts.local_stack import aws
from scripts.local_stack.settings import read_settings
from scripts.local_stack.stack import Stack

_NEEDED = ("replay_state_machine_arn", "failures_bucket")


class UsageError(Exception):
    """The command cannot do what it was asked for; the message says what to give instead."""


@dataclass(frozen=True)
class Reach:
    outputs: dict[str, Any]

    def client(self, service: str) -> Any:
        """With the credentials of the person at the terminal; an emulator must not be shown real ones."""
        endpoint = self.outputs.get("endpoint_url")
        if endpoint:
            return aws.client(service, endpoint)
        return boto3.Session(region_name=self.state_machine.split(":")[3]).client(service)

    @property
    def state_machine(self) -> str:
        return str(self.outputs["replay_state_machine_arn"])

    @property
    def bucket(self) -> str:
        return str(self.outputs["failures_bucket"])


def reach(outputs: str | None) -> Reach:
    """By a file of outputs (`-` is standard input; as `terraform output -json` or `make outputs` print them), or
    by the running local stack. Raises UsageError, or StackError when no stack is up.
    """
    values = _read(outputs) if outputs else Stack(read_settings()).outputs()
    missing = [name for name in _NEEDED if not values.get(name)]
    if missing:
        raise UsageError(f"the outputs lack {', '.join(missing)}")
    return Reach(values)


def _read(name: str) -> dict[str, Any]:
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
        given = json.loads(text)
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read outputs from {name}: {error}") from None
    if not isinstance(given, dict):
        raise UsageError(f"{name} holds no JSON object of outputs")
    # `terraform output -json` wraps each value, `make outputs` does not.
    return {
        key: value["value"] if isinstance(value, dict) and "value" in value else value for key, value in given.items()
    }
