"""POST /v1/orders: what is stored, and what is refused without a write."""

from __future__ import annotations

import json
import uuid
from urllib.parse import urljoin

import pytest

from api import bootstrap
from tests.unit.api.harness import GOOD_ORDER, NOW, THREE_DAYS, Answer, basic


def body(**changes):
    """GOOD_ORDER with fields replaced by JSON text, so numbers reach the API exactly as written."""
    fields = {"merchant_id": '"merchant-102"', "amount": "200.00", "currency": '"INR"'} | changes
    return "{" + ", ".join(f'"{name}": {text}' for name, text in fields.items() if text is not None) + "}"


def refused(client, harness, status, sent: str | bytes | None, **headers) -> Answer:
    answer = client.post(sent, **headers)
    assert answer.status == status, answer.body
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.json["status"], answer.json["request_id"]) == (status, "request-1")
    assert harness.everything() == ([], [])
    return answer


def test_a_new_order_has_exactly_these_attributes(client, harness):
    answer = client.post()
    order_id = "00000000-0000-4000-8000-000000000001"
    assert (answer.status, answer.json) == (201, {"order_id": order_id})
    assert harness.items() == [
        {
            "p_key": {"S": order_id},
            "s_key": {"S": "ORDER"},
            "merchant_id": {"S": "merchant-102"},
            "amount": {"N": "200.00"},
            "currency": {"S": "INR"},
            "status": {"S": "NEW"},
            "created_at": {"N": str(NOW)},
            "updated_at": {"N": str(NOW)},
            "record_ttl": {"N": str(NOW + THREE_DAYS)},
        }
    ]


@pytest.mark.parametrize(
    "base",
    [
        "https://x.execute-api.eu-west-1.amazonaws.com/prod",
        "https://orders.example.com",
        "http://localhost:4566/_aws/execute-api/abc/dev",
    ],
)
def test_location_resolves_behind_any_url_prefix(client, base):
    """The function does not know the stage, base path or emulator prefix, so the reference is relative."""
    answer = client.post()
    expected = f"{base}/v1/orders/{answer.json['order_id']}"
    assert urljoin(f"{base}/v1/orders", answer.headers["location"]) == expected


def test_order_ids_are_random_uuids(dynamodb, monkeypatch):
    environ = {"TABLE_NAME": "orders", "IDEMPOTENCY_TABLE_NAME": "idempotency", "API_AUTH": "iam"}
    api = bootstrap.api(bootstrap.config(environ), dynamodb, None)
    assert uuid.UUID(api._new_id()).version == 4  # noqa: SLF001


@pytest.mark.parametrize(
    ("amount", "currency", "stored"),
    [
        ("0.01", "INR", "0.01"),
        ("200", "INR", "200.00"),
        ("200.5", "INR", "200.50"),
        ("2e2", "INR", "200.00"),
        ("1.20E+1", "INR", "12.00"),
        ("0.1", "EUR", "0.10"),
        ("1.10000", "EUR", "1.10"),
        ("200.00", "JPY", "200"),
        ("1.234", "KWD", "1.234"),
        ("1.2345", "CLF", "1.2345"),
        ("999999999999999.9999", "UYW", "999999999999999.9999"),
        ("999999999999999.99", "EUR", "999999999999999.99"),
        ("9007199254740993", "JPY", None),
        ("900719925474099", "JPY", "900719925474099"),
    ],
)
def test_amounts_are_exact_with_the_decimals_of_the_currency(client, harness, amount, currency, stored):
    answer = client.post(body(amount=amount, currency=f'"{currency}"'))
    if stored is None:
        assert (answer.status, answer.fields, harness.items()) == (422, ["/amount"], [])
    else:
        assert answer.status == 201
        assert [item["amount"] for item in harness.items()] == [{"N": stored}]


