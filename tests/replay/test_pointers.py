"""A replay turns queue messages into batches before the stream trims their records."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest
from moto import mock_aws

from common.layout import EXPIRED, FAILED, REPLAYED
from dlq_replayer import hydrate
from dlq_replayer.replay import Replay
from tests.support.aws import Streams
from tests.support.records import ARN, SOURCE, TTL_IDENTITY, remove
from tests.support.replay import (
    CHILD,
    QUEUE,
    SHARD,
    ReplayExecution,
    ReplayHarness,
    StoppedError,
    applied,
    change,
    failure,
    last_states,
)

REPLAY = Replay("e", "arn", "2026-02-01T00:00:00+00:00", {})


def shard(harness: ReplayHarness, name: str = SHARD) -> Any:
    return harness.streams.shard(ARN, name)


RECORDS = [change(key, n) for n, key in enumerate("aabacbdab", start=1)]
(TEXT,) = {len(json.dumps(record, separators=(",", ":"))) for record in RECORDS}  # bytes of each


@pytest.mark.parametrize("page_size", [1, 2, 4, 1000])
@pytest.mark.parametrize("empty_pages", [0, 3, 49])
@pytest.mark.parametrize("closed", [True, False])
def test_a_range_is_read_in_pages_until_its_end(harness: ReplayHarness, page_size: int, empty_pages: int, closed: bool):
    """With any pages, records after the range are not taken."""
    harness.streams = Streams(page_size, empty_pages)
    shard(harness).records, shard(harness).closed = list(RECORDS), closed
    harness.send_pointer(RECORDS[2:6])
    report = harness.replay()
    assert (report["counts"]["messages"], report["counts"]["records"]) == (1, 4)
    assert harness.tables.orders() == last_states(RECORDS[2:6])
    assert harness.sqs.messages == {}
    assert harness.left() == []


def test_records_of_other_keys_in_between_are_applied_as_well(harness: ReplayHarness):
    """A parallel mapping takes some records of a shard. All records of the range are read; versions decide."""
    shard(harness).records = list(RECORDS)
    harness.send_pointer([RECORDS[0], RECORDS[8]])
    assert harness.replay()["counts"]["records"] == 9
    assert harness.tables.orders() == last_states(RECORDS)
    assert harness.sqs.messages == {}


def test_hydrated_records_have_the_shape_that_lambda_delivers(harness: ReplayHarness):
    """Datetimes, identities and the stream's ARN are as Lambda delivers them: an expired item stays in MySQL."""
    records = [change("a", 1), remove("a", 2, identity=TTL_IDENTITY), change("b", 3)]
    harness.send_pointer(records)
    report = harness.replay()
    assert report["counts"]["ttl_delete"] == 1
    assert harness.tables.orders() == [applied("a", 1), applied("b", 3)]
    (name,) = harness.keys(f"{REPLAYED}{FAILED}hydrated/")
    assert json.loads(harness.bucket.read_json(name)["payload"]) == {"Records": records}


def test_an_expired_iterator_is_renewed_after_the_last_record(harness: ReplayHarness):
    harness.streams = Streams(page_size=2)
    harness.streams.expire_once = {2, 4}
    harness.send_pointer(RECORDS)
    assert harness.replay()["counts"]["records"] == len(RECORDS)
    assert harness.sqs.messages == {}


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
    harness: ReplayHarness, bound: str, size: int, objects: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(hydrate, bound, size)
    harness.send_pointer(RECORDS)
    report = harness.replay()
    assert report["counts"]["batches"] == objects
    assert report["counts"]["records"] == len(RECORDS)
    assert harness.tables.orders() == last_states(RECORDS)


# what the stream has forgotten


