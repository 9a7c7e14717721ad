"""However a replay is killed, stopped, repeated or run beside other writers, the end is the same."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import Any

import pytest

from common.database import ApplyOptions
from common.layout import FAILED, REPLAYED
from common.records import parse_records
from dlq_replayer import drain
from tests.support.records import remove
from tests.support.replay import (
    CHILD,
    SHARD,
    LazyDatabase,
    ReplayExecution,
    ReplayHarness,
    StoppedError,
    applied,
    change,
    last_states,
)

POISON = {"amount": "12345678901234567890"}
BATCHES = [
    [change("a", 1), change("b", 2), change("a", 3)],
    [change("a", 4, **POISON), remove("b", 5), change("c", 6)],
    [change("c", 6), change("d", 7), change("b", 8)],
    [change("e", 9, merchant_id=None)],
]
RECORDS = [record for batch in BATCHES for record in batch]
ROWS = [applied("a", 3), applied("b", 8), applied("c", 6), applied("d", 7)]


def fill(harness: ReplayHarness) -> ReplayHarness:
    """Two batches in the bucket and two pointers. Two records can never be written."""
    harness.put_batch(BATCHES[0])
    harness.put_batch(BATCHES[1], escaped=False)
    harness.send_pointer(BATCHES[2])
    harness.send_pointer(BATCHES[3])
    return harness


def calls_of_one_replay(harness: ReplayHarness) -> int:
    fill(harness)
    harness.replay()
    return harness.faults.calls


def assert_all_settled(harness: ReplayHarness) -> None:
    assert ROWS == last_states(RECORDS) == harness.tables.orders()
    assert harness.left() == []
    assert harness.sqs.messages == {}
    assert [key.rpartition("/")[0] for key in harness.keys("quarantine/")] == [
        "quarantine/order/a",
        "quarantine/order/e",
    ]


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_call_killed_anywhere_is_retried_to_the_same_end(make_harness: Callable[..., ReplayHarness], moment: str):
    """Each call to S3, SQS, the stream, the lock and MySQL is in turn the last one of its invocation."""
    total = calls_of_one_replay(make_harness())
    assert total > 60
    for call in range(1, total + 1):
        harness = make_harness()
        fill(harness).faults.kill(call, moment)
        execution = ReplayExecution(harness)
        report = execution.resume()
        assert execution.crashes == 1, call
        assert report["outcome"] == "complete", (call, report)
        assert_all_settled(harness)


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_call_killed_inside_a_long_split_goes_on(
    make_harness: Callable[..., ReplayHarness], moment: str, monkeypatch: pytest.MonkeyPatch
):
    """A call has time for one change, and the saved progress may be that of the call before."""
    monkeypatch.setattr(drain, "_CHUNK", 1)

    def begin() -> tuple[ReplayHarness, ReplayExecution]:
        harness = make_harness()
        harness.put_batch(BATCHES[0] + BATCHES[1] + BATCHES[2])
        harness.out_of_time = lambda: True
        return harness, ReplayExecution(harness, {"concurrency": 1}).until("drain")

    harness, execution = begin()
    before = harness.faults.calls
    execution.until("settle")
    for call in range(before + 1, harness.faults.calls + 1):
        harness, execution = begin()
        harness.faults.kill(call, moment)
        report = execution.resume()
        assert (execution.crashes, report["outcome"], report["counts"]["changes"]) == (1, "complete", 8), call
        assert harness.tables.orders() == ROWS
        assert len(report["parked_records"]) == 1


@pytest.mark.parametrize("moment", ["before", "after"])
def test_an_execution_stopped_anywhere_leaves_the_rest(make_harness: Callable[..., ReplayHarness], moment: str):
    """Without retry or redrive, the lock and the messages of the killed execution become free by themselves."""
    total = calls_of_one_replay(make_harness())
    for call in range(1, total + 1, 3):
        harness = make_harness()
        fill(harness).faults.kill(call, moment)
        with pytest.raises(StoppedError):
            ReplayExecution(harness, retries=0).resume()
        assert ReplayExecution(harness).resume()["outcome"] in ("complete", "nothing_to_do")
        assert_all_settled(harness)


def test_a_redriven_execution_goes_on_where_it_stopped(make_harness: Callable[..., ReplayHarness]):
    total = calls_of_one_replay(make_harness())
    for call in range(1, total + 1, 5):
        harness = make_harness()
        fill(harness).faults.kill(call)
        execution = ReplayExecution(harness, retries=0)
        with pytest.raises(StoppedError):
            execution.resume()
        assert execution.resume()["outcome"] == "complete"
        assert_all_settled(harness)


@pytest.mark.parametrize("seed", range(8))
def test_repeated_random_kills_end_in_the_same_state(make_harness: Callable[..., ReplayHarness], seed: int):
    """Steps also run out of time after each piece of work, and lanes run in any order."""
    rng, harness = random.Random(seed), make_harness(concurrency=3)
    fill(harness)
    harness.out_of_time = lambda: rng.random() < 0.7
    for _ in range(8):
        harness.faults.kill(rng.randrange(1, 150), rng.choice(["before", "after"]))
    execution = ReplayExecution(harness, rng=rng)
    execution.resume()
    for _ in range(10):  # a call may have run out of time with messages in flight
        harness.clock.advance(200)
        harness.replay()
    assert execution.crashes > 0
    assert_all_settled(harness)


def test_a_second_start_finds_the_first_and_changes_nothing(harness: ReplayHarness):
    """The second execution names the first one and changes nothing."""
    fill(harness)
    first = ReplayExecution(harness).until("drain")
    before = dict(harness.s3.objects)
    second = harness.replay()
    assert second["outcome"] == "already_running"
    assert second["running"] == first.arn
    assert before == harness.s3.objects
    assert first.resume()["outcome"] == "complete"
    assert_all_settled(harness)


@pytest.mark.parametrize("at", ["check", "hydrate", "collect", "plan", "drain", "settle", "report"])
@pytest.mark.parametrize("back", [False, True], ids=["stays stopped", "redriven at the end"])
def test_a_stopped_replay_is_finished_by_another(harness: ReplayHarness, at: str, back: bool):
    """The second takes the lock over. The first is redriven, finds everything done, and reverts nothing."""
    fill(harness)
    stopped = ReplayExecution(harness).until(at)
    stopped.stop()
    harness.clock.advance(200)
    assert harness.replay()["outcome"] == ("nothing_to_do" if at == "report" else "complete")
    assert_all_settled(harness)
    written = harness.written()
    if back:
        stopped.resume()
        assert_all_settled(harness)
        assert written == harness.written()


@pytest.mark.parametrize("seed", range(6))
def test_two_replays_at_once_end_in_the_same_state(harness: ReplayHarness, seed: int):
    """A redriven execution takes no lock: both replay the same backlog, in any interleaving."""
    rng = random.Random(seed)
    fill(harness)
    one = ReplayExecution(harness, rng=rng).until("collect")
    one.stop()
    two = ReplayExecution(harness, rng=rng).until("collect")
    both = [one, two]
    while any(execution.action for execution in both):
        execution = rng.choice([execution for execution in both if execution.action])
        execution.step()
        harness.check()
    assert_all_settled(harness)


def test_another_replay_settles_a_batch_before_it_is_parked(harness: ReplayHarness, three_letters: None):
    """The record to park is then read from the settled batch."""
    key = harness.put_batch([change("a", 1, currency="R"), change("b", 2)])
    first = ReplayExecution(harness).until("drain")
    first.stop()
    assert harness.replay()["counts"]["parked"] == 1
    assert [REPLAYED + key] == harness.keys(REPLAYED)
    for name in harness.keys("quarantine/"):
        del harness.s3.objects[name]
    assert first.resume()["counts"]["parked"] == 1
    assert "record" in harness.bucket.read_json(harness.keys("quarantine/")[0])


@pytest.mark.parametrize("at", ["collect", "plan", "drain", "settle"])
def test_a_collect_call_that_was_given_up_writes_late(harness: ReplayHarness, at: str):
    """Its segments overwrite those of the call that replaced it and had more to collect. Nothing is settled by them."""
    harness.put_batch([change("a", 1)])
    execution = ReplayExecution(harness)
    execution.until("collect")
    execution.step()  # counts the splits
    late: dict[str, bytes] = {}
    steps, before = harness.steps(), set(harness.s3.objects)
    steps.collect(execution.state)
    for key in set(harness.s3.objects) - before:
        late[key] = harness.s3.objects.pop(key)
    harness.put_batch([change("a", 2), change("b", 3)])  # fails meanwhile
    execution.step()
    execution.until(at) if at != "collect" else None
    harness.s3.objects.update((key, body) for key, body in late.items() if "/manifest/" not in key)
    execution.resume()
    for _ in range(2):
        harness.replay()
    assert [applied("a", 2), applied("b", 3)] == harness.tables.orders()


def test_a_part_collected_twice_is_drained_once(make_harness: Callable[..., ReplayHarness]):
    """The first call died after its last segment. More has failed before the second call."""
    harness = make_harness(concurrency=1)
    for number in range(5):
        harness.put_batch([change(f"k{number}", number)])
    execution = ReplayExecution(harness).until("collect")
    harness.faults.kill(5 + 5 + 3, "after")
    execution.before = lambda action: None
    for number in range(5, 9):
        harness.put_batch([change(f"k{number}", number)], key=f"{FAILED}e0/early-{number}")
    report = execution.resume()
    assert execution.crashes == 1
    assert report["counts"]["changes"] == report["counts"]["records"] == 9
    assert harness.left() == []


@pytest.mark.parametrize("seed", range(4))
def test_the_consumer_writes_newer_changes_during_a_replay(harness: ReplayHarness, server: Any, seed: int):
    """The consumer writes the same keys at the same time, through its own connection."""
    rng = random.Random(seed)
    keys = [f"k{number:02d}" for number in range(20)]
    old = [change(rng.choice(keys), n) if rng.random() < 0.8 else remove(rng.choice(keys), n) for n in range(1, 600)]
    new = [change(rng.choice(keys), n) if rng.random() < 0.8 else remove(rng.choice(keys), n) for n in range(600, 800)]
    for start in range(0, len(old), 60):
        harness.put_batch(old[start : start + 60], shardId=rng.choice([SHARD, CHILD]))
    consumer = LazyDatabase(harness.server, server.ca_pem)

    def consume() -> None:
        for start in range(0, len(new), 10):
            changes = parse_records(new[start : start + 10], harness.mapping).changes
            consumer.apply(changes, ApplyOptions())

    live = threading.Thread(target=consume)
    execution = ReplayExecution(harness, rng=rng)
    execution.before = lambda action: live.start() if action == "drain" else None
    execution.resume()
    live.join()
    consumer.drop()
    harness.check()
    assert last_states(old + new) == harness.tables.orders()
    assert harness.left() == []


def test_a_failure_during_a_replay_is_left_to_the_next(harness: ReplayHarness):
    fill(harness)
    execution = ReplayExecution(harness)
    late = [change("z", 50)]
    execution.before = lambda action: harness.put_batch(late, key=f"{FAILED}e1/late") if action == "drain" else None
    execution.resume()
    assert [f"{FAILED}e1/late"] == harness.left()
    harness.replay()
    assert harness.left() == []
    assert applied("z", 50) in harness.tables.orders()
