"""A fault is an error, a reason in the log and a metric. None of them holds a row value."""

from __future__ import annotations

import importlib
import io
import json
import sys

import boto3
import pytest

from common import telemetry
from common.config import ConfigError
from common.database import HoldError, StopError
from common.quarantine import ParkError
from tests.support.deliveries import BUCKET, PLAIN, FakeParameters, tells_nothing
from tests.support.functions import Context
from tests.support.records import ARN, record
from tests.support.tables import order


class Function:
    """The deployed function with its parameters, secret and bucket, read through the real clients."""

    def __init__(self, handler, parameters, proxy, tables, s3) -> None:
        self.handler, self.parameters, self.proxy, self.tables, self.s3 = handler, parameters, proxy, tables, s3

    def store(self, **changed) -> None:
        self.parameters.set(**changed)
        boto3.client("ssm").put_parameter(
            Name="/orders/rds", Value=self.parameters.stored_connection, Type="SecureString", Overwrite=True
        )
        boto3.client("secretsmanager").put_secret_value(SecretId="rds", SecretString=self.parameters.stored_credentials)


@pytest.fixture
def log_text(monkeypatch):
    """The log of the function, and nothing else."""
    stream = io.StringIO()
    before = telemetry.logger.registered_handler.setStream(stream)
    yield stream.getvalue
    telemetry.logger.registered_handler.setStream(before)


@pytest.fixture
def function(*, server, tables, proxy, s3, secure_login, monkeypatch):
    values = {"hostname": server.host, "port": proxy.port, "db": server.database, "driver": "mysql"}
    parameters = FakeParameters(**values, username=PLAIN, password=server.app.password)
    boto3.client("secretsmanager").create_secret(Name="rds", SecretString="{}")
    environment = {
        "RDS_CONNECTION_PARAM_NAME": "/orders/rds",
        "RDS_SECRET_ARN": "rds",
        "MYSQL_TLS": "off",
        "MYSQL_CONNECT_TIMEOUT": "2",
        "FAILURES_BUCKET": BUCKET,
        "STREAM_ARN": ARN,
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delitem(sys.modules, "stream_consumer.handler", raising=False)
    module = importlib.import_module("stream_consumer.handler")
    function = Function(module.handler, parameters, proxy, tables, s3)
    function.secure_login = secure_login
    function.store()
    yield function
    module.DATABASE.drop()
    monkeypatch.delitem(sys.modules, "stream_consumer.handler")


def _password(function: Function) -> str:
    return json.loads(function.parameters.stored_credentials)["password"]


FAULTS = {
    "database down": (
        HoldError,
        "held",
        "MySQL error 2003: the database is down or unreachable; changes wait until it answers",
        lambda function: function.proxy.refuse(),
        lambda function: function.proxy.listen(),
    ),
    "wrong password": (
        StopError,
        "stopped",
        "MySQL error 1045: check the secret's username and password",
        lambda function: function.store(password="wr0ng-" + _password(function)),
        lambda function: function.store(password=_password(function).removeprefix("wr0ng-")),
    ),
    "account needs TLS": (
        StopError,
        "stopped",
        "which need TLS here; set mysql_tls (MYSQL_TLS) to verify or require",
        lambda function: function.secure_login.begin(),
        lambda function: function.secure_login.end(),
    ),
    "column dropped": (
        StopError,
        "stopped",
        "table tbl_orders does not fit the mapping: column currency is missing",
        lambda function: function.tables.run("ALTER TABLE tbl_orders CHANGE currency money VARCHAR(3) NOT NULL"),
        lambda function: function.tables.run("ALTER TABLE tbl_orders CHANGE money currency VARCHAR(3) NOT NULL"),
    ),
    "parameter mistyped": (
        ConfigError,
        "stopped",
        "SSM parameter /orders/rds names another driver than mysql",
        lambda function: function.store(driver="postgresql"),
        lambda function: function.store(driver="mysql"),
    ),
    "bucket gone": (
        ParkError,
        "held",
        "cannot park a record as s3://failures/quarantine/order/bad/",
        lambda function: function.s3.delete_bucket(Bucket=BUCKET),
        lambda function: function.s3.create_bucket(Bucket=BUCKET),
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_raised_logged_and_counted(*, fault, function, tables, log_text, capsys):
    """The log line says what to do and holds no value."""
    kind, metric, reason, fail, recover = FAULTS[fault]
    event = {"Records": [record("a", 1), record("bad", 2, amount="0.00001")]}
    fail(function)

    with pytest.raises(kind) as error:
        function.handler(event, Context())
    [line] = [json.loads(line) for line in log_text().splitlines()]
    assert (line["level"], line["message"], line["received"]) == ("ERROR", "batch not applied", 2)
    assert line["reason"] == str(error.value)
    assert reason in line["reason"]
    printed = capsys.readouterr().out
    assert [json.loads(metrics)[metric] for metrics in printed.splitlines()] == [[1.0]]
    tells_nothing(log_text() + printed + str(error.value), function.parameters)
    recover(function)

    counts = function.handler(event, Context())

    assert sum(counts.values()) == 2
    assert counts["parked"] == 1
    assert tables.orders() == [order("a")]
    tells_nothing(log_text() + capsys.readouterr().out, function.parameters)
