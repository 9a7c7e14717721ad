"""What the status asks of AWS, and what becomes of a source that does not answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError, NoCredentialsError

from backstream.deployment import Deployment
from backstream.errors import UsageError
from backstream.status.cloudwatch_measures import CloudWatchMeasures
from backstream.status.log_measures import LogMeasures
from backstream.status.snapshot import Counted, EndedJob, EventSource, Job, RunningJob, Snapshot, Unknown
from backstream.status.sources import MOST, Sources, measures_of
from common.layout import ReplayKeys
from tests.support.aws import S3, WRITTEN, refused
from tests.support.status import NOW, before

MACHINES = "arn:aws:states:eu-central-1:123456789012:stateMachine:bs-"
OUTPUTS = {
    "consumer_function_name": "bs-stream-consumer",
    "replayer_function_name": "bs-dlq-replayer",
    "event_source_mapping_uuid": "uuid",
    "failures_bucket": "failures",
    "failures_queue_url": "",
    **{f"{job}_state_machine_arn": MACHINES + job for job in ("replay", "load", "verify", "seed")},
}


class Aws:
    """Fakes of Lambda, SQS, Step Functions, CloudWatch and its logs in one. `error` is what all of them raise."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.mapping: dict[str, Any] = {"State": "Enabled", "LastProcessingResult": "OK"}
        self.executions: dict[str, list[dict[str, Any]]] = {}
        self.descriptions: dict[str, dict[str, Any]] = {}
        self.described: list[str] = []
        self.listed = 0
        self.entered: dict[str, Any] = {}

    def get_event_source_mapping(self, UUID: str) -> dict[str, Any]:  # noqa: N803 - AWS's names
        assert UUID == "uuid"
        self._fail()
        return self.mapping

    def get_queue_attributes(self, QueueUrl: str, AttributeNames: list[str]) -> dict[str, Any]:  # noqa: N803
        assert QueueUrl == "https://queue"
        self._fail()
        return {"Attributes": dict(zip(AttributeNames, ("2", "1"), strict=True))}

    def list_executions(
        self,
        stateMachineArn: str,  # noqa: N803
        maxResults: int,  # noqa: N803
        statusFilter: str = "",  # noqa: N803
        nextToken: str = "0",  # noqa: N803
    ) -> dict[str, Any]:
        self._fail()
        self.listed += 1
        listed = self.executions.get(stateMachineArn.removeprefix(MACHINES), [])
        found = [one for one in listed if statusFilter in ("", one["status"])]
        end = int(nextToken) + maxResults
        token = {"nextToken": str(end)} if end < len(found) else {}
        return {"executions": found[int(nextToken) : end], **token}

    def describe_execution(self, executionArn: str) -> dict[str, Any]:  # noqa: N803
        self.described.append(executionArn)
        return self.descriptions[executionArn]

    def get_execution_history(self, **_: Any) -> dict[str, Any]:
        return {"events": [{"stateEnteredEventDetails": self.entered}]}

    def filter_log_events(self, **_: Any) -> dict[str, Any]:
        self._fail()
        return {"events": []}

    def get_paginator(self, _: str) -> Any:
        return self

    def paginate(self, **_: Any) -> Iterator[dict[str, Any]]:
        self._fail()
        return iter(())

    def _fail(self) -> None:
        if self.error:
            raise self.error


@dataclass(frozen=True)
class Account(Deployment):
    aws: Any = None
    s3: Any = None

    def client(self, service: str) -> Any:
        assert self.impatient, "a source must not keep the others waiting"
        return self.s3 if service == "s3" else self.aws


@pytest.fixture(autouse=True)
def no_emulator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)


def account(**outputs: Any) -> Account:
    return Account({**OUTPUTS, **outputs}, aws=Aws(), s3=S3())


def read(made: Account) -> Snapshot:
    return Sources(made, clock=lambda: NOW).read()


def execution(name: str, status: str, started: datetime, stopped: datetime | None = None) -> dict[str, Any]:
    return {"executionArn": f"arn:{name}", "status": status, "startDate": started, "stopDate": stopped}


def test_a_new_deployment_has_nothing_to_tell() -> None:
    found = read(account())
    assert found.event_source == EventSource("Enabled", "OK", None)
    assert (found.failed, found.quarantined, found.deferred, found.expired) == (Counted(0),) * 4
    assert (found.queue, found.verified, found.unknown) == (None, None, {})
    assert found.jobs == {"replay": Job(), "load": Job(), "verify": Job(), "seed": Job()}


