"""Kill any Lambda, stop the execution, run it again, twice, or while others write: the same end."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import Any

import pytest

from common.changes import read
from common.database import ApplyOptions
from common.layout import FAILED, REPLAYED
from dlq_replayer import drain
from tests.support.records import remove
from tests.support.replay import (
    CHILD,
    SHARD,
    Execution,
    LazyDatabase,
    StoppedError,
    World,
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


def fill(world: World) -> World:
    """Two batches in the bucket, two as pointers; two records can never be written."""
    world.put_batch(BATCHES[0])
    world.put_batch(BATCHES[1], escaped=False)
    world.send_pointer(BATCHES[2])
    world.send_pointer(BATCHES[3])
    return world


def calls_of_one_replay(world: World) -> int:
    fill(world)
    world.replay()
    return world.faults.calls


def assert_all_settled(world: World) -> None:
    assert ROWS == last_states(RECORDS) == world.tables.orders()
    assert world.left() == []
    assert world.sqs.messages == {}
    assert [key.rpartition("/")[0] for key in world.keys("quarantine/")] == ["quarantine/a", "quarantine/e"]


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_lambda_killed_at_any_call_is_tried_again_to_the_same_end(make_world: Callable[..., World], when: str):
    """Every call to S3, SQS, the stream, the lock and MySQL, one after the other, is the last one of its Lambda."""
    total = calls_of_one_replay(make_world())
    assert total > 60
    for call in range(1, total + 1):
        world = make_world()
        fill(world).faults.kill(call, when)
        execution = Execution(world)
        report = execution.resume()
        assert execution.crashes == 1, call
        assert report["outcome"] == "complete", (call, report)
        assert_all_settled(world)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_lambda_killed_at_any_call_of_a_split_that_takes_many_goes_on(
    make_world: Callable[..., World], when: str, monkeypatch: pytest.MonkeyPatch
):
    """Time for one change a call, and what has been noted of the split may be of the call before."""
    monkeypatch.setattr(drain, "_BATCH", 1)

    def begin() -> tuple[World, Execution]:
        world = make_world()
        world.put_batch(BATCHES[0] + BATCHES[1] + BATCHES[2])
        world.out_of_time = lambda: True
        return world, Execution(world, {"concurrency": 1}).until("drain")

    world, execution = begin()
    before = world.faults.calls
    execution.until("settle")
    for call in range(before + 1, world.faults.calls + 1):
        world, execution = begin()
        world.faults.kill(call, when)
        report = execution.resume()
        assert (execution.crashes, report["outcome"], report["counts"]["changes"]) == (1, "complete", 8), call
        assert world.tables.orders() == ROWS
        assert len(report["parked_records"]) == 1


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_execution_stopped_at_any_call_leaves_the_rest_to_the_next_one(make_world: Callable[..., World], when: str):
    """No retry, no redrive: what the killed one held, lock and messages, comes free by itself."""
    total = calls_of_one_replay(make_world())
    for call in range(1, total + 1, 3):
        world = make_world()
        fill(world).faults.kill(call, when)
        with pytest.raises(StoppedError):
            Execution(world, retries=0).resume()
        assert Execution(world).resume()["outcome"] in ("complete", "nothing_to_do")
        assert_all_settled(world)


def test_an_execution_redriven_from_any_state_goes_on_where_it_stopped(make_world: Callable[..., World]):
    total = calls_of_one_replay(make_world())
    for call in range(1, total + 1, 5):
        world = make_world()
        fill(world).faults.kill(call)
        execution = Execution(world, retries=0)
        with pytest.raises(StoppedError):
            execution.resume()
        assert execution.resume()["outcome"] == "complete"
        assert_all_settled(world)


@pytest.mark.parametrize("seed", range(8))
def test_killed_again_and_again_at_random(make_world: Callable[..., World], seed: int):
    """Steps that also run out of time after each piece of work; lanes in any order."""
    rng, world = random.Random(seed), make_world(concurrency=3)
    fill(world)
    world.out_of_time = lambda: rng.random() < 0.7
    for _ in range(8):
        world.faults.kill(rng.randrange(1, 150), rng.choice(["before", "after"]))
    execution = Execution(world, rng=rng)
    execution.resume()
    for _ in range(10):  # a call may have run out of time with messages in flight
        world.clock.advance(200)
        world.replay()
    assert execution.crashes > 0
    assert_all_settled(world)


def test_a_nervous_operator_who_starts_twice_gets_one_replay(world: World):
    """The second one names the first and touches nothing."""
    fill(world)
    first = Execution(world).until("drain")
    before = dict(world.s3.objects)
    second = world.replay()
    assert second["outcome"] == "already_running"
    assert second["running"] == first.arn
    assert before == world.s3.objects
    assert first.resume()["outcome"] == "complete"
    assert_all_settled(world)


@pytest.mark.parametrize("at", ["check", "hydrate", "collect", "plan", "drain", "settle", "report"])
@pytest.mark.parametrize("back", [False, True], ids=["stays stopped", "redriven at the end"])
def test_stopped_in_the_middle_and_started_by_somebody_else(world: World, at: str, back: bool):
    """The second takes the lock over. Redriven afterwards, the first finds everything done, and takes nothing back."""
    fill(world)
    stopped = Execution(world).until(at)
    stopped.stop()
    world.clock.advance(200)
    assert world.replay()["outcome"] == ("nothing_to_do" if at == "report" else "complete")
    assert_all_settled(world)
    written = world.written()
    if back:
        stopped.resume()
        assert_all_settled(world)
        assert written == world.written()


@pytest.mark.parametrize("seed", range(6))
def test_two_replays_at_once_step_by_step(world: World, seed: int):
    """A redriven execution asks for no lock: both walk the same backlog, in any interleaving."""
    rng = random.Random(seed)
    fill(world)
    one = Execution(world, rng=rng).until("collect")
    one.stop()
    two = Execution(world, rng=rng).until("collect")
    both = [one, two]
    while any(execution.action for execution in both):
        execution = rng.choice([execution for execution in both if execution.action])
        execution.step()
        world.check()
    assert_all_settled(world)


def test_a_batch_settled_by_another_replay_while_its_poison_is_parked(world: World, three_letters: None):
    """The record that must be parked whole is then read from where the other one has put its batch."""
    key = world.put_batch([change("a", 1, currency="R"), change("b", 2)])
    first = Execution(world).until("drain")
    first.stop()
    assert world.replay()["counts"]["parked"] == 1
    assert [REPLAYED + key] == world.keys(REPLAYED)
    for name in world.keys("quarantine/"):
        del world.s3.objects[name]
    assert first.resume()["counts"]["parked"] == 1
    assert "record" in world.bucket.read_json(world.keys("quarantine/")[0])


@pytest.mark.parametrize("at", ["collect", "plan", "drain", "settle"])
def test_a_collecting_call_thought_dead_writes_its_part_later(world: World, at: str):
    """Its runs take the place of those of the call after it, which had more to collect: nothing is settled for it."""
    world.put_batch([change("a", 1)])
    execution = Execution(world)
    execution.until("collect")
    execution.step()  # counts the splits
    late: dict[str, bytes] = {}
    steps, before = world.steps(), set(world.s3.objects)
    steps.collect(execution.state)
    for key in set(world.s3.objects) - before:
        late[key] = world.s3.objects.pop(key)
    world.put_batch([change("a", 2), change("b", 3)])  # fails meanwhile
    execution.step()
    execution.until(at) if at != "collect" else None
    world.s3.objects.update((key, body) for key, body in late.items() if "/manifest/" not in key)
    execution.resume()
    for _ in range(2):
        world.replay()
    assert [applied("a", 2), applied("b", 3)] == world.tables.orders()


def test_collected_again_with_more_to_collect_a_change_is_drained_once(make_world: Callable[..., World]):
    """The first call died behind its last run; more has failed before the second, enough for other splits."""
    world = make_world(concurrency=1)
    for number in range(5):
        world.put_batch([change(f"k{number}", number)])
    execution = Execution(world).until("collect")
    world.faults.kill(5 + 5 + 3, "after")
    execution.before = lambda action: None
    for number in range(5, 9):
        world.put_batch([change(f"k{number}", number)], key=f"{FAILED}e0/early-{number}")
    report = execution.resume()
    assert execution.crashes == 1
    assert report["counts"]["changes"] == report["counts"]["records"] == 9
    assert world.left() == []


@pytest.mark.parametrize("seed", range(4))
def test_the_consumer_writes_newer_changes_while_the_replay_drains_older_ones(world: World, server: Any, seed: int):
    """Live changes of the same keys, through the same writer, from another connection at the same time."""
    rng = random.Random(seed)
    keys = [f"k{number:02d}" for number in range(20)]
    old = [change(rng.choice(keys), n) if rng.random() < 0.8 else remove(rng.choice(keys), n) for n in range(1, 600)]
    new = [change(rng.choice(keys), n) if rng.random() < 0.8 else remove(rng.choice(keys), n) for n in range(600, 800)]
    for start in range(0, len(old), 60):
        world.put_batch(old[start : start + 60], shardId=rng.choice([SHARD, CHILD]))
    consumer = LazyDatabase(world.server, server.ca_pem)

    def consume() -> None:
        for start in range(0, len(new), 10):
            changes = read(new[start : start + 10], world.table).changes
            consumer.apply(changes, ApplyOptions())

    live = threading.Thread(target=consume)
    execution = Execution(world, rng=rng)
    execution.before = lambda action: live.start() if action == "drain" else None
    execution.resume()
    live.join()
    consumer.drop()
    world.check()
    assert last_states(old + new) == world.tables.orders()
    assert world.left() == []


def test_what_fails_while_a_replay_runs_is_taken_up_by_the_next(world: World):
    fill(world)
    execution = Execution(world)
    late = [change("z", 50)]
    execution.before = lambda action: world.put_batch(late, key=f"{FAILED}e1/late") if action == "drain" else None
    execution.resume()
    assert [f"{FAILED}e1/late"] == world.left()
    world.replay()
    assert world.left() == []
    assert applied("z", 50) in world.tables.orders()
