"""API Gateway asks the authorizer first, so that its own 401 carries the challenge."""

from __future__ import annotations

import importlib
import json

import boto3
import pytest
from moto import mock_aws

from tests.unit.api.harness import basic

METHOD = "arn:aws:execute-api:eu-west-1:123456789012:api1234567/live/GET/v1/orders"


@pytest.fixture
def authorize(aws_environment, monkeypatch):
    with mock_aws():
        secrets = boto3.client("secretsmanager")
        secret = secrets.create_secret(Name="api", SecretString=json.dumps({"username": "foo", "password": "bar"}))
        monkeypatch.setenv("API_SECRET_ARN", secret["ARN"])
        yield importlib.reload(importlib.import_module("api.authorizer")).handler


def event(authorization):
    return {"type": "REQUEST", "methodArn": METHOD, "headers": {"Authorization": authorization}}


def test_right_credentials_allow_every_path_of_the_stage(authorize):
    answer = authorize(event(basic()), None)

    allow = {
        "Effect": "Allow",
        "Action": "execute-api:Invoke",
        "Resource": "arn:aws:execute-api:eu-west-1:123456789012:api1234567/live/*",
    }
    assert answer == {"principalId": "foo", "policyDocument": {"Version": "2012-10-17", "Statement": [allow]}}


@pytest.mark.parametrize("wrong", ["Basic Zm9vOmJheg==", "Basic ?", "Bearer Zm9vOmJhcg==", ""])
def test_wrong_credentials_raise_unauthorized(authorize, wrong):
    with pytest.raises(Exception, match=r"^Unauthorized$"):
        authorize(event(wrong), None)


def test_an_unreadable_secret_is_not_a_401(authorize):
    """It would tell a client with the right password that it is wrong; API Gateway makes a 500 of it."""
    boto3.client("secretsmanager").delete_secret(SecretId="api", ForceDeleteWithoutRecovery=True)

    with pytest.raises(Exception, match="ResourceNotFound"):
        authorize(event(basic()), None)