def test_what_waits_is_counted_by_its_folder() -> None:
    made = account(failures_queue_url="https://queue")
    names = ["aws/lambda/a", "aws/lambda/b", "quarantine/order/1/2.json", "deferred/order/1/2.json", "expired/c.json"]
    made.s3.objects = dict.fromkeys([*names, "replayed/aws/lambda/d", "unfinished/e"], b"{}")
    made.s3.modified = {name: WRITTEN + timedelta(hours=number) for number, name in enumerate(reversed(names))}
    found = read(made)
    hours = [WRITTEN + timedelta(hours=number) for number in range(5)]
    assert found.failed == Counted(2, oldest=hours[3])
    assert (found.quarantined, found.deferred) == (Counted(1, oldest=hours[2]), Counted(1, oldest=hours[1]))
    assert found.expired == Counted(1, oldest=hours[0])
    assert found.queue == 3, "also those that a replay holds"


@pytest.mark.parametrize(("there", "more"), [(MOST, False), (MOST + 1, True)])
def test_a_listing_is_bounded(there: int, more: bool) -> None:
    made = account()
    made.s3.objects = {f"aws/lambda/{number:05d}": b"" for number in range(there)}
    assert read(made).failed == Counted(MOST, more, WRITTEN)


@pytest.mark.parametrize(
    ("mapping", "found", "enabled"),
    [
        ({"State": "Updating", "MaximumRecordAgeInSeconds": 60}, EventSource("Updating", "", 60), True),
        ({"State": "Disabled", "MaximumRecordAgeInSeconds": -1}, EventSource("Disabled", "", None), False),
        ({"State": "Disabling", "LastProcessingResult": "OK"}, EventSource("Disabling", "OK", None), False),
    ],
)
def test_the_state_of_the_mapping_is_told(mapping: dict[str, Any], found: EventSource, enabled: bool) -> None:
    made = account()
    made.aws.mapping = mapping
    assert read(made).event_source == found
    assert found.enabled is enabled


def test_a_mapping_that_is_gone_is_no_silence() -> None:
    made = account()
    made.aws.error = refused("ResourceNotFoundException")
    found = read(made).event_source
    assert found == EventSource("missing")
    assert not found.enabled


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (refused("AccessDeniedException"), "AccessDeniedException: AccessDeniedException"),
        (NoCredentialsError(), "Unable to locate credentials"),
        (
            EndpointConnectionError(endpoint_url="http://127.0.0.1:1"),
            'Could not connect to the endpoint URL: "http://127.0.0.1:1"',
        ),
        (KeyError("State"), "an answer is not as expected (KeyError)"),
    ],
)
def test_a_source_that_does_not_answer_stops_no_other(error: Exception, reason: str) -> None:
    made = account(failures_queue_url="https://queue")
    made.aws.error = error
    made.s3.objects = {"quarantine/a": b""}
    found = read(made)
    assert found.quarantined == Counted(1, oldest=WRITTEN)
    assert found.unknown == dict.fromkeys(
        [
            "the event source mapping",
            "the consumer's measures",
            "the queue",
            "the replay executions",
            "the load executions",
            "the verify executions",
            "the seed executions",
        ],
        Unknown(reason),
    )


def test_an_object_that_is_no_json_tells_nothing_of_its_content() -> None:
    made = account()
    made.s3.objects = {"verified/0001-abc.json": b"secret"}
    assert read(made).verified == Unknown("an object is not JSON")


@pytest.mark.parametrize(
    ("files", "equal"),
    [
        ({}, None),
        ({"deleted.json": {}}, None),
        ({"0001-abc.json": {"1": {"tried": "x", "equal": "2026-03-14T10:00:00+00:00"}}}, 10),
        ({"0002-abc.json": {"1": {"equal": "2026-03-14T10:00:00+00:00"}}}, None),
        (
            {"0002-abc.json": {"1": {"equal": "2026-03-14T10:00:00+00:00"}, "2": {"equal": ""}}},
            None,
        ),
        (
            {
                "0002-abc.json": {
                    "1": {"equal": "2026-03-14T10:00:00+00:00"},
                    "2": {"equal": "2026-03-14T09:00:00+00:00"},
                },
                "0001-abc.json": {"1": {"equal": "2026-03-14T08:00:00+00:00"}},
            },
            9,
        ),
    ],
)
def test_both_sides_were_equal_when_every_slice_was(files: dict[str, Any], equal: int | None) -> None:
    """The slice that was found equal longest ago counts; of several ways to slice, the newest."""
    made = account()
    made.s3.objects = {f"verified/{name}": json.dumps(body).encode() for name, body in files.items()}
    wanted = equal and NOW.replace(hour=equal, minute=0, second=0)
    assert read(made).verified == wanted


