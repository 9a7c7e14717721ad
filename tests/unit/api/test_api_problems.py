"""The words of a problem: what is wrong, with which field, and what is allowed."""

from __future__ import annotations

import json

import pytest

from tests.unit.api.harness import GOOD_ORDER, Answer

ORDERS, ORDER = "/v1/orders", "/v1/orders/order-1"
BODY = "The request body is invalid."
QUERY = "The query string is invalid."


def words(answer: Answer) -> tuple[str, dict[str, str]]:
    return answer.json["detail"], {error["field"]: error["message"] for error in answer.json.get("errors", ())}


def order(**changes: object) -> str:
    return json.dumps({"merchant_id": "merchant-102", "amount": 200, "currency": "INR"} | changes)


@pytest.mark.parametrize(
    ("sent", "detail", "errors"),
    [
        ("", "The request body is empty.", {}),
        ("{", "The request body is not valid JSON.", {}),
        (b"\xff", "The request body is not valid UTF-8.", {}),
        (" " * 16_385, "The request body is larger than 16384 bytes.", {}),
        ('{"amount": 1, "amount": 2}', "The request body repeats a field.", {"/amount": "appears more than once"}),
        ("[]", BODY, {"": "must be a JSON object"}),
        (order(unknown=1), BODY, {"/unknown": "is not a known field"}),
        ('{"merchant_id": "m", "amount": 1}', BODY, {"/currency": "is required"}),
        (order(amount="200"), BODY, {"/amount": "must be a JSON number"}),
        (order(amount=0), BODY, {"/amount": "must be greater than 0"}),
        (order(amount=10**15), BODY, {"/amount": "must be less than 1000000000000000"}),
        (order(amount=1.001), BODY, {"/amount": "must have at most 2 decimal places in this currency"}),
        (order(amount=1.5, currency="JPY"), BODY, {"/amount": "must have no decimal places in this currency"}),
        (order(currency="inr"), BODY, {"/currency": "must be an ISO 4217 currency code in upper case"}),
        (order(merchant_id="m" * 65), BODY, {"/merchant_id": "must have at most 64 characters"}),
        (
            order(merchant_id=" m"),
            BODY,
            {"/merchant_id": "must be 1 to 64 printable ASCII characters, no space at either end"},
        ),
    ],
)
def test_a_refused_order_says_why(client, sent, detail, errors):
    assert words(client.post(sent)) == (detail, errors)


@pytest.mark.parametrize(
    ("sent", "errors"),
    [
        ("{}", {"": "must contain at least one field"}),
        ('{"currency": "JPY"}', {"/currency": "allows no decimal places, but the amount of the order has more"}),
        (
            '{"status": "paid"}',
            {"/status": "must be 1 to 32 upper-case letters, digits and underscores, starting with a letter"},
        ),
    ],
)
def test_a_refused_patch_says_why(client, harness, sent, errors):
    harness.put(amount={"N": "200.5"})
    assert words(client.patch("order-1", sent)) == (BODY, errors)


@pytest.mark.parametrize(
    ("query", "detail", "errors"),
    [
        ({}, "merchant_id is required.", {"merchant_id": "is required"}),
        ({"merchant_id": ""}, "merchant_id is invalid.", None),
        ({"merchant_id": ["m", "m"]}, QUERY, {"merchant_id": "appears more than once"}),
        ({"merchant_id": "m", "x": "1"}, QUERY, {"query": "allows only the parameters merchant_id, limit, cursor"}),
        (
            {"merchant_id": "m", "limit": "0"},
            "limit must be between 1 and 100.",
            {"limit": "must be a whole number between 1 and 100"},
        ),
        ({"merchant_id": "m", "cursor": "x"}, "The cursor is invalid.", None),
    ],
)
def test_a_refused_query_says_why(client, query, detail, errors):
    found = words(client.list(**query))
    assert found == (detail, found[1] if errors is None else errors)


def test_a_cursor_of_another_list_has_its_own_message(client, harness):
    harness.put("order-1")
    harness.put("order-2")
    cursor = client.list(merchant_id="merchant-102", limit="1").json["next_cursor"]
    detail, errors = words(client.list(merchant_id="other", cursor=cursor))
    assert detail == "The cursor belongs to another list."
    assert errors == {"cursor": "must be the next_cursor of a page of this merchant's orders"}


@pytest.mark.parametrize(
    ("request_", "status", "detail"),
    [
        (("GET", "/other"), 404, "Not found."),
        (("GET", "/v1/orders/order-2"), 404, "The order does not exist or has expired."),
        (("PUT", ORDERS), 405, "Method not allowed. Allowed methods: GET, POST."),
        (("GET", ORDER, None, {"If-Match": "x"}), 400, "If-Match is invalid."),
        (("GET", ORDER, None, {"If-None-Match": "x"}), 400, "If-None-Match is invalid."),
        (
            ("DELETE", ORDER, None, {"If-Match": '"x"'}),
            412,
            "If-Match does not list the current ETag of the order. Read the order again before you retry.",
        ),
        (
            ("PATCH", ORDER, "{}", {"Content-Type": "text/plain"}),
            415,
            "Content-Type must be application/json or application/merge-patch+json, in UTF-8.",
        ),
        (("POST", ORDERS, GOOD_ORDER, {"Idempotency-Key": ""}), 400, "Idempotency-Key is invalid."),
    ],
)
def test_a_refused_request_says_why(client, harness, request_, status, detail):
    harness.put()
    answer = client(*request_)
    assert (answer.status, answer.json["detail"]) == (status, detail)


def test_a_reused_key_says_why(client):
    client.post(Idempotency_Key="k")
    detail, errors = words(client.post(order(amount=1), Idempotency_Key="k"))
    assert detail == "Idempotency-Key was already used with a different request body."
    assert errors == {"idempotency-key": "must be new for a different order"}