def test_a_trimmed_range_is_saved_in_part_and_reported(harness: ReplayHarness):
    """The report names the range, the message is kept, and a verification with repair is started."""
    number = harness.send_pointer(RECORDS)
    shard(harness).trimmed = 4
    report = harness.replay()
    (lost,) = report["expired"]
    assert {name: lost[name] for name in ("shard", "records", "records_saved", "execution")} == {
        "shard": SHARD,
        "records": 9,
        "records_saved": 5,
        "execution": report["execution"],
    }
    assert (lost["start_sequence_number"], lost["first_arrival"]) == ("800000000000000000001", "2026-01-31T00:00:00Z")
    assert harness.tables.orders() == last_states(RECORDS[4:])
    assert harness.sqs.messages == {}
    assert json.loads(harness.bucket.read_json(lost["object"])["message"])["DDBStreamBatchInfo"]["shardId"] == SHARD
    assert number in lost["object"]
    assert any("started a verification with repair" in advice for advice in report["next"])
    [(name, given)] = harness.verifications
    assert report["verification"] == f"execution:{name}"
    times = {"changed_from": "2026-01-31T00:00:00+00:00", "changed_until": "2026-01-31T00:05:01+00:00"}
    assert given == {"repair": True, **times}


def test_a_dry_run_starts_no_verification(harness: ReplayHarness):
    """It reports the range, and repairs nothing."""
    harness.send_pointer(RECORDS)
    shard(harness).trimmed = 4
    report = harness.replay({"dry_run": True})
    assert (report["counts"]["expired"], report.get("verification"), harness.verifications) == (1, None, [])


@pytest.mark.parametrize(
    "how",
    ["the shard is gone", "all of it is trimmed", "idle and trimmed", "the stream is gone", "closed, numbers unknown"],
)
def test_a_range_that_is_gone_is_reported(harness: ReplayHarness, how: str):
    harness.send_pointer(RECORDS)
    if how == "the stream is gone":
        harness.streams.shards.clear()
    shard(harness).gone = how == "the shard is gone"
    shard(harness).trimmed = len(RECORDS)
    shard(harness).closed = how in ("all of it is trimmed", "closed, numbers unknown")
    harness.streams.knows_numbers = how != "closed, numbers unknown"
    report = harness.replay()
    assert [(lost["records"], lost["records_saved"]) for lost in report["expired"]] == [(9, 0)]
    assert report["counts"]["expired"] == 1
    assert harness.sqs.messages == {}
    assert harness.tables.orders() == []


def test_a_range_trimmed_while_it_is_read_is_expired(harness: ReplayHarness):
    """The records before and after the hole are stored. The hole makes the range an expired one."""
    harness.streams = Streams(page_size=2)
    harness.send_pointer(RECORDS)

    def trim(call: int) -> None:
        if call == 2:
            shard(harness).trimmed = 5

    harness.streams.before_page = trim
    report = harness.replay()
    assert [lost["records_saved"] for lost in report["expired"]] == [6]
    assert harness.tables.orders() == last_states(RECORDS[:2] + RECORDS[5:])


def test_an_expired_range_is_reported_until_it_is_gone(harness: ReplayHarness):
    """This holds where the replay that found it was stopped before its report."""
    harness.send_pointer(RECORDS)
    shard(harness).trimmed = len(RECORDS)
    first = ReplayExecution(harness).until("plan")
    first.stop()
    assert harness.sqs.messages == {}
    harness.put_batch([change("z", 1)])
    (lost,) = harness.replay()["expired"]
    assert lost["execution"] == first.name
    harness.put_batch([change("z", 2)])
    harness.replay()
    assert len(harness.verifications) == 2
    assert len({name for name, _ in harness.verifications}) == 2, "each replay starts a verification of its own"
    del harness.s3.objects[lost["object"]]
    harness.pointers.clear()
    harness.put_batch([change("z", 3)])
    report = harness.replay()
    assert (report["expired"], report.get("verification")) == ([], None)
    assert len(harness.verifications) == 2


def test_a_range_trimmed_while_it_is_read_is_not_whole(harness: ReplayHarness):
    """The replay is killed before it deletes the message, and starts again a day later."""
    harness.send_pointer(RECORDS)
    execution = ReplayExecution(harness, retries=0).until("hydrate")
    for call in range(1, 10):  # until it dies right behind the write of the batch
        harness.faults.kill(call, "after")
        with pytest.raises(StoppedError):
            execution.resume()
        harness.faults.revive()
        if harness.left():
            break
        harness.clock.advance(200)
    assert harness.left()
    assert harness.sqs.messages
    harness.clock.advance(86_400)
    shard(harness).trimmed = 8
    execution.stop()
    harness.replay()
    assert harness.tables.orders() == last_states(RECORDS)


