"""What lies in the bucket: which objects are failed batches, what of them is drained, and which of them may leave."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from common import mapping
from common.bucket import UnreadableError
from common.changes import reader
from common.layout import FAILED, REPLAYED
from common.source import Source
from dlq_replayer import collect, drain
from dlq_replayer.batches import (
    as_event_record,
    parse_lean,
    parse_message,
    parse_object,
    parse_parked,
)
from dlq_replayer.collect import Listed, weight
from tests.support.cases import cases, record_of
from tests.support.records import ARN, SOURCE, START, TTL_IDENTITY, record, remove
from tests.support.replay import CHILD, SHARD, Execution, World, applied, change, failure, last_states

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
def test_what_is_left_out_of_a_record_while_it_is_read_changes_nothing_of_what_it_is(given: Any, escaped: bool):
    """Whatever is refused or parked is so for the same reason, next to good records that are taken."""
    event = {"Records": [change("good", 1), given, remove("good", 2)]}
    text = body(json.dumps(event) if escaped else event)
    lean, whole = (list(map(reader(mapping.load()), parse(text, SOURCE).records)) for parse in PARSERS)
    assert [_without_record(result) for result in lean] == [_without_record(result) for result in whole]


def _without_record(result: Any) -> Any:
    return result if isinstance(result, str) else result._replace(record={})


def test_records_that_are_read_when_they_are_asked_for_are_a_sequence():
    records = parse_lean(body(), SOURCE).records
    assert [records[i] for i in range(len(records))] == list(records)


def test_batches_read_ahead_are_bounded_by_number_and_by_size():
    small, large = Listed({}, "a", 1), Listed({}, "a", 20_000_000)
    assert weight(small) * collect._READERS == collect._AHEAD_BYTES  # noqa: SLF001
    assert weight(large) == 20_000_000


def test_only_a_removal_by_nobody_has_its_old_image_read():
    """It tells whether the item had expired; the old images of all other records only cost time."""
    changed, expired = change("a", 1), remove("b", 2, identity=TTL_IDENTITY)
    changed["dynamodb"]["OldImage"] = changed["dynamodb"]["NewImage"]
    given = [changed, expired, remove("c", 3)]
    read = parse_lean(body({"Records": given}), SOURCE).records
    assert ["OldImage" in record["dynamodb"] for record in read] == [False, False, True]


@pytest.mark.parametrize("ttl", [START, START + 1, None], ids=["expired", "not yet", "without a time"])
@pytest.mark.parametrize("identity", [None, {}, TTL_IDENTITY, {"type": "IAMUser"}], ids=repr)
@pytest.mark.parametrize("mirror", [False, True], ids=["kept", "mirrored"])
def test_an_expiry_is_one_however_it_was_read(ttl: int | None, identity: Any, mirror: bool):
    removed = remove("a", 1, record_ttl=None if ttl is None else {"N": str(ttl)})
    removed["userIdentity"] = identity
    text = body({"Records": [removed]})
    read = reader(mapping.load(), mirror_ttl_deletes=mirror)
    lean, whole = (list(map(read, parse(text, SOURCE).records)) for parse in PARSERS)
    assert [_without_record(result) for result in lean] == [_without_record(result) for result in whole]
    expired = identity == TTL_IDENTITY or (ttl == START and not identity)
    assert (lean == ["ttl_delete"]) == (expired and not mirror)


UNREADABLE = {
    "empty": (b"", "cut off"),
    "cut off": (body()[:-20], "cut off"),
    "a payload cut off": (body(json.dumps({"Records": RECORDS})[:-5]), "no event with Records"),
    "not text": (b"\xff\xfe\x00", "cut off"),
    "not UTF-8 in what is not read": (body({"Records": [remove("a", 1)]}).replace(b"merchant-102", b"\xff"), "cut off"),
    "a list": (b"[]", "not a JSON object"),
    "null": (b"null", "not a JSON object"),
    "nested without end": (b"[" * 100_000, "cut off"),
    "somebody else's": (b'{"hello": "world"}', "no failure record"),
    "a pointer without its payload": (json.dumps(failure(RECORDS)).encode(), "no event with Records"),
    "no records": (body({"Other": []}), "no event with Records"),
    "records that are none": (body({"Records": {"a": 1}}), "no event with Records"),
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
def test_what_is_no_failed_batch_is_refused_with_a_reason(text: bytes, problem: str):
    for parse in PARSERS:
        with pytest.raises(UnreadableError, match=problem):
            parse(text, SOURCE)


def test_every_condition_is_a_failure_whatever_its_name():
    """AWS documents one of them; emulators have others, and a batch that was never invoked lacks a response."""
    document = failure(RECORDS) | {"payload": {"Records": RECORDS}}
    del document["requestContext"]
    assert parse_object(json.dumps(document).encode(), SOURCE).records == RECORDS


def test_what_is_no_time_is_left_out_of_pointers():
    pointer = parse_message(
        json.dumps(failure(RECORDS, approximateArrivalOfFirstRecord="x" * 10_000) | {"timestamp": {"a": 1}}), SOURCE
    )
    assert (pointer.first_arrival, pointer.failed_at) == ("", "")


def test_a_quarantined_object_holds_its_record_whole():
    assert parse_parked(json.dumps({"record": RECORDS[0], "reason": "x"}).encode()).records == [RECORDS[0]]
    with pytest.raises(UnreadableError, match="quarantined"):
        parse_parked(b'{"record": null}')


def test_a_record_of_get_records_takes_the_shape_that_lambda_delivers():
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
def test_records_that_are_none_are_parked_and_the_others_applied(world: World, escaped: bool):
    odd = cases("others")
    event = {"Records": [RECORDS[0], *odd, RECORDS[1]]}
    text = body(json.dumps(event) if escaped else event, batchSize=len(odd) + 2)
    world.s3.put_object(Bucket="", Key=f"{FAILED}e1/odd", Body=text)
    report = world.replay()
    assert world.tables.orders() == last_states(RECORDS)
    assert world.left() == []
    records = [world.bucket.read_json(key)["record"] for key in report["parked_records"]]
    assert sorted(map(json.dumps, records)) == sorted(map(json.dumps, odd))


@pytest.mark.parametrize("text", [text for text, _ in UNREADABLE.values()], ids=UNREADABLE.keys())
def test_what_cannot_be_read_is_reported_and_left_and_the_rest_goes_on(world: World, text: bytes):
    world.put_batch(RECORDS)
    world.s3.put_object(Bucket="", Key=f"{FAILED}a/foreign", Body=text)
    report = world.replay()
    assert [problem["source"] for problem in report["problems"]] == [f"{FAILED}a/foreign"] == world.left()
    assert world.tables.orders() == last_states(RECORDS)
    assert report["outcome"] == "complete"


LONG = "7" * 5_000  # of digits, which Python's own JSON refuses


def odd_batch(**parts: Any) -> bytes:
    """A batch of two good records and one with `parts`, NUMBER in them standing for a number that is too long."""
    odd = change("odd", 3)
    odd["dynamodb"] |= parts
    text = body(json.dumps({"Records": [change("good", 1), odd, change("good", 2)]}), batchSize=3)
    return text.replace(b'\\"NUMBER\\"', LONG.encode())


@pytest.mark.parametrize(
    "part",
    [{"ApproximateCreationDateTime": "NUMBER"}, {"Keys": {"p_key": "NUMBER"}}, {"NewImage": "NUMBER"}],
    ids=lambda part: next(iter(part)),
)
def test_a_batch_of_which_a_record_cannot_be_read_stays_and_none_of_it_is_taken(world: World, part: Any):
    world.s3.put_object(Bucket="", Key=f"{FAILED}e1/odd", Body=odd_batch(**part))
    world.put_batch(RECORDS)
    report = world.replay()
    assert [problem["source"] for problem in report["problems"]] == [f"{FAILED}e1/odd"] == world.left()
    assert world.tables.orders() == last_states(RECORDS)
    assert report["counts"]["records"] == len(RECORDS)


@pytest.mark.parametrize("poison", ["no", "to the mapping", "to MySQL"])
def test_what_is_left_out_may_be_unreadable(world: World, three_letters: None, poison: str):
    """A record that is parked is then parked without it."""
    values = {"no": {}, "to the mapping": BAD, "to MySQL": {"currency": "R"}}[poison]
    image = change("odd", 3, **values)["dynamodb"]["NewImage"]
    world.s3.put_object(Bucket="", Key=f"{FAILED}e1/odd", Body=odd_batch(NewImage=image, OldImage="NUMBER"))
    report = world.replay()
    assert (report["outcome"], world.left(), report["counts"]["parked"]) == ("complete", [], int(poison != "no"))
    assert [row[0] for row in world.tables.orders()] == (["good"] if report["counts"]["parked"] else ["good", "odd"])
    for key in report["parked_records"]:
        assert world.bucket.read_json(key)["record"]["dynamodb"]["NewImage"] == image


def test_an_object_too_large_for_a_batch_is_not_even_read(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(collect, "_LARGEST_BATCH", 3_000)
    big = world.put_batch([change(f"k{n}", n) for n in range(20)])
    world.put_batch([change("a", 1)])
    report = world.replay()
    assert world.left() == [big]
    assert "larger" in report["problems"][0]["problem"]


def test_a_batch_that_was_settled_since_it_was_listed_is_passed_over(world: World):
    """By another replay, or moved by a person."""
    gone = world.put_batch([change("a", 1)])
    world.put_batch([change("b", 2)])
    get = world.s3.get_object

    def vanish(**given: Any) -> dict[str, Any]:
        if given["Key"] == gone:
            world.s3.objects.pop(gone, None)
        return get(**given)

    world.s3.get_object = vanish
    world.batches.pop(gone)
    report = world.replay()
    assert (report["outcome"], report["counts"]["batches"], report["problems"]) == ("complete", 1, [])
    assert world.tables.orders() == [applied("b", 2)]


@pytest.mark.parametrize("size", [3, 40])
def test_a_batch_that_stands_for_more_than_it_holds_is_applied_and_stays(world: World, size: int):
    key = world.put_batch(RECORDS, batchSize=size)
    report = world.replay()
    assert world.left() == [key]
    assert f"stands for {size}" in report["problems"][0]["problem"]
    assert report["counts"]["left"] == 1
    assert world.tables.orders() == last_states(RECORDS)


def test_batches_with_nothing_to_apply_leave_as_well(world: World):
    """Expired items, items of another kind, and no records at all."""
    other = change("a", 1)
    other["dynamodb"]["Keys"]["s_key"] = {"S": "NOTE"}
    world.put_batch([remove("a", 1, identity=TTL_IDENTITY)])
    world.put_batch([other])
    world.put_batch([])
    report = world.replay()
    assert {n: report["counts"][n] for n in ("batches", "settled", "ttl_delete", "other_item", "changes")} == {
        "batches": 3, "settled": 3, "ttl_delete": 1, "other_item": 1, "changes": 0,
    }  # fmt: skip
    assert world.left() == []


def test_mirrored_ttl_deletes_are_applied(make_world: Any):
    world = make_world(mirror_ttl_deletes=True)
    world.put_batch([change("a", 1), remove("a", 2, identity=TTL_IDENTITY)])
    world.replay()
    assert world.tables.orders() == []


@pytest.mark.parametrize("key", ["a/b", "ключ ", "a b", "x" * 300, ""])
def test_records_whose_key_is_poison(world: World, key: str):
    """Parked under a name that S3 takes, and settled."""
    world.put_batch([change(key, 1), change("good", 2)])
    report = world.replay()
    assert report["counts"]["parked"] == (0 if key == "a/b" else 1)
    assert world.left() == []


def test_a_poison_record_is_parked_whole(world: World):
    """Old image and all, though what is no change's part is left out while batches are read."""
    poison = change("a", 5, **BAD)
    poison["dynamodb"]["OldImage"] = change("a", 4)["dynamodb"]["NewImage"]
    world.put_batch([change("b", 1), poison])
    report = world.replay()
    assert [world.bucket.read_json(key)["record"] for key in report["parked_records"]] == [poison]