@pytest.mark.parametrize(("hours", "lasts"), [(0, False), (1, True)])
def test_a_repair_that_deleted_rows_takes_the_proof_back(hours: int, lasts: bool) -> None:
    """Other rows may have gone with them. `hours` is how long after the repair the table was found equal."""
    made = account()
    equal = WRITTEN + timedelta(hours=hours)
    made.s3.objects = {
        "verified/0001-abc.json": json.dumps({"1": {"tried": "x", "equal": equal.isoformat()}}).encode(),
        "verified/deleted.json": b"{}",
    }
    assert read(made).verified == (equal if lasts else None)


def test_the_newest_executions_are_told() -> None:
    """Of several that run, the others end as soon as they see the first. Of those that ended, the last one counts."""
    made = account()
    made.aws.executions["load"] = [
        execution("new", "RUNNING", before(seconds=1)),
        execution("old", "RUNNING", before(seconds=9)),
        execution("failed", "FAILED", before(hours=2), before(minutes=5)),
        execution("good", "SUCCEEDED", before(hours=1), before(minutes=50)),
    ]
    made.aws.descriptions = {
        "arn:old": {"status": "RUNNING"},
        "arn:failed": {"status": "FAILED", "error": "Incomplete", "cause": "MySQL"},
    }
    assert read(made).jobs["load"] == Job(
        RunningJob(before(seconds=9), "0 items, 0 read units"),
        EndedJob("FAILED", before(minutes=5), "", "Incomplete", "MySQL"),
    )


NOTHING: list[tuple[str, dict[str, Any]]] = [
    ("SUCCEEDED", {"outcome": "already_running"}),
    ("SUCCEEDED", {"outcome": "planned", "counts": {"drift": 0}}),
    ("FAILED", {"error": "NotReady"}),
    ("FAILED", {"error": "WrongInput"}),
    ("ABORTED", {}),
]


@pytest.mark.parametrize(("status", "told"), NOTHING)
def test_an_execution_that_did_nothing_hides_no_finding(status: str, told: dict[str, Any]) -> None:
    """What the verification before it found is still true. Without one before it, it is told itself."""
    made = account()
    found = execution("found", "SUCCEEDED", before(hours=2), before(hours=1))
    idle = execution("idle", status, before(minutes=9), before(minutes=8))
    described: dict[str, Any] = {"status": status, **told, "output": json.dumps(told)}
    made.aws.descriptions = {
        "arn:found": {"status": "SUCCEEDED", "output": json.dumps({"outcome": "complete", "counts": {"drift": 4}})},
        "arn:idle": described,
    }
    made.aws.executions["verify"] = [idle, found]
    ended = EndedJob("SUCCEEDED", before(hours=1), "complete", counts={"drift": 4})
    assert read(made).jobs["verify"] == Job(ended=ended)
    made.aws.executions["verify"] = [idle]
    alone = read(made).jobs["verify"]
    assert isinstance(alone, Job)
    assert alone.ended is not None
    assert (alone.ended.status, alone.ended.ended) == (status, before(minutes=8))


@pytest.mark.parametrize(
    ("outcome", "counts"), [("planned", True), ("already_running", False), ("nothing_to_do", False)]
)
def test_a_replay_that_asked_mysql_counts(outcome: str, counts: bool) -> None:
    """A burst of failed batches starts many replays, of which one works."""
    made = account()
    made.aws.executions["replay"] = [
        execution("new", "SUCCEEDED", before(minutes=3), before(minutes=2)),
        execution("old", "SUCCEEDED", before(minutes=9), before(minutes=8)),
    ]
    made.aws.descriptions = {
        "arn:new": {"status": "SUCCEEDED", "output": json.dumps({"outcome": outcome})},
        "arn:old": {"status": "SUCCEEDED", "output": json.dumps({"outcome": "complete"})},
    }
    assert read(made).replay.ended == (
        EndedJob("SUCCEEDED", before(minutes=2), outcome)
        if counts
        else EndedJob("SUCCEEDED", before(minutes=8), "complete")
    )


def burst(made: Account, job: str, count: int, outcome: str = "already_running") -> None:
    """Executions that did nothing, the newest first."""
    made.aws.executions[job] = [
        execution(f"{job}{number}", "SUCCEEDED", before(seconds=number + 2), before(seconds=number + 1))
        for number in range(count)
    ]
    idle = {"status": "SUCCEEDED", "output": json.dumps({"outcome": outcome})}
    made.aws.descriptions |= {one["executionArn"]: idle for one in made.aws.executions[job]}