@pytest.mark.parametrize(("trimmed", "expired"), [(0, []), (4, [5])])
def test_an_unknown_sequence_number_is_searched_from_the_oldest(
    harness: ReplayHarness, trimmed: int, expired: list[int]
):
    harness.streams.knows_numbers = False
    harness.send_pointer(RECORDS)
    shard(harness).trimmed = trimmed
    report = harness.replay()
    assert ([lost["records_saved"] for lost in report["expired"]], report["problems"]) == (expired, [])
    assert harness.sqs.messages == {}
    assert harness.tables.orders() == last_states(RECORDS[trimmed:])


@pytest.mark.parametrize("trimmed", [0, 4])
def test_an_idle_shard_is_no_proof_of_loss(harness: ReplayHarness, trimmed: int):
    """Some records were read, then empty pages. The message stays, even if the start is trimmed."""
    harness.streams = Streams(page_size=2)
    number = harness.send_pointer(RECORDS)
    shard(harness).trimmed = trimmed

    def fall_idle(call: int) -> None:
        harness.streams.empty_pages = 1000 if call > 1 else 0

    harness.streams.before_page = fall_idle
    report = harness.replay()
    assert (list(harness.sqs.messages), report["expired"], len(report["problems"])) == ([number], [], 1)
    harness.streams.before_page = lambda _: None
    harness.streams.empty_pages = 0
    report = harness.replay()
    assert [lost["records_saved"] for lost in report["expired"]] == [5] * bool(trimmed)
    assert harness.sqs.messages == {}
    assert harness.tables.orders() == last_states(RECORDS[trimmed:])


# what is not what it should be


@pytest.mark.parametrize(
    ("knows_numbers", "held"),
    [(True, slice(0)), (True, slice(3)), (True, slice(3, 9)), (False, slice(3))],
    ids=["nothing", "its start", "its end", "its start, found from the oldest record"],
)
def test_a_partial_range_is_no_proof_of_loss(harness: ReplayHarness, held: slice, knows_numbers: bool):
    """Nothing shows that the range was trimmed: the message stays."""
    harness.streams.knows_numbers = knows_numbers
    number = harness.send_pointer(RECORDS)

    def close(_: int) -> None:
        shard(harness).records, shard(harness).closed = RECORDS[held], True

    harness.streams.before_page = close
    report = harness.replay()
    assert (list(harness.sqs.messages), report["expired"]) == ([number], [])
    assert "has trimmed none" in report["problems"][0]["problem"]
    assert harness.tables.orders() == last_states(RECORDS[held])


def test_empty_pages_without_end_are_no_proof_of_loss(harness: ReplayHarness):
    """The message stays, the report says why, and the next replay reads it."""
    harness.streams.empty_pages = 1000
    number = harness.send_pointer(RECORDS)
    report = harness.replay()
    assert list(harness.sqs.messages) == [number]
    assert report["expired"] == []
    assert "has trimmed none" in report["problems"][0]["problem"]
    assert any("`problems`" in advice for advice in report["next"])
    harness.streams.empty_pages = 0
    harness.replay()
    assert harness.sqs.messages == {}
    assert harness.tables.orders() == last_states(RECORDS)


def test_a_bisected_pointer_is_replayed_and_stays(harness: ReplayHarness):
    """Its batch size is larger than the number of records in its range."""
    number = harness.send_pointer(RECORDS, batchSize=40)
    report = harness.replay()
    assert [(p["source"], "stands for 40" in p["problem"]) for p in report["problems"]] == [(f"message {number}", True)]
    assert list(harness.sqs.messages) == harness.sqs.visible == [number]
    assert harness.tables.orders() == last_states(RECORDS)


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
def test_a_foreign_message_is_reported_and_stays(harness: ReplayHarness, body: str):
    foreign = harness.sqs.send(body)
    harness.send_pointer(RECORDS)
    report = harness.replay()
    assert [problem["source"] for problem in report["problems"]] == [f"message {foreign}"]
    assert harness.sqs.visible == [foreign]
    assert harness.tables.orders() == last_states(RECORDS)


