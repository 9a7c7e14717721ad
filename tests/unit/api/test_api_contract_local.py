"""The API keeps its OpenAPI document: schemathesis sends valid and invalid requests."""

from __future__ import annotations

import pytest
from moto import mock_aws

from tests.unit.api.contract import ask, contract
from tests.unit.api.harness import ApiHarness, SettableClock, build_api, make_tables
from tests.unit.api.local_gateway import gateway

schema = contract(examples=40)


@pytest.fixture(scope="module")
def api_url(aws_environment):
    with mock_aws(), gateway(build_api(ApiHarness(make_tables(), SettableClock()))) as url:
        yield url


@schema.parametrize()
def test_the_api_keeps_its_contract(case, api_url):
    ask(case, api_url)
