"""Whether the newest replay that ended has failed.

A burst of failed batches starts hundreds of executions, one of which works. So failures are asked for by themselves,
and executions are described only where one of them may have settled a failure.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from heapq import nlargest
from itertools import chain
from operator import itemgetter
from typing import Any

_FAILED = ("FAILED", "TIMED_OUT", "ABORTED")
# Bounds of one call, which has other sources to ask: 13 listings and 130 descriptions at most.
_PAGE, _PAGES, _DESCRIBED = 100, 10, 10
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
        failures = filter(None, map(self._newest_failure, _FAILED))
        failed = max(failures, key=itemgetter("stopDate"), default=None)
        return failed is not None and not self._settled(failed)

    def _newest_failure(self, status: str) -> Mapping[str, Any] | None:
        """After so many that did not count, the next one is told by its status alone."""
        for number, execution in enumerate(chain.from_iterable(self._pages(status))):
            if number >= _DESCRIBED or self._is_replay(execution):
                return execution
        return None

    def _settled(self, failed: Mapping[str, Any]) -> bool:
        """Whether a replay ended well after this one.

        One that works takes longer than those that find it running, so the longest of each page are described.
        """
        for page in self._pages("SUCCEEDED"):
            later = [one for one in page if one["stopDate"] > failed["stopDate"]]
            if any(map(self._is_replay, nlargest(_DESCRIBED, later, key=_duration))):
                return True
        return False

    def _pages(self, status: str) -> Iterator[list[dict[str, Any]]]:
        """The executions that ended so, the newest start first."""
        asked = {"stateMachineArn": self.state_machine, "statusFilter": status, "maxResults": _PAGE}
        for _ in range(_PAGES):
            answer = self.states.list_executions(**asked)
            yield [one for one in answer["executions"] if "stopDate" in one]
            if not answer.get("nextToken"):
                return
            asked["nextToken"] = answer["nextToken"]

    def _is_replay(self, execution: Mapping[str, Any]) -> bool:
        described = self.states.describe_execution(executionArn=execution["executionArn"])
        given, report = _json(described.get("input")), _json(described.get("output"))
        did_nothing = report.get("outcome") == _ALREADY_RUNNING or described.get("error") == _WRONG_INPUT
        return not (did_nothing or given.get("dry_run") is True)


def _duration(execution: Mapping[str, Any]) -> timedelta:
    duration: timedelta = execution["stopDate"] - execution["startDate"]
    return duration


def _json(text: str | None) -> dict[str, Any]:
    """Empty for an input that is no object: anybody may start an execution with any."""
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
