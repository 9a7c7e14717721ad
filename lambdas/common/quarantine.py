"""Where a record goes that can never be written as it is: whole, with its reason, one object each."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from common.changes import Parked

PREFIX = "quarantine/"
_LONGEST_NAME = 200  # of a key inside an object's key, which S3 limits to 1024 bytes
_AT_ONCE = 8


class ParkError(Exception):
    """A record could not be parked, so its batch must not be acknowledged."""


@dataclass(frozen=True)
class Quarantine:
    """The `quarantine/` part of the failures bucket. `s3` makes a boto3 client, which few invocations need."""

    s3: Callable[[], Any]
    bucket: str

    def park(self, records: Iterable[Parked]) -> list[str]:
        """Store each record under a name made of the record alone, so that parking it again changes nothing.

        Returns the object keys. Raises ParkError naming the first record that could not be stored.
        """
        records = list(records)
        if len(records) == 1:
            return [self._put(records[0])]
        if not records:
            return []
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return list(pool.map(self._put, records))

    def _put(self, parked: Parked) -> str:
        name = object_key(parked)
        body = json.dumps(parked._asdict(), separators=(",", ":"))
        try:
            self.s3().put_object(Bucket=self.bucket, Key=name, Body=body.encode(), ContentType="application/json")
        except Exception as error:
            raise ParkError(
                f"cannot park a record as s3://{self.bucket}/{name}: {type(error).__name__}: "
                "check that the bucket exists and that the function may write to it; the batch is retried"
            ) from error
        return name


def object_key(parked: Parked) -> str:
    """`quarantine/<key>/<version>.json`; a record without a readable key or version is named by its digest."""
    digest = hashlib.sha256(json.dumps(parked.record, sort_keys=True, default=str).encode()).hexdigest()[:32]
    if parked.key is None:
        return f"{PREFIX}_unreadable/{digest}.json"
    return f"{folder_of(parked.key)}/{parked.version or digest}.json"


def folder_of(key: str) -> str:
    """Where the records of `key` are; a long key is cut and told apart by its digest."""
    folder = quote(key, safe="", errors="replace") or "_empty"
    if len(folder) > _LONGEST_NAME:
        folder = folder[:_LONGEST_NAME] + "-" + hashlib.sha256(key.encode(errors="replace")).hexdigest()[:16]
    return PREFIX + folder
