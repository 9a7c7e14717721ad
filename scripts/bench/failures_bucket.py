"""The failures bucket as a folder, with the calls that a replay makes, and the backlog that an outage leaves in it.

A replay is measured without an emulator. The folder is on disk and not in memory, as processes share it and their
memory is measured.
"""

# ruff: noqa: N803, ARG002 - the parameters are named as boto3 names them, and there is one bucket
from __future__ import annotations

import io
import json
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from common.changes import Change
from common.layout import FAILED
from common.records import parse_records
from dlq_replayer.batches import parse_object
from scripts.bench.orders import ARN, SOURCE, new_keys, records, removals
from scripts.bench.server import MAPPING

PAGE_KEYS = 1000

BATCH = 1000
ONE_DELETE_IN = 10
_SHARD = "shardId-00000001573689847184-864758bb"
_TIME = "2026-01-31T00:00:00.000Z"


class FolderBucket:
    """An object is a file, written under another name and then renamed, so that a reader never sees half of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._objects, self._unfinished = folder / "objects", folder / "unfinished"
        for made in (self._objects, self._unfinished):
            made.mkdir(parents=True, exist_ok=True)

    def put_object(  # noqa: PLR0913 - as in boto3
        self, *, Bucket: str, Key: str, Body: bytes, ContentType: str = "", IfNoneMatch: str = "", IfMatch: str = ""
    ) -> dict[str, Any]:
        unfinished = self._unfinished / secrets.token_hex(8)
        unfinished.write_bytes(Body)
        tag = _tag(unfinished.stat())
        if IfMatch and IfMatch != _tag(self._path(Key).stat()):
            raise _client_error("PreconditionFailed")
        if not IfNoneMatch:
            unfinished.rename(self._path(Key))
            return {"ETag": tag}
        try:
            self._path(Key).hardlink_to(unfinished)
        except FileExistsError:
            raise _client_error("PreconditionFailed") from None
        finally:
            unfinished.unlink()
        return {"ETag": tag}

    def get_object(self, *, Bucket: str, Key: str, Range: str = "", IfMatch: str = "") -> dict[str, Any]:
        try:
            with (self._objects / Key).open("rb") as file:
                return self._answer(file, Range, IfMatch)
        except FileNotFoundError:
            raise _client_error("NoSuchKey") from None

    def copy_object(
        self, *, Bucket: str, Key: str, CopySource: dict[str, str], CopySourceIfMatch: str = ""
    ) -> dict[str, Any]:
        unfinished = self._unfinished / secrets.token_hex(8)
        try:
            unfinished.hardlink_to(self._objects / CopySource["Key"])
        except FileNotFoundError:
            raise _client_error("NoSuchKey") from None
        unfinished.rename(self._path(Key))
        return {}

    def delete_object(self, *, Bucket: str, Key: str, IfMatch: str = "") -> dict[str, Any]:
        (self._objects / Key).unlink(missing_ok=True)
        return {}

    def get_paginator(self, operation: str) -> FolderBucket:
        return self

    def paginate(self, *, Bucket: str, Prefix: str, StartAfter: str = "") -> Iterator[dict[str, Any]]:
        keys = [key for key in self._keys(Prefix) if key > StartAfter]
        for start in range(0, len(keys), PAGE_KEYS):
            found = ((key, (self._objects / key).stat()) for key in keys[start : start + PAGE_KEYS])
            yield {
                "Contents": [
                    {"Key": key, "Size": about.st_size, "LastModified": datetime.fromtimestamp(about.st_mtime, UTC)}
                    for key, about in found
                ]
            }

    def copy_to(self, folder: Path) -> FolderBucket:
        """A copy, at no cost: files are never written in place, so hard links do."""
        shutil.copytree(self._objects, folder / "objects", copy_function=os.link)
        return FolderBucket(folder)

    def remove(self, prefix: str) -> None:
        shutil.rmtree(self._objects / prefix, ignore_errors=True)

    def _path(self, key: str) -> Path:
        path = self._objects / key
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def _keys(self, prefix: str) -> list[str]:
        start = self._objects / prefix.rpartition("/")[0]
        return sorted(key for key in self._below(start) if key.startswith(prefix))

    def _below(self, folder: Path) -> Iterable[str]:
        for parent, _, files in os.walk(folder):
            place = os.path.relpath(parent, self._objects)
            yield from (f"{place}/{name}" for name in files)

    @staticmethod
    def _answer(file: io.BufferedReader, byte_range: str, if_match: str) -> dict[str, Any]:
        about = os.fstat(file.fileno())
        tag = _tag(about)
        if if_match not in ("", tag):
            raise _client_error("PreconditionFailed")
        if not byte_range:
            return {"ETag": tag, "Body": io.BytesIO(file.read())}
        first, last = map(int, byte_range.removeprefix("bytes=").split("-"))
        file.seek(first)
        body = file.read(last - first + 1)
        content_range = f"bytes {first}-{first + len(body) - 1}/{about.st_size}"
        return {"ETag": tag, "ContentRange": content_range, "Body": io.BytesIO(body)}


def _tag(about: os.stat_result) -> str:
    return f"{about.st_ino}-{about.st_mtime_ns}"


def _client_error(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": code}}, "Operation")


def fill(bucket: FolderBucket, batches: Iterable[Sequence[str]], *, modify: bool = True) -> None:
    """Failed batches, each with a change of each of its keys; one change in ten is a delete.

    One batch at a time, so that the backlog is never in memory whole. A payload is an escaped string, as on AWS.
    """
    change = partial(records, modify=modify)
    for number, keys in enumerate(batches):
        made = [removals([key]) if at % ONE_DELETE_IN == 0 else change([key]) for at, key in enumerate(keys)]
        _put(bucket, number, [record for (record,) in made])


def fill_with_new_keys(bucket: FolderBucket, count: int) -> None:
    """`count` changes of as many new keys."""
    fill(bucket, (new_keys(BATCH) for _ in range(count // BATCH)))


def in_memory(bucket: FolderBucket) -> list[list[Change]]:
    """The changes of a backlog, batch by batch, ready to be applied."""
    made = []
    for page in bucket.paginate(Bucket="", Prefix=FAILED):
        for entry in page["Contents"]:
            text = bucket.get_object(Bucket="", Key=entry["Key"])["Body"].read()
            made.append(parse_records(parse_object(text, SOURCE).records, MAPPING).changes)
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
