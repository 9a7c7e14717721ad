"""A sampled invocation leaves a trace that is found by its ids and tells no value. Others leave none.

The X-Ray SDK patches botocore, so each function runs in a process of its own, and sends its trace to a socket here.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts.local_stack.mariadb import MariaDB
from tests.support.deliveries import VALUES
from tests.support.records import record
from tests.support.tables import Tables

ROOT = Path(__file__).parents[2]
ROOT_ID, PARENT = "1-5759e988-bd862e3fe1be46a994272793", "53995c3f42cd8ad8"
TRACE = f"Root={ROOT_ID};Parent={PARENT};Sampled={{}}"

CONSUMER = """
import json, sys
from types import SimpleNamespace
import pytest
from moto import mock_aws
from tests.support.functions import Context, FunctionWorld
given = json.load(sys.stdin)
with mock_aws():
    app = SimpleNamespace(user=given["user"], password=given["password"])
    server = SimpleNamespace(**given["server"], app=app)
    consumer = FunctionWorld(server, pytest.MonkeyPatch()).cold_start("stream_consumer.handler")
    for records in given["batches"]:
        try:
            consumer.handler({"Records": records}, Context())
        except consumer.DatabaseError as error:
            print(error, file=sys.stderr)
"""
API = """
import base64, json, os, sys
import boto3
from moto import mock_aws
given = json.load(sys.stdin)
os.environ |= {"TABLE_NAME": "orders", "IDEMPOTENCY_TABLE_NAME": "keys", "API_SECRET_ARN": "api"}
os.environ |= {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
with mock_aws():
    credentials = json.dumps({"username": "u", "password": "p"})
    boto3.client("secretsmanager").create_secret(Name="api", SecretString=credentials)
    boto3.client("dynamodb").create_table(
        TableName="orders",
        KeySchema=[{"AttributeName": "p_key", "KeyType": "HASH"}, {"AttributeName": "s_key", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("p_key", "s_key")],
        BillingMode="PAY_PER_REQUEST",
    )
    from api import handler
    login = base64.b64encode(b"u:p").decode()
    headers = {"Authorization": f"Basic {login}", "Content-Type": "application/json"}
    event = {"httpMethod": "POST", "path": "/v1/orders", "headers": headers, "body": json.dumps(given)}
    result = handler.handler(event, None)
print(json.loads(result["body"])["order_id"], file=sys.stderr)
"""
ORDER = {"merchant_id": "merchant-102", "amount": 200, "currency": "INR"}


@pytest.fixture
def daemon() -> Iterator[socket.socket]:
    """The X-Ray daemon's socket."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.setblocking(False)
        yield listening


def received(daemon: socket.socket) -> list[dict[str, Any]]:
    """All documents that were sent so far, each without those inside it, which follow it."""
    found: list[dict[str, Any]] = []
    while True:
        try:
            datagram = daemon.recv(65_536)
        except BlockingIOError:
            return found
        found += flattened(json.loads(datagram.partition(b"\n")[2]))


def flattened(document: dict[str, Any]) -> list[dict[str, Any]]:
    inner = document.pop("subsegments", [])
    return [document, *(one for child in inner for one in flattened({"parent_id": document["id"], **child}))]


def run(program: str, daemon: socket.socket, *, sampled: bool, given: Any = None) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "lambdas"), str(ROOT / "scripts")]),
        "AWS_DEFAULT_REGION": "us-east-1",
        "POWERTOOLS_SERVICE_NAME": "tests",
        "LAMBDA_TASK_ROOT": "/var/task",
        "AWS_XRAY_DAEMON_ADDRESS": f"127.0.0.1:{daemon.getsockname()[1]}",
        "_X_AMZN_TRACE_ID": TRACE.format(int(sampled)),
    }
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, input=json.dumps(given), capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done


def consume(
    server: MariaDB, daemon: socket.socket, *batches: list[Any], sampled: bool = True, port: int | None = None
) -> subprocess.CompletedProcess[str]:
    given = {
        "user": server.app.user,
        "password": server.app.password,
        "server": {
            "host": server.host, "port": port or server.port, "database": server.database, "ca_pem": server.ca_pem
        },
        "batches": batches,
    }  # fmt: skip
    return run(CONSUMER, daemon, sampled=sampled, given=given)


