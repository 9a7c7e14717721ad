"""The queue holds pointers; the replay turns them into whole batches before the stream forgets."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest
from moto import mock_aws

from common.layout import EXPIRED, FAILED, REPLAYED
from dlq_replayer import hydrate
from tests.support.aws import Streams
from tests.support.records import ARN, SOURCE, TTL_IDENTITY, remove
from tests.support.replay import (
    CHILD,
    QUEUE,
    SHARD,
    Execution,
    StoppedError,
    World,
    applied,
    change,
    failure,
    last_states,
)


def shard(world: World, name: str = SHARD) -> Any:
    return world.streams.shard(ARN, name)


RECORDS = [change(key, n) for n, key in enumerate("aabacbdab", start=1)]
(TEXT,) = {len(json.dumps(record, separators=(",", ":"))) for record in RECORDS}  # bytes of each


@pytest.mark.parametrize("page_size", [1, 2, 4, 1000])
@pytest.mark.parametrize("empty_pages", [0, 3, 49])
@pytest.mark.parametrize("closed", [True, False])
def test_a_range_is_read_in_pages_until_its_end(world: World, page_size: int, empty_pages: int, closed: bool):
    """Whatever the pages look like, what lies behind the range is left alone."""
    world.streams = Streams(page_size, empty_pages)
    shard(world).records, shard(world).closed = list(RECORDS), closed
    world.send_pointer(RECORDS[2:6])
    report = world.replay()
    assert (report["counts"]["messages"], report["counts"]["records"]) == (1, 4)
    assert world.tables.orders() == last_states(RECORDS[2:6])
    assert world.sqs.messages == {}
    assert world.left() == []


def test_records_of_other_keys_in_between_are_applied_as_well(world: World):
    """With parallelization a batch is every so many records of its shard; all in the range is read, versions decide."""
    shard(world).records = list(RECORDS)
    world.send_pointer([RECORDS[0], RECORDS[8]])
    assert world.replay()["counts"]["records"] == 9
    assert world.tables.orders() == last_states(RECORDS)
    assert world.sqs.messages == {}


def test_records_keep_what_only_get_records_shapes_otherwise(world: World):
    """Datetimes, identities and the stream's ARN end as Lambda delivers them: an expired item stays in MySQL."""
    records = [change("a", 1), remove("a", 2, identity=TTL_IDENTITY), change("b", 3)]
    world.send_pointer(records)
    report = world.replay()
    assert report["counts"]["ttl_delete"] == 1
    assert world.tables.orders() == [applied("a", 1), applied("b", 3)]
    (name,) = world.keys(f"{REPLAYED}{FAILED}hydrated/")
    assert json.loads(world.bucket.read_json(name)["payload"]) == {"Records": records}


def test_an_iterator_that_expires_is_renewed_behind_what_was_read(world: World):
    world.streams = Streams(page_size=2)
    world.streams.expire_once = {2, 4}
    world.send_pointer(RECORDS)
    assert world.replay()["counts"]["records"] == len(RECORDS)
    assert world.sqs.messages == {}


