"""Where a record goes that could not be written: whole, with its reason, one object each.

Poison goes to `quarantine/` and waits for a person. What every replay tries again goes to `deferred/`.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from common.changes import Kind, Parked
from common.layout import DEFERRED, QUARANTINE, parked_key

LONGEST_WAIT_SECONDS = 86_400
_WAITING = (Kind.DEFERRED, Kind.UNKNOWN)
_AT_ONCE = 8


class ParkError(Exception):
    """A record could not be parked, so its batch must not be acknowledged."""


@dataclass(frozen=True)
class Quarantine:
    """The parked records of the failures bucket. `s3` makes a boto3 client, which few invocations need;
    `clock` gives epoch seconds.
    """

    s3: Callable[[], Any]
    bucket: str
    clock: Callable[[], float] = time.time

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

    def park_again(self, parked: Parked, before: Mapping[str, Any] | None) -> tuple[str, Kind]:
        """Store a record that a replay could not write either. `before` is the object that it came from, if it was
        parked already: it has waited since then, and a deferred one that has waited for a day waits for a person.

        Returns the object key and the kind under which the record is stored. Raises ParkError.
        """
        if before is None:
            return self._put(parked), parked.kind
        now = int(self.clock())
        since = _since(before, now)
        if parked.kind == Kind.DEFERRED and since is not None and now - since > LONGEST_WAIT_SECONDS:
            hint = f"it has waited for a day without fitting; {parked.hint}"
            parked = parked._replace(kind=Kind.POISON, hint=hint)
        name, document = object_key(parked), _document(parked, since, now)
        if document != before:  # replays may come every few minutes, and the bucket keeps each version
            self._write(name, document, first=before.get("kind") not in _WAITING)
        return name, parked.kind

    def _put(self, parked: Parked) -> str:
        name = object_key(parked)
        self._write(name, _document(parked, None, int(self.clock())), first=True)
        return name

    def _write(self, name: str, document: Mapping[str, Any], *, first: bool) -> None:
        """`first` leaves an object that waits under this name as it is: it holds the same record, since when it waits.

        A replay removes that object only when this record is written, stale or parked elsewhere.
        """
        body = json.dumps(document, separators=(",", ":")).encode()
        given = {"Bucket": self.bucket, "Key": name, "Body": body, "ContentType": "application/json"}
        once = {"IfNoneMatch": "*"} if first and name.startswith(DEFERRED) else {}
        try:
            try:
                self.s3().put_object(**given, **once)
            except ClientError as error:
                code = error.response["Error"]["Code"]
                if code == "ConditionalRequestConflict":  # it is being written or removed by somebody else
                    self.s3().put_object(**given)
                elif code != "PreconditionFailed":
                    raise
        except Exception as error:
            raise ParkError(
                f"cannot park a record as s3://{self.bucket}/{name}: {type(error).__name__}: "
                "check that the bucket exists and that the function may write to it; the batch is retried"
            ) from error


def _document(parked: Parked, since: int | None, now: int) -> dict[str, Any]:
    """What is stored. A record that waits, or has waited before, says since when."""
    if since is None and parked.kind in _WAITING:
        since = now
    return parked._asdict() | ({} if since is None else {"since": since})


def _since(before: Mapping[str, Any], now: int) -> int | None:
    """Since when a parked record waits, in epoch seconds; None where its object does not say so."""
    since = before.get("since")
    return since if type(since) is int and 0 <= since <= now else None


def object_key(parked: Parked) -> str:
    """The name of its object, made of the record alone."""
    prefix = DEFERRED if parked.kind in _WAITING else QUARANTINE
    digest = hashlib.sha256(json.dumps(parked.record, sort_keys=True, default=str).encode()).hexdigest()[:32]
    return parked_key(prefix, parked.key, parked.version, digest)
