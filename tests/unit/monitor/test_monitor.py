"""What one call of the monitor measures: all that its sources say, and nothing that one of them does not say."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from common.bucket import Bucket
from common.consumer_lag import ConsumerMetrics
from common.layout import LAST_DELETION, verified_key
from monitor import backlog
from monitor.metrics import UNITS, emit
from monitor.monitor import Monitor, SourcesError
from monitor.pointers import Queue
from monitor.replays import Replays
from monitor.stream import UnreadChanges
from tests.support.aws import S3, SQS, refused
from tests.support.functions import emitted

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
CREATED = NOW - timedelta(days=10)
DIGEST = "0123456789abcdef"


class Quiet:
    """CloudWatch and Step Functions of a pipeline to which nothing happens. With `is_away` they do not answer."""

    is_away = False
    executions: tuple[dict[str, Any], ...] = ()

    def _answer(self, name: str, value: Any) -> dict[str, Any]:
        if self.is_away:
            raise refused("ServiceUnavailable")
        return {name: value}

    def get_metric_statistics(self, **_: Any) -> dict[str, Any]:
        return self._answer("Datapoints", [])

    def list_executions(self, **_: Any) -> dict[str, Any]:
        return self._answer("executions", list(self.executions))

    def describe_execution(self, **_: Any) -> dict[str, Any]:
        return {"input": "{}"}


class World:
    def __init__(self) -> None:
        self.s3, self.sqs = S3(), SQS(lambda: 0.0)
        self.cloudwatch, self.states = Quiet(), Quiet()
        self.mapping: dict[str, Any] = {"State": "Enabled", "LastProcessingResult": "OK"}
        self.beats: list[float] = []
        self.monitor = Monitor(
            bucket=Bucket(self.s3, "failures"),
            queue=None,
            describe=lambda: self.mapping,
            unread=UnreadChanges(
                ConsumerMetrics(self.cloudwatch, "consumer", timedelta(minutes=1)), CREATED, timedelta(hours=6)
            ),
            replays=Replays(self.states, "arn"),
            mapping=DIGEST,
            verifies=False,
            beat=None,
            now=lambda: NOW,
        )

    def with_queue(self) -> None:
        self.monitor = replace(self.monitor, queue=Queue(self.sqs, "https://sqs/failures"))

    def put(self, key: str, ago: timedelta = timedelta(), content: Any = None) -> None:
        self.s3.objects[key], self.s3.modified[key] = json.dumps(content or {}).encode(), NOW - ago

    def send_pointer(self, arrived: str, failed: str) -> None:
        info = {"approximateArrivalOfFirstRecord": arrived}
        self.sqs.send(json.dumps({"timestamp": failed, "DDBStreamBatchInfo": info}))

    def verified(self, equal: datetime, digest: str = DIGEST) -> None:
        times = {"tried": equal.isoformat(), "equal": equal.isoformat()}
        self.put(verified_key(1, digest), content={"1": times})


@pytest.fixture
def world() -> World:
    return World()


def values(world: World) -> dict[str, float]:
    measured = world.monitor.measure()
    assert (measured.failed, measured.partial) == ({}, [])
    return measured.values


ALL_WELL = {
    "batches_waiting": 0,
    "oldest_batch_seconds": 0.0,
    "mapping_enabled": 1,
    "hours_until_loss": 24.0,
    "quarantined_waiting": 0,
    "deferred_waiting": 0,
    "oldest_deferred_seconds": 0.0,
    "replay_failed": 0,
}


def test_all_that_has_a_value_is_measured_when_nothing_is_wrong(world: World) -> None:
    """An alarm on a metric that comes only with trouble cannot tell trouble from a monitor that stopped."""
    assert values(world) == ALL_WELL


def test_everything_wrong_is_measured(world: World) -> None:
    world.with_queue()
    world.put("aws/lambda/m/shardId-1/a", timedelta(minutes=5))
    world.put("quarantine/order/a/1.json")
    world.put("deferred/order/b/1.json")
    world.put("deferred/order/c/1.json", timedelta(hours=25))
    world.send_pointer("2026-01-30T22:00:00Z", "2026-01-31T11:00:00Z")
    world.mapping = {"State": "Disabled"}
    world.states.executions = ({"executionArn": "a", "status": "FAILED", "stopDate": NOW},)
    world.verified(NOW - timedelta(hours=3))
    assert values(world) == {
        "batches_waiting": 2,
        "oldest_batch_seconds": 3600.0,
        "pointer_seconds_left": 36_000.0,
        "mapping_enabled": 0,
        "hours_until_loss": 0.0,
        "quarantined_waiting": 1,
        "deferred_waiting": 2,
        "oldest_deferred_seconds": 90_000.0,
        "replay_failed": 1,
        "unverified_seconds": 10_800.0,
    }


def test_pointers_of_which_none_is_seen_leave_the_hours_open(world: World) -> None:
    """A replay has taken them and may have died. 24 hours would say that nothing is behind."""
    world.with_queue()
    world.send_pointer("2026-01-30T13:00:00Z", "2026-01-31T11:00:00Z")
    world.sqs.receive_message(QueueUrl="q", MaxNumberOfMessages=1, VisibilityTimeout=180, WaitTimeSeconds=0)
    measured = world.monitor.measure()
    assert "hours_until_loss" not in measured.values
    assert (measured.values["batches_waiting"], measured.failed) == (1, {})
    world.send_pointer("2026-01-30T22:00:00Z", "2026-01-31T11:00:00Z")
    measured = world.monitor.measure()
    assert (measured.values["hours_until_loss"], measured.partial) == (10, ["pointer_seconds_left", "hours_until_loss"])


def test_every_metric_can_be_measured(world: World) -> None:
    """Their names and units are those of the table."""
    world.with_queue()
    world.send_pointer("2026-01-31T02:00:00Z", "2026-01-31T11:00:00Z")
    world.verified(NOW)
    assert set(values(world)) == set(UNITS)


def test_the_pointer_that_is_lost_first_sets_the_hours(world: World) -> None:
    world.with_queue()
    world.send_pointer("2026-01-31T02:00:00Z", "2026-01-31T11:00:00Z")
    world.send_pointer("2026-01-31T00:00:00Z", "2026-01-31T11:30:00Z")
    assert values(world)["hours_until_loss"] == 12.0


def test_an_empty_queue_has_no_time_left_to_tell(world: World) -> None:
    world.with_queue()
    assert values(world) == ALL_WELL


def test_a_batch_of_a_clock_that_is_ahead_has_no_age(world: World) -> None:
    """S3 and Lambda have clocks of their own."""
    world.put("aws/lambda/m/shardId-1/a", -timedelta(seconds=1))
    assert values(world)["oldest_batch_seconds"] == 0.0


def away(world: World, source: str) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise refused("AccessDenied")

    if source == "queue":
        world.sqs.receive_message = fail  # type: ignore[method-assign]
    elif source == "bucket":
        world.s3.paginate = fail  # type: ignore[method-assign]
    elif source == "mapping":
        world.monitor = replace(world.monitor, describe=fail)
    elif source == "cloudwatch":
        world.cloudwatch.is_away = True
    else:
        world.states.is_away = True


BATCHES = {"batches_waiting", "oldest_batch_seconds"}
DEFERRED = {"deferred_waiting", "oldest_deferred_seconds"}


@pytest.mark.parametrize(
    ("source", "missing"),
    [
        ("queue", BATCHES | {"pointer_seconds_left", "hours_until_loss"}),
        ("bucket", BATCHES | DEFERRED | {"quarantined_waiting", "unverified_seconds"}),
        ("mapping", {"mapping_enabled", "hours_until_loss"}),
        ("cloudwatch", {"hours_until_loss"}),
        ("states", {"replay_failed"}),
    ],
)
def test_a_source_that_does_not_answer_gives_no_number(world: World, source: str, missing: set[str]) -> None:
    """What is known without it is measured, and nothing else is guessed."""
    world.with_queue()
    world.send_pointer("2026-01-31T02:00:00Z", "2026-01-31T11:00:00Z")
    world.monitor = replace(world.monitor, verifies=True)
    world.verified(NOW)
    whole = world.monitor.measure().values
    away(world, source)
    measured = world.monitor.measure()
    assert measured.values == {name: value for name, value in whole.items() if name not in missing}
    assert measured.failed
    message = str(SourcesError(measured.failed))
    assert all(name in message for name in measured.failed)
    assert "ClientError" in message


def test_what_is_counted_in_part_is_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backlog, "MOST_OBJECTS", 2)
    world.with_queue()
    for number in range(3):
        world.put(f"aws/lambda/m/shardId-1/{number}")
        world.put(f"deferred/order/{number}/1.json")
    for minute in range(12):
        world.send_pointer(f"2026-01-31T02:{minute:02d}:00Z", "2026-01-31T11:00:00Z")
    measured = world.monitor.measure()
    assert (measured.values["batches_waiting"], measured.values["deferred_waiting"]) == (2 + 12, 2)
    assert measured.partial == [
        "batches_waiting", "oldest_batch_seconds", "pointer_seconds_left", "hours_until_loss", "deferred_waiting",
        "oldest_deferred_seconds",
    ]  # fmt: skip


class TestTheUnverifiedTime:
    def test_is_not_measured_where_nobody_verifies(self, world: World) -> None:
        assert "unverified_seconds" not in values(world)

    def test_counts_from_the_stream_until_the_first_proof(self, world: World) -> None:
        world.monitor = replace(world.monitor, verifies=True)
        assert values(world)["unverified_seconds"] == 10 * 86_400.0

    @pytest.mark.parametrize("verifies", [True, False])
    def test_counts_from_the_time_that_is_proven(self, world: World, *, verifies: bool) -> None:
        world.monitor = replace(world.monitor, verifies=verifies)
        world.verified(NOW - timedelta(hours=1))
        assert values(world)["unverified_seconds"] == 3600.0

    def test_takes_no_proof_of_another_mapping(self, world: World) -> None:
        world.verified(NOW - timedelta(hours=1), digest="f" * 16)
        assert "unverified_seconds" not in values(world)

    @pytest.mark.parametrize(("deleted_hours_ago", "hours"), [(2, 1.0), (1, 240.0), (0.5, 240.0)])
    def test_takes_no_proof_from_before_a_deletion(self, world: World, deleted_hours_ago: float, hours: float) -> None:
        """Rows may have gone with the deleted ones that were equal before."""
        world.monitor = replace(world.monitor, verifies=True)
        world.verified(NOW - timedelta(hours=1))
        world.put(LAST_DELETION, timedelta(hours=deleted_hours_ago))
        assert values(world)["unverified_seconds"] == hours * 3600


class TestTheHeartbeat:
    def test_is_put_with_the_time_of_the_call(self, world: World) -> None:
        world.monitor = replace(world.monitor, beat=world.beats.append)
        assert values(world) == ALL_WELL
        assert world.beats == [NOW.timestamp()]

    def test_that_cannot_be_put_fails_the_call_alone(self, world: World) -> None:
        def refuse(_: float) -> None:
            raise refused("AccessDeniedException")

        world.monitor = replace(world.monitor, beat=refuse)
        measured = world.monitor.measure()
        assert measured.values == ALL_WELL
        assert list(measured.failed) == ["the heartbeat"]


def test_one_line_has_all_metrics_with_their_units(world: World, capsys: Any) -> None:
    emit(dict.fromkeys(UNITS, 1.0))
    [line] = emitted(capsys.readouterr().out)
    [block] = line["_aws"]["CloudWatchMetrics"]
    units = {metric["Name"]: metric["Unit"] for metric in block["Metrics"]}
    assert (block["Namespace"], units) == ("Backstream", {name: unit.value for name, unit in UNITS.items()})


def test_without_any_value_no_line_is_written(capsys: Any) -> None:
    emit({})
    assert capsys.readouterr().out == ""