@pytest.mark.parametrize(
    ("bound", "size", "objects"),
    [
        ("_OBJECT_RECORDS", 1, 9),
        ("_OBJECT_RECORDS", 2, 5),
        ("_OBJECT_BYTES", 3 * TEXT - 1, 3),
        ("_OBJECT_BYTES", 9 * TEXT + 1, 1),
    ],
)
def test_a_wide_range_becomes_several_objects(
    world: World, bound: str, size: int, objects: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(hydrate, bound, size)
    world.send_pointer(RECORDS)
    report = world.replay()
    assert report["counts"]["batches"] == objects
    assert report["counts"]["records"] == len(RECORDS)
    assert world.tables.orders() == last_states(RECORDS)


# what the stream has forgotten


def test_a_trimmed_range_is_saved_as_far_as_it_is_left_and_named(world: World):
    """The report says which range is lost, and the pointer is kept until a person has seen to it."""
    number = world.send_pointer(RECORDS)
    shard(world).trimmed = 4
    report = world.replay()
    (lost,) = report["expired"]
    assert {name: lost[name] for name in ("shard", "records", "records_saved", "execution")} == {
        "shard": SHARD,
        "records": 9,
        "records_saved": 5,
        "execution": report["execution"],
    }
    assert (lost["start_sequence_number"], lost["first_arrival"]) == ("800000000000000000001", "2026-01-31T00:00:00Z")
    assert world.tables.orders() == last_states(RECORDS[4:])
    assert world.sqs.messages == {}
    assert json.loads(world.bucket.read_json(lost["object"])["message"])["DDBStreamBatchInfo"]["shardId"] == SHARD
    assert number in lost["object"]
    assert any("delete the object" in advice for advice in report["next"])


@pytest.mark.parametrize(
    "how",
    ["the shard is gone", "all of it is trimmed", "idle and trimmed", "the stream is gone", "closed, numbers unknown"],
)
def test_a_range_of_which_nothing_is_left(world: World, how: str):
    world.send_pointer(RECORDS)
    if how == "the stream is gone":
        world.streams.shards.clear()
    shard(world).gone = how == "the shard is gone"
    shard(world).trimmed = len(RECORDS)
    shard(world).closed = how in ("all of it is trimmed", "closed, numbers unknown")
    world.streams.knows_numbers = how != "closed, numbers unknown"
    report = world.replay()
    assert [(lost["records"], lost["records_saved"]) for lost in report["expired"]] == [(9, 0)]
    assert report["counts"]["expired"] == 1
    assert world.sqs.messages == {}
    assert world.tables.orders() == []


def test_trimmed_while_it_is_read(world: World):
    """What was read and what lies behind the hole are saved; the hole makes the range an expired one."""
    world.streams = Streams(page_size=2)
    world.send_pointer(RECORDS)

    def trim(call: int) -> None:
        if call == 2:
            shard(world).trimmed = 5

    world.streams.before_page = trim
    report = world.replay()
    assert [lost["records_saved"] for lost in report["expired"]] == [6]
    assert world.tables.orders() == last_states(RECORDS[:2] + RECORDS[5:])


def test_an_expired_range_is_named_until_a_person_has_seen_to_it(world: World):
    """Also where the replay that found it was stopped before its report."""
    world.send_pointer(RECORDS)
    shard(world).trimmed = len(RECORDS)
    first = Execution(world).until("plan")
    first.stop()
    assert world.sqs.messages == {}
    world.put_batch([change("z", 1)])
    (lost,) = world.replay()["expired"]
    assert lost["execution"] == first.name
    del world.s3.objects[lost["object"]]
    world.pointers.clear()
    world.put_batch([change("z", 2)])
    assert world.replay()["expired"] == []


def test_read_again_after_trimming_the_rest_never_covers_the_whole(world: World):
    """Killed between writing the batch and deleting its message, and started again a day later."""
    world.send_pointer(RECORDS)
    execution = Execution(world, retries=0).until("hydrate")
    for call in range(1, 10):  # until it dies right behind the write of the batch
        world.faults.kill(call, "after")
        with pytest.raises(StoppedError):
            execution.resume()
        world.faults.revive()
        if world.left():
            break
        world.clock.advance(200)
    assert world.left()
    assert world.sqs.messages
    world.clock.advance(86_400)
    shard(world).trimmed = 8
    execution.stop()
    world.replay()
    assert world.tables.orders() == last_states(RECORDS)


@pytest.mark.parametrize(("trimmed", "expired"), [(0, []), (4, [5])])
def test_a_number_that_an_emulator_does_not_know_is_looked_for_from_the_oldest_record(
    world: World, trimmed: int, expired: list[int]
):
    world.streams.knows_numbers = False
    world.send_pointer(RECORDS)
    shard(world).trimmed = trimmed
    report = world.replay()
    assert ([lost["records_saved"] for lost in report["expired"]], report["problems"]) == (expired, [])
    assert world.sqs.messages == {}
    assert world.tables.orders() == last_states(RECORDS[trimmed:])


@pytest.mark.parametrize("trimmed", [0, 4])
def test_what_an_idle_shard_has_not_given_yet_is_not_given_up(world: World, trimmed: int):
    """Some records came, then empty pages: the message stays, also where the start is lost."""
    world.streams = Streams(page_size=2)
    number = world.send_pointer(RECORDS)
    shard(world).trimmed = trimmed

    def fall_idle(call: int) -> None:
        world.streams.empty_pages = 1000 if call > 1 else 0

    world.streams.before_page = fall_idle
    report = world.replay()
    assert (list(world.sqs.messages), report["expired"], len(report["problems"])) == ([number], [], 1)
    world.streams.before_page = lambda _: None
    world.streams.empty_pages = 0
    report = world.replay()
    assert [lost["records_saved"] for lost in report["expired"]] == [5] * bool(trimmed)
    assert world.sqs.messages == {}
    assert world.tables.orders() == last_states(RECORDS[trimmed:])


# what is not what it should be


@pytest.mark.parametrize(
    ("knows_numbers", "held"),
    [(True, slice(0)), (True, slice(3)), (True, slice(3, 9)), (False, slice(3))],
    ids=["nothing", "its start", "its end", "its start, found from the oldest record"],
)
def test_a_shard_that_gives_a_part_of_the_range_is_no_proof_of_loss(world: World, held: slice, knows_numbers: bool):
    """Nothing says that it was trimmed: the message stays."""
    world.streams.knows_numbers = knows_numbers
    number = world.send_pointer(RECORDS)

    def close(_: int) -> None:
        shard(world).records, shard(world).closed = RECORDS[held], True

    world.streams.before_page = close
    report = world.replay()
    assert (list(world.sqs.messages), report["expired"]) == ([number], [])
    assert "has forgotten none" in report["problems"][0]["problem"]
    assert world.tables.orders() == last_states(RECORDS[held])


def test_empty_pages_without_end_are_no_proof_of_loss(world: World):
    """The message stays, the report says why, and the next run reads it."""
    world.streams.empty_pages = 1000
    number = world.send_pointer(RECORDS)
    report = world.replay()
    assert list(world.sqs.messages) == [number]
    assert report["expired"] == []
    assert "has forgotten none" in report["problems"][0]["problem"]
    assert any("`problems`" in advice for advice in report["next"])
    world.streams.empty_pages = 0
    world.replay()
    assert world.sqs.messages == {}
    assert world.tables.orders() == last_states(RECORDS)


def test_a_bisected_or_consolidated_pointer_is_replayed_and_stays(world: World):
    """It stands for more than its range holds."""
    number = world.send_pointer(RECORDS, batchSize=40)
    report = world.replay()
    assert [(p["source"], "stands for 40" in p["problem"]) for p in report["problems"]] == [(f"message {number}", True)]
    assert list(world.sqs.messages) == world.sqs.visible == [number]
    assert world.tables.orders() == last_states(RECORDS)


GOOD = failure(RECORDS)
FOREIGN = {
    "no JSON": "{",
    "another kind of message": json.dumps({"Type": "Notification"}),
    "another table": json.dumps(failure([change("a", 1, arn=ARN.replace("orders", "users"))])),
    "no sequence numbers": json.dumps(failure(RECORDS, startSequenceNumber=None)),
    "letters for a number": json.dumps(failure(RECORDS, endSequenceNumber="8x")),
    "a number beyond all bounds": json.dumps(failure(RECORDS, endSequenceNumber="9" * 5000)),
    "a range turned round": json.dumps(failure(RECORDS, startSequenceNumber="9" * 30)),
    "a shard that is none": json.dumps(failure(RECORDS, shardId="x/" * 600)),
    "no size": json.dumps(failure(RECORDS, batchSize="many")),
    "a size without end": json.dumps(failure(RECORDS, batchSize=float("inf"))),
    "an ARN that is none": json.dumps(failure(RECORDS, streamArn=f"{ARN}\n:table/orders/stream/")),
    "nested without end": "[" * 100_000,
}


@pytest.mark.parametrize("body", FOREIGN.values(), ids=FOREIGN.keys())
def test_a_message_that_is_not_ours_is_reported_and_left_and_the_rest_goes_on(world: World, body: str):
    foreign = world.sqs.send(body)
    world.send_pointer(RECORDS)
    report = world.replay()
    assert [problem["source"] for problem in report["problems"]] == [f"message {foreign}"]
    assert world.sqs.visible == [foreign]
    assert world.tables.orders() == last_states(RECORDS)


def test_a_queue_full_of_messages_that_stay_is_not_gone_through_for_ever(world: World):
    """Their time is over and they come back, call after call, while ours wait among them."""
    for number in range(40):
        world.sqs.send(json.dumps({"not": f"ours {number}"}))
    world.send_pointer(RECORDS)
    world.out_of_time = lambda: world.clock.advance(100) or True
    assert world.replay()["counts"]["messages"] <= 1
    world.out_of_time = lambda: False
    world.clock.advance(200)
    world.replay()
    assert len(world.sqs.messages) == 40
    assert world.tables.orders() == last_states(RECORDS)


def test_what_each_call_could_not_read_is_reported(world: World):
    """A call has time for two messages here; the next one does not see what stays."""
    foreign = []
    for start in (0, 4):
        foreign.append(world.sqs.send(json.dumps({"not": f"ours {start}"})))
        world.send_pointer(RECORDS[start : start + 4])
    looked = iter(range(1, 100))
    world.out_of_time = lambda: next(looked) % 2 == 0
    execution = Execution(world).until("check")
    assert execution.trail.count("hydrate") > 1
    world.out_of_time = lambda: False
    report = execution.resume()
    assert {problem["source"] for problem in report["problems"]} >= {f"message {number}" for number in foreign}
    assert report["counts"]["messages"] == 2


def test_only_the_shards_that_were_asked_for(world: World):
    world.send_pointer(RECORDS[:3])
    other = world.send_pointer([change("z", 50)], shardId=CHILD)
    world.replay({"shards": [SHARD]})
    assert world.sqs.visible == [other]
    assert world.tables.orders() == last_states(RECORDS[:3])


def test_max_batches_bounds_the_messages_taken(world: World):
    for n in range(25):
        world.send_pointer([change(f"k{n:02d}", 100 + n)])
    world.out_of_time = lambda: True
    report = world.replay({"max_batches": 13})
    assert (report["counts"]["messages"], report["counts"]["batches"]) == (13, 13)
    assert len(world.sqs.visible) == 12
    assert len(world.tables.orders()) == 13


def test_a_dry_run_leaves_every_message_visible_and_saves_nothing(world: World):
    world.send_pointer(RECORDS)
    world.send_pointer([change("z", 99)], shardId=CHILD)
    world.streams.shard(ARN, CHILD).trimmed = 1
    report = world.replay({"dry_run": True})
    assert (report["outcome"], report["counts"]["changes"], report["counts"]["expired"]) == ("planned", 9, 1)
    assert len(world.sqs.visible) == 2
    assert world.tables.sidecar() == []
    assert world.left() == world.keys(EXPIRED) == world.keys(REPLAYED) == []


@mock_aws
def test_the_queue_as_boto3_gives_it(world: World):
    """The same through a real client, whose answers moto gives."""
    sqs = boto3.client("sqs", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
    queue = sqs.create_queue(QueueName="failures")["QueueUrl"]
    for start in (0, 4):
        sqs.send_message(QueueUrl=queue, MessageBody=json.dumps(failure(RECORDS[start : start + 4])))
    sqs.send_message(QueueUrl=queue, MessageBody="not ours")
    shard(world).records = list(RECORDS)
    options: dict[str, Any] = {"streams": world.streams, "bucket": world.bucket, "source": SOURCE}
    hydrator = hydrate.Hydrator(sqs=sqs, queue_url=queue, **options)
    assert hydrator.anything()
    done = hydrator.run(100, lambda: False)
    assert (done.messages, len(done.problems), len(world.left())) == (2, 1, 2)
    assert sqs.receive_message(QueueUrl=queue)["Messages"][0]["Body"] == "not ours"


def test_numbers_that_botocore_refuses_to_send(world: World):
    """A shard's name may be too short for the API: the client raises before it asks, and the others go on."""
    client = boto3.client("dynamodbstreams", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
    number = world.sqs.send(json.dumps(failure(RECORDS, shardId="short")))
    options: dict[str, Any] = {"streams": client, "bucket": world.bucket, "source": SOURCE}
    done = hydrate.Hydrator(sqs=world.sqs, queue_url=QUEUE, **options).run(100, lambda: False)
    assert [problem["source"] for problem in done.problems] == [f"message {number}"]