@pytest.mark.parametrize("bound", ["_PART_RECORDS", "_PART_BATCHES", "_PART_BYTES", "_PART_POISON"])
def test_a_part_of_the_backlog_is_bounded_in_every_way(world: World, bound: str, monkeypatch: pytest.MonkeyPatch):
    """What a call holds in memory, and what is settled in a call's last minute."""
    monkeypatch.setattr(collect, bound, 1)
    batches = [[change(f"k{n}", n), change(f"bad{n}", 10 + n, **BAD)] for n in range(5)]
    for batch in batches:
        world.put_batch(batch)
    execution = Execution(world)
    execution.resume()
    assert execution.trail.count("collect") == 1 + len(batches) + 1
    assert len(world.tables.orders()) == 5
    assert len(world.keys("quarantine/")) == 5


def test_parts_that_hold_nothing_but_problems_are_reported(world: World, monkeypatch: pytest.MonkeyPatch):
    """Each part has objects of its own: no part writes over what the one before has found."""
    monkeypatch.setattr(collect, "_PART_BYTES", 1)
    foreign = [f"{FAILED}{name}/foreign" for name in "acz"]
    for key in foreign:
        world.s3.put_object(Bucket="", Key=key, Body="x")
    world.put_batch(RECORDS, key=f"{FAILED}b/batch")
    report = world.replay()
    assert [problem["source"] for problem in report["problems"]] == foreign == world.left()
    assert world.tables.orders() == last_states(RECORDS)