def test_a_burst_of_idle_executions_hides_no_other() -> None:
    """Neither the one that runs nor the one that worked last."""
    made = account()
    burst(made, "replay", 350)
    made.aws.executions["replay"] += [
        execution("runs", "RUNNING", before(hours=1)),
        execution("worked", "FAILED", before(hours=3), before(hours=2)),
    ]
    made.aws.descriptions |= {
        "arn:runs": {"status": "RUNNING"},
        "arn:worked": {"status": "FAILED", "error": "Incomplete"},
    }
    found = read(made).replay
    assert found.running is not None
    assert found.running.started == before(hours=1)
    assert found.ended == EndedJob("FAILED", before(hours=2), "", "Incomplete")


def test_replays_without_work_cost_few_requests() -> None:
    """With `auto_replay` there are hundreds a day. The one that worked took longer, and is told."""
    made = account()
    burst(made, "replay", 350, outcome="nothing_to_do")
    worked = execution("worked", "SUCCEEDED", before(hours=3), before(hours=2))
    made.aws.executions["replay"].append(worked)
    made.aws.descriptions["arn:worked"] = {"status": "SUCCEEDED", "output": json.dumps({"outcome": "complete"})}
    assert read(made).replay.ended == EndedJob("SUCCEEDED", before(hours=2), "complete")
    assert len(made.aws.described) <= 30


def test_a_replay_that_failed_at_once_is_not_missed() -> None:
    """It took no longer than those that found nothing to do."""
    made = account()
    burst(made, "replay", 50)
    failed = before(seconds=30)
    made.aws.executions["replay"].insert(29, execution("failed", "FAILED", failed, failed))
    made.aws.descriptions["arn:failed"] = {"status": "FAILED", "error": "Incomplete"}
    assert read(made).replay.ended == EndedJob("FAILED", failed, "", "Incomplete")


def test_the_search_for_an_execution_that_worked_is_bounded() -> None:
    """Each is described once. The newest is told where none of them worked."""
    made = account()
    burst(made, "replay", 1_200)
    burst(made, "verify", 1_200)
    sources = Sources(made, clock=lambda: NOW)
    snapshots = [sources.read() for _ in range(2)]
    last = EndedJob("SUCCEEDED", before(seconds=1), "already_running")
    assert [one.jobs[job] for one in snapshots for job in ("replay", "verify")] == [Job(ended=last)] * 4
    # Of replays the ten longest of the newest page and two of each other one; of other jobs the newest.
    assert len(made.aws.described) == (10 + 9 * 2) + 30
    # Each look lists what runs, of four jobs, and what has ended.
    assert made.aws.listed == 2 * (4 + 10 + 3)


def test_replays_that_refused_to_begin_are_bounded() -> None:
    """They failed, so each of them may be the failure to tell."""
    made = account()
    burst(made, "replay", 200)
    for one in made.aws.executions["replay"]:
        one["status"] = "FAILED"
        made.aws.descriptions[one["executionArn"]] = {"status": "FAILED", "error": "WrongInput"}
    assert read(made).replay.ended == EndedJob("FAILED", before(seconds=1), "", "WrongInput")
    assert len(made.aws.described) == 30


def test_parts_of_a_table_are_looked_for_in_some_verifications() -> None:
    """Slices may be many, and each costs a request."""
    made = account()
    for number in range(60):
        ended = before(hours=number + 1)
        made.aws.executions.setdefault("verify", []).append(execution(str(number), "SUCCEEDED", ended, ended))
        report = json.dumps({"slice": f"{number}/60", "counts": {}})
        made.aws.descriptions[f"arn:{number}"] = {"status": "SUCCEEDED", "output": report}
    job = read(made).jobs["verify"]
    assert isinstance(job, Job)
    assert (len(job.earlier), len(made.aws.described)) == (20, 21)