def names(trace: list[dict[str, Any]]) -> list[str]:
    """Of the parts of the handler, in the order of their beginnings."""
    [handler] = [one for one in trace if one["name"] == "## handler"]
    parts = [one for one in trace if one["parent_id"] == handler["id"] and one.get("namespace") != "aws"]
    return [one["name"] for one in sorted(parts, key=lambda one: one["start_time"])]


def noted(trace: list[dict[str, Any]], name: str) -> list[str]:
    return [text for one in trace for text in str(one.get("annotations", {}).get(name, "")).split()]


def tells_nothing(trace: list[dict[str, Any]]) -> None:
    text = json.dumps(trace)
    assert [word for word in (*VALUES, "SELECT", "INSERT", "UPDATE", "replication_versions") if word in text] == []


def test_a_batch_is_traced_from_the_event_to_the_commit(server: MariaDB, tables: Tables, daemon: socket.socket):
    done = consume(server, daemon, [record("a", 1), record("b", 2)])
    trace = received(daemon)
    assert names(trace) == ["decode", "order_id", "connect", "write", "commit"]
    assert noted(trace, "order_id") == ["a", "b"]
    assert {one["trace_id"] for one in trace if "trace_id" in one} == {ROOT_ID}
    [line] = [json.loads(line) for line in done.stdout.splitlines() if '"batch applied"' in line]
    assert (line["xray_trace_id"], line["keys"]) == (ROOT_ID, ["order/a", "order/b"])
    tells_nothing(trace)


def test_a_warm_call_does_not_connect(server: MariaDB, tables: Tables, daemon: socket.socket):
    consume(server, daemon, [record("a", 1)], [record("a", 2)])
    handlers = [one for one in received(daemon) if one["name"] in ("## handler", "connect")]
    assert [one["name"] for one in handlers] == ["connect", "## handler", "## handler"]


def test_a_part_that_fails_is_a_fault_without_a_message(server: MariaDB, tables: Tables, daemon: socket.socket):
    """The error of the handler has its message, which never has a value."""
    tables.run(
        "CREATE TRIGGER refuses BEFORE INSERT ON tbl_orders FOR EACH ROW SIGNAL SQLSTATE '70100'"
        " SET MYSQL_ERRNO = 1317, MESSAGE_TEXT = 'merchant-102 is refused'"
    )
    done = consume(server, daemon, [record("a", 1)])
    trace = received(daemon)
    [write] = [one for one in trace if one["name"] == "write"]
    assert (write["fault"], "cause" in write) == (True, False)
    assert names(trace) == ["decode", "order_id", "connect", "write"]
    assert "MySQL error 1317" in done.stderr
    [line] = [json.loads(line) for line in done.stdout.splitlines() if '"batch not applied"' in line]
    assert (line["xray_trace_id"], line["keys"]) == (ROOT_ID, ["order/a"])
    tells_nothing(trace)


def test_refused_rows_are_no_fault(server: MariaDB, tables: Tables, daemon: socket.socket):
    tables.run("ALTER TABLE tbl_orders ADD CONSTRAINT positive CHECK (amount >= 0)")
    consume(server, daemon, [record("a", 1, amount="-1"), record("b", 2)])
    trace = received(daemon)
    assert names(trace) == ["decode", "order_id", "connect", "write", "commit"]
    assert [one["name"] for one in trace if one.get("fault") and one.get("namespace") != "aws"] == []
    tells_nothing(trace)


@pytest.mark.parametrize("program", ["consumer", "api"])
def test_an_invocation_that_is_not_sampled_sends_nothing(
    program: str, server: MariaDB, tables: Tables, daemon: socket.socket
):
    if program == "api":
        run(API, daemon, sampled=False, given=ORDER)
    else:
        consume(server, daemon, [record("a", 1)], sampled=False)
    assert received(daemon) == []


def test_a_request_is_traced_to_the_write_of_its_item(daemon: socket.socket):
    """The annotation is the consumer's, so one filter expression finds both traces."""
    done = run(API, daemon, sampled=True, given=ORDER)
    trace, order = received(daemon), done.stderr.strip()
    assert noted(trace, "order_id") == [order]
    [write] = [one for one in trace if one["name"] == "dynamodb"]
    assert (write["namespace"], write["aws"]["operation"]) == ("aws", "PutItem")
    [line] = [json.loads(line) for line in done.stdout.splitlines() if '"message":"request"' in line]
    assert (line["xray_trace_id"], line["order_id"]) == (ROOT_ID, order)
    assert "merchant-102" not in json.dumps(trace)
