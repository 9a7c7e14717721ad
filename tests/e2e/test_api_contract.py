"""The deployed API, with API Gateway, keeps its OpenAPI document."""

from __future__ import annotations

import pytest
import requests

from tests.unit.api.contract import ask, contract

# MiniStack restarts the authorizer after each refusal, so credentials are not probed with every request.
schema = contract(examples=15, probe_auth=False)


@pytest.mark.e2e
@schema.parametrize()
def test_the_deployed_api_keeps_its_contract(case, stack):
    ask(case, stack.outputs["api_url"])


@pytest.mark.e2e
@pytest.mark.parametrize("credentials", [None, ("foo", "baz"), ("bar", "bar")])
def test_wrong_credentials_get_a_401_from_api_gateway(stack, credentials):
    answer = requests.get(f"{stack.outputs['api_url']}/v1/orders?merchant_id=m", auth=credentials, timeout=30)

    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Basic realm=")
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["title"] == "Unauthorized"
