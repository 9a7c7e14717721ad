"""Any request gets a clear response, and an order is created only with a 201."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.api.harness import GOOD_ORDER, NOW, Client, basic, stored_item

BOUNDED = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=70)
documents = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)
near_orders = st.fixed_dictionaries(
    {},
    optional={
        "merchant_id": st.just("merchant-102") | st.text(max_size=70) | documents,
        "amount": st.decimals(allow_nan=False, allow_infinity=False).map(str) | st.floats() | st.integers() | documents,
        "currency": st.sampled_from(["INR", "JPY", "KWD", "CLF", "inr", "XXX"]) | documents,
        "status": st.sampled_from(["NEW", "new"]) | documents,
    },
)
number_texts = st.from_regex(r"\A-?(0|[1-9][0-9]{0,40})(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,30})?\Z")
header_texts = st.text(st.characters(max_codepoint=0x2FF), max_size=40)


@pytest.fixture
def settled(client, harness):
    """Send a request; check that the status is below 500 and that only a success has written anything."""

    def send(*call, **event):
        harness.clear()
        existing = harness.put()
        answer = client(*call, **event)
        assert answer.status < 500, answer.body
        created = [item for item in harness.items() if item["p_key"] != existing["p_key"]]
        assert len(created) == (answer.status == 201)
        if call[0] == "POST":
            assert existing in harness.items()
        if answer.status >= 400:
            assert answer.json["status"] == answer.status
            assert harness.everything() == ([existing], [])
        return answer, created

    return send


@BOUNDED
@given(body=st.binary(max_size=80) | documents.map(json.dumps) | near_orders.map(json.dumps))
def test_any_body_is_created_or_refused(settled, body):
    settled("POST", "/v1/orders", body)


@BOUNDED
@given(body=documents.map(json.dumps) | near_orders.map(json.dumps))
def test_any_patch_is_applied_or_refused(settled, body):
    settled("PATCH", "/v1/orders/order-1", body)


@BOUNDED
@given(number=number_texts, currency=st.sampled_from(["INR", "JPY", "KWD", "CLF"]))
def test_an_accepted_amount_is_stored_exactly(settled, number, currency):
    answer, created = settled(
        "POST", "/v1/orders", f'{{"merchant_id": "m", "amount": {number}, "currency": "{currency}"}}'
    )
    assert answer.status in {201, 422}
    if created:
        assert Decimal(created[0]["amount"]["N"]) == Decimal(number)


@BOUNDED
@given(
    key=header_texts, tag=header_texts, content_type=st.sampled_from(["application/json"]) | header_texts,
    method=st.sampled_from(["GET", "POST", "PATCH", "DELETE", "PUT"]),
    path=st.sampled_from(["/v1/orders", "/v1/orders/order-1"]) | st.text(max_size=30).map("/v1/orders/".__add__),
)  # fmt: skip
def test_any_header_and_path_is_answered(settled, *, key, tag, content_type, method, path):
    headers = {"Idempotency-Key": key, "If-Match": tag, "If-None-Match": tag, "Content-Type": content_type}
    settled(method, path, GOOD_ORDER, headers)


@BOUNDED
@given(
    query=st.dictionaries(
        st.sampled_from(["merchant_id", "limit", "cursor", "x"]),
        st.text(max_size=40) | st.sampled_from(["merchant-102", "5"]),
    )
)
def test_any_query_is_answered(settled, query):
    settled("GET", "/v1/orders", None, None, query)


@BOUNDED
@given(authorization=st.text(max_size=40) | st.text(max_size=20).map("Basic ".__add__))
def test_any_authorization_but_the_right_one_is_refused(make_api, harness, authorization):
    answer = Client(make_api(), authorization).post()
    assert (answer.status, harness.items()) == (401, [])


def test_the_right_authorization_is_accepted(make_api):
    assert Client(make_api(), basic()).post().status == 201
    assert stored_item()["created_at"] == {"N": str(NOW)}
