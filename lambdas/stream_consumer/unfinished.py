"""What a batch that did not fit one invocation has parked, for the invocation that gets it again.

A parked record leaves no trace in the sidecar, so the next invocation would try each of them once more, and a batch
with too much poison would never end. Only a batch whose rows are refused reads or writes a note. Lambda delivers a
batch again from the same first record, however many come with it:
https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from common.changes import Parked, Record
from common.layout import unfinished_key
from common.quarantine import ParkError

Known = frozenset[tuple[str, str]]


@dataclass(frozen=True)
class Unfinished:
    """The `unfinished/` part of the failures bucket; the bucket's lifecycle removes what is old."""

    s3: Callable[[], Any]
    bucket: str

    def parked_before(self, records: Sequence[Record]) -> Known:
        """(key, version) of what earlier invocations have parked of the batch. Raises ParkError."""
        name = _name(records)
        try:
            body = self.s3().get_object(Bucket=self.bucket, Key=name)["Body"].read()
        except ClientError as error:
            if error.response["Error"]["Code"] in ("NoSuchKey", "404"):
                return frozenset()
            raise self._error("read", name, error) from error
        except BotoCoreError as error:
            raise self._error("read", name, error) from error
        return frozenset((key, version) for key, version in json.loads(body))

    def note(self, records: Sequence[Record], known: Known, parked: Iterable[Parked]) -> None:
        """Raises ParkError."""
        now = {(one.key, one.version) for one in parked if one.key is not None and one.version is not None}
        body, name = json.dumps(sorted(known | now), separators=(",", ":")), _name(records)
        try:
            self.s3().put_object(Bucket=self.bucket, Key=name, Body=body.encode(), ContentType="application/json")
        except (ClientError, BotoCoreError) as error:
            raise self._error("write", name, error) from error

    def _error(self, verb: str, name: str, error: Exception) -> ParkError:
        return ParkError(
            f"cannot {verb} s3://{self.bucket}/{name}, what was parked of the batch: {type(error).__name__}: check that"
            " the bucket exists and that the function may read and write there; the batch is retried"
        )


def _name(records: Sequence[Record]) -> str:
    first = json.dumps(records[0], sort_keys=True, default=str)
    return unfinished_key(hashlib.sha256(first.encode()).hexdigest()[:32])
