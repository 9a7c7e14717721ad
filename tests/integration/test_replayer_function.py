"""The replayer as deployed: the verification that it starts."""

from __future__ import annotations

import json
from collections.abc import Iterator

import boto3
import pytest
from moto import mock_aws

from scripts.local_stack.mariadb import MariaDB
from tests.support.functions import FunctionWorld

GIVEN = {"repair": True, "changed_from": "2026-01-30T09:30:00+00:00", "changed_until": "2026-01-30T11:00:01+00:00"}


@pytest.fixture
def world(server: MariaDB, monkeypatch: pytest.MonkeyPatch) -> Iterator[FunctionWorld]:
    with mock_aws():
        yield FunctionWorld(server, monkeypatch)


@pytest.mark.parametrize("after_cutover", [False, True])
def test_a_verification_is_started_once_under_its_name(world: FunctionWorld, *, after_cutover: bool):
    """It judges the rows of seeded items as the schedule does."""
    states = boto3.client("stepfunctions")
    role = "arn:aws:iam::123456789012:role/verify"
    machine = states.create_state_machine(name="verify", definition="{}", roleArn=role)["stateMachineArn"]
    chosen = {"VERIFY_AFTER_CUTOVER": "true"} if after_cutover else {}
    replayer = world.cold_start(
        "dlq_replayer.handler", LOCK_TABLE_NAME="lock", VERIFY_STATE_MACHINE_ARN=machine, **chosen
    )
    first, second = (replayer._verify("expired-1", given) for given in (GIVEN, {"repair": True}))  # noqa: SLF001
    [started] = states.list_executions(stateMachineArn=machine)["executions"]
    assert first == second == started["executionArn"]
    given = json.loads(states.describe_execution(executionArn=first)["input"])
    assert given == {**GIVEN, "after_cutover": after_cutover}
