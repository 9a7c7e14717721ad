"""S3 as a folder, with the calls that a replay makes: what it costs is files, not an emulator.

On disk and not in memory, as processes share it and their memory is measured.
"""

# ruff: noqa: N803, ARG002 - the parameters are named as boto3 names them, and there is one bucket
from __future__ import annotations

import io
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

_PAGE = 1000


class FolderBucket:
    """An object is a file, written under another name and then renamed, so that nobody sees half of one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._objects, self._unfinished = folder / "objects", folder / "unfinished"
        for made in (self._objects, self._unfinished):
            made.mkdir(parents=True, exist_ok=True)

    def put_object(self, *, Bucket: str, Key: str, Body: bytes, ContentType: str = "") -> dict[str, Any]:
        unfinished = self._unfinished / secrets.token_hex(8)
        unfinished.write_bytes(Body)
        unfinished.rename(self._room(Key))
        return {}

    def get_object(self, *, Bucket: str, Key: str, Range: str = "", IfMatch: str = "") -> dict[str, Any]:
        try:
            with (self._objects / Key).open("rb") as file:
                return self._answer(file, Range, IfMatch)
        except FileNotFoundError:
            raise _refused("NoSuchKey") from None

    def copy_object(
        self, *, Bucket: str, Key: str, CopySource: dict[str, str], CopySourceIfMatch: str = ""
    ) -> dict[str, Any]:
        unfinished = self._unfinished / secrets.token_hex(8)
        try:
            unfinished.hardlink_to(self._objects / CopySource["Key"])
        except FileNotFoundError:
            raise _refused("NoSuchKey") from None
        unfinished.rename(self._room(Key))
        return {}

    def delete_object(self, *, Bucket: str, Key: str, IfMatch: str = "") -> dict[str, Any]:
        (self._objects / Key).unlink(missing_ok=True)
        return {}

    def get_paginator(self, operation: str) -> FolderBucket:
        return self

    def paginate(self, *, Bucket: str, Prefix: str, StartAfter: str = "") -> Iterator[dict[str, Any]]:
        keys = [key for key in self._keys(Prefix) if key > StartAfter]
        for start in range(0, len(keys), _PAGE):
            found = ((key, (self._objects / key).stat()) for key in keys[start : start + _PAGE])
            yield {
                "Contents": [
                    {"Key": key, "Size": about.st_size, "LastModified": datetime.fromtimestamp(about.st_mtime, UTC)}
                    for key, about in found
                ]
            }

    def copy_to(self, folder: Path) -> FolderBucket:
        """The same objects in a bucket of their own, at no cost: files that are never written in place are shared."""
        shutil.copytree(self._objects, folder / "objects", copy_function=os.link)
        return FolderBucket(folder)

    def remove(self, prefix: str) -> None:
        shutil.rmtree(self._objects / prefix, ignore_errors=True)

    def _room(self, key: str) -> Path:
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
    def _answer(file: io.BufferedReader, span: str, wanted: str) -> dict[str, Any]:
        about = os.fstat(file.fileno())
        tag = f"{about.st_ino}-{about.st_mtime_ns}"
        if wanted not in ("", tag):
            raise _refused("PreconditionFailed")
        if not span:
            return {"ETag": tag, "Body": io.BytesIO(file.read())}
        first, last = map(int, span.removeprefix("bytes=").split("-"))
        file.seek(first)
        body = file.read(last - first + 1)
        where = f"bytes {first}-{first + len(body) - 1}/{about.st_size}"
        return {"ETag": tag, "ContentRange": where, "Body": io.BytesIO(body)}


def _refused(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": code}}, "Operation")
