"""Counts what waits in the failures bucket, within a bound: a listing of a million objects takes minutes and a dollar.

Lambda names a failed batch `aws/lambda/<mapping>/<shard>/<year>/<month>/<day>/<time>-<id>`, and a replay names the
batches of queue messages alike. So keys begin with the shard, and the first object of each shard is its oldest.
Source: https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-errors.html
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from itertools import chain, islice
from typing import NamedTuple

from common.bucket import Bucket, Entry
from common.layout import FAILED

# Eleven requests, so three prefixes cost 0.00017 USD a call at most.
MOST_OBJECTS = 10_000
# A request for each. DynamoDB names shards by the time of their creation, so the first are the oldest.
MOST_SHARDS = 100


class Waiting(NamedTuple):
    """Objects that wait; `oldest` is when the oldest was written, None without any.

    With `more`, there are at least `number`, and the oldest may be older.
    """

    number: int = 0
    oldest: datetime | None = None
    more: bool = False


def failed_batches(bucket: Bucket) -> Waiting:
    """The failed batches of the bucket, with the oldest of each shard where there are too many to list."""
    found = waiting(bucket, FAILED)
    if not found.more:
        return found
    heads = (next(bucket.entries(shard), None) for shard in islice(_shards(bucket), MOST_SHARDS))
    times = [head.modified for head in heads if head]
    return found._replace(oldest=min(filter(None, [found.oldest, *times])))


def waiting(bucket: Bucket, prefix: str) -> Waiting:
    """The objects under `prefix`: all, or the first of them in key order."""
    entries: list[Entry] = list(islice(bucket.entries(prefix), MOST_OBJECTS + 1))
    counted = entries[:MOST_OBJECTS]
    return Waiting(len(counted), min((one.modified for one in counted), default=None), len(entries) > len(counted))


def _shards(bucket: Bucket) -> Iterator[str]:
    """The folder of each shard that has failed batches, below the folder of its mapping."""
    return chain.from_iterable(map(bucket.folders, bucket.folders(FAILED)))
