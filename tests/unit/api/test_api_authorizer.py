"""The authorizer, which lets API Gateway send a 401 with a challenge."""

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
    """API Gateway turns the error into a 500; a 401 would tell a client that its right password is wrong."""
    boto3.client("secretsmanager").delete_secret(SecretId="api", ForceDeleteWithoutRecovery=True)

    with pytest.raises(Exception, match="ResourceNotFound"):
        authorize(event(basic()), None)
