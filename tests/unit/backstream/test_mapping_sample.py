"""The items of a table that a mapping is drafted from."""

from __future__ import annotations

import boto3
import pytest
from moto import mock_aws

from backstream.mapping.dynamodb import SourceTable
from common.heartbeat import Heartbeat
from tests.support.heartbeats import ORDERS
from tests.support.records import item


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)


@mock_aws
def test_a_sample_has_no_heartbeat() -> None:
    """It would be drafted as an entity of its own."""
    client = boto3.client("dynamodb", region_name="us-east-1")
    key = [("p_key", "HASH"), ("s_key", "RANGE")]
    client.create_table(
        TableName="orders",
        KeySchema=[{"AttributeName": name, "KeyType": kind} for name, kind in key],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name, _ in key],
        BillingMode="PAY_PER_REQUEST",
    )
    client.put_item(TableName="orders", Item=item("a"))
    client.put_item(TableName="orders", Item=Heartbeat(ORDERS).item(1.0))
    assert SourceTable(client, "orders").sample(10).items == [item("a")]
