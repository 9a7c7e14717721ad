"""Which objects are failed batches, what of them is replayed, and which of them are settled."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from common import mapping
from common.bucket import UnreadableError
from common.changes import Mark
from common.layout import FAILED, REPLAYED
from common.records import classifier
from common.source import Source
from dlq_replayer import collect, drain
from dlq_replayer.batches import (
    parse_lean,
    parse_message,
    parse_object,
    parse_parked,
)
from dlq_replayer.collect import FailedObject, weight
from dlq_replayer.ranges import as_event_record
from tests.support.cases import cases, record_of
from tests.support.records import ARN, SOURCE, START, TTL_IDENTITY, record, remove
from tests.support.replay import CHILD, SHARD, ReplayExecution, ReplayHarness, applied, change, failure, last_states
from tests.support.stock import STOCK

RECORDS = [change("a", 1), change("b", 2)]
PARSERS = (parse_lean, parse_object)
BAD = {"amount": "12345678901234567890"}  # no column takes it


def body(payload: Any = None, **info: Any) -> bytes:
    payload = {"Records": RECORDS} if payload is None else payload
    return json.dumps(failure(RECORDS, **info) | {"payload": payload}).encode()


@pytest.mark.parametrize("payload", [{"Records": RECORDS}, json.dumps({"Records": RECORDS})], ids=["object", "string"])
def test_a_payload_may_be_an_object_or_an_escaped_string(payload: Any):
    batch = parse_object(body(payload), SOURCE)
    assert batch.records == RECORDS
    assert batch.suspect is None
    assert batch.pointer
    assert (batch.pointer.shard, batch.pointer.size, batch.pointer.failed_at) == (SHARD, 2, "2026-01-31T00:10:00.000Z")


@pytest.mark.parametrize("escaped", [False, True], ids=["object", "string"])
@pytest.mark.parametrize(
    "given",
    [record_of(case) for case in cases("records") + cases("values")] + cases("others"),
    ids=lambda given: hashlib.md5(json.dumps(given).encode()).hexdigest()[:6],
)
def test_lean_records_are_classified_like_whole_ones(given: Any, escaped: bool):
    """A record is parked for the same reason by both parsers, and good records beside it are taken."""
    event = {"Records": [change("good", 1), given, remove("good", 2)]}
    text = body(json.dumps(event) if escaped else event)
    lean, whole = (list(classifier(mapping.load())(parse(text, SOURCE).records)) for parse in PARSERS)
    assert [_without_record(result) for result in lean] == [_without_record(result) for result in whole]


def _without_record(result: Any) -> Any:
    return result if isinstance(result, str) else result._replace(record={})


def test_lean_records_are_a_sequence():
    records = parse_lean(body(), SOURCE).records
    assert [records[i] for i in range(len(records))] == list(records)


def test_prefetched_batches_are_bounded_by_number_and_size():
    small, large = FailedObject("a", 1), FailedObject("a", 20_000_000)
    assert weight(small) * collect._PREFETCH_THREADS == collect._PREFETCH_BYTES  # noqa: SLF001
    assert weight(large) == 20_000_000


def test_only_a_removal_without_identity_has_its_old_image_read():
    """It says whether the item had expired. Of the others only the mark of a seed is read: more would cost time."""
    changed, expired = change("a", 1), remove("b", 2, identity=TTL_IDENTITY)
    changed["dynamodb"]["OldImage"] = changed["dynamodb"]["NewImage"]
    given = [changed, expired, remove("c", 3)]
    read = parse_lean(body({"Records": given}), SOURCE).records
    assert [len(record["dynamodb"]["OldImage"]) for record in read] == [0, 0, len(expired["dynamodb"]["OldImage"])]


def test_every_old_image_is_read_where_the_mapping_needs_it():
    changed, expired = change("a", 1), remove("b", 2, identity=TTL_IDENTITY)
    changed["dynamodb"]["OldImage"] = changed["dynamodb"]["NewImage"]
    given = [changed, expired, remove("c", 3)]
    read = parse_lean(body({"Records": given}), SOURCE, old_images=True).records
    assert ["OldImage" in record["dynamodb"] for record in read] == [True] * 3
    assert not mapping.load().reads_old_images
    assert STOCK.reads_old_images
    assert replace(mapping.load(), prepare=lambda item: item).reads_old_images


@pytest.mark.parametrize("ttl", [START, START + 1, None], ids=["expired", "not yet", "without a time"])
@pytest.mark.parametrize("identity", [None, {}, TTL_IDENTITY, {"type": "IAMUser"}], ids=repr)
def test_an_expiry_is_recognised_by_both_parsers(ttl: int | None, identity: Any):
    removed = remove("a", 1, record_ttl=None if ttl is None else {"N": str(ttl)})
    removed["userIdentity"] = identity
    text = body({"Records": [removed]})
    lean, whole = (list(classifier(mapping.load())(parse(text, SOURCE).records)) for parse in PARSERS)
    assert [_without_record(result) for result in lean] == [_without_record(result) for result in whole]
    expired = identity == TTL_IDENTITY or (ttl == START and not identity)
    assert [result.mark for result in lean] == [Mark.EXPIRED if expired else Mark.DELETED]


UNREADABLE = {
    "empty": (b"", "cut off"),
    "cut off": (body()[:-20], "cut off"),
    "a payload cut off": (body(json.dumps({"Records": RECORDS})[:-5]), "not an event with Records"),
    "not text": (b"\xff\xfe\x00", "cut off"),
    "not UTF-8 in what is not read": (body({"Records": [remove("a", 1)]}).replace(b"merchant-102", b"\xff"), "cut off"),
    "a list": (b"[]", "not a JSON object"),
    "null": (b"null", "not a JSON object"),
    "nested without end": (b"[" * 100_000, "cut off"),
    "somebody else's": (b'{"hello": "world"}', "not a failure record"),
    "a pointer without its payload": (json.dumps(failure(RECORDS)).encode(), "not an event with Records"),
    "no records": (body({"Other": []}), "not an event with Records"),
    "records that are none": (body({"Records": {"a": 1}}), "not an event with Records"),
    "another table's": (body(streamArn=ARN.replace("orders", "users")), "another table"),
    "a table whose name ends alike": (body(streamArn=ARN.replace("orders", "my-orders")), "another table"),
    "another Region's": (body(streamArn=ARN.replace("us-east-1", "eu-west-1")), "another table"),
    "another account's": (body(streamArn=ARN.replace("123456789012", "210987654321")), "another table"),
    "no stream's": (body(streamArn="2026-01-31T00:00:00.000"), "another table"),
    "no label": (body(streamArn=ARN + "/stream/"), "another table"),
    "no size": (body(batchSize=None), "incomplete"),
    "a size without end": (body(batchSize=7).replace(b'"batchSize": 7', b'"batchSize": 1e999'), "incomplete"),
    "a number of too many digits": (b'{"a": ' + b"7" * 5000 + b"}", "cut off"),
}


@pytest.mark.parametrize(("text", "problem"), UNREADABLE.values(), ids=UNREADABLE.keys())
def test_an_object_that_is_no_batch_is_refused_with_a_reason(text: bytes, problem: str):
    for parse in PARSERS:
        with pytest.raises(UnreadableError, match=problem):
            parse(text, SOURCE)


def test_every_condition_is_a_failure_whatever_its_name():
    """AWS documents one shape. Emulators write others, and a batch that was never invoked lacks a response."""
    document = failure(RECORDS) | {"payload": {"Records": RECORDS}}
    del document["requestContext"]
    assert parse_object(json.dumps(document).encode(), SOURCE).records == RECORDS


def test_an_invalid_time_is_left_out_of_a_pointer():
    pointer = parse_message(
        json.dumps(failure(RECORDS, approximateArrivalOfFirstRecord="x" * 10_000) | {"timestamp": {"a": 1}}), SOURCE
    )
    assert (pointer.first_arrival, pointer.failed_at) == ("", "")


def test_a_quarantined_object_holds_its_record_whole():
    assert parse_parked(json.dumps({"record": RECORDS[0], "reason": "x"}).encode()).records == [RECORDS[0]]
    with pytest.raises(UnreadableError, match="no parked record"):
        parse_parked(b'{"record": null}')


def test_a_record_of_get_records_takes_the_shape_of_lambda():
    expected = record("a", 1, time=1_770_000_000, identity=TTL_IDENTITY)
    expected["dynamodb"]["NewImage"]["blob"] = {"B": "AP8="}
    expected["dynamodb"]["NewImage"]["set"] = {"BS": ["AA=="]}
    got = json.loads(json.dumps(expected))
    del got["eventSourceARN"]
    got["userIdentity"] = {"Type": "Service", "PrincipalId": "dynamodb.amazonaws.com"}
    got["dynamodb"]["ApproximateCreationDateTime"] = datetime.fromtimestamp(1_770_000_000, UTC)
    got["dynamodb"]["NewImage"]["blob"] = {"B": b"\x00\xff"}
    got["dynamodb"]["NewImage"]["set"] = {"BS": [b"\x00"]}
    assert as_event_record(got, ARN) == expected


# whole replays of such batches


@pytest.mark.parametrize("escaped", [True, False])
def test_malformed_records_are_parked_and_the_others_applied(harness: ReplayHarness, escaped: bool):
    odd = cases("others")
    event = {"Records": [RECORDS[0], *odd, RECORDS[1]]}
    text = body(json.dumps(event) if escaped else event, batchSize=len(odd) + 2)
    harness.s3.put_object(Bucket="", Key=f"{FAILED}e1/odd", Body=text)
    report = harness.replay()
    assert harness.tables.orders() == last_states(RECORDS)
    assert harness.left() == []
    records = [harness.bucket.read_json(key)["record"] for key in report["parked_records"]]
    assert sorted(map(json.dumps, records)) == sorted(map(json.dumps, odd))


@pytest.mark.parametrize("text", [text for text, _ in UNREADABLE.values()], ids=UNREADABLE.keys())
def test_an_unreadable_batch_is_reported_and_stays(harness: ReplayHarness, text: bytes):
    harness.put_batch(RECORDS)
    harness.s3.put_object(Bucket="", Key=f"{FAILED}a/foreign", Body=text)
    report = harness.replay()
    assert [problem["source"] for problem in report["problems"]] == [f"{FAILED}a/foreign"] == harness.left()
    assert harness.tables.orders() == last_states(RECORDS)
    assert report["outcome"] == "complete"


LONG = "7" * 5_000  # of digits, which Python's own JSON refuses


def odd_batch(**parts: Any) -> bytes:
    """A batch of two good records and one with `parts`, where NUMBER stands for a number that is too long."""
    odd = change("odd", 3)
    odd["dynamodb"] |= parts
    text = body(json.dumps({"Records": [change("good", 1), odd, change("good", 2)]}), batchSize=3)
    return text.replace(b'\\"NUMBER\\"', LONG.encode())


@pytest.mark.parametrize(
    "part",
    [{"ApproximateCreationDateTime": "NUMBER"}, {"Keys": {"p_key": "NUMBER"}}, {"NewImage": "NUMBER"}],
    ids=lambda part: next(iter(part)),
)
def test_a_batch_with_an_undecodable_record_stays_whole(harness: ReplayHarness, part: Any):
    harness.s3.put_object(Bucket="", Key=f"{FAILED}e1/odd", Body=odd_batch(**part))
    harness.put_batch(RECORDS)
    report = harness.replay()
    assert [problem["source"] for problem in report["problems"]] == [f"{FAILED}e1/odd"] == harness.left()
    assert harness.tables.orders() == last_states(RECORDS)
    assert report["counts"]["records"] == len(RECORDS)


@pytest.mark.parametrize("poison", ["no", "to the mapping", "to MySQL"])
def test_a_field_that_no_change_needs_may_be_undecodable(harness: ReplayHarness, three_letters: None, poison: str):
    """A record that is parked is stored without it."""
    values = {"no": {}, "to the mapping": BAD, "to MySQL": {"currency": "R"}}[poison]
    image = change("odd", 3, **values)["dynamodb"]["NewImage"]
    harness.s3.put_object(Bucket="", Key=f"{FAILED}e1/odd", Body=odd_batch(NewImage=image, OldImage="NUMBER"))
    report = harness.replay()
    assert (report["outcome"], harness.left(), report["counts"]["parked"]) == ("complete", [], int(poison != "no"))
    assert [row[0] for row in harness.tables.orders()] == (["good"] if report["counts"]["parked"] else ["good", "odd"])
    for key in report["parked_records"]:
        assert harness.bucket.read_json(key)["record"]["dynamodb"]["NewImage"] == image


def test_an_object_too_large_for_a_batch_is_not_read(harness: ReplayHarness, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(collect, "_LARGEST_BATCH", 3_000)
    big = harness.put_batch([change(f"k{n}", n) for n in range(20)])
    harness.put_batch([change("a", 1)])
    report = harness.replay()
    assert harness.left() == [big]
    assert "larger" in report["problems"][0]["problem"]


def test_a_batch_settled_since_it_was_listed_is_skipped(harness: ReplayHarness):
    """Another replay settled it, or a person moved it."""
    gone = harness.put_batch([change("a", 1)])
    harness.put_batch([change("b", 2)])
    get = harness.s3.get_object

    def vanish(**given: Any) -> dict[str, Any]:
        if given["Key"] == gone:
            harness.s3.objects.pop(gone, None)
        return get(**given)

    harness.s3.get_object = vanish
    harness.batches.pop(gone)
    report = harness.replay()
    assert (report["outcome"], report["counts"]["batches"], report["problems"]) == ("complete", 1, [])
    assert harness.tables.orders() == [applied("b", 2)]


@pytest.mark.parametrize("size", [3, 40])
def test_a_batch_that_lacks_records_is_applied_and_stays(harness: ReplayHarness, size: int):
    key = harness.put_batch(RECORDS, batchSize=size)
    report = harness.replay()
    assert harness.left() == [key]
    assert f"stands for {size}" in report["problems"][0]["problem"]
    assert report["counts"]["left"] == 1
    assert harness.tables.orders() == last_states(RECORDS)


def test_batches_with_nothing_to_apply_are_settled(harness: ReplayHarness):
    """Expired items, items of another kind, and a batch without records."""
    other = change("a", 1)
    other["dynamodb"]["Keys"]["s_key"] = {"S": "NOTE"}
    harness.put_batch([remove("a", 1, identity=TTL_IDENTITY)])
    harness.put_batch([other])
    harness.put_batch([])
    report = harness.replay()
    assert {n: report["counts"][n] for n in ("batches", "settled", "ttl_delete", "unmapped_item", "applied")} == {
        "batches": 3, "settled": 3, "ttl_delete": 1, "unmapped_item": 1, "applied": 0,
    }  # fmt: skip
    assert harness.left() == []


def test_mirrored_ttl_deletes_are_applied(make_harness: Any):
    harness = make_harness(mirror_ttl_deletes=True)
    harness.put_batch([change("a", 1), remove("a", 2, identity=TTL_IDENTITY)])
    harness.replay()
    assert harness.tables.orders() == []


@pytest.mark.parametrize("key", ["a/b", "ключ ", "a b", "x" * 300, ""])
def test_records_with_an_invalid_key_are_parked(harness: ReplayHarness, key: str):
    """They are parked under a key that S3 accepts, and the batch is settled."""
    harness.put_batch([change(key, 1), change("good", 2)])
    report = harness.replay()
    assert report["counts"]["parked"] == (0 if key == "a/b" else 1)
    assert harness.left() == []


def test_a_poison_record_is_parked_whole(harness: ReplayHarness):
    """The old image is stored, too, although the lean parser skips it."""
    poison = change("a", 5, **BAD)
    poison["dynamodb"]["OldImage"] = change("a", 4)["dynamodb"]["NewImage"]
    harness.put_batch([change("b", 1), poison])
    report = harness.replay()
    assert [harness.bucket.read_json(key)["record"] for key in report["parked_records"]] == [poison]


@pytest.mark.parametrize("bound", ["_PART_RECORDS", "_PART_BATCHES", "_PART_BYTES", "_PART_UNREADABLE"])
def test_a_part_of_the_backlog_is_bounded_in_every_way(
    harness: ReplayHarness, bound: str, monkeypatch: pytest.MonkeyPatch
):
    """By what a call holds in memory, and by what can be settled in a call's last minute."""
    monkeypatch.setattr(collect, bound, 1)
    batches = [[change(f"k{n}", n), change(f"bad{n}", 10 + n, **BAD)] for n in range(5)]
    for batch in batches:
        harness.put_batch(batch)
    execution = ReplayExecution(harness)
    execution.resume()
    assert execution.trail.count("collect") == 1 + len(batches) + 1
    assert len(harness.tables.orders()) == 5
    assert len(harness.keys("quarantine/")) == 5


