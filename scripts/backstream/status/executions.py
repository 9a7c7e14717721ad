"""The newest executions of a state machine: the one that runs, and the one that ended last."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from heapq import nlargest
from itertools import chain, islice
from operator import itemgetter
from typing import Any

from backstream.deployment import Deployment
from backstream.execution import Execution
from backstream.job_execution import JobExecution
from backstream.job_report import progress_line
from backstream.progress import as_line
from backstream.status.snapshot import EndedJob, Job, RunningJob

# The states of a replay whose check of the database has succeeded.
_AFTER_CHECK = ("Collect", "Plan", "Drain", "Settle")
# A burst of failed batches or `auto_replay` starts hundreds of replays, one of which works.
_PAGE, _PAGES = 100, 10
# Those that one look describes: in all, and the longest replays of the newest page and of each one before it.
# Step Functions throttles descriptions: https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
_DESCRIBED, _LONGEST, _LONGEST_BEFORE = 30, 10, 2
_PARTS = 20  # earlier verifications of parts
# Outcomes and errors of executions that did nothing: what the one before them found is still true.
_DID_NOTHING = ("already_running", "nothing_to_do", "WrongInput", "NotReady")
_PLANNED = "planned"
_FAILED = ("FAILED", "TIMED_OUT")


class Executions:
    """Of a job of a deployment. Keeps what it knows of an execution until another one is newer."""

    def __init__(self, deployment: Deployment, job: str) -> None:
        self._deployment, self._job = deployment, job
        self._states = deployment.client("stepfunctions")
        self._running: Execution | JobExecution | None = None
        self._ended: dict[str, EndedJob] = {}

    def newest(self) -> Job:
        running = [one for page in self._pages(statusFilter="RUNNING") for one in page]
        known, self._ended = self._ended, {}
        ended = (self._of_ended(one, known) for one in islice(self._likely_to_have_worked(), _DESCRIBED))
        last = next(ended, None)
        worked = filter(self._did_something, chain([last] if last else [], ended))
        newest = next(worked, None)
        return Job(
            # The others end as soon as they see the first one.
            running=self._of_running(min(running, key=itemgetter("startDate"))) if running else None,
            ended=newest or last,
            earlier=tuple(_parts_before(newest, islice(worked, _PARTS))) if newest and self._job == "verify" else (),
        )

    def _likely_to_have_worked(self) -> Iterator[dict[str, Any]]:
        """The one that ended last, then of replays those that failed and the longest, of other jobs all.

        A replay that works takes longer than those that find nothing to do. A verification of a part may be short.
        """
        for number, page in enumerate(self._pages()):
            ended = _newest_end_first(page)
            if self._job != "replay":
                yield from ended
                continue
            newest = [] if number else ended[:1]
            longest = nlargest(_LONGEST_BEFORE if number else _LONGEST, ended, key=_duration)
            yield from (one for one in ended if one["status"] in _FAILED or one in newest or one in longest)

    def _pages(self, **query: str) -> Iterator[list[dict[str, Any]]]:
        """The executions, the newest start first."""
        machine = str(self._deployment.outputs[f"{self._job}_state_machine_arn"])
        for _ in range(_PAGES):
            answer = self._states.list_executions(stateMachineArn=machine, maxResults=_PAGE, **query)
            yield answer["executions"]
            if not answer.get("nextToken"):
                return
            query["nextToken"] = answer["nextToken"]

    def _of_running(self, found: dict[str, Any]) -> RunningJob:
        arn, started = str(found["executionArn"]), found["startDate"]
        if self._running is None or self._running.arn != arn:
            self._running = self._execution(arn)
        return _progress(self._running, started)

    def _did_something(self, job: EndedJob) -> bool:
        """A planned replay has asked the database, other jobs only plan. A person stopped one that was aborted."""
        planned = job.outcome == _PLANNED and self._job != "replay"
        return (
            not planned
            and job.status != "ABORTED"
            and job.outcome not in _DID_NOTHING
            and job.error not in _DID_NOTHING
        )

    def _of_ended(self, found: dict[str, Any], known: Mapping[str, EndedJob]) -> EndedJob:
        """Kept for the next time, from `known` where it was read before."""
        arn = str(found["executionArn"])
        self._ended[arn] = known[arn] if arn in known else self._read_ended(arn, found)
        return self._ended[arn]

    def _read_ended(self, arn: str, found: dict[str, Any]) -> EndedJob:
        result = self._execution(arn).result()
        outcome, counts = str(result.report.get("outcome", "")), result.report.get("counts", {})
        return EndedJob(
            str(found["status"]),
            found["stopDate"],
            outcome,
            result.error,
            result.cause,
            counts,
            _part(result.report),
        )

    def _execution(self, arn: str) -> Execution | JobExecution:
        if self._job == "replay":
            return Execution(self._deployment, arn)
        return JobExecution(self._deployment, self._job, arn)


def _newest_end_first(page: list[dict[str, Any]]) -> list[dict[str, Any]]:
    ended = [one for one in page if one["status"] not in ("RUNNING", "PENDING_REDRIVE") and one.get("stopDate")]
    return sorted(ended, key=itemgetter("stopDate"), reverse=True)


def _duration(execution: Mapping[str, Any]) -> timedelta:
    duration: timedelta = execution["stopDate"] - execution["startDate"]
    return duration


def _part(report: Mapping[str, Any]) -> str:
    window = " to ".join(filter(None, (report.get("changed_from"), report.get("changed_until"))))
    return str(report.get("slice") or window)


def _parts_before(newest: EndedJob, earlier: Iterator[EndedJob]) -> Iterator[EndedJob]:
    """Those that have ended well, up to one of the whole table; a part that was compared again counts once."""
    known = {newest.part} if newest.status == "SUCCEEDED" else set()
    while "" not in known and (job := next(earlier, None)):
        if job.status == "SUCCEEDED" and job.part not in known:
            known.add(job.part)
            yield job


def _progress(execution: Execution | JobExecution, started: datetime) -> RunningJob:
    if isinstance(execution, JobExecution):
        return RunningJob(started, progress_line(execution.status()))
    status = execution.status()
    return RunningJob(started, as_line(status).strip(), status.waiting, status.state in _AFTER_CHECK)
