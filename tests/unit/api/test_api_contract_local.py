"""The OpenAPI document and the API say the same: schemathesis sends what it allows, and what it does not."""

from __future__ import annotations

import pytest
from moto import mock_aws

from tests.unit.api.contract import ask, contract
from tests.unit.api.gateway import gateway
from tests.unit.api.world import Clock, World, build_api, make_tables

schema = contract(examples=40)


@pytest.fixture(scope="module")
def api_url(aws_environment):
    with mock_aws(), gateway(build_api(World(make_tables(), Clock()))) as url:
        yield url


@schema.parametrize()
def test_the_api_keeps_its_contract(case, api_url):
    ask(case, api_url)
