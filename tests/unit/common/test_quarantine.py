"""A record that cannot be written is parked whole, under a key that depends on the record alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws

from common.changes import Kind, Parked, Reference
from common.keys import key_text
from common.layout import DISCARDED, current_key, discarded_key, former_folder
from common.quarantine import LONGEST_WAIT_SECONDS, ParkError, Quarantine, object_key
from tests.support.aws import S3, refused
from tests.support.records import record

VERSION = "2026-01-31T00:00:00.000_21_800000000000000000001"
RECORD = record("order-1", 1, amount="x")
PARKED = Parked("order/order-1", VERSION, "attribute amount is bad", "correct the item", None, RECORD)
DEFERRED = PARKED._replace(reason="MySQL error 1452", hint="wait", errno=1452, kind=Kind.DEFERRED)
UNKNOWN = DEFERRED._replace(reason="MySQL error 31001", errno=31001, kind=Kind.UNKNOWN)
WAITING = f"deferred/order/order-1/{VERSION}.json"
NOW = 1_770_000_000
_texts = st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=1, max_size=2048)
_odd_texts = st.text(alphabet="/.\\ ?#%~", min_size=1, max_size=300)
values = st.one_of(
    _texts, _odd_texts, st.integers(), st.decimals(allow_nan=False, allow_infinity=False), st.binary(min_size=1)
)
key_texts = st.builds(key_text, st.sampled_from(["order", "order_line"]), st.lists(values, min_size=1, max_size=3))
keys = st.one_of(st.none(), key_texts)


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket="failures")
        yield client


def stored(s3: Any) -> dict[str, Any]:
    listed = s3.list_objects_v2(Bucket="failures").get("Contents", [])
    return {o["Key"]: json.load(s3.get_object(Bucket="failures", Key=o["Key"])["Body"]) for o in listed}


def never() -> Any:
    raise AssertionError("a client was made")


def test_a_record_is_parked_whole_with_its_reason(s3: Any):
    assert Quarantine(lambda: s3, "failures").park([PARKED]) == [f"quarantine/order/order-1/{VERSION}.json"]

    assert stored(s3) == {
        f"quarantine/order/order-1/{VERSION}.json": {
            "key": "order/order-1",
            "version": VERSION,
            "reason": "attribute amount is bad",
            "hint": "correct the item",
            "errno": None,
            "record": RECORD,
            "kind": "poison",
        }
    }


@pytest.mark.parametrize("parked", [DEFERRED, UNKNOWN], ids=["deferred", "unknown"])
def test_a_waiting_record_says_since_when_it_waits(s3: Any, parked: Parked):
    assert Quarantine(lambda: s3, "failures", lambda: NOW + 0.9).park([parked]) == [WAITING]

    assert stored(s3) == {WAITING: parked._asdict() | {"since": NOW}}


def test_a_record_delivered_again_waits_since_the_first_time(s3: Any):
    """The waiting object holds the same record."""
    Quarantine(lambda: s3, "failures", lambda: NOW).park([DEFERRED])

    assert Quarantine(lambda: s3, "failures", lambda: NOW + 60).park([DEFERRED, PARKED]) == [
        WAITING,
        f"quarantine/order/order-1/{VERSION}.json",
    ]
    assert stored(s3)[WAITING]["since"] == NOW


def test_a_record_parked_during_a_delete_is_stored():
    """S3 answers with a conflict: https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html"""
    given: list[dict[str, Any]] = []

    class Conflict(S3):
        def put_object(self, **options: Any) -> dict[str, Any]:
            given.append(options)
            if "IfNoneMatch" in options:
                raise refused("ConditionalRequestConflict", "PutObject")
            return super().put_object(**options)

    s3 = Conflict()
    assert Quarantine(lambda: s3, "failures").park([DEFERRED]) == [WAITING] == list(s3.objects)
    assert ["IfNoneMatch" in options for options in given] == [True, False]


@pytest.mark.parametrize("parked", [DEFERRED, UNKNOWN], ids=["deferred", "unknown"])
def test_a_waiting_record_that_is_not_stored_holds_its_batch(parked: Parked):
    class Denied(S3):
        def put_object(self, **_: Any) -> dict[str, Any]:
            raise refused("AccessDenied", "PutObject")

    with pytest.raises(ParkError, match=f"s3://failures/{WAITING}: ClientError"):
        Quarantine(Denied, "failures").park([parked])


AGAIN = [
    # what became of it, seconds waited, where it is then
    (DEFERRED, LONGEST_WAIT_SECONDS, Kind.DEFERRED),
    (DEFERRED, LONGEST_WAIT_SECONDS + 1, Kind.POISON),
    (UNKNOWN, 100 * LONGEST_WAIT_SECONDS, Kind.UNKNOWN),
    (PARKED, 5, Kind.POISON),
]


@pytest.mark.parametrize(("parked", "waited", "kind"), AGAIN)
def test_a_record_parked_again_keeps_its_time(parked: Parked, waited: int, kind: Kind):
    s3 = S3()
    before = UNKNOWN._replace(reason="older")._asdict() | {"since": NOW - waited}

    assert Quarantine(lambda: s3, "failures", lambda: NOW).park_again(parked, before) == (
        object_key(parked._replace(kind=kind)),
        kind,
    )
    (name,) = s3.objects
    waited_out = kind != parked.kind
    hint = f"it waited for a day and still does not fit; {parked.hint}" if waited_out else parked.hint
    document = parked._replace(kind=kind, hint=hint)._asdict() | {"since": NOW - waited}
    assert (name, json.loads(s3.body(name))) == (object_key(parked._replace(kind=kind)), document)


def test_parking_again_changes_nothing(s3: Any):
    quarantine = Quarantine(lambda: s3, "failures")
    first = quarantine.park([PARKED])
    before = stored(s3)

    assert quarantine.park([PARKED]) == first
    assert stored(s3) == before


def test_each_of_many_records_gets_its_own_object(s3: Any):
    many = [PARKED._replace(key=f"order/order-{i}", record=record(f"order-{i}", i)) for i in range(50)]

    names = Quarantine(lambda: s3, "failures").park(many)

    assert names == [f"quarantine/order/order-{i}/{VERSION}.json" for i in range(50)]
    assert {name: whole["record"] for name, whole in stored(s3).items()} == {
        name: parked.record for name, parked in zip(names, many, strict=True)
    }


def test_any_json_record_is_stored_exactly(s3: Any):
    odd = {"text": "\ud800 😀 \u0000 \u2028", "number": 1770000000.5, "long": "8" * 56, "none": None}

    Quarantine(lambda: s3, "failures").park([Parked(None, None, "odd", "look", None, odd)])

    assert [whole["record"] for whole in stored(s3).values()] == [odd]


def test_a_reference_is_never_stored_for_a_record():
    """A replay's parked record holds a reference until its batch is read back."""
    s3 = S3()

    with pytest.raises(TypeError, match="Reference"):
        Quarantine(lambda: s3, "failures").park([PARKED._replace(record=Reference("aws/lambda/x", 3))])

    assert s3.objects == {}


