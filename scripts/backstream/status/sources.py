"""Reads a snapshot of a deployment. A source that does not answer becomes Unknown and stops no other one."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from typing import TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from backstream.deployment import Deployment
from backstream.errors import UsageError
from backstream.status.cloudwatch_measures import CloudWatchMeasures
from backstream.status.executions import Executions
from backstream.status.log_measures import LogMeasures
from backstream.status.measures import Measures
from backstream.status.snapshot import JOBS, Counted, EventSource, Snapshot, Unknown
from common.bucket import Bucket, GoneError, UnreadableError
from common.layout import DEFERRED, EXPIRED, FAILED, QUARANTINE, VERIFIED
from common.verified import all_equal, last_deletion

T = TypeVar("T")

_AT_ONCE = 8
# Objects of a prefix that are counted; of more, it is only known that there are more.
MOST = 1_000
_QUEUED = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
_NEEDED = ("consumer_function_name", "event_source_mapping_uuid")
# A function that reads the queue: the monitor, and the replayer where there is none yet.
_SEES_POINTERS = ("monitor_function_name", "replayer_function_name")
_NOT_READ = (ClientError, BotoCoreError, UnreadableError, GoneError, ValueError, LookupError, TypeError)


class Sources:
    """Raises UsageError for the outputs of an earlier version, which lack a name that is needed."""

    def __init__(self, deployment: Deployment, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        outputs = deployment.outputs
        if missing := [name for name in _NEEDED if not outputs.get(name)]:
            raise UsageError(f"the outputs lack {', '.join(missing)}: apply this version of the deployment first")
        quick = replace(deployment, impatient=True)
        self._clock = clock
        self._mapping, self._queue_url = str(outputs["event_source_mapping_uuid"]), outputs.get("failures_queue_url")
        self._lambda, self._sqs = quick.client("lambda"), quick.client("sqs")
        self._bucket = Bucket(quick.client("s3"), quick.bucket)
        self._measures = measures_of(quick)
        self._jobs = {job: Executions(quick, job) for job in JOBS if outputs.get(f"{job}_state_machine_arn")}

    def read(self) -> Snapshot:
        now = self._clock()
        with ThreadPoolExecutor(_AT_ONCE) as pool:

            def ask(read: Callable[[], T]) -> Callable[[], T | Unknown]:
                return pool.submit(_answer, read).result

            jobs = {name: ask(executions.newest) for name, executions in self._jobs.items()}
            event_source, flow, queue, verified = (
                ask(self._event_source),
                ask(lambda: self._measures.read(now)),
                ask(self._messages),
                ask(self._verified),
            )
            failed, quarantined, deferred, expired = (
                ask(lambda prefix=prefix: self._count(prefix))  # type: ignore[misc]
                for prefix in (FAILED, QUARANTINE, DEFERRED, EXPIRED)
            )
            return Snapshot(
                now=now,
                event_source=event_source(),
                flow=flow(),
                failed=failed(),
                queue=queue(),
                quarantined=quarantined(),
                deferred=deferred(),
                expired=expired(),
                jobs={name: job() for name, job in jobs.items()},
                verified=verified(),
            )

    def _event_source(self) -> EventSource:
        try:
            found = self._lambda.get_event_source_mapping(UUID=self._mapping)
        except ClientError as error:
            if error.response["Error"]["Code"] != "ResourceNotFoundException":
                raise
            return EventSource("missing")
        age = found.get("MaximumRecordAgeInSeconds")
        # -1 stands for no limit.
        return EventSource(found["State"], found.get("LastProcessingResult", ""), age if age and age > 0 else None)

    def _count(self, prefix: str) -> Counted:
        found = list(islice(self._bucket.entries(prefix), MOST + 1))
        counts = found[:MOST]
        return Counted(len(counts), len(found) > MOST, min((entry.modified for entry in counts), default=None))

    def _messages(self) -> int | None:
        if not self._queue_url:
            return None
        found = self._sqs.get_queue_attributes(QueueUrl=self._queue_url, AttributeNames=list(_QUEUED))["Attributes"]
        return sum(int(found[name]) for name in _QUEUED)

    def _verified(self) -> datetime | None:
        """When the whole table was last found equal, also in slices. The name of the file has their number.

        None where a repair has deleted rows since: other rows may have gone with them.
        """
        times = []
        for key, _ in islice(self._bucket.list(VERIFIED), MOST):
            parts = key.removeprefix(VERIFIED).partition("-")[0]
            if parts.isdecimal() and (equal := all_equal(self._bucket.read_json(key), int(parts))):
                times.append(equal)
        through, deleted = max(times, default=None), last_deletion(self._bucket)
        return None if through is None or (deleted and deleted >= through) else through


def measures_of(deployment: Deployment) -> Measures:
    """An emulator's logs, or CloudWatch's metrics."""
    outputs = deployment.outputs
    consumer = str(outputs["consumer_function_name"])
    functions = [str(outputs[name]) for name in _SEES_POINTERS if outputs.get(name)]
    if deployment.endpoint:
        return LogMeasures(deployment.client("logs"), consumer, functions)
    mapping = str(outputs["event_source_mapping_uuid"])
    return CloudWatchMeasures(deployment.client("cloudwatch"), deployment.client("logs"), consumer, mapping, functions)


def _answer(read: Callable[[], T]) -> T | Unknown:
    try:
        return read()
    except _NOT_READ as error:
        return Unknown(_reason(error))


def _reason(error: Exception) -> str:
    """One line. An error of AWS has its code and message; an object that cannot be read has no content in it."""
    if isinstance(error, ClientError):
        found = error.response["Error"]
        return f"{found.get('Code', 'error')}: {found.get('Message', '')}"
    if isinstance(error, BotoCoreError | UnreadableError):
        return str(error)
    if isinstance(error, json.JSONDecodeError):
        return "an object is not JSON"
    return f"an answer is not as expected ({type(error).__name__})"
