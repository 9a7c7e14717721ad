"""The failures bucket: a thin layer over boto3."""

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

# Errors that concern one object. All others concern the bucket, the credentials or S3 itself.
# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
_OF_THE_OBJECT = {
    "AccessDenied": "the function may not read it",
    "InvalidObjectState": "it is archived and must be restored first",
    "InvalidRange": "it is empty",
    "InvalidRequest": "it is encrypted with a key that only its writer has",
    "MethodNotAllowed": "it is a delete marker",
}
# S3 passes on what KMS answers for the object's key. These errors are temporary.
_KMS, _KMS_BUSY = "KMS.", ("Throttling", "Internal", "DependencyTimeout", "KeyUnavailable", "LimitExceeded")
_THERE = ("PreconditionFailed", "412")
_CHANGED = (*_THERE, "ConditionalRequestConflict", "409")


class GoneError(Exception):
    """There is no object of that key: another replay has settled it, or a person has moved it."""


class ReplacedError(Exception):
    """Somebody else has written the object since it was read."""

    def __init__(self, key: str) -> None:
        super().__init__(f"another call has written {key} meanwhile")


class UnreadableError(Exception):
    """The object or message cannot be read, or is not a failed batch of this table. It is reported and stays."""


class Entry(NamedTuple):
    """An object in a listing; `size` is in bytes."""

    key: str
    size: int
    modified: datetime


class Move(NamedTuple):
    """The key `source` moves to the key `target`. With a `tag`, only the object with this ETag is moved."""

    source: str
    target: str
    tag: str = ""