@pytest.mark.parametrize(
    ("amount", "currency"),
    [
        ("0", "INR"),
        ("0.00", "INR"),
        ("-0.0", "INR"),
        ("-1", "INR"),
        ("0.001", "INR"),
        ("100.5", "JPY"),
        ("1.2345", "KWD"),
        ("1.23456", "CLF"),
        ("1.00000000000000000000000000000000000000001", "INR"),
        ("1000000000000000", "INR"),
        ("1e15", "INR"),
        ("1e400", "INR"),
        ("1e999999999999999999", "INR"),
        ("1e99999999999999999999999", "INR"),
        ("1e-99999999999999999999999", "INR"),
        ("-1e99999999999999999999999", "INR"),
        ("1E-9", "INR"),
        ("1e-999999999999999999", "INR"),
        ("9" * 5000, "INR"),
        ("0." + "1" * 5000, "INR"),
        ('"200.00"', "INR"),
        ("null", "INR"),
        ("true", "INR"),
        ("[]", "INR"),
        ("{}", "INR"),
        (None, "INR"),
    ],
)
def test_an_invalid_amount_is_refused_by_name(client, harness, amount, currency):
    answer = refused(client, harness, 422, body(amount=amount, currency=f'"{currency}"'))
    assert set(answer.fields) == {"/amount"}


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "01", "1.", ".5", "+1", "0x10", "1_000"])
def test_a_number_that_is_not_json_is_refused(client, harness, number):
    refused(client, harness, 400, body(amount=number))


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("merchant_id", '""'),
        ("merchant_id", '" "'),
        ("merchant_id", '" merchant"'),
        ("merchant_id", '"merchant "'),
        ("merchant_id", '"merchant\\n"'),
        ("merchant_id", '"mer\\u0000chant"'),
        ("merchant_id", '"\\ud800"'),
        ("merchant_id", '"\\ud83d\\ude00"'),
        ("merchant_id", json.dumps("m" * 65)),
        ("merchant_id", "102"),
        ("merchant_id", "null"),
        ("merchant_id", None),
        ("currency", '"inr"'),
        ("currency", '"XXX"'),
        ("currency", '"INR\\n"'),
        ("currency", '""'),
        ("currency", "356"),
        ("currency", None),
        ("status", '"PAID"'),
        ("order_id", '"mine"'),
        ("record_ttl", "1"),
        ("amount/x~y", "1"),
    ],
)
def test_a_wrong_missing_or_unknown_field_is_named(client, harness, field, text):
    answer = refused(client, harness, 422, body(**{field: text}))
    assert set(answer.fields) == {"/" + field.replace("~", "~0").replace("/", "~1")}


def test_all_wrong_fields_are_named_at_once(client, harness):
    answer = refused(client, harness, 422, '{"merchant_id": 1, "amount": "x", "extra": true}')
    assert sorted(answer.fields) == ["/amount", "/currency", "/extra", "/merchant_id"]


def test_problems_never_repeat_what_was_sent(client, harness):
    secret = "4111111111111111"
    answer = refused(
        client, harness, 422, body(merchant_id=f'"\\u0000{secret}"', amount=secret + "00", currency=f'"{secret}"')
    )
    assert secret not in answer.body + str(answer.headers)


@pytest.mark.parametrize(
    "sent",
    [
        "",
        " ",
        "{",
        "order",
        "{'merchant_id': 1}",
        GOOD_ORDER + "{}",
        "\ufeff" + GOOD_ORDER,
        "[" * 8000,
        '{"a":' * 3000,
        b"\xff\xfe",
        GOOD_ORDER.encode("utf-16"),
        "\ud800",
    ],
)
def test_a_body_that_is_not_json_is_refused(client, harness, sent):
    refused(client, harness, 400, sent)


@pytest.mark.parametrize("sent", ["null", "[]", "1", '"order"', "true", "[" * 200 + "]" * 200, "1e400"])
def test_a_body_that_is_not_an_object_is_refused(client, harness, sent):
    assert refused(client, harness, 422, sent).fields == [""]


def test_a_repeated_field_is_refused(client, harness):
    """JSON parsers disagree on which value counts, so two systems could see different orders."""
    answer = refused(client, harness, 400, GOOD_ORDER[:-1] + ', "amount": 1}')
    assert answer.fields == ["/amount"]


@pytest.mark.parametrize("size", [16_385, 100_000])
@pytest.mark.parametrize("kind", [str, bytes])
def test_a_body_over_the_limit_is_refused(client, harness, size, kind):
    sent = GOOD_ORDER.ljust(size)
    refused(client, harness, 413, sent if kind is str else sent.encode())


def test_a_body_at_the_limit_is_accepted(client):
    assert client.post(GOOD_ORDER.ljust(16_384).encode()).status == 201
    assert client.post(GOOD_ORDER.ljust(16_384)).status == 201


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/merge-patch+json",
        "application/jsonx",
        "application/json; charset=latin-1",
        "application/json; version=2",
        "application/json, text/plain",
    ],
)
def test_another_content_type_is_refused(client, harness, content_type):
    answer = refused(client, harness, 415, GOOD_ORDER, Content_Type=content_type)
    assert answer.fields == ["content-type"]
    assert answer.headers["accept"] == "application/json"


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json; charset=utf-8",
        'APPLICATION/JSON ; Charset="UTF-8"',
        "application/json;charset=utf8",
        "application/json;",
    ],
)
def test_content_type_may_state_the_charset_utf8(client, content_type):
    assert client.post(Content_Type=content_type).status == 201


def test_a_missing_content_type_and_a_missing_body_are_refused(client, harness):
    assert client("POST", headers={}).status == 415
    assert client("POST", headers={"content-type": "application/json"}).status == 400
    assert harness.everything() == ([], [])


def test_a_base64_body_is_decoded(client, harness):
    assert client.post(GOOD_ORDER.encode()).status == 201
    assert client("POST", body="%%%", isBase64Encoded=True).status == 400
    assert len(harness.items()) == 1


def test_query_parameters_are_refused(client, harness):
    assert client("POST", body=GOOD_ORDER, query={"x": "1"}).fields == ["query"]
    assert harness.everything() == ([], [])


def test_nothing_is_written_without_credentials(make_api, client, harness):
    client.authorization = basic("foo", "wrong")
    refused(client, harness, 401, GOOD_ORDER)