def test_a_queue_of_messages_that_stay_is_read_once(harness: ReplayHarness):
    """Their visibility timeout ends and they are received again, among messages that wait."""
    for number in range(40):
        harness.sqs.send(json.dumps({"not": f"ours {number}"}))
    harness.send_pointer(RECORDS)
    harness.out_of_time = lambda: harness.clock.advance(100) or True
    assert harness.replay()["counts"]["messages"] <= 1
    harness.out_of_time = lambda: False
    harness.clock.advance(200)
    harness.replay()
    assert len(harness.sqs.messages) == 40
    assert harness.tables.orders() == last_states(RECORDS)


def test_what_each_call_could_not_read_is_reported(harness: ReplayHarness):
    """A call has time for two messages. The next call does not receive the ones that stay."""
    foreign = []
    for start in (0, 4):
        foreign.append(harness.sqs.send(json.dumps({"not": f"ours {start}"})))
        harness.send_pointer(RECORDS[start : start + 4])
    looked = iter(range(1, 100))
    harness.out_of_time = lambda: next(looked) % 2 == 0
    execution = ReplayExecution(harness).until("check")
    assert execution.trail.count("hydrate") > 1
    harness.out_of_time = lambda: False
    report = execution.resume()
    assert {problem["source"] for problem in report["problems"]} >= {f"message {number}" for number in foreign}
    assert report["counts"]["messages"] == 2


def test_shards_selects_messages(harness: ReplayHarness):
    harness.send_pointer(RECORDS[:3])
    other = harness.send_pointer([change("z", 50)], shardId=CHILD)
    harness.replay({"shards": [SHARD]})
    assert harness.sqs.visible == [other]
    assert harness.tables.orders() == last_states(RECORDS[:3])


def test_max_batches_bounds_the_messages_taken(harness: ReplayHarness):
    for n in range(25):
        harness.send_pointer([change(f"k{n:02d}", 100 + n)])
    harness.out_of_time = lambda: True
    report = harness.replay({"max_batches": 13})
    assert (report["counts"]["messages"], report["counts"]["batches"]) == (13, 13)
    assert len(harness.sqs.visible) == 12
    assert len(harness.tables.orders()) == 13


def test_a_dry_run_leaves_every_message_visible(harness: ReplayHarness):
    harness.send_pointer(RECORDS)
    harness.send_pointer([change("z", 99)], shardId=CHILD)
    harness.streams.shard(ARN, CHILD).trimmed = 1
    report = harness.replay({"dry_run": True})
    assert (report["outcome"], report["counts"]["changes"], report["counts"]["expired"]) == ("planned", 9, 1)
    assert len(harness.sqs.visible) == 2
    assert harness.tables.sidecar() == []
    assert harness.left() == harness.keys(EXPIRED) == harness.keys(REPLAYED) == []


@mock_aws
def test_the_queue_as_boto3_gives_it(harness: ReplayHarness):
    """A real client, answered by moto."""
    sqs = boto3.client("sqs", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
    queue = sqs.create_queue(QueueName="failures")["QueueUrl"]
    for start in (0, 4):
        sqs.send_message(QueueUrl=queue, MessageBody=json.dumps(failure(RECORDS[start : start + 4])))
    sqs.send_message(QueueUrl=queue, MessageBody="not ours")
    shard(harness).records = list(RECORDS)
    options: dict[str, Any] = {"streams": harness.streams, "bucket": harness.bucket, "source": SOURCE, "replay": REPLAY}
    hydrator = hydrate.Hydrator(sqs=sqs, queue_url=queue, **options)
    assert hydrator.has_messages()
    done = hydrator.hydrate(100, lambda: False)
    assert (done.messages, len(done.problems), len(harness.left())) == (2, 1, 2)
    assert sqs.receive_message(QueueUrl=queue)["Messages"][0]["Body"] == "not ours"


def test_a_message_that_botocore_refuses_to_send_is_reported(harness: ReplayHarness):
    """boto3 raises for a shardId that is too short. The other messages are processed."""
    client = boto3.client("dynamodbstreams", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
    number = harness.sqs.send(json.dumps(failure(RECORDS, shardId="short")))
    options: dict[str, Any] = {"streams": client, "bucket": harness.bucket, "source": SOURCE, "replay": REPLAY}
    done = hydrate.Hydrator(sqs=harness.sqs, queue_url=QUEUE, **options).hydrate(100, lambda: False)
    assert [problem["source"] for problem in done.problems] == [f"message {number}"]