def test_nothing_to_park_makes_no_client():
    assert Quarantine(never, "failures").park([]) == []


@pytest.mark.parametrize("count", [1, 3])
def test_a_record_that_cannot_be_parked_holds_its_batch(s3: Any, count: int):
    many = [PARKED._replace(key=f"order/order-{i}") for i in range(count)]

    with pytest.raises(ParkError) as refused:
        Quarantine(lambda: s3, "elsewhere").park(many)

    assert str(refused.value) == (
        f"cannot park a record as s3://elsewhere/quarantine/order/order-0/{VERSION}.json: NoSuchBucket:"
        " check that the bucket exists and that the function may write to it; the batch is retried"
    )


def test_a_record_without_a_client_holds_its_batch():
    with pytest.raises(ParkError, match="AssertionError"):
        Quarantine(never, "failures").park([PARKED])


@given(keys, st.sampled_from([None, VERSION]))
def test_an_object_key_is_safe_and_short(key: str | None, version: str | None):
    """S3 limits a name to 1024 bytes, also in the folder for what a person discards."""
    name = object_key(PARKED._replace(key=key, version=version))
    waiting = object_key(DEFERRED._replace(key=key, version=version))

    assert name.isascii()
    assert name.isprintable()
    assert len(discarded_key(name)) <= 1024
    assert discarded_key(name).startswith(DISCARDED)
    assert name.startswith("quarantine/")
    assert waiting == name.replace("quarantine/", "deferred/", 1)
    assert name.endswith(".json")
    assert name.count("/") == (2 if key is None else 3)
    assert not {"", ".", ".."} & set(name.split("/"))


def test_the_longest_names_fit_into_a_key_of_s3():
    longest = key_text("e" * 31, ["%" * 1024, "%" * 1024])
    version = "9" * 10 + "_" + "2026-01-31T00:00:00.000" + "_56_" + "9" * 56

    assert len(discarded_key(object_key(DEFERRED._replace(key=longest, version=version)))) <= 1024


@given(keys, keys, st.sampled_from([None, VERSION]))
def test_different_records_never_share_an_object(one: str | None, other: str | None, version: str | None):
    first = PARKED._replace(key=one, version=version, record={"key": one})
    second = PARKED._replace(key=other, version=version, record={"key": other})

    assert (object_key(first) == object_key(second)) == (one == other)


@pytest.mark.parametrize(
    ("key", "version", "name"),
    [
        ("order/order-1", VERSION, f"quarantine/order/order-1/{VERSION}.json"),
        ("order_line/8f14/7", VERSION, f"quarantine/order_line/8f14%2F7/{VERSION}.json"),
        ("order/a%2F..%2Fb%20c", VERSION, f"quarantine/order/a%252F..%252Fb%2520c/{VERSION}.json"),
        ("order/..", VERSION, f"quarantine/order/%2E%2E/{VERSION}.json"),
        (None, None, "quarantine/_unreadable/f9d86028c6e0d64e225186f96acb6933.json"),
        ("order/order-1", None, "quarantine/order/order-1/f9d86028c6e0d64e225186f96acb6933.json"),
    ],
)
def test_object_keys_stay_the_same_across_releases(key: str | None, version: str | None, name: str):
    """A replay finds the records that an older release has parked."""
    assert object_key(Parked(key, version, "", "", None, {"a": 1})) == name


@pytest.mark.parametrize(
    ("key", "text", "folder"),
    [
        ("order-1", "order/order-1", "order-1"),
        ("order", "order/order", "order"),
        ("a/../b c", "order/a%2F..%2Fb%20c", "a%2F..%2Fb%20c"),
        ("a" * 300, None, f"{'a' * 200}-9835fa6bf4e20a9b"),
        ("", None, "_empty"),
    ],
)
def test_folders_of_version_0_1_are_found(key: str, text: str | None, folder: str):
    """Both by the key of an order and by its text, where the text is not cut."""
    assert former_folder(key, "deferred/") == f"deferred/{folder}/"
    if text:
        assert former_folder(text, "deferred/") == f"deferred/{folder}/"
        assert current_key(text) == text


@pytest.mark.parametrize(
    ("given", "text"), [("8f14", "order/8f14"), ("a b", "order/a%20b"), ("line/8f14/7", "line/8f14/7")]
)
def test_the_key_of_an_order_becomes_its_text(given: str, text: str):
    assert current_key(given) == text
