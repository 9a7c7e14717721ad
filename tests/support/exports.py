"""Exports of a DynamoDB table in memory: the calls of boto3, and real files in the documented format.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/S3DataExport.Output.html
"""

# ruff: noqa: N803 - the parameters are named as boto3 names them
from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from botocore.session import get_session
from botocore.validate import ParamValidator

from tests.support.aws import refused
from tests.support.records import ARN
from tests.support.replay import BUCKET
from tests.support.source_table import Item, SourceTable, key_text

TABLE_ARN = ARN.partition("/stream/")[0]
_OPERATION = get_session().get_service_model("dynamodb").operation_model("ExportTableToPointInTime")


class TableExports:
    """The exports of `table` into `s3`, where point-in-time recovery is on.

    `put` and `delete` change the table at a time. An export is done when it was described `checks` times, and has
    `files` files. `refusals` has the errors of the next calls of an operation; `fail_with` is the code with which
    exports fail, and `incremental` is off for an emulator that knows no windows.
    """

    def __init__(self, s3: Any, table: SourceTable, now: Callable[[], datetime]) -> None:
        self.s3, self.table, self.now = s3, table, now
        self.is_on, self.incremental = True, True
        self.earliest, self.latest = now() - timedelta(days=35), now() - timedelta(minutes=5)
        self.checks, self.files, self.fail_with = 2, 3, ""
        self.refusals: dict[str, list[str]] = {}
        self.log: list[tuple[datetime, str, Item | None, Item | None]] = []
        self.asked: list[dict[str, Any]] = []
        self.exports: dict[str, dict[str, Any]] = {}

    def put(self, item: Item, at: datetime) -> None:
        self._note(item, at, item)
        self.table.put(item)

    def delete(self, item: Item, at: datetime) -> None:
        self._note(item, at, None)
        self.table.delete(item)

    def _note(self, item: Item, at: datetime, new: Item | None) -> None:
        name = self.name_of(item)
        self.log.append((at, name, self.table.items.get(name), new))

    def name_of(self, item: Item) -> str:
        return key_text({name: item[name] for name in self.table.key})

    def describe_continuous_backups(self, *, TableName: str) -> dict[str, Any]:
        assert TableName == TABLE_ARN.rpartition("/")[2]
        self._refuse("describe_continuous_backups")
        found = {"PointInTimeRecoveryStatus": "ENABLED" if self.is_on else "DISABLED"}
        times = {"EarliestRestorableDateTime": self.earliest, "LatestRestorableDateTime": self.latest}
        described = found | (times if self.is_on else {})
        return {"ContinuousBackupsDescription": {"PointInTimeRecoveryDescription": described}}

    def export_table_to_point_in_time(self, **request: Any) -> dict[str, Any]:
        self._refuse("export_table_to_point_in_time")
        _require_valid(request, _OPERATION.input_shape)
        self.asked.append(request)
        known = [one for one in self.exports.values() if one["ClientToken"] == request["ClientToken"]]
        if known:
            if any(known[0][name] != value for name, value in request.items()):
                raise refused("ExportConflictException")
            return {"ExportDescription": known[0]}
        span = request["IncrementalExportSpecification"]
        start, end = span["ExportFromTime"], span["ExportToTime"]
        assert timedelta(minutes=15) <= end - start <= timedelta(hours=24)
        assert (request["TableArn"], request["S3Bucket"]) == (TABLE_ARN, BUCKET)
        assert (request["ExportType"], request["ExportFormat"]) == ("INCREMENTAL_EXPORT", "DYNAMODB_JSON")
        if start < self.earliest or end > self.now():
            raise refused("InvalidExportTimeException")
        arn = f"{TABLE_ARN}/export/{1_700_000_000_000 + len(self.exports):014d}-{len(self.exports):08x}"
        made = {**request, "ExportArn": arn, "ExportStatus": "IN_PROGRESS"}
        if not self.incremental:
            del made["IncrementalExportSpecification"]
        self.exports[arn] = {**made, "checks": 0}
        return {"ExportDescription": made}

    def describe_export(self, *, ExportArn: str) -> dict[str, Any]:
        self._refuse("describe_export")
        if ExportArn not in self.exports:
            raise refused("ExportNotFoundException")
        found = self.exports[ExportArn]
        found["checks"] += 1
        if found["ExportStatus"] == "IN_PROGRESS" and found["checks"] >= self.checks:
            found["ExportStatus"] = "FAILED" if self.fail_with else "COMPLETED"
            if self.fail_with:
                found["FailureCode"] = self.fail_with
            else:
                self._write(found)
        return {"ExportDescription": found}

    def _refuse(self, operation: str) -> None:
        if self.refusals.get(operation):
            raise refused(self.refusals[operation].pop(0), operation)

    def lines(self, start: datetime, end: datetime) -> dict[str, Item]:
        """The line of each item that was changed in a span, and that was there before it or at its end."""
        first: dict[str, Item | None] = {}
        last: dict[str, tuple[datetime, Item | None]] = {}
        for at, name, old, new in self.log:
            if start <= at < end:
                first.setdefault(name, old)
                last[name] = (at, new)
        return {
            name: {
                "Metadata": {"WriteTimestampMicros": {"N": str(int(at.timestamp() * 1_000_000))}},
                "Keys": json.loads(name),
                **({"NewImage": new} if new else {}),
            }
            for name, (at, new) in last.items()
            if new or first[name]
        }

    def _write(self, export: dict[str, Any]) -> None:
        span, prefix = export["IncrementalExportSpecification"], export["S3Prefix"]
        lines = self.lines(span["ExportFromTime"], span["ExportToTime"])
        number = export["ExportArn"].rpartition("/")[2]
        files: list[list[bytes]] = [[] for _ in range(self.files)]
        for name, line in sorted(lines.items()):
            files[zlib.crc32(name.encode()) % self.files].append(json.dumps(line).encode() + b"\n")
        listed = []
        for place, content in enumerate(files):
            key = f"{prefix}/AWSDynamoDB/data/{number[-8:]}{place:018d}.json.gz"
            self._put(key, gzip.compress(b"".join(content)))
            listed.append({"itemCount": len(content), "md5Checksum": "", "etag": "", "dataFileS3Key": key})
        folder = f"{prefix}/AWSDynamoDB/{number}"
        self._put(f"{folder}/manifest-files.json", b"".join(json.dumps(one).encode() + b"\n" for one in listed))
        summary = {"version": "2023-08-01", "itemCount": len(lines), "exportType": "INCREMENTAL_EXPORT"}
        self._put(f"{folder}/manifest-summary.json", json.dumps(summary).encode())

    def _put(self, key: str, body: bytes) -> None:
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=body)


def _require_valid(request: dict[str, Any], shape: Any) -> None:
    """By botocore's model of the request."""
    report = ParamValidator().validate(request, shape)
    assert not report.has_errors(), report.generate_report()
    for name, value in request.items():
        member = shape.members[name]
        assert value in (getattr(member, "enum", None) or [value]), (name, value)
        if isinstance(value, dict):
            _require_valid(value, member)