@dataclass(frozen=True)
class Bucket:
    """`s3` is a boto3 client, which is thread-safe."""

    s3: Any
    name: str

    def list(self, prefix: str, after: str = "") -> Iterator[tuple[str, int]]:
        """(key, size in bytes) of the objects under `prefix` behind the key `after`, in key order."""
        return ((entry.key, entry.size) for entry in self.entries(prefix, after))

    def entries(self, prefix: str, after: str = "") -> Iterator[Entry]:
        """The objects under `prefix` behind the key `after`, in key order."""
        given = {"Bucket": self.name, "Prefix": prefix} | ({"StartAfter": after} if after else {})
        for page in self.s3.get_paginator("list_objects_v2").paginate(**given):
            for entry in page.get("Contents", ()):
                if not entry["Key"].endswith("/"):  # a folder that was created in the console
                    yield Entry(entry["Key"], entry["Size"], entry["LastModified"])

    def folders(self, prefix: str) -> Iterator[str]:
        """The prefixes of keys one level below `prefix`, each with its slash at the end, in key order."""
        for page in self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix, Delimiter="/"):
            yield from (entry["Prefix"] for entry in page.get("CommonPrefixes", ()))

    def read(self, key: str) -> bytes:
        """Raises GoneError, or UnreadableError when S3 refuses this object."""
        return self.read_tagged(key)[0]

    def read_tagged(self, key: str) -> tuple[bytes, str]:
        """The content and its ETag. Raises as `read` does."""
        answer = self._get(key)
        return answer["Body"].read(), answer["ETag"]

    def _get(self, key: str, **options: str) -> Any:
        try:
            return self.s3.get_object(Bucket=self.name, Key=key, **options)
        except ClientError as error:
            if _is_gone(error):
                raise GoneError(key) from None
            if why := _why_unreadable(_code(error)):
                raise UnreadableError(f"S3 refuses it with {_code(error)}: {why}") from None
            raise

    def read_or_settled(self, key: str) -> bytes:
        """Read an object that another replay may have settled since it was listed. Raises as `read` does."""
        try:
            return self.read(key)
        except GoneError:
            return self.read(settled_key(key))

    def lines(self, key: str) -> Iterator[bytes]:
        """The lines of an object. Raises as `blocks` does."""
        return lines_of(self.blocks(key))

    def blocks(self, key: str) -> Iterator[bytes]:
        """The content a range at a time: S3 closes a stream that is read as slowly as MySQL writes.

        Raises as `read` does, and if the object is empty, or overwritten while it is read (If-Match).
        """
        start, total = 0, 1
        same: dict[str, str] = {}
        while start < total:
            answer = self._get(key, Range=f"bytes={start}-{start + _RANGE - 1}", **same)
            body = answer["Body"].read()
            start += len(body)
            total = int(answer["ContentRange"].rpartition("/")[2])
            same = {"IfMatch": answer["ETag"]}
            yield body

    def read_json(self, key: str) -> Any:
        return json.loads(self.read(key))

    def read_json_tagged(self, key: str) -> tuple[Any, str]:
        """The content and its ETag. Raises as `read` does."""
        body, tag = self.read_tagged(key)
        return json.loads(body), tag

    def write(self, key: str, body: bytes, content_type: str = "application/json") -> None:
        self.s3.put_object(Bucket=self.name, Key=key, Body=body, ContentType=content_type)

    def write_json(self, key: str, value: Any) -> None:
        self.write(key, json.dumps(value, separators=(",", ":")).encode())

    def write_json_once(self, key: str, value: Any) -> None:
        """Write an object that must not change. One that is there stays."""
        body = json.dumps(value, separators=(",", ":")).encode()
        try:
            self.s3.put_object(Bucket=self.name, Key=key, Body=body, ContentType="application/json", IfNoneMatch="*")
        except ClientError as error:
            if _code(error) not in _THERE:
                raise

    def replace_json(self, key: str, value: Any, tag: str) -> str:
        """Write in place of the object with this ETag; without a tag, where there is none. Returns the new ETag.

        Raises ReplacedError. boto3 repeats a write whose answer was lost: then the object is the one to be written.
        https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
        """
        body = json.dumps(value, separators=(",", ":")).encode()
        condition = {"IfMatch": tag} if tag else {"IfNoneMatch": "*"}
        try:
            written = self.s3.put_object(
                Bucket=self.name, Key=key, Body=body, ContentType="application/json", **condition
            )
        except ClientError as error:
            if _code(error) not in _CHANGED and not _is_gone(error):
                raise
        else:
            return str(written["ETag"])
        return self._tag_of(key, body)

    def _tag_of(self, key: str, body: bytes) -> str:
        """The ETag of an object with this content. Raises ReplacedError."""
        try:
            stored, tag = self.read_tagged(key)
        except GoneError:
            raise ReplacedError(key) from None
        if stored != body:
            raise ReplacedError(key)
        return tag

    def write_all(self, objects: Iterable[tuple[str, bytes]]) -> None:
        """Write in parallel. Raises the first error after all writes have ended."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(lambda item: self.write(*item), objects))

    def move_all(self, moves: Iterable[tuple[str, str] | Move]) -> Sequence[str]:
        """Copy, then delete. A move that is interrupted leaves both objects, and can be repeated.

        Returns the sources that stay because another object has replaced the one to be moved.
        """
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            given = [Move(*move) for move in moves]
            moved = pool.map(self._move, given)
            return [move.source for move, done in zip(given, moved, strict=True) if not done]

    def _move(self, move: Move) -> bool:
        """Whether the object was moved, by this call or an earlier one; False where it was replaced."""
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
                if _code(error) != "NotImplemented":  # as some S3-compatible stores answer
                    raise
            else:
                return
        self.s3.delete_object(**at)


def lines_of(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """The lines of a content that comes in blocks."""
    rest = b""
    for block in blocks:
        *whole, rest = (rest + block).split(b"\n")
        yield from whole
    if rest:
        yield rest


def _code(error: ClientError) -> str:
    return str(error.response["Error"]["Code"])


def _is_gone(error: ClientError) -> bool:
    return _code(error) in ("NoSuchKey", "404")


def _why_unreadable(code: str) -> str | None:
    if code.startswith(_KMS):
        error = code.removeprefix(_KMS).removeprefix("KMS")
        return None if error.startswith(_KMS_BUSY) else "its KMS key cannot be used"
    return _OF_THE_OBJECT.get(code)
