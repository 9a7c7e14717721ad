"""Whether the newest replay that ended has failed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

# Executions in a listing, and those that are looked at: a burst of failed batches starts hundreds, one of which works.
_LISTED, _DESCRIBED = 100, 25
_ALREADY_RUNNING = "already_running"  # the outcome of an execution that left the work to another one
_WRONG_INPUT = "WrongInput"  # the error of an execution that changed nothing


@dataclass(frozen=True)
class Replays:
    """`states` is a boto3 client of Step Functions."""

    states: Any
    state_machine: str

    def has_failed(self) -> bool:
        """Whether the newest replay that ended has failed, timed out or was stopped; False where none has ended.

        One that ended well failed nothing, also where it left work for a person. Dry runs, replays with a wrong input
        and those that found another one running do not count. Raises ClientError or BotoCoreError.
        """
        listed = self.states.list_executions(stateMachineArn=self.state_machine, maxResults=_LISTED)["executions"]
        ended = sorted((one for one in listed if "stopDate" in one), key=itemgetter("stopDate"), reverse=True)
        for number, execution in enumerate(ended):
            has_failed: bool = execution["status"] != "SUCCEEDED"
            # After so many that did not count, the rest is told by its status alone.
            if number >= _DESCRIBED and has_failed:
                return True
            if number < _DESCRIBED and self._is_replay(execution["executionArn"]):
                return has_failed
        return False

    def _is_replay(self, arn: str) -> bool:
        described = self.states.describe_execution(executionArn=arn)
        given, report = _json(described.get("input")), _json(described.get("output"))
        did_nothing = report.get("outcome") == _ALREADY_RUNNING or described.get("error") == _WRONG_INPUT
        return not (did_nothing or given.get("dry_run") is True)


def _json(text: str | None) -> dict[str, Any]:
    """Empty for an input that is no object: anybody may start an execution with any."""
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
