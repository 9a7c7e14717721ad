"""The newest executions of a state machine: the one that runs, and the one that ended last."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
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
_LOOKED_AT = 20  # a schedule may start several that end at once
# Outcomes and errors of executions that did nothing: what the one before them found is still true.
_DID_NOTHING = ("already_running", "nothing_to_do", "WrongInput", "NotReady")
_PLANNED = "planned"


class Executions:
    """Of a job of a deployment. Keeps what it knows of an execution until another one is newer."""

    def __init__(self, deployment: Deployment, job: str) -> None:
        self._deployment, self._job = deployment, job
        self._states = deployment.client("stepfunctions")
        self._running: Execution | JobExecution | None = None
        self._ended: dict[str, EndedJob] = {}

    def newest(self) -> Job:
        machine = str(self._deployment.outputs[f"{self._job}_state_machine_arn"])
        found = self._states.list_executions(stateMachineArn=machine, maxResults=_LOOKED_AT)["executions"]
        running = [one for one in found if one["status"] in ("RUNNING", "PENDING_REDRIVE")]
        ended = [one for one in found if one["status"] not in ("RUNNING", "PENDING_REDRIVE") and one.get("stopDate")]
        by_arn = {str(one["executionArn"]): one for one in sorted(ended, key=itemgetter("stopDate"), reverse=True)}
        self._ended = {arn: job for arn, job in self._ended.items() if arn in by_arn}
        worked = filter(self._did_something, (self._of_ended(arn, one) for arn, one in by_arn.items()))
        newest = next(worked, None)
        return Job(
            # The others end as soon as they see the first one.
            running=self._of_running(min(running, key=itemgetter("startDate"))) if running else None,
            ended=newest or next((self._of_ended(arn, one) for arn, one in by_arn.items()), None),
            earlier=tuple(_parts_before(newest, worked)) if newest and self._job == "verify" else (),
        )

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

    def _of_ended(self, arn: str, found: dict[str, Any]) -> EndedJob:
        if arn not in self._ended:
            result = self._execution(arn).result()
            outcome, counts = str(result.report.get("outcome", "")), result.report.get("counts", {})
            self._ended[arn] = EndedJob(
                str(found["status"]),
                found["stopDate"],
                outcome,
                result.error,
                result.cause,
                counts,
                _part(result.report),
            )
        return self._ended[arn]

    def _execution(self, arn: str) -> Execution | JobExecution:
        if self._job == "replay":
            return Execution(self._deployment, arn)
        return JobExecution(self._deployment, self._job, arn)


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