def test_a_part_that_agrees_hides_no_other_that_differs() -> None:
    """Slices and windows are compared in turn. Each counts with its last comparison, back to one of the whole table.

    One that failed has compared nothing.
    """
    reports = [
        {"slice": "2/3", "counts": {"drift": 0}},
        {"changed_from": "09:00", "changed_until": "10:00", "counts": {"drift": 1}},
        {"slice": "1/3", "counts": {"drift": 2}},
        {"slice": "2/3", "counts": {"drift": 3}},
        {"slice": "", "counts": {"drift": 4}},
        {"slice": "3/3", "counts": {"drift": 5}},
    ]
    made = account()
    for number, report in enumerate(reports):
        ended = before(hours=number + 1)
        made.aws.executions.setdefault("verify", []).append(execution(str(number), "SUCCEEDED", ended, ended))
        made.aws.descriptions[f"arn:{number}"] = {"status": "SUCCEEDED", "output": json.dumps(report)}
    failed = execution("failed", "FAILED", before(hours=2), before(hours=2))
    made.aws.executions["verify"].insert(1, failed)
    made.aws.descriptions["arn:failed"] = {"status": "FAILED"}
    job = read(made).jobs["verify"]
    assert isinstance(job, Job)
    assert job.ended is not None
    found = [(one.part, one.counts["drift"]) for one in (job.ended, *job.earlier)]
    assert found == [("2/3", 0), ("09:00 to 10:00", 1), ("1/3", 2), ("", 4)]


@pytest.mark.parametrize("status", ["FAILED", "TIMED_OUT"])
def test_a_verification_that_failed_covers_no_part(status: str) -> None:
    made = account()
    made.aws.executions["verify"] = [
        execution("new", status, before(hours=1), before(hours=1)),
        execution("old", "SUCCEEDED", before(hours=2), before(hours=2)),
    ]
    made.aws.descriptions = {
        "arn:new": {"status": status},
        "arn:old": {"status": "SUCCEEDED", "output": json.dumps({"counts": {"drift": 4}})},
    }
    job = read(made).jobs["verify"]
    assert isinstance(job, Job)
    assert [one.counts for one in job.earlier] == [{"drift": 4}]


def test_the_report_of_an_execution_is_read_once() -> None:
    made = account()
    made.aws.executions["replay"] = [execution("a", "SUCCEEDED", before(hours=2), before(minutes=5))]
    report = {"outcome": "complete", "counts": {"applied": 3}}
    made.aws.descriptions = {"arn:a": {"status": "SUCCEEDED", "output": json.dumps(report)}}
    sources = Sources(made, clock=lambda: NOW)
    found = [sources.read().jobs["replay"] for _ in range(2)]
    assert found == [Job(ended=EndedJob("SUCCEEDED", before(minutes=5), "complete", counts={"applied": 3}))] * 2
    assert made.aws.described == ["arn:a"]


@pytest.mark.parametrize(
    ("state", "given", "running"),
    [
        ("Drain", {"lanes": [{"splits": 4}]}, RunningJob(NOW, "Drain: 1/5 splits, 12 changes", "", True)),
        ("Collect", {}, RunningJob(NOW, "Collect", "", True)),
        ("Hydrate", {}, RunningJob(NOW, "Hydrate", "", False)),
        (
            "Check",
            {"waiting_since": "2026-03-14T20:44:00+00:00", "reason": "error 2003"},
            RunningJob(
                NOW,
                "waiting for MySQL since 20:44:00 UTC: error 2003",
                "since 20:44:00 UTC: error 2003",
                False,
            ),
        ),
    ],
)
def test_a_running_replay_tells_how_far_it_is(state: str, given: dict[str, Any], running: RunningJob) -> None:
    """After its check of the database, MySQL has answered."""
    made = account()
    made.aws.executions["replay"] = [execution("a", "RUNNING", NOW)]
    made.aws.descriptions = {"arn:a": {"status": "RUNNING"}}
    made.aws.entered = {"name": state, "input": json.dumps(given)}
    made.s3.objects = {ReplayKeys("a").result(1): json.dumps({"counts": {"changes": 12}}).encode()}
    found = read(made).jobs["replay"].running
    assert found is not None
    assert found.progress.startswith(running.progress)
    assert (found.waiting, found.database_answered) == (running.waiting, running.database_answered)


def test_a_deployment_of_an_earlier_version_is_named() -> None:
    with pytest.raises(UsageError, match="the outputs lack event_source_mapping_uuid: apply"):
        Sources(account(event_source_mapping_uuid=""))


def test_a_job_that_the_version_lacks_is_left_out() -> None:
    made = account(seed_state_machine_arn="")
    assert list(read(made).jobs) == ["replay", "load", "verify"]


def test_an_emulator_is_measured_by_its_logs() -> None:
    """Emulators make no metrics of log lines; on AWS metrics are the cheaper source."""
    made = [account(), account(endpoint_url="http://127.0.0.1:4566")]
    kinds = [type(measures_of(replace(one, impatient=True))) for one in made]
    assert kinds == [CloudWatchMeasures, LogMeasures]