def test_a_part_is_bounded_in_its_problems(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(collect, "_PART_BATCHES", 2)
    for number in range(6):
        world.s3.put_object(Bucket="", Key=f"{FAILED}foreign{number}", Body="x")
    execution = Execution(world)
    assert len(execution.resume()["problems"]) == 6
    assert execution.trail.count("collect") == 1 + 3 + 1


@pytest.mark.parametrize("part", [1, 1000])
def test_a_dry_run_collects_the_quarantine_too(world: World, part: int, monkeypatch: pytest.MonkeyPatch):
    """Behind what it has hydrated, whose names sort behind those of the quarantine."""
    monkeypatch.setattr(collect, "_PART_BATCHES", part)
    world.put_batch([change("a", 1)])
    world.send_pointer([change("b", 2)])
    for number in range(3, 6):
        world.put_quarantined(change("c", number))
    counts = world.replay({"dry_run": True, "include_quarantine": True})["counts"]
    assert (counts["batches"], counts["changes"], counts["keys"]) == (5, 5, 3)


@pytest.mark.parametrize("part", [1, 2, 1000])
def test_what_leaves_and_what_stays_is_counted(world: World, part: int, monkeypatch: pytest.MonkeyPatch):
    """Whatever the parts: settled, left, or parked again, which is neither."""
    monkeypatch.setattr(collect, "_PART_BATCHES", part)
    world.put_batch([change("a", 1), change("p", 2, **BAD)])
    world.put_batch([change("b", 3), change("q", 4, **BAD)])
    stays = [world.put_batch([change(key, 5), change("r", 5, **BAD)], batchSize=9) for key in "cd"]
    again = [world.put_quarantined(change(key, 6, **BAD)) for key in "st"]
    world.put_quarantined(change("e", 7))
    execution = Execution(world, {"include_quarantine": True}).until("settle")
    world.out_of_time = lambda: True
    counts = execution.resume()["counts"]
    assert (counts["batches"], counts["settled"], counts["left"], counts["parked"]) == (7, 3, 2, 6)
    assert world.left() == sorted(stays)
    assert set(again) < set(world.keys("quarantine/"))
    assert len(world.keys("quarantine/")) == 5


# the optional input


def test_keys_that_are_none_are_not_asked_for(world: World):
    """A record whose key is a list, say: it stays, as every other record that was not asked for."""
    odd = change("a", 1)
    odd["dynamodb"]["Keys"]["p_key"] = {"S": ["a"]}
    key = world.put_batch([odd, change("a", 2)])
    world.replay({"keys": ["a"]})
    assert world.left() == [key]
    assert world.tables.orders() == [applied("a", 2)]


def test_keys_chooses_changes_and_never_settles_a_batch_that_holds_others(world: World):
    both, alone = world.put_batch([change("a", 1), change("b", 2)]), world.put_batch([change("a", 3)])
    none = world.put_batch([change("c", 4)])
    world.put_batch([])
    empty = world.left()[-1]
    report = world.replay({"keys": ["a"]})
    assert world.tables.orders() == [applied("a", 3)]
    assert world.left() == sorted([both, none, empty])
    assert world.keys(REPLAYED) == [REPLAYED + alone]
    assert (report["counts"]["records"], report["counts"]["left"]) == (2, 1)
    world.replay()
    assert world.tables.orders() == [applied("a", 3), applied("b", 2), applied("c", 4)]
    assert world.left() == []


def test_shards_chooses_batches(world: World):
    world.put_batch([change("a", 1)], shardId=SHARD)
    other = world.put_batch([change("b", 2)], shardId=CHILD)
    world.replay({"shards": [SHARD]})
    assert world.left() == [other]


@pytest.mark.parametrize("part", [1, 2, 1000])
def test_max_batches_holds_across_parts(world: World, part: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(collect, "_PART_RECORDS", part)
    for number in range(9):
        world.put_batch([change(f"k{number}", number)])
    for left in (5, 1, 0):
        world.replay({"max_batches": 4})
        assert len(world.left()) == left


def test_concurrency_is_the_number_of_lanes(world: World):
    world.put_batch([change(f"k{number}", number) for number in range(50)])
    execution = Execution(world, {"concurrency": 7}).until("drain")
    assert len(execution.lanes) == 7
    execution.resume()
    assert len(world.tables.orders()) == 50


def test_a_dry_run_counts_and_changes_nothing(world: World):
    world.put_batch([change("a", 1), change("a", 2), change("b", 3)])
    world.replay()
    world.put_batch([change("a", 1), change("a", 4), change("b", 3), change("c", 5), change("d", 6, **BAD)])
    before = {key: value for key, value in world.s3.objects.items() if not key.startswith("replay/")}
    rows = world.tables.sidecar()
    report = world.replay({"dry_run": True})
    assert report["outcome"] == "planned"
    assert {n: report["counts"][n] for n in ("batches", "records", "changes", "keys", "stale", "unreadable")} == {
        "batches": 1, "records": 5, "changes": 4, "keys": 3, "stale": 1, "unreadable": 1,
    }  # fmt: skip
    assert rows == world.tables.sidecar()
    assert before == {key: value for key, value in world.s3.objects.items() if not key.startswith("replay/")}


# quarantine


def test_a_quarantined_record_is_retried_when_asked_for(world: World):
    quarantined = world.put_quarantined(change("a", 5))
    world.put_batch([change("b", 1)])
    world.replay()
    assert world.keys("quarantine/") == [quarantined]
    world.replay({"include_quarantine": True})
    assert world.keys("quarantine/") == []
    assert world.tables.orders() == [applied("a", 5), applied("b", 1)]


def test_parked_again_it_stays_with_its_new_reason(world: World, three_letters: None):
    """Whether the mapping refuses it or MySQL does."""
    sources = [world.put_quarantined(change("a", 5, **BAD), "old"), world.put_quarantined(change("b", 6, currency="R"))]
    report = world.replay({"include_quarantine": True})
    assert sorted(sources) == world.keys("quarantine/") == report["parked_records"]
    assert (report["counts"]["settled"], report["counts"]["left"]) == (0, 0)
    reasons = [world.bucket.read_json(key)["reason"] for key in sorted(sources)]
    assert "amount" in reasons[0]
    assert "4025" in reasons[1] or "3819" in reasons[1]


def test_parked_from_a_batch_of_the_same_run_its_old_object_stays(world: World, three_letters: None):
    """The one object stands for both; moved away with the one, the other would be nowhere."""
    bad = change("b", 6, currency="R")
    world.put_batch([bad, change("b", 5)])
    source = world.put_quarantined(bad)
    world.replay({"include_quarantine": True})
    assert world.keys("quarantine/") == [source]
    assert world.left() == []
    assert world.tables.orders() == [applied("b", 5)]


@pytest.mark.parametrize("values", [BAD, {"currency": "R"}], ids=["by the mapping", "by MySQL"])
def test_discarded_before_it_is_parked_again_it_stays_away(world: World, three_letters: None, values: dict[str, Any]):
    kept = world.put_quarantined(change("a", 5, **values))
    discarded = world.put_quarantined(change("b", 6, **values))
    execution = Execution(world, {"include_quarantine": True}).until("drain")
    del world.s3.objects[discarded]
    report = execution.resume()
    assert (report["outcome"], report["problems"]) == ("complete", [])
    assert world.keys("quarantine/") == [kept] == report["parked_records"]


def test_superseded_it_is_found_stale_and_leaves(world: World):
    world.put_quarantined(change("a", 5))
    world.put_batch([change("a", 7)])
    world.replay({"include_quarantine": True})
    assert world.keys("quarantine/") == []
    assert world.tables.orders() == [applied("a", 7)]


@pytest.mark.parametrize("newer", [change("a", 7), remove("a", 7)], ids=["corrected", "deleted"])
def test_superseded_it_leaves_though_it_cannot_be_read(world: World, newer: dict[str, Any]):
    """Of a key whose newer version has been applied nobody needs the old record; of others they stay."""
    world.put_quarantined(change("a", 5, **BAD))
    kept = [world.put_quarantined(change("a", 8, **BAD)), world.put_quarantined(change("b", 6, **BAD))]
    timeless = change("a", 4, **BAD)
    del timeless["dynamodb"]["ApproximateCreationDateTime"]
    kept.append(world.put_quarantined(timeless))
    world.put_batch([newer])
    world.replay()
    report = world.replay({"include_quarantine": True})
    assert world.keys("quarantine/") == sorted(kept) == report["parked_records"]
    assert (report["counts"]["unreadable"], report["counts"]["stale"], report["counts"]["parked"]) == (4, 1, 3)


@pytest.mark.parametrize(("seconds", "parked"), [(2, 0), (3, 1)])
def test_an_unreadable_record_that_trips_the_clock_is_parked(world: World, seconds: int, parked: int):
    """Older by version and later by the clock, as for every other change: two seconds are the clock's own steps."""
    world.put_batch([change("a", 7)])
    world.replay()
    world.put_batch([change("a", 5, time=START + seconds, **BAD)])
    report = world.replay()
    assert (report["counts"]["stale"], report["counts"]["parked"]) == (1 - parked, parked)
    assert len(world.keys("quarantine/")) == parked


@pytest.mark.parametrize("values", [BAD, {"currency": "R"}], ids=["to the mapping", "to MySQL"])
def test_a_batch_moved_away_before_its_poison_was_parked_is_named(
    world: World, three_letters: None, values: dict[str, Any]
):
    """And stops nobody: the rest is drained and settled."""
    moved = world.put_batch([change("a", 1, **values)])
    world.put_batch([change("b", 2), change("c", 3, **values)])
    execution = Execution(world).until("drain")
    body = world.s3.objects.pop(moved)
    execution.until("settle")
    world.s3.objects[moved] = body  # put back before the end, it is not settled for what was not parked
    report = execution.resume()
    assert [problem["source"] for problem in report["problems"]] == [moved] == world.left()
    assert (report["outcome"], report["counts"]["parked"], report["counts"]["left"]) == ("complete", 1, 1)
    assert world.tables.orders() == [applied("b", 2)]
    assert (world.replay()["counts"]["parked"], world.left()) == (1, [])


# order


@pytest.mark.parametrize("together", [7, 1000])
def test_every_version_of_a_key_is_written_in_order_where_that_is_asked_for(
    make_world: Any, together: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(drain, "_BATCH", together)
    world = make_world(every_change=True, concurrency=3)
    numbers = list(range(1, 61))
    for start in (40, 0, 20):  # stored out of order, and overlapping
        world.put_batch([change("ab"[n % 2], n) for n in numbers[start : start + 25]])
    world.replay()
    assert [n for _, n, _ in world.written("a")] == numbers[1::2]
    assert [n for _, n, _ in world.written("b")] == numbers[::2]


def test_sequence_numbers_of_other_lengths_are_ordered_as_numbers(world: World):
    short, long = change("a", 9), change("a", 1)
    short["dynamodb"]["SequenceNumber"], long["dynamodb"]["SequenceNumber"] = "9" * 21, "1" * 27
    world.put_batch([long])
    world.put_batch([short])
    world.replay()
    assert world.tables.orders() == [applied("a", 1)]


def test_a_replay_writes_the_versions_of_its_generation(world: World):
    """So what failed after another table took over is newer than all that the table before had written."""
    world.put_batch([change("a", 9)])
    world.replay()
    world.source = Source(SOURCE.table_arn, 3)
    world.put_batch([change("a", 1, updated_at=START + 10), change("b", 2)])

    world.replay()

    assert world.tables.orders() == [applied("a", 1, updated_at=START + 10), applied("b", 2)]
    versions = world.tables.run("SELECT version FROM replication_versions ORDER BY item_key")
    assert [version.split("_")[0] for (version,) in versions] == ["g0003", "g0003"]


def test_a_batch_of_another_region_stays_and_is_reported(world: World):
    elsewhere = ARN.replace("us-east-1", "eu-west-1")
    key = world.put_batch([change("a", 1, arn=elsewhere)], streamArn=elsewhere)
    world.put_batch([change("b", 2)])

    report = world.replay()

    assert world.tables.orders() == [applied("b", 2)]
    assert world.left() == [key]
    assert [problem["problem"] for problem in report["problems"]] == ["it belongs to another table"]
