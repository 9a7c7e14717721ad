"""The deployed API, gateway and all, keeps what its OpenAPI document says."""

from __future__ import annotations

import pytest

from tests.unit.api.contract import ask, contract

schema = contract(examples=15)


@pytest.mark.e2e
@schema.parametrize()
def test_the_deployed_api_keeps_its_contract(case, stack):
    ask(case, stack.outputs["api_url"])
