"""Quarantined records, by key: what they are, and out of the way with those that nobody needs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from common.quarantine import PREFIX, folder_of
from scripts.ops.reach import Reach

DISCARDED = "replayed/discarded/"  # kept as long as what has been replayed, then gone


class Quarantine:
    def __init__(self, reach: Reach) -> None:
        self._s3, self._bucket = reach.client("s3"), reach.bucket

    def list(self, key: str | None = None) -> Iterator[dict[str, Any]]:
        """Key, version, reason, hint and object of each record; of one `key` where given. Records are left out."""
        for name in self._names(key):
            parked = self._read(name)
            yield {field: parked.get(field) for field in ("key", "version", "reason", "hint")} | {"object": name}

    def show(self, key: str) -> list[dict[str, Any]]:
        """The records of `key`, whole: these hold row values."""
        return [self._read(name) | {"object": name} for name in self._names(key)]

    def discard(self, key: str) -> list[str]:
        """Move the records of `key` away; returns where they are now."""
        moved = []
        for name in list(self._names(key)):
            target = DISCARDED + name.removeprefix(PREFIX)
            self._s3.copy_object(Bucket=self._bucket, Key=target, CopySource={"Bucket": self._bucket, "Key": name})
            self._s3.delete_object(Bucket=self._bucket, Key=name)
            moved.append(target)
        return moved

    def _names(self, key: str | None) -> Iterator[str]:
        prefix = PREFIX if key is None else f"{folder_of(key)}/"
        for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix):
            yield from (entry["Key"] for entry in page.get("Contents", ()))

    def _read(self, name: str) -> dict[str, Any]:
        parked: dict[str, Any] = json.loads(self._s3.get_object(Bucket=self._bucket, Key=name)["Body"].read())
        return parked
