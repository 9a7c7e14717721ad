"""The API with moto's DynamoDB behind it; clock, ids and pauses are the test's own."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from api import auth
from api.listing import Listing
from api.orders import Orders, Tables
from api.routes import Api
from moto import mock_aws

from tests.unit.api.world import (
    CLAIMS,
    INDEX,
    TABLE,
    THREE_DAYS,
    Client,
    Clock,
    World,
    basic,
    create_tables,
)


@pytest.fixture(autouse=True)
def aws_environment(monkeypatch):
    for name, value in {
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.delenv("AWS_PROFILE", raising=False)


@pytest.fixture
def dynamodb(aws_environment):
    with mock_aws():
        client = boto3.client("dynamodb")
        create_tables(client)
        yield client


@pytest.fixture
def world(dynamodb):
    return World(dynamodb, Clock())


@pytest.fixture
def make_api(world):
    """Build the API on `world`; a client that misbehaves or another way to authenticate may be passed in."""

    def build(dynamodb: Any = None, authenticate: auth.Authenticate | None = None) -> Api:
        client = dynamodb or world.dynamodb
        secret = auth.Secret(lambda: '{"username": "foo", "password": "bar"}', world.clock)
        return Api(
            authenticate=authenticate or auth.basic(secret),
            orders=Orders(client, Tables(TABLE, CLAIMS, THREE_DAYS, 86_400), world.clock, world.pauses.append),
            listing=Listing(client, TABLE, INDEX, world.clock),
            now=world.clock,
            new_id=world.new_id,
        )

    return build


@pytest.fixture
def client(make_api):
    return Client(make_api(), basic())
