"""Starts the exports of a window, and finds out when they are there.

What is started is noted in the bucket, so that each call goes on where the one before was. A call that is killed
between the start and the note starts the same export again: DynamoDB knows it by its token for eight hours, and a
second export later costs money only.
Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_ExportTableToPointInTime.html
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, TypedDict

from botocore.exceptions import ClientError

from common.bucket import Bucket, GoneError
from common.layout import RunKeys
from reconciler.run import StageStoppedError
from reconciler.verify.exported import ExportedFile, files_of
from reconciler.verify.repaired import repaired_files
from reconciler.verify.window import Window, spans, widened

# The table, or the emulator, has no export of the window to offer.
_NOT_OFFERED = {
    "PointInTimeRecoveryUnavailableException": "point-in-time recovery of the table is off",
    "InvalidExportTimeException": "point-in-time recovery of the table does not hold the whole window",
    "UnknownOperationException": "the endpoint of DynamoDB knows no exports",
}
# Errors that pass. Source: the page above, and
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
_PASSING = (
    "InternalServerError",
    "LimitExceededException",
    "RequestLimitExceeded",
    "ServiceUnavailable",
    "ThrottlingException",
)
_OFF = _NOT_OFFERED["PointInTimeRecoveryUnavailableException"]
_FORGOTTEN = "ExportNotFoundException"
# The token was used with other parameters: a call was killed before its note, and then the KMS key was changed.
_CONFLICT = "ExportConflictException"
_RIGHTS = (
    "see that the role of the reconciler may export the table and write to the failures bucket, that its KMS key allows"
    " it, then start the verification again; without changed_from and changed_until it reads the whole table"
)


class NotOfferedError(Exception):
    """There is no export of the window. The message says why."""


class _LaterError(Exception):
    """DynamoDB does not answer now."""


class _ConflictError(Exception):
    """The token of an export is taken."""


class _Started(TypedDict):
    """An export that was started. Without an `arn` it is started again, with the number of the next `attempt`."""

    arn: str
    attempt: int


class Decision(NamedTuple):
    """What a verification of a window reads: the files that the object `files` lists, or all of the table.

    `scan_reason` says why it reads the table; else it is empty.
    """

    scan_reason: str
    files: str


def decision_of(bucket: Bucket, keys: RunKeys) -> Decision | None:
    """None as long as the exports are not there."""
    found = _stored(bucket, keys.exported)
    return Decision(**found) if found is not None else None


def files_to_read(bucket: Bucket, keys: RunKeys) -> list[ExportedFile | str]:
    """All files of the exports of a run that reads them, and the objects of earlier repairs."""
    decision = Decision(**bucket.read_json(keys.exported))
    found = bucket.read_json(decision.files)
    return [*(ExportedFile(*one) for one in found["exported"]), *found["repaired"]]


@dataclass(frozen=True)
class Exports:
    """`client` is a boto3 client of DynamoDB. `key_arn` is the bucket's KMS key, empty without one."""

    client: Any
    bucket: Bucket
    table_arn: str
    key_arn: str

    def prepare(self, keys: RunKeys, window: Window) -> bool:
        """Decide what a run reads, if that is not decided. False while exports are not done: then call it again later.

        Raises StageStoppedError for an export that fails.
        """
        if decision_of(self.bucket, keys) is not None:
            return True
        try:
            exports = self._ended(keys, spans(widened(window)))
        except NotOfferedError as error:
            self._decide(keys, Decision(str(error), ""))
            return True
        except _LaterError:
            return False
        if exports is None:
            return False
        files = [file for export in exports for file in files_of(self.bucket, keys.export_folder, export)]
        repaired = repaired_files(self.bucket, widened(window).start)
        name = keys.exported_files(secrets.token_hex(4))
        self.bucket.write_json(name, {"exported": files, "repaired": repaired})
        self._decide(keys, Decision("", name))
        return True

    def _decide(self, keys: RunKeys, decision: Decision) -> None:
        """Once: lanes may already read what another call has decided."""
        self.bucket.write_json_once(keys.exported, decision._asdict())

    def _ended(self, keys: RunKeys, parts: Sequence[Window]) -> list[str] | None:
        """The names of the exports of all parts, None while one is not done."""
        started: dict[str, _Started] = _stored(self.bucket, keys.exports) or {}
        self._start_missing(keys, parts, started)
        ended = [self._has_ended(keys, number, started) for number in sorted(started, key=int)]
        if len(ended) < len(parts) or not all(ended):
            return None
        return [started[str(number)]["arn"].rpartition("/")[2] for number in range(len(parts))]

    def _start_missing(self, keys: RunKeys, parts: Sequence[Window], started: dict[str, _Started]) -> None:
        missing = [(str(number), part) for number, part in enumerate(parts) if not _arn(started, str(number))]
        if not missing:
            return
        latest = self._latest_time(parts[0].start)
        for number, part in missing:
            if part.end <= latest:  # else it is too early
                attempt = started[number]["attempt"] if number in started else 0
                try:
                    arn = self._start(keys, part, f"{number}/{attempt}")
                except _ConflictError:
                    arn, attempt = "", attempt + 1  # the next call starts it
                started[number] = {"arn": arn, "attempt": attempt}
                self.bucket.write_json(keys.exports, started)

    def _latest_time(self, start: datetime) -> datetime:
        """Until when the table can be exported. Raises NotOfferedError where it cannot be exported since `start`."""
        answer = self._ask("describe_continuous_backups", TableName=self.table_arn.rpartition("/")[2])
        found = answer["ContinuousBackupsDescription"].get("PointInTimeRecoveryDescription", {})
        if found.get("PointInTimeRecoveryStatus") != "ENABLED":
            raise NotOfferedError(_OFF)
        earliest, latest = found.get("EarliestRestorableDateTime"), found.get("LatestRestorableDateTime")
        if earliest is None or latest is None:
            raise NotOfferedError("DynamoDB does not say which times point-in-time recovery holds")
        if start < earliest:
            raise NotOfferedError(
                f"point-in-time recovery holds the table since {earliest.isoformat(timespec='seconds')}, and the window"
                f" begins at {start.isoformat(timespec='seconds')}, with its margin"
            )
        until: datetime = latest
        return until

    def _start(self, keys: RunKeys, part: Window, token: str) -> str:
        """The ARN of the export."""
        encryption = {"S3SseAlgorithm": "KMS", "S3SseKmsKeyId": self.key_arn} if self.key_arn else {}
        answer = self._ask(
            "export_table_to_point_in_time",
            TableArn=self.table_arn,
            ClientToken=hashlib.sha256(f"{keys.prefix}{token}".encode()).hexdigest()[:32],
            S3Bucket=self.bucket.name,
            S3Prefix=keys.export_folder,
            ExportFormat="DYNAMODB_JSON",
            ExportType="INCREMENTAL_EXPORT",
            IncrementalExportSpecification={
                "ExportFromTime": part.start,
                "ExportToTime": part.end,
                "ExportViewType": "NEW_IMAGE",
            },
            **(encryption or {"S3SseAlgorithm": "AES256"}),
        )["ExportDescription"]
        if "IncrementalExportSpecification" not in answer:
            raise NotOfferedError("the endpoint of DynamoDB makes no incremental exports")
        return str(answer["ExportArn"])

    def _has_ended(self, keys: RunKeys, number: str, started: dict[str, _Started]) -> bool:
        """Raises StageStoppedError for an export that has failed: the next execution starts another one."""
        arn = _arn(started, number)
        if not arn:
            return False
        described = self._ask("describe_export", ExportArn=arn)["ExportDescription"]
        if described["ExportStatus"] == "FAILED":
            started[number] = {"arn": "", "attempt": started[number]["attempt"] + 1}
            self.bucket.write_json(keys.exports, started)
            raise StageStoppedError(f"the export {arn} has failed with {described.get('FailureCode')}: {_RIGHTS}")
        return bool(described["ExportStatus"] == "COMPLETED")

    def _ask(self, operation: str, **request: Any) -> Mapping[str, Any]:
        try:
            answer: Mapping[str, Any] = getattr(self.client, operation)(**request)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code in _NOT_OFFERED:
                raise NotOfferedError(_NOT_OFFERED[code]) from None
            if code in _PASSING:
                raise _LaterError from None
            if code == _CONFLICT:
                raise _ConflictError from None
            if code == _FORGOTTEN:
                return {"ExportDescription": {"ExportStatus": "FAILED", "FailureCode": code}}
            raise StageStoppedError(f"DynamoDB refuses {operation} with {code}: {_RIGHTS}") from None
        return answer


def _arn(started: Mapping[str, _Started], number: str) -> str:
    return started[number]["arn"] if number in started else ""


def _stored(bucket: Bucket, key: str) -> Any:
    try:
        return bucket.read_json(key)
    except GoneError:
        return None
