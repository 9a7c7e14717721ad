"""The API on moto's DynamoDB, new for each test."""

from __future__ import annotations

from functools import partial

import pytest
from moto import mock_aws

from tests.unit.api.harness import ApiHarness, Client, SettableClock, basic, build_api, make_tables


@pytest.fixture(autouse=True, scope="module")
def aws_environment():
    """Keep the shell's AWS settings out: no test here may reach AWS or an emulator."""
    with pytest.MonkeyPatch.context() as environ:
        environ.setenv("AWS_DEFAULT_REGION", "eu-west-1")
        environ.delenv("AWS_ENDPOINT_URL", raising=False)
        environ.delenv("AWS_PROFILE", raising=False)
        yield


@pytest.fixture
def dynamodb(aws_environment):
    with mock_aws():
        yield make_tables()


@pytest.fixture
def harness(dynamodb):
    return ApiHarness(dynamodb, SettableClock())


@pytest.fixture
def make_api(harness):
    """Build the API on `harness`; takes the options of `build_api`."""
    return partial(build_api, harness)


@pytest.fixture
def client(make_api):
    return Client(make_api(), basic())
