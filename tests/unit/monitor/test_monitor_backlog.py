"""What waits in the bucket is counted within a bound, and the oldest batch is found all the same."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from common.bucket import Bucket
from monitor import backlog
from monitor.backlog import Waiting, failed_batches, waiting
from tests.support.aws import S3

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
MAPPING = "01234567-89ab-cdef-0123-456789abcdef"


@pytest.fixture
def s3() -> S3:
    return S3()


def put(s3: S3, shard: str, minutes: int, folder: str = MAPPING) -> None:
    """A failed batch of so many minutes ago."""
    written = NOW - timedelta(minutes=minutes)
    key = f"aws/lambda/{folder}/{shard}/{written:%Y/%m/%d/%Y-%m-%dT%H.%M.%S}-0a"
    s3.objects[key], s3.modified[key] = b"{}", written


def test_nothing_waits_in_an_empty_bucket(s3: S3) -> None:
    assert failed_batches(Bucket(s3, "b")) == Waiting(0, None, more=False)


def test_batches_of_all_shards_are_counted(s3: S3) -> None:
    """With those that a replay made of queue messages. A folder of the console is no batch."""
    put(s3, "shardId-1", 5)
    put(s3, "shardId-2", 90)
    put(s3, "shardId-1", 10, folder="hydrated")
    s3.objects["aws/lambda/"] = s3.objects["quarantine/order/a/1.json"] = b""
    assert failed_batches(Bucket(s3, "b")) == Waiting(3, NOW - timedelta(minutes=90), more=False)
    assert waiting(Bucket(s3, "b"), "quarantine/").number == 1


def test_a_long_backlog_is_counted_up_to_the_bound(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    """The count is a least one. The oldest batch of each shard is asked for, also behind the bound."""
    monkeypatch.setattr(backlog, "MOST_OBJECTS", 4)
    for minutes in range(10, 16):
        put(s3, "shardId-1", minutes)
    put(s3, "shardId-2", 20)
    put(s3, "shardId-1", 30, folder="hydrated")
    assert failed_batches(Bucket(s3, "b")) == Waiting(4, NOW - timedelta(minutes=30), more=True)


def test_as_many_objects_as_the_bound_are_all(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backlog, "MOST_OBJECTS", 4)
    for minutes in range(4):
        put(s3, "shardId-1", minutes)
    assert failed_batches(Bucket(s3, "b")) == Waiting(4, NOW - timedelta(minutes=3), more=False)


def test_requests_are_bounded_where_there_are_many_shards(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    """One listing of the batches, one of the mappings, one of each mapping's shards, and one for each shard."""
    monkeypatch.setattr(backlog, "MOST_OBJECTS", 4)
    monkeypatch.setattr(backlog, "MOST_SHARDS", 5)
    for number in range(20):
        put(s3, f"shardId-{number:04d}", 40 - number)
    assert failed_batches(Bucket(s3, "b")) == Waiting(4, NOW - timedelta(minutes=40), more=True)
    assert s3.listings <= 1 + 1 + 1 + 5
