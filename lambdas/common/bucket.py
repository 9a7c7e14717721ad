"""The failures bucket, as far as a replay uses it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from common.layout import settled_key

_AT_ONCE = 16
_RANGE = 256 * 1024

# What S3 says of one object; everything else is said of the bucket, the credentials or S3 itself.
# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
_OF_THE_OBJECT = {
    "AccessDenied": "the function may not read it",
    "InvalidObjectState": "it is archived and must be restored first",
    "InvalidRequest": "it is encrypted with a key that its writer has kept",
    "MethodNotAllowed": "it is a delete marker",
}
# S3 passes on what KMS says of the key of an object. These pass by themselves.
_KMS, _KMS_BUSY = "KMS.", ("Throttling", "Internal", "DependencyTimeout", "KeyUnavailable", "LimitExceeded")
_CHANGED = ("PreconditionFailed", "ConditionalRequestConflict", "412", "409")


class GoneError(Exception):
    """No object of that key, any more: another replay has settled it, or a person has moved it."""


class UnreadableError(Exception):
    """The object or message cannot be read, or is no failed batch of this table; it is reported and left in place."""


class Entry(NamedTuple):
    """An object as a listing names it; `modified` is the time of its writing."""

    key: str
    size: int
    modified: datetime


class Move(NamedTuple):
    """From where to where. With a `tag`, only the object that has this ETag is moved."""

    source: str
    target: str
    tag: str = ""


@dataclass(frozen=True)
class Bucket:
    """Thin over boto3: `s3` is a client, thread-safe as clients are."""

    s3: Any
    name: str

    def list(self, prefix: str, after: str = "") -> Iterator[tuple[str, int]]:
        """(key, size in bytes) of the objects under `prefix`, in key order, those up to `after` left out."""
        return ((entry.key, entry.size) for entry in self.entries(prefix, after))

    def entries(self, prefix: str, after: str = "") -> Iterator[Entry]:
        """The objects under `prefix`, in key order, those up to `after` left out."""
        given = {"Bucket": self.name, "Prefix": prefix} | ({"StartAfter": after} if after else {})
        for page in self.s3.get_paginator("list_objects_v2").paginate(**given):
            for entry in page.get("Contents", ()):
                if not entry["Key"].endswith("/"):  # a folder made in the console
                    yield Entry(entry["Key"], entry["Size"], entry["LastModified"])

    def read(self, key: str) -> bytes:
        """Raises GoneError; UnreadableError when S3 refuses this object, whatever it does with others."""
        return self.read_tagged(key)[0]

    def read_tagged(self, key: str) -> tuple[bytes, str]:
        """The content and its ETag. Raises as `read` does."""
        try:
            answer = self.s3.get_object(Bucket=self.name, Key=key)
            return answer["Body"].read(), answer["ETag"]
        except ClientError as error:
            if _is_gone(error):
                raise GoneError(key) from None
            if why := _why_unreadable(_code(error)):
                raise UnreadableError(f"S3 refuses it with {_code(error)}: {why}") from None
            raise

    def read_wherever(self, key: str) -> bytes:
        """An object that another replay may have settled since it was listed. Raises as `read` does."""
        try:
            return self.read(key)
        except GoneError:
            return self.read(settled_key(key))

    def lines(self, key: str) -> Iterator[bytes]:
        """The lines of an object, a range at a time: S3 hangs up on a stream that is read as slowly as MySQL writes.

        Written anew in between, it raises: half of one and half of the other would be neither.
        """
        start, total, rest = 0, 1, b""
        same: dict[str, str] = {}
        while start < total:
            span = f"bytes={start}-{start + _RANGE - 1}"
            answer = self.s3.get_object(Bucket=self.name, Key=key, Range=span, **same)
            body = answer["Body"].read()
            start += len(body)
            total = int(answer["ContentRange"].rpartition("/")[2])
            same = {"IfMatch": answer["ETag"]}
            *whole, rest = (rest + body).split(b"\n")
            yield from whole
        if rest:
            yield rest

    def read_json(self, key: str) -> Any:
        return json.loads(self.read(key))

    def write(self, key: str, body: bytes, content_type: str = "application/json") -> None:
        self.s3.put_object(Bucket=self.name, Key=key, Body=body, ContentType=content_type)

    def write_json(self, key: str, value: Any) -> None:
        self.write(key, json.dumps(value, separators=(",", ":")).encode())

    def write_all(self, objects: Iterable[tuple[str, bytes]]) -> None:
        """Side by side; raises the first error after all have ended."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(lambda item: self.write(*item), objects))

    def move_all(self, moves: Iterable[tuple[str, str] | Move]) -> Sequence[str]:
        """Copy, then delete: interrupted in between, the object is in both places and is moved again.

        Gives back the sources that stay, as another object has taken the place of the one to be moved.
        """
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            given = [Move(*move) for move in moves]
            moved = pool.map(self._move, given)
            return [move.source for move, done in zip(given, moved, strict=True) if not done]

    def _move(self, move: Move) -> bool:
        """Once moved, the source is gone: moving it again does nothing."""
        at = {"Bucket": self.name, "Key": move.source}
        matching = {"CopySourceIfMatch": move.tag} if move.tag else {}
        try:
            self.s3.copy_object(Bucket=self.name, Key=move.target, CopySource=at, **matching)
            self._delete(at, move.tag)
        except ClientError as error:
            if _code(error) in _CHANGED:
                return False
            if not _is_gone(error):
                raise
        return True

    def _delete(self, at: dict[str, str], tag: str) -> None:
        if tag:
            try:
                self.s3.delete_object(**at, IfMatch=tag)
            except ClientError as error:
                if _code(error) != "NotImplemented":  # as stores that are like S3 may say
                    raise
            else:
                return
        self.s3.delete_object(**at)


def _code(error: ClientError) -> str:
    return str(error.response["Error"]["Code"])


def _is_gone(error: ClientError) -> bool:
    return _code(error) in ("NoSuchKey", "404")


def _why_unreadable(code: str) -> str | None:
    if code.startswith(_KMS):
        what = code.removeprefix(_KMS).removeprefix("KMS")
        return None if what.startswith(_KMS_BUSY) else "the key that it is encrypted with cannot be used"
    return _OF_THE_OBJECT.get(code)
