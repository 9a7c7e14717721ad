"""What a replay tells of itself: what became of records, under the consumer's names, and what waits."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from dlq_replayer import collect, drain
from dlq_replayer.meter import CloudWatchMeter
from tests.support.functions import emitted, metrics_of
from tests.support.records import START, TTL_IDENTITY, remove
from tests.support.replay import CHILD, SHARD, Execution, World, change

BAD = {"amount": "12345678901234567890"}
NAMES = (
    "upserted", "deleted", "stale", "redelivered", "superseded", "parked", "clock_tripped", "ttl_delete", "expired",
    "problems",
)  # fmt: skip
FATES = ("upserted", "deleted", "stale", "redelivered", "superseded", "parked")
ONCE = ("parked", "clock_tripped", "ttl_delete", "expired", "problems")


def fill(world: World) -> None:
    """Something of everything that is counted."""
    world.put_batch([change("a", 5), change("b", 6), change("e", 10)])
    world.replay()
    world.meter.counts.clear()
    world.meter.gauges.clear()
    world.put_batch([change("a", 4), change("b", 6), change("b", 7), change("b", 8), remove("c", 9)])
    world.put_batch([change("d", 11, **BAD), change("e", 1, time=START + 60)])
    world.put_batch([remove("f", 12, identity=TTL_IDENTITY)])
    world.s3.put_object(Bucket="", Key="aws/lambda/foreign", Body="x")
    world.send_pointer([change("g", 13)], shardId=CHILD)
    world.streams.shard("arn:aws:dynamodb:us-east-1:123456789012:table/orders", CHILD)
    for (_, name), shard in world.streams.shards.items():
        shard.trimmed = 1 if name == CHILD else 0


def told(world: World) -> dict[str, int]:
    return {name: world.meter.counts[name] for name in NAMES}


def test_what_became_of_records_is_counted_as_the_consumer_does(world: World):
    fill(world)
    report = world.replay()
    assert told(world) == {name: report["counts"][name] for name in NAMES} == {
        "upserted": 1, "deleted": 1, "stale": 1, "redelivered": 0, "superseded": 2, "parked": 2, "clock_tripped": 1,
        "ttl_delete": 1, "expired": 1, "problems": 1,
    }  # fmt: skip
    assert world.meter.counts["received"] == report["counts"]["records"] == 8
    assert set(world.meter.counts) <= {*NAMES, "received", "other_item"}


def test_a_split_of_many_calls_is_counted_once(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(drain, "_BATCH", 2)
    fill(world)
    world.out_of_time = lambda: True
    report = world.replay()
    assert {name: world.meter.counts[name] for name in FATES} == {name: report["counts"][name] for name in FATES}


def test_a_dry_run_counts_nothing(world: World):
    fill(world)
    world.replay({"dry_run": True})
    assert told(world) == dict.fromkeys(NAMES, 0)
    assert world.meter.counts["received"] == 0


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_at_any_call_nothing_is_counted_twice(
    make_world: Callable[..., World], when: str, monkeypatch: pytest.MonkeyPatch
):
    """What a killed call did since its last note is counted by the call that does it again, or finds it done.

    So each record has one fate, though it may be another: what had been applied is then redelivered, or stale.
    """
    monkeypatch.setattr(drain, "_BATCH", 2)
    world = make_world()
    fill(world)
    before = world.faults.calls
    world.replay()
    expected, total, missed = told(world), world.faults.calls - before, 0
    for call in range(2, total + 1, 2):
        world = make_world()
        fill(world)
        world.faults.kill(call, when)
        execution = Execution(world)
        report = execution.resume()
        assert execution.crashes == 1
        counted = told(world)
        fates = {name: report["counts"][name] for name in FATES}
        assert sum(fates.values()) == 7, call
        # A call that dies while it waits for S3's answer to a note takes what it would have counted with it.
        assert Counter({name: counted[name] for name in FATES}) <= Counter(fates), call
        assert all(counted[name] <= expected[name] for name in ONCE), call
        missed += fates != {name: counted[name] for name in FATES}
    assert missed <= (0 if when == "before" else 3)


def test_the_backlog_is_told_before_and_after(world: World):
    """Failed batches alone: neither the quarantine nor what a replay works with."""
    keys = [world.put_batch([change(f"k{n}", n)]) for n in range(3)]
    left = world.put_batch([change("x", 9)], batchSize=5)
    world.put_quarantined(change("y", 10, **BAD))
    now = world.clock()
    world.s3.modified |= {key: now - timedelta(hours=2) for key in keys}
    world.s3.modified |= {keys[1]: now - timedelta(hours=3), left: now - timedelta(minutes=10)}
    world.replay({"include_quarantine": True})
    assert world.meter.gauges == {"batches_waiting": [4, 1], "oldest_batch_seconds": [3 * 3600.0, 600.0]}
    world.meter.gauges.clear()
    del world.s3.objects[left]
    world.batches.clear()
    world.replay()
    assert world.meter.gauges == {"batches_waiting": [0], "oldest_batch_seconds": [0.0]}


def test_the_backlog_is_measured_over_many_calls(world: World, monkeypatch: pytest.MonkeyPatch):
    """A listing that one call has no time for goes on in the next, and comes to the same number of splits."""
    monkeypatch.setattr(collect, "_PAGE", 4)
    monkeypatch.setattr(collect, "_SPLIT_BYTES", 2_000)
    for number in range(10):
        world.put_batch([change(f"k{number}", number)])
        world.put_quarantined(change(f"q{number}", number, **BAD))
    size = sum(len(world.s3.body(key)) for key in world.s3.objects)
    world.out_of_time = lambda: True
    execution = Execution(world, {"include_quarantine": True}).until("collect")
    state = execution.state
    calls = 0
    while "splits" not in state.get("collected", {}):
        state = json.loads(json.dumps(world.steps().collect(state)))
        calls += 1
    assert calls == 20 // 4 + 1
    assert state["collected"]["splits"] == -(-size // 2_000) > 2
    assert world.meter.gauges["batches_waiting"] == [10]


@pytest.mark.parametrize("arrived", ["2026-01-31T23:00:00Z", "2026-01-31T23:00:00", "2026-02-01T00:00:00+01:00"])
def test_the_time_until_the_first_pointer_is_void_is_told(world: World, arrived: str):
    """Of every message that is seen: also of those that stay, and of shards that were not asked for."""
    world.send_pointer([change("a", 1)], approximateArrivalOfFirstRecord="2026-01-31T23:30:00Z")
    world.send_pointer([change("b", 2)], approximateArrivalOfFirstRecord=arrived, shardId=CHILD)
    world.send_pointer([change("c", 3)], approximateArrivalOfFirstRecord="never", batchSize=7)
    world.sqs.send("not ours")
    world.replay({"shards": [SHARD]})
    assert world.meter.gauges["pointer_seconds_left"] == [23 * 3600.0]
    world.clock.advance(24 * 3600)
    world.replay()
    assert world.meter.gauges["pointer_seconds_left"][-1] == -3600.0


def test_a_queue_without_pointers_tells_no_time(world: World):
    world.queue_mode = True
    world.put_batch([change("a", 1)])
    world.replay()
    assert "pointer_seconds_left" not in world.meter.gauges


def test_a_database_that_is_away_is_counted_as_the_consumer_does(world: World):
    world.put_batch([change("a", 1)])
    world.server.down = True
    execution = Execution(world)
    execution.on_wait = lambda: setattr(world.server, "down", False)
    execution.resume()
    assert (world.meter.counts["held"], world.meter.counts["stopped"]) == (1, 0)
    world.database.drop()
    world.put_batch([change("a", 2)])
    credentials = world.server.credentials
    world.server.credentials = lambda **_: '{"username": "nobody", "password": "x"}'  # type: ignore[method-assign]
    execution = Execution(world)
    execution.on_wait = lambda: setattr(world.server, "credentials", credentials)
    execution.resume()
    assert (world.meter.counts["held"], world.meter.counts["stopped"]) == (1, 1)


def test_metrics_are_written_in_the_consumers_namespace(capsys: pytest.CaptureFixture[str]):
    """At once, as log lines; zeros are none."""
    meter = CloudWatchMeter()
    meter.count(Counter(parked=2, stale=0))
    meter.count({})
    meter.gauge("pointer_seconds_left", 0.0, seconds=True)
    meter.gauge("batches_waiting", 3)
    text = capsys.readouterr().out
    assert metrics_of(text) == {"parked": 2, "pointer_seconds_left": 0, "batches_waiting": 3}
    blocks: list[dict[str, Any]] = [line["_aws"]["CloudWatchMetrics"][0] for line in emitted(text)]
    assert {block["Namespace"] for block in blocks} == {"Backstream"}
    assert [block["Metrics"][0]["Unit"] for block in blocks] == ["Count", "Seconds", "Count"]
