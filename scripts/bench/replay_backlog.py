"""What an outage leaves behind: failed batches of 1000 records, one change in ten a delete, each payload an escaped
string as AWS stores it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from common.changes import Change, read
from common.layout import FAILED
from dlq_replayer.batches import parse_object
from scripts.bench.orders import ARN, SOURCE, new_keys, records, removals
from scripts.bench.replay_bucket import FolderBucket
from scripts.bench.server import TABLE

BATCH = 1000
ONE_DELETE_IN = 10
_SHARD = "shardId-00000001573689847184-864758bb"
_TIME = "2026-01-31T00:00:00.000Z"


def fill(bucket: FolderBucket, batches: Iterable[Sequence[str]], *, modify: bool = True) -> None:
    """A change of each key of each batch; one batch at a time, so that the backlog is never in memory whole."""
    change = partial(records, modify=modify)
    for number, keys in enumerate(batches):
        made = [removals([key]) if at % ONE_DELETE_IN == 0 else change([key]) for at, key in enumerate(keys)]
        _put(bucket, number, [record for (record,) in made])


def fill_lazily(bucket: FolderBucket, count: int) -> None:
    """`count` changes of as many new keys."""
    fill(bucket, (new_keys(BATCH) for _ in range(count // BATCH)))


def in_memory(bucket: FolderBucket) -> list[list[Change]]:
    """The changes of a backlog, ready to be applied, batch by batch."""
    made = []
    for page in bucket.paginate(Bucket="", Prefix=FAILED):
        for entry in page["Contents"]:
            text = bucket.get_object(Bucket="", Key=entry["Key"])["Body"].read()
            made.append(read(parse_object(text, SOURCE).records, TABLE).changes)
    return made


def bucket_in(folder: Path, keys: Sequence[str], *, modify: bool = True) -> FolderBucket:
    bucket = FolderBucket(folder)
    fill(bucket, (keys[at : at + BATCH] for at in range(0, len(keys), BATCH)), modify=modify)
    return bucket


def _put(bucket: FolderBucket, number: int, made: list[dict[str, Any]]) -> None:
    numbers = [record["dynamodb"]["SequenceNumber"] for record in made]
    document = {
        "requestContext": {"condition": "RetryAttemptsExhausted", "approximateInvokeCount": 6},
        "version": "1.0",
        "timestamp": _TIME,
        "DDBStreamBatchInfo": {
            "shardId": _SHARD,
            "startSequenceNumber": min(numbers),
            "endSequenceNumber": max(numbers),
            "approximateArrivalOfFirstRecord": _TIME,
            "approximateArrivalOfLastRecord": _TIME,
            "batchSize": len(made),
            "streamArn": ARN,
        },
        "payload": json.dumps({"Records": made}, separators=(",", ":")),
    }
    key = f"{FAILED}mapping/{_SHARD}/2026/01/31/2026-01-31T00.00.00-{number:06d}"
    bucket.put_object(Bucket="", Key=key, Body=json.dumps(document, separators=(",", ":")).encode())
