"""The failures bucket, as far as a replay uses it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

FAILED, REPLAYED, EXPIRED = "aws/lambda/", "replayed/", "expired/"
_AT_ONCE = 16
_RANGE = 256 * 1024


class GoneError(Exception):
    """No object of that key, any more: another replay has settled it, or a person has moved it."""


@dataclass(frozen=True)
class Bucket:
    """Thin over boto3: `s3` is a client, thread-safe as clients are."""

    s3: Any
    name: str

    def list(self, prefix: str, after: str = "") -> Iterator[tuple[str, int]]:
        """(key, size in bytes) of the objects under `prefix`, in key order, those up to `after` left out."""
        given = {"Bucket": self.name, "Prefix": prefix} | ({"StartAfter": after} if after else {})
        for page in self.s3.get_paginator("list_objects_v2").paginate(**given):
            for entry in page.get("Contents", ()):
                if not entry["Key"].endswith("/"):  # a folder made in the console
                    yield entry["Key"], entry["Size"]

    def read(self, key: str) -> bytes:
        """Raises GoneError."""
        try:
            body: bytes = self.s3.get_object(Bucket=self.name, Key=key)["Body"].read()
        except ClientError as error:
            if _is_gone(error):
                raise GoneError(key) from None
            raise
        return body

    def read_wherever(self, key: str) -> bytes:
        """An object that another replay may have settled since it was listed. Raises GoneError."""
        try:
            return self.read(key)
        except GoneError:
            return self.read(REPLAYED + key)

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

    def move_all(self, moves: Iterable[tuple[str, str]]) -> None:
        """Copy, then delete: interrupted in between, the object is in both places and is moved again."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(lambda move: self._move(*move), moves))

    def _move(self, source: str, target: str) -> None:
        """Once moved, the source is gone: moving it again does nothing."""
        try:
            self.s3.copy_object(Bucket=self.name, Key=target, CopySource={"Bucket": self.name, "Key": source})
        except ClientError as error:
            if _is_gone(error):
                return
            raise
        self.s3.delete_object(Bucket=self.name, Key=source)


def _is_gone(error: ClientError) -> bool:
    return error.response["Error"]["Code"] in ("NoSuchKey", "404")
