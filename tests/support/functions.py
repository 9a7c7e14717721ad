"""A function as Lambda runs it: its environment, moto's AWS services, its module freshly imported."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import boto3
import pytest

from scripts.local_stack.mariadb import MariaDB
from tests.support.records import ARN

PARAMETER, BUCKET = "/orders/rds", "failures"


class Context:
    """Lambda's context; `remaining` gives the milliseconds that are left of the invocation."""

    def __init__(self, remaining: Callable[[], int] = lambda: 60_000) -> None:
        self.get_remaining_time_in_millis = remaining


class FunctionWorld:
    """The bucket, the parameters and the environment of a function, inside `mock_aws()`."""

    def __init__(self, server: MariaDB, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
        self.s3, self.ssm = boto3.client("s3"), boto3.client("ssm")
        self.s3.create_bucket(Bucket=BUCKET)
        connection = {"hostname": server.host, "port": server.port, "db": server.database, "driver": "mysql"}
        self.put_parameter(connection)
        credentials = {"username": server.app.user, "password": server.app.password}
        secret = boto3.client("secretsmanager").create_secret(Name="rds", SecretString=json.dumps(credentials))
        self.environment = {
            "RDS_CONNECTION_PARAM_NAME": PARAMETER,
            "RDS_SECRET_ARN": secret["ARN"],
            "MYSQL_CA_PEM": server.ca_pem,
            "FAILURES_BUCKET": BUCKET,
            "STREAM_ARN": ARN,
        }
        self.set(self.environment)

    def put_parameter(self, connection: dict[str, Any]) -> None:
        self.ssm.put_parameter(Name=PARAMETER, Value=json.dumps(connection), Type="String", Overwrite=True)

    def set(self, environ: dict[str, str | None]) -> None:
        for name, value in environ.items():
            if value is None:
                self._monkeypatch.delenv(name, raising=False)
            else:
                self._monkeypatch.setenv(name, value)

    def cold_start(self, module: str, **environ: str | None) -> ModuleType:
        """Import `module` as a new execution environment does."""
        self.set(environ)
        self._monkeypatch.delitem(sys.modules, module, raising=False)
        return importlib.import_module(module)

    def objects(self) -> dict[str, Any]:
        listed = self.s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])
        return {o["Key"]: json.load(self.s3.get_object(Bucket=BUCKET, Key=o["Key"])["Body"]) for o in listed}


def emitted(text: str) -> list[dict[str, Any]]:
    """The JSON lines among `text`: log lines and metrics."""
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    return [line for line in lines if isinstance(line, dict)]


def series_of(text: str) -> dict[str, tuple[str, list[float]]]:
    """The unit and all values of every metric."""
    found: dict[str, tuple[str, list[float]]] = {}
    for line in emitted(text):
        for block in line.get("_aws", {}).get("CloudWatchMetrics", []):
            for metric in block["Metrics"]:
                found.setdefault(metric["Name"], (metric["Unit"], []))[1].extend(line[metric["Name"]])
    return found


def metrics_of(text: str) -> dict[str, float]:
    """Every metric, summed."""
    return {name: sum(values) for name, (_, values) in series_of(text).items()}


def counts_of(text: str) -> dict[str, float]:
    """Every count, summed."""
    return {name: sum(values) for name, (unit, values) in series_of(text).items() if unit == "Count"}
