"""The metrics of a replay: what became of records, with the consumer's names, and what waits."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pymysql
import pytest

from common.changes import Kind, Parked
from common.database import Outcome
from common.histories import CLOCK_REASON
from common.meter import CloudWatchMeter
from common.mysql import errors
from dlq_replayer import backlog, drain
from tests.support.emissions import documented_of, seen
from tests.support.functions import emitted, metrics_of
from tests.support.records import START, TTL_IDENTITY, remove
from tests.support.replay import CHILD, SHARD, ReplayExecution, ReplayHarness, change

BAD = {"amount": "12345678901234567890"}
NAMES = (
    "upserted", "deleted", "stale", "redelivered", "superseded", "parked", "clock_tripped", "ttl_delete", "expired",
    "problems",
)  # fmt: skip
FATES = ("upserted", "deleted", "stale", "redelivered", "superseded", "parked", "ttl_delete")
ONCE = ("parked", "clock_tripped", "expired", "problems")


def fill(harness: ReplayHarness) -> None:
    """One of everything that is counted."""
    harness.put_batch([change("a", 5), change("b", 6), change("e", 10)])
    harness.replay()
    harness.meter.counts.clear()
    harness.meter.gauges.clear()
    harness.put_batch([change("a", 4), change("b", 6), change("b", 7), change("b", 8), remove("c", 9)])
    harness.put_batch([change("d", 11, **BAD), change("e", 1, time=START + 60)])
    harness.put_batch([remove("f", 12, identity=TTL_IDENTITY)])
    harness.s3.put_object(Bucket="", Key="aws/lambda/foreign", Body="x")
    harness.send_pointer([change("g", 13)], shardId=CHILD)
    harness.streams.shard("arn:aws:dynamodb:us-east-1:123456789012:table/orders", CHILD)
    for (_, name), shard in harness.streams.shards.items():
        shard.trimmed = 1 if name == CHILD else 0


def counted_by(harness: ReplayHarness) -> dict[str, int]:
    return {name: harness.meter.counts[name] for name in NAMES}


def test_records_are_counted_as_by_the_consumer(harness: ReplayHarness):
    fill(harness)
    report = harness.replay()
    assert counted_by(harness) == {name: report["counts"][name] for name in NAMES} == {
        "upserted": 1, "deleted": 1, "stale": 1, "redelivered": 0, "superseded": 2, "parked": 2, "clock_tripped": 1,
        "ttl_delete": 1, "expired": 1, "problems": 1,
    }  # fmt: skip
    assert harness.meter.counts["received"] == report["counts"]["records"] == 8
    assert set(harness.meter.counts) <= {*NAMES, "received", "unmapped_item", "unmapped_attribute"}


def test_a_split_of_many_calls_is_counted_once(harness: ReplayHarness, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(drain, "_CHUNK", 2)
    fill(harness)
    harness.out_of_time = lambda: True
    report = harness.replay()
    assert {name: harness.meter.counts[name] for name in FATES} == {name: report["counts"][name] for name in FATES}


def test_a_dry_run_counts_nothing(harness: ReplayHarness):
    fill(harness)
    harness.replay({"dry_run": True})
    assert counted_by(harness) == dict.fromkeys(NAMES, 0)
    assert harness.meter.counts["received"] == 0


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_kill_at_any_call_counts_nothing_twice(
    make_harness: Callable[..., ReplayHarness], moment: str, monkeypatch: pytest.MonkeyPatch
):
    """Work of a killed call that was not saved is counted by the call that repeats it.

    So each record has one fate, though it may be another: what had been applied is then redelivered, or stale.
    """
    monkeypatch.setattr(drain, "_CHUNK", 2)
    harness = make_harness()
    fill(harness)
    before = harness.faults.calls
    harness.replay()
    expected, total, missed = counted_by(harness), harness.faults.calls - before, 0
    for call in range(2, total + 1, 2):
        harness = make_harness()
        fill(harness)
        harness.faults.kill(call, moment)
        execution = ReplayExecution(harness)
        report = execution.resume()
        assert execution.crashes == 1
        counted = counted_by(harness)
        fates = {name: report["counts"][name] for name in FATES}
        assert sum(fates.values()) == 8, call
        # A call that is killed while S3 answers a save takes the counts of that save with it.
        assert Counter({name: counted[name] for name in FATES}) <= Counter(fates), call
        assert all(counted[name] <= expected[name] for name in ONCE), call
        missed += fates != {name: counted[name] for name in FATES}
    assert missed <= (0 if moment == "before" else 3)


def test_the_backlog_is_measured_over_many_calls(harness: ReplayHarness, monkeypatch: pytest.MonkeyPatch):
    """A listing that is too long for one call goes on in the next, with the same number of splits."""
    monkeypatch.setattr(backlog, "_PAGE", 4)
    monkeypatch.setattr(backlog, "_SPLIT_BYTES", 2_000)
    for number in range(10):
        harness.put_batch([change(f"k{number}", number)])
        harness.put_quarantined(change(f"q{number}", number, **BAD))
    size = sum(len(harness.s3.body(key)) for key in harness.s3.objects)
    harness.out_of_time = lambda: True
    execution = ReplayExecution(harness, {"include_quarantine": True}).until("collect")
    state = execution.state
    calls = 0
    while "splits" not in state.get("collected", {}):
        state = json.loads(json.dumps(harness.steps().collect(state)))
        calls += 1
    assert calls == 20 // 4 + 1
    assert state["collected"]["splits"] == -(-size // 2_000) > 2


@pytest.mark.parametrize("arrived", ["2026-01-31T23:00:00Z", "2026-01-31T23:00:00", "2026-02-01T00:00:00+01:00"])
def test_the_time_until_the_first_pointer_expires_is_gauged(harness: ReplayHarness, arrived: str):
    """Every message that is read counts, also one that stays or is of a shard that was not asked for."""
    harness.send_pointer([change("a", 1)], approximateArrivalOfFirstRecord="2026-01-31T23:30:00Z")
    harness.send_pointer([change("b", 2)], approximateArrivalOfFirstRecord=arrived, shardId=CHILD)
    harness.send_pointer([change("c", 3)], approximateArrivalOfFirstRecord="never", batchSize=7)
    harness.sqs.send("not ours")
    harness.replay({"shards": [SHARD]})
    assert harness.meter.gauges["pointer_seconds_left"] == [23 * 3600.0]
    harness.clock.advance(24 * 3600)
    harness.replay()
    assert harness.meter.gauges["pointer_seconds_left"][-1] == -3600.0


def test_a_queue_without_pointers_gauges_no_time(harness: ReplayHarness):
    harness.queue_mode = True
    harness.put_batch([change("a", 1)])
    harness.replay()
    assert "pointer_seconds_left" not in harness.meter.gauges


def test_an_outage_is_counted_as_by_the_consumer(harness: ReplayHarness):
    harness.put_batch([change("a", 1)])
    harness.server.down = True
    execution = ReplayExecution(harness)
    execution.on_wait = lambda: setattr(harness.server, "down", False)
    execution.resume()
    assert (harness.meter.counts["held"], harness.meter.counts["stopped"]) == (1, 0)
    harness.database.drop()
    harness.put_batch([change("a", 2)])
    credentials = harness.server.credentials
    harness.server.credentials = lambda **_: '{"username": "nobody", "password": "x"}'  # type: ignore[method-assign]
    execution = ReplayExecution(harness)
    execution.on_wait = lambda: setattr(harness.server, "credentials", credentials)
    execution.resume()
    assert (harness.meter.counts["held"], harness.meter.counts["stopped"]) == (1, 1)


def test_metrics_are_written_in_the_consumers_namespace(capsys: pytest.CaptureFixture[str]):
    """Metrics are log lines, written at once. Zeros are left out."""
    meter = CloudWatchMeter()
    meter.count(Counter(parked=2, stale=0))
    meter.count({})
    meter.gauge("pointer_seconds_left", 0.0, seconds=True)
    meter.gauge("any", 3)
    text = capsys.readouterr().out
    assert metrics_of(text) == {"parked": 2, "pointer_seconds_left": 0, "any": 3}
    blocks: list[dict[str, Any]] = [line["_aws"]["CloudWatchMetrics"][0] for line in emitted(text)]
    assert {block["Namespace"] for block in blocks} == {"Backstream"}
    assert [block["Metrics"][0]["Unit"] for block in blocks] == ["Count", "Seconds", "Count"]


def test_the_progress_of_a_drain_is_gauged(harness: ReplayHarness):
    """In percent of all splits: from 0 to 100, and never back."""
    harness.put_batch([change(f"k{number}", number) for number in range(20)])
    harness.replay()
    percents = harness.meter.gauges["replay_progress"]
    assert (percents[0], percents[-1], percents) == (0.0, 100.0, sorted(percents))
    assert len(percents) > 2


def test_a_dry_run_makes_no_progress(harness: ReplayHarness):
    harness.put_batch([change("a", 1)])
    harness.replay({"dry_run": True})
    assert "replay_progress" not in harness.meter.gauges


def test_the_replayers_table_is_complete(
    harness: ReplayHarness, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """docs/metrics.md lists exactly what the replayer emits."""
    fill(harness)
    harness.meter = CloudWatchMeter()  # type: ignore[assignment]
    harness.replay()
    unmapped = change("a", 20)
    unmapped["dynamodb"]["NewImage"]["replayed_only"] = {"S": "x"}
    note = change("n", 21)
    note["dynamodb"]["Keys"]["s_key"] = {"S": "NOTE"}
    harness.put_batch([unmapped, note])
    with monkeypatch.context() as patched:
        patched.setattr(harness.database, "apply", _everything)
        harness.replay()
    for errno in errors.RULES:
        monkeypatch.setattr(harness.database, "ping", _raising(errno))
        harness.steps().check({"waiting_since": None})  # type: ignore[typeddict-item]
    assert seen("replayer", capsys.readouterr().out) == documented_of("replayer")


def _everything(changes: Any, *_: Any, **__: Any) -> Outcome:
    """An outcome with every count."""
    one = changes[0]
    parked = [Parked(one.key, one.version, CLOCK_REASON, "wait", None, one.record, kind) for kind in Kind]
    return Outcome(Counter((*FATES, "seeded", "ignored_delete")), parked)


def _raising(errno: int) -> Callable[[], None]:
    def ping() -> None:
        raise errors.database_error("asking", pymysql.OperationalError(errno, ""))

    return ping
