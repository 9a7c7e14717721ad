"""A problem of one object stops nothing. An error of the bucket or of S3 stops the replay."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from common.bucket import Bucket, Move
from common.layout import EXPIRED, FAILED, REPLAYED
from tests.support.aws import S3, refused
from tests.support.replay import ReplayExecution, ReplayHarness, applied, change, failure

OF_THE_OBJECT = [
    "AccessDenied",
    "InvalidObjectState",
    "InvalidRequest",
    "KMS.DisabledException",
    "KMS.NotFoundException",
    "KMS.KMSInvalidStateException",
]
OF_ALL = [
    "NoSuchBucket",
    "InvalidAccessKeyId",
    "ExpiredToken",
    "SlowDown",
    "InternalError",
    "ServiceUnavailable",
    "KMS.ThrottlingException",
    "KMS.KMSInternalException",
]
BAD = {"amount": "12345678901234567890"}


@pytest.mark.parametrize("code", OF_THE_OBJECT)
@pytest.mark.parametrize("quarantined", [False, True])
def test_an_object_that_may_not_be_read_is_reported_and_stays(harness: ReplayHarness, code: str, quarantined: bool):
    harness.put_batch([change("a", 1)])
    refused_key = harness.put_quarantined(change("b", 2)) if quarantined else harness.put_batch([change("b", 2)])
    harness.s3.refusals[refused_key] = code
    report = harness.replay({"include_quarantine": True})
    assert report["outcome"] == "complete"
    assert [problem["source"] for problem in report["problems"]] == [refused_key]
    assert f"S3 refuses it with {code}" in report["problems"][0]["problem"]
    assert refused_key in harness.s3.objects
    assert harness.tables.orders() == [applied("a", 1)]
    del harness.s3.refusals[refused_key]
    assert harness.replay({"include_quarantine": True})["problems"] == []
    assert harness.tables.orders() == [applied("a", 1), applied("b", 2)]


@pytest.mark.parametrize("code", OF_ALL)
def test_an_error_of_all_of_s3_raises(harness: ReplayHarness, code: str):
    key = harness.put_batch([change("a", 1)])
    execution = ReplayExecution(harness).until("collect")
    harness.s3.refusals[key] = code
    with pytest.raises(ClientError, match=code):
        execution.resume()
    assert harness.left() == [key]


def test_a_batch_that_cannot_be_read_back_is_named(harness: ReplayHarness, three_letters: None):
    """It was collected, and S3 refuses it after MySQL has refused one of its records."""
    key = harness.put_batch([change("a", 1, currency="R")])
    harness.put_batch([change("b", 2), change("c", 3, **BAD)])
    execution = ReplayExecution(harness).until("drain")
    harness.s3.refusals |= {key: "AccessDenied"}
    report = execution.resume()
    assert [problem["source"] for problem in report["problems"]] == [key] == harness.left()
    assert (report["outcome"], report["counts"]["parked"], report["counts"]["left"]) == ("complete", 1, 1)
    assert harness.tables.orders() == [applied("b", 2)]


FEWER = json.dumps(failure([change("a", 1)]) | {"payload": {"Records": []}}).encode()


@pytest.mark.parametrize("body", [b"", b"not JSON", FEWER], ids=["empty", "not JSON", "fewer records"])
def test_a_batch_overwritten_before_it_is_parked_is_named(harness: ReplayHarness, body: bytes):
    key = harness.put_batch([change("a", 1, **BAD)])
    execution = ReplayExecution(harness).until("drain")
    harness.s3.put_object(Bucket="", Key=key, Body=body)
    report = execution.resume()
    assert [problem["source"] for problem in report["problems"]] == [key] == harness.left()
    assert report["outcome"] == "complete"


FOREIGN: dict[str, Any] = {
    "not JSON": b"hello",
    "not UTF-8": b"\xff\xfe",
    "a list": b"[]",
    "nested without end": b"[" * 100_000,
    "without message": b'{"shard": "s", "records": 1}',
    "a message that is none": b'{"shard": "s", "message": {}}',
    "without shard": b'{"message": "m"}',
    "a field without end": json.dumps({"shard": "s" * 5_000, "message": "m"}).encode(),
    "too large": b'{"shard": "s", "message": "m"}' + b" " * 2_100_000,
}


@pytest.mark.parametrize("body", FOREIGN.values(), ids=FOREIGN.keys())
def test_a_foreign_file_under_expired_is_a_problem(harness: ReplayHarness, body: bytes):
    """The report is written all the same, and lists the ranges that a replay wrote."""
    ours = {"shard": "s", "records": 1, "records_saved": 0, "execution": "e", "message": "m", "else": "x"}
    harness.s3.put_object(Bucket="", Key=f"{EXPIRED}a", Body=body)
    harness.s3.put_object(Bucket="", Key=f"{EXPIRED}b", Body=json.dumps(ours))
    harness.put_batch([change("a", 1)])
    report = harness.replay()
    assert [problem["source"] for problem in report["problems"]] == [f"{EXPIRED}a"]
    known = {name: ours[name] for name in ("shard", "records", "records_saved", "execution")}
    assert report["expired"] == [known | {"object": f"{EXPIRED}b"}]
    assert report["outcome"] == "complete"
    assert harness.s3.body(f"{EXPIRED}a") == body


@pytest.mark.parametrize("times", [{"first_arrival": None, "last_arrival": None}, {"first_arrival": 1_770_000_000}])
def test_a_range_whose_times_are_not_text_is_reported(harness: ReplayHarness, times: dict[str, Any]):
    """Its time is not known: the whole table is verified, and the report is written all the same."""
    ours = {"shard": "s", "records": 1, "records_saved": 0, "execution": "e", "message": "m", **times}
    harness.s3.put_object(Bucket="", Key=f"{EXPIRED}a", Body=json.dumps(ours))
    harness.put_batch([change("a", 1)])
    report = harness.replay()
    assert (report["outcome"], report["problems"]) == ("complete", [])
    assert [one["object"] for one in report["expired"]] == [f"{EXPIRED}a"]
    assert [given for _, given in harness.verifications] == [{"repair": True}]


def test_an_expired_range_that_may_not_be_read_is_a_problem(harness: ReplayHarness):
    harness.s3.put_object(Bucket="", Key=f"{EXPIRED}a", Body="{}")
    harness.s3.refusals[f"{EXPIRED}a"] = "AccessDenied"
    harness.put_batch([change("a", 1)])
    assert [problem["source"] for problem in harness.replay()["problems"]] == [f"{EXPIRED}a"]


@pytest.mark.parametrize("body", [b"hello", b"[]", None], ids=["not JSON", "a list", "refused"])
def test_a_parked_object_that_cannot_be_shown_is_a_problem(harness: ReplayHarness, body: bytes | None):
    harness.put_batch([change("a", 1, **BAD), change("b", 2, **BAD)])
    execution = ReplayExecution(harness).until("report")
    name, other = harness.keys("quarantine/")
    if body is None:
        harness.s3.refusals[name] = "AccessDenied"
    else:
        harness.s3.put_object(Bucket="", Key=name, Body=body)
    report = execution.resume()
    assert [problem["source"] for problem in report["problems"]] == [name]
    assert report["counts"]["problems"] == 1
    assert report["parked_records"] == [name, other]
    assert other in harness.s3.body(f"replay/{report['execution']}/report.html").decode()


# another object in the place of one that was read


def replace_when(harness: ReplayHarness, key: str, at: str) -> None:
    """Another batch replaces the object when the method `at` is called for its key."""
    called = getattr(harness.s3, at)

    def replace(**given: Any) -> Any:
        if given["Key" if at == "delete_object" else "CopySource"] in (key, {"Bucket": "failures", "Key": key}):
            harness.s3.put_object(Bucket="", Key=key, Body="another")
        return called(**given)

    setattr(harness.s3, at, replace)


@pytest.mark.parametrize("at", ["copy_object", "delete_object"])
def test_an_object_that_replaced_a_batch_is_not_deleted(harness: ReplayHarness, at: str):
    """It stays, is counted as left, and is reported. The next replay takes it like any other."""
    key = harness.put_batch([change("a", 1)])
    harness.put_batch([change("b", 2)])
    replace_when(harness, key, at)
    report = harness.replay()
    assert harness.s3.body(key) == b"another"
    assert b"another" not in [harness.s3.body(moved) for moved in harness.keys(REPLAYED)]
    assert [problem["source"] for problem in report["problems"]] == [key] == harness.left()
    assert (report["counts"]["settled"], report["counts"]["left"]) == (1, 1)
    assert harness.tables.orders() == [applied("a", 1), applied("b", 2)]


def test_a_store_without_conditional_deletes_is_supported():
    """Any other error of a delete raises."""
    s3 = S3()
    s3.put_object(Bucket="b", Key="a", Body="1")
    tag, delete, code = s3.get_object(Bucket="b", Key="a")["ETag"], s3.delete_object, "NotImplemented"

    def delete_object(**given: Any) -> Any:
        if "IfMatch" in given:
            raise refused(code)
        return delete(**given)

    s3.delete_object = delete_object  # type: ignore[method-assign]
    assert Bucket(s3, "b").move_all([Move("a", "x", tag)]) == []
    assert set(s3.objects) == {"x"}
    s3.put_object(Bucket="b", Key="a", Body="1")
    code = "AccessDenied"
    with pytest.raises(ClientError, match=code):
        Bucket(s3, "b").move_all([Move("a", "x", tag)])
    assert set(s3.objects) == {"a", "x"}


def test_only_what_was_read_is_moved_as_boto3_sends_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket="failures")
        bucket = Bucket(s3, "failures")
        for key in ("same", "replaced", "gone"):
            bucket.write(f"{FAILED}{key}", b"one")
        tags = {key: bucket.read_tagged(f"{FAILED}{key}")[1] for key in ("same", "replaced", "gone")}
        bucket.write(f"{FAILED}replaced", b"two")
        s3.delete_object(Bucket="failures", Key=f"{FAILED}gone")
        moves = [Move(FAILED + key, REPLAYED + FAILED + key, tag) for key, tag in tags.items()]
        assert bucket.move_all(moves) == [f"{FAILED}replaced"]
        assert [key for key, _ in bucket.list(FAILED)] == [f"{FAILED}replaced"]
        assert bucket.read(f"{FAILED}replaced") == b"two"
        assert bucket.move_all(moves) == [f"{FAILED}replaced"]