def test_parts_with_problems_alone_are_reported(harness: ReplayHarness, monkeypatch: pytest.MonkeyPatch):
    """Each part has its own objects: none overwrites what an earlier part has found."""
    monkeypatch.setattr(collect, "_PART_BYTES", 1)
    foreign = [f"{FAILED}{name}/foreign" for name in "acz"]
    for key in foreign:
        harness.s3.put_object(Bucket="", Key=key, Body="x")
    harness.put_batch(RECORDS, key=f"{FAILED}b/batch")
    report = harness.replay()
    assert [problem["source"] for problem in report["problems"]] == foreign == harness.left()
    assert harness.tables.orders() == last_states(RECORDS)


def test_a_part_is_bounded_in_its_problems(harness: ReplayHarness, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(collect, "_PART_BATCHES", 2)
    for number in range(6):
        harness.s3.put_object(Bucket="", Key=f"{FAILED}foreign{number}", Body="x")
    execution = ReplayExecution(harness)
    assert len(execution.resume()["problems"]) == 6
    assert execution.trail.count("collect") == 1 + 3 + 1


@pytest.mark.parametrize("part", [1, 1000])
def test_a_dry_run_collects_the_quarantine_too(harness: ReplayHarness, part: int, monkeypatch: pytest.MonkeyPatch):
    """It lists them after the batches that it hydrated, whose keys sort after those of the quarantine."""
    monkeypatch.setattr(collect, "_PART_BATCHES", part)
    harness.put_batch([change("a", 1)])
    harness.send_pointer([change("b", 2)])
    for number in range(3, 6):
        harness.put_quarantined(change("c", number))
    counts = harness.replay({"dry_run": True, "include_quarantine": True})["counts"]
    assert (counts["batches"], counts["changes"], counts["keys"]) == (5, 5, 3)


@pytest.mark.parametrize("part", [1, 2, 1000])
def test_settled_and_left_batches_are_counted(harness: ReplayHarness, part: int, monkeypatch: pytest.MonkeyPatch):
    """With any size of a part a batch is settled, left, or parked again, which is neither."""
    monkeypatch.setattr(collect, "_PART_BATCHES", part)
    harness.put_batch([change("a", 1), change("p", 2, **BAD)])
    harness.put_batch([change("b", 3), change("q", 4, **BAD)])
    stays = [harness.put_batch([change(key, 5), change("r", 5, **BAD)], batchSize=9) for key in "cd"]
    again = [harness.put_quarantined(change(key, 6, **BAD)) for key in "st"]
    harness.put_quarantined(change("e", 7))
    execution = ReplayExecution(harness, {"include_quarantine": True}).until("settle")
    harness.out_of_time = lambda: True
    counts = execution.resume()["counts"]
    assert (counts["batches"], counts["settled"], counts["left"], counts["parked"]) == (7, 3, 2, 6)
    assert harness.left() == sorted(stays)
    assert set(again) < set(harness.keys("quarantine/"))
    assert len(harness.keys("quarantine/")) == 5


# the optional input


def test_a_malformed_key_matches_no_requested_key(harness: ReplayHarness):
    """A record whose key is a list, for example, stays like every record that was not asked for."""
    odd = change("a", 1)
    odd["dynamodb"]["Keys"]["p_key"] = {"S": ["a"]}
    key = harness.put_batch([odd, change("a", 2)])
    harness.replay({"keys": ["order/a"]})
    assert harness.left() == [key]
    assert harness.tables.orders() == [applied("a", 2)]


def test_keys_selects_changes_and_a_mixed_batch_stays(harness: ReplayHarness):
    both, alone = harness.put_batch([change("a", 1), change("b", 2)]), harness.put_batch([change("a", 3)])
    none = harness.put_batch([change("c", 4)])
    harness.put_batch([])
    empty = harness.left()[-1]
    report = harness.replay({"keys": ["order/a"]})
    assert harness.tables.orders() == [applied("a", 3)]
    assert harness.left() == sorted([both, none, empty])
    assert harness.keys(REPLAYED) == [REPLAYED + alone]
    assert (report["counts"]["records"], report["counts"]["left"]) == (2, 1)
    harness.replay()
    assert harness.tables.orders() == [applied("a", 3), applied("b", 2), applied("c", 4)]
    assert harness.left() == []


def test_shards_selects_batches(harness: ReplayHarness):
    harness.put_batch([change("a", 1)], shardId=SHARD)
    other = harness.put_batch([change("b", 2)], shardId=CHILD)
    harness.replay({"shards": [SHARD]})
    assert harness.left() == [other]


@pytest.mark.parametrize("part", [1, 2, 1000])
def test_max_batches_holds_across_parts(harness: ReplayHarness, part: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(collect, "_PART_RECORDS", part)
    for number in range(9):
        harness.put_batch([change(f"k{number}", number)])
    for left in (5, 1, 0):
        harness.replay({"max_batches": 4})
        assert len(harness.left()) == left


def test_concurrency_is_the_number_of_lanes(harness: ReplayHarness):
    harness.put_batch([change(f"k{number}", number) for number in range(50)])
    execution = ReplayExecution(harness, {"concurrency": 7}).until("drain")
    assert len(execution.lanes) == 7
    execution.resume()
    assert len(harness.tables.orders()) == 50


def test_a_dry_run_counts_and_changes_nothing(harness: ReplayHarness):
    harness.put_batch([change("a", 1), change("a", 2), change("b", 3)])
    harness.replay()
    harness.put_batch([change("a", 1), change("a", 4), change("b", 3), change("c", 5), change("d", 6, **BAD)])
    before = {key: value for key, value in harness.s3.objects.items() if not key.startswith("replay/")}
    rows = harness.tables.sidecar()
    report = harness.replay({"dry_run": True})
    assert report["outcome"] == "planned"
    assert {n: report["counts"][n] for n in ("batches", "records", "changes", "keys", "stale", "unreadable")} == {
        "batches": 1, "records": 5, "changes": 4, "keys": 3, "stale": 1, "unreadable": 1,
    }  # fmt: skip
    assert rows == harness.tables.sidecar()
    assert before == {key: value for key, value in harness.s3.objects.items() if not key.startswith("replay/")}


# quarantine


def test_a_quarantined_record_is_retried_when_asked_for(harness: ReplayHarness):
    quarantined = harness.put_quarantined(change("a", 5))
    harness.put_batch([change("b", 1)])
    harness.replay()
    assert harness.keys("quarantine/") == [quarantined]
    harness.replay({"include_quarantine": True})
    assert harness.keys("quarantine/") == []
    assert harness.tables.orders() == [applied("a", 5), applied("b", 1)]


def test_a_record_parked_again_has_the_new_reason(harness: ReplayHarness, three_letters: None):
    """The mapping refuses one record, MySQL the other."""
    sources = [
        harness.put_quarantined(change("a", 5, **BAD), "old"),
        harness.put_quarantined(change("b", 6, currency="R")),
    ]
    report = harness.replay({"include_quarantine": True})
    assert sorted(sources) == harness.keys("quarantine/") == report["parked_records"]
    assert (report["counts"]["settled"], report["counts"]["left"]) == (0, 0)
    reasons = [harness.bucket.read_json(key)["reason"] for key in sorted(sources)]
    assert "amount" in reasons[0]
    assert "4025" in reasons[1] or "3819" in reasons[1]


def test_a_record_parked_again_keeps_its_object(harness: ReplayHarness, three_letters: None):
    """One object stands for both records: moving it for one would lose the other."""
    bad = change("b", 6, currency="R")
    harness.put_batch([bad, change("b", 5)])
    source = harness.put_quarantined(bad)
    harness.replay({"include_quarantine": True})
    assert harness.keys("quarantine/") == [source]
    assert harness.left() == []
    assert harness.tables.orders() == [applied("b", 5)]


@pytest.mark.parametrize("values", [BAD, {"currency": "R"}], ids=["by the mapping", "by MySQL"])
def test_a_record_discarded_during_a_replay_stays_discarded(
    harness: ReplayHarness, three_letters: None, values: dict[str, Any]
):
    kept = harness.put_quarantined(change("a", 5, **values))
    discarded = harness.put_quarantined(change("b", 6, **values))
    execution = ReplayExecution(harness, {"include_quarantine": True}).until("drain")
    del harness.s3.objects[discarded]
    report = execution.resume()
    assert (report["outcome"], report["problems"]) == ("complete", [])
    assert harness.keys("quarantine/") == [kept] == report["parked_records"]


def test_a_superseded_record_is_stale_and_settled(harness: ReplayHarness):
    harness.put_quarantined(change("a", 5))
    harness.put_batch([change("a", 7)])
    harness.replay({"include_quarantine": True})
    assert harness.keys("quarantine/") == []
    assert harness.tables.orders() == [applied("a", 7)]


@pytest.mark.parametrize("newer", [change("a", 7), remove("a", 7)], ids=["corrected", "deleted"])
def test_a_superseded_unreadable_record_is_settled(harness: ReplayHarness, newer: dict[str, Any]):
    """A record is stale when a newer version of its key was applied. The others stay."""
    harness.put_quarantined(change("a", 5, **BAD))
    kept = [harness.put_quarantined(change("a", 8, **BAD)), harness.put_quarantined(change("b", 6, **BAD))]
    timeless = change("a", 4, **BAD)
    del timeless["dynamodb"]["ApproximateCreationDateTime"]
    kept.append(harness.put_quarantined(timeless))
    harness.put_batch([newer])
    harness.replay()
    report = harness.replay({"include_quarantine": True})
    assert harness.keys("quarantine/") == sorted(kept) == report["parked_records"]
    assert (report["counts"]["unreadable"], report["counts"]["stale"], report["counts"]["parked"]) == (4, 1, 3)


@pytest.mark.parametrize(("seconds", "parked"), [(2, 0), (3, 1)])
def test_an_unreadable_record_that_trips_the_clock_is_parked(harness: ReplayHarness, seconds: int, parked: int):
    """Older by version and later by the clock, as for every change. The clock's steps allow for two seconds."""
    harness.put_batch([change("a", 7)])
    harness.replay()
    harness.put_batch([change("a", 5, time=START + seconds, **BAD)])
    report = harness.replay()
    assert (report["counts"]["stale"], report["counts"]["parked"]) == (1 - parked, parked)
    assert len(harness.keys("quarantine/")) == parked


@pytest.mark.parametrize("values", [BAD, {"currency": "R"}], ids=["to the mapping", "to MySQL"])
def test_a_batch_moved_before_its_record_is_parked_is_named(
    harness: ReplayHarness, three_letters: None, values: dict[str, Any]
):
    """The other batches are replayed and settled."""
    moved = harness.put_batch([change("a", 1, **values)])
    harness.put_batch([change("b", 2), change("c", 3, **values)])
    execution = ReplayExecution(harness).until("drain")
    body = harness.s3.objects.pop(moved)
    execution.until("settle")
    harness.s3.objects[moved] = body  # put back before the end, it is not settled for what was not parked
    report = execution.resume()
    assert [problem["source"] for problem in report["problems"]] == [moved] == harness.left()
    assert (report["outcome"], report["counts"]["parked"], report["counts"]["left"]) == ("complete", 1, 1)
    assert harness.tables.orders() == [applied("b", 2)]
    assert (harness.replay()["counts"]["parked"], harness.left()) == (1, [])


# order


@pytest.mark.parametrize("together", [7, 1000])
def test_every_change_of_a_key_is_written_in_order(make_harness: Any, together: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(drain, "_CHUNK", together)
    harness = make_harness(every_change=True, concurrency=3)
    numbers = list(range(1, 61))
    for start in (40, 0, 20):  # stored out of order, and overlapping
        harness.put_batch([change("ab"[n % 2], n) for n in numbers[start : start + 25]])
    harness.replay()
    assert [n for _, n, _ in harness.written("order/a")] == numbers[1::2]
    assert [n for _, n, _ in harness.written("order/b")] == numbers[::2]


def test_sequence_numbers_are_ordered_as_numbers(harness: ReplayHarness):
    short, long = change("a", 9), change("a", 1)
    short["dynamodb"]["SequenceNumber"], long["dynamodb"]["SequenceNumber"] = "9" * 21, "1" * 27
    harness.put_batch([long])
    harness.put_batch([short])
    harness.replay()
    assert harness.tables.orders() == [applied("a", 1)]


def test_a_replay_writes_the_versions_of_its_generation(harness: ReplayHarness):
    """A change of the table that took over is newer than every change of the table before."""
    harness.put_batch([change("a", 9)])
    harness.replay()
    harness.source = Source(SOURCE.table_arn, 3)
    harness.put_batch([change("a", 1, updated_at=START + 10), change("b", 2)])

    harness.replay()

    assert harness.tables.orders() == [applied("a", 1, updated_at=START + 10), applied("b", 2)]
    versions = harness.tables.run("SELECT version FROM replication_versions ORDER BY item_key")
    assert [version.split("_")[0] for (version,) in versions] == ["g0003", "g0003"]


def test_a_batch_of_another_region_stays_and_is_reported(harness: ReplayHarness):
    elsewhere = ARN.replace("us-east-1", "eu-west-1")
    key = harness.put_batch([change("a", 1, arn=elsewhere)], streamArn=elsewhere)
    harness.put_batch([change("b", 2)])

    report = harness.replay()

    assert harness.tables.orders() == [applied("b", 2)]
    assert harness.left() == [key]
    assert [problem["problem"] for problem in report["problems"]] == ["it belongs to another table"]
