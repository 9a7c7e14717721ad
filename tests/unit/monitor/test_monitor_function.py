"""The monitor as Lambda runs it, with moto's AWS services."""

from __future__ import annotations

import importlib
import io
import json
import sys
import zipfile
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import boto3
import pytest
from moto import mock_aws

from monitor.metrics import UNITS
from monitor.monitor import SourcesError
from tests.support.functions import emitted, metrics_of

HANDLER = "monitor.handler"
Start = Callable[..., ModuleType]


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Start an execution environment beside an orders table, its consumer and the replay's state machine."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        environment = deploy()

        def start(**environ: str) -> ModuleType:
            for name, value in (environment | environ).items():
                monkeypatch.setenv(name, value)
            monkeypatch.delitem(sys.modules, HANDLER, raising=False)
            return importlib.import_module(HANDLER)

        yield start


def deploy() -> dict[str, str]:
    """The environment of the function."""
    key = [("p_key", "HASH"), ("s_key", "RANGE")]
    table = boto3.client("dynamodb").create_table(
        TableName="orders",
        KeySchema=[{"AttributeName": name, "KeyType": kind} for name, kind in key],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name, _ in key],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )["TableDescription"]
    stream = table["LatestStreamArn"]
    trust = json.dumps({"Version": "2012-10-17", "Statement": []})
    role = boto3.client("iam").create_role(RoleName="any", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("handler.py", "")
    functions = boto3.client("lambda")
    functions.create_function(
        FunctionName="consumer", Runtime="python3.13", Role=role, Handler="handler.handler",
        Code={"ZipFile": code.getvalue()},
    )  # fmt: skip
    mapping = functions.create_event_source_mapping(EventSourceArn=stream, FunctionName="consumer")
    boto3.client("s3").create_bucket(Bucket="failures")
    definition = json.dumps({"StartAt": "End", "States": {"End": {"Type": "Succeed"}}})
    machine = boto3.client("stepfunctions").create_state_machine(name="replay", definition=definition, roleArn=role)
    return {
        # moto's labels have microseconds.
        "STREAM_ARN": stream[: stream.rindex("/") + 1] + "2026-01-31T00:00:00.000",
        "FAILURES_BUCKET": "failures",
        "CONSUMER_FUNCTION_NAME": "consumer",
        "EVENT_SOURCE_MAPPING_UUID": mapping["UUID"],
        "STREAM_MAXIMUM_RECORD_AGE_SECONDS": "21600",
        "REPLAY_STATE_MACHINE_ARN": machine["stateMachineArn"],
    }


def test_one_line_is_emitted_when_nothing_is_wrong(start: Start, capsys: Any) -> None:
    start().handler({}, None)
    lines = [line for line in emitted(capsys.readouterr().out) if "_aws" in line]
    assert len(lines) == 1
    assert metrics_of(json.dumps(lines[0])) == {
        "batches_waiting": 0,
        "oldest_batch_seconds": 0,
        "mapping_enabled": 1,
        "hours_until_loss": 24,
        "quarantined_waiting": 0,
        "deferred_waiting": 0,
        "oldest_deferred_seconds": 0,
        "replay_failed": 0,
    }


def test_a_queue_and_a_schedule_complete_the_metrics(start: Start, capsys: Any) -> None:
    """With these, a function emits each metric of the table."""
    queue = boto3.client("sqs").create_queue(QueueName="failures")["QueueUrl"]
    info = {"approximateArrivalOfFirstRecord": "2026-01-30T22:00:00Z"}
    boto3.client("sqs").send_message(QueueUrl=queue, MessageBody=json.dumps({"DDBStreamBatchInfo": info}))
    start(FAILURES_QUEUE_URL=queue, VERIFIES_ON_SCHEDULE="true").handler({}, None)
    assert set(metrics_of(capsys.readouterr().out)) == set(UNITS)


def test_batches_of_many_shards_are_counted(start: Start, capsys: Any) -> None:
    """By the listings of a bucket that has folders of mappings and shards."""
    module, s3 = start(), boto3.client("s3")
    for shard in ("shardId-1", "shardId-2"):
        s3.put_object(Bucket="failures", Key=f"aws/lambda/m/{shard}/2026/01/31/a", Body=b"{}")
    assert list(module.MONITOR.bucket.folders("aws/lambda/m/")) == [
        "aws/lambda/m/shardId-1/", "aws/lambda/m/shardId-2/",
    ]  # fmt: skip
    module.handler({}, None)
    assert metrics_of(capsys.readouterr().out)["batches_waiting"] == 2


def test_a_deleted_mapping_is_off(start: Start, capsys: Any) -> None:
    """A person may have deleted it. Then nothing reads the stream, and the oldest change may be lost soon."""
    start(EVENT_SOURCE_MAPPING_UUID="01234567-89ab-cdef-0123-456789abcdef").handler({}, None)
    found = metrics_of(capsys.readouterr().out)
    assert (found["mapping_enabled"], found["hours_until_loss"]) == (0, 0)


def test_a_source_that_fails_fails_the_call_after_the_line(start: Start, capsys: Any) -> None:
    """Lambda counts the error, and CloudWatch has all that is known."""
    with pytest.raises(SourcesError, match=r"NoSuchBucket.*the role may read it"):
        start(FAILURES_BUCKET="elsewhere").handler({}, None)
    assert metrics_of(capsys.readouterr().out) == {"mapping_enabled": 1, "hours_until_loss": 24, "replay_failed": 0}


def test_values_that_are_bounds_are_logged(start: Start, caplog: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from monitor import backlog  # noqa: PLC0415 - the function's modules are imported with its environment

    monkeypatch.setattr(backlog, "MOST_OBJECTS", 1)
    module = start()
    for number in range(2):
        boto3.client("s3").put_object(Bucket="failures", Key=f"quarantine/order/{number}/1.json", Body=b"{}")
    module.handler({}, None)
    assert [record.bounds for record in caplog.records if hasattr(record, "bounds")] == [["quarantined_waiting"]]


def test_without_a_heartbeat_the_table_is_not_written(start: Start) -> None:
    start().handler({}, None)
    assert boto3.client("dynamodb").scan(TableName="orders")["Items"] == []


def test_the_heartbeat_is_one_item_that_is_overwritten(start: Start) -> None:
    module = start(HEARTBEAT="true")
    module.handler({}, None)
    [first] = boto3.client("dynamodb").scan(TableName="orders")["Items"]
    module.handler({}, None)
    [second] = boto3.client("dynamodb").scan(TableName="orders")["Items"]
    assert set(first) == {"p_key", "s_key", "backstream_heartbeat"}
    assert first["p_key"] == second["p_key"] == {"S": "backstream#heartbeat"}
    assert float(first["backstream_heartbeat"]["N"]) <= float(second["backstream_heartbeat"]["N"])


def test_the_heartbeat_overwrites_no_item_of_the_application(start: Start, capsys: Any) -> None:
    """It would be lost, and its row would stay. The call fails after the rest was emitted."""
    module, key = start(HEARTBEAT="true"), {"S": "backstream#heartbeat"}
    item = {"p_key": key, "s_key": key, "note": {"S": "mine"}}
    boto3.client("dynamodb").put_item(TableName="orders", Item=item)
    with pytest.raises(SourcesError, match=r"the heartbeat: ConditionalCheckFailedException"):
        module.handler({}, None)
    assert boto3.client("dynamodb").scan(TableName="orders")["Items"] == [item]
    assert metrics_of(capsys.readouterr().out)["batches_waiting"] == 0
