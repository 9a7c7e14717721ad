"""GET: one order, and the pages of a merchant's orders."""

from __future__ import annotations

import base64
import json
from decimal import Decimal
from itertools import chain

import pytest

from tests.unit.api.harness import NOW, stored_item


def test_an_order_is_returned_with_its_exact_amount(client, harness):
    harness.put(amount={"N": "999999999999999.99"})
    answer = client.get("order-1")
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert json.loads(answer.body, parse_float=Decimal) == {
        "order_id": "order-1",
        "merchant_id": "merchant-102",
        "amount": Decimal("999999999999999.99"),
        "currency": "INR",
        "status": "NEW",
        "created_at": NOW,
        "updated_at": NOW,
    }


@pytest.mark.parametrize(
    ("stored", "currency", "shown"),
    [
        ("200", "INR", "200.00"),
        ("200", "JPY", "200"),
        ("0.5", "KWD", "0.500"),
        ("2E+2", "EUR", "200.00"),
        ("1.23456", "EUR", "1.23456"),
        ("5", "ZZZ", "5"),
    ],
)
def test_an_amount_has_the_decimals_of_its_currency(client, harness, stored, currency, shown):
    harness.put(amount={"N": stored}, currency={"S": currency})
    assert f'"amount": {shown}}}' in client.get("order-1").body


@pytest.mark.parametrize("order_id", ["order-2", "a b", "a.b", "ä", "x" * 65, "-", "..", "order-1/x", "order-1/", ""])
def test_an_unknown_or_malformed_id_is_not_found(client, harness, order_id):
    harness.put()
    assert client("GET", f"/v1/orders/{order_id}").status == 404


def test_an_expired_order_is_not_found_before_its_deletion(client, harness):
    harness.put(record_ttl={"N": str(NOW + 1)})
    assert client.get("order-1").status == 200
    harness.clock.now += 1
    assert client.get("order-1").status == 404


def test_an_order_without_a_ttl_does_not_expire(client, harness):
    harness.put(record_ttl=None)
    assert client.get("order-1").status == 200
    assert len(client.list(merchant_id="merchant-102").json["orders"]) == 1


def test_the_etag_depends_on_values_not_on_their_spelling(client, harness):
    harness.put()
    tag = client.get("order-1").headers["etag"]
    harness.put(amount={"N": "200.00"})
    assert client.get("order-1").headers["etag"] == tag
    harness.put(amount={"N": "200.01"})
    assert client.get("order-1").headers["etag"] != tag
    assert tag.startswith('"')


@pytest.mark.parametrize("form", ["{}", "W/{}", '"x", {}', "*"])
def test_if_none_match_with_the_current_tag_is_a_304(client, harness, form):
    harness.put()
    tag = client.get("order-1").headers["etag"]
    answer = client.get("order-1", If_None_Match=form.format(tag))
    assert (answer.status, answer.body, answer.headers["etag"]) == (304, "", tag)


def test_if_none_match_with_another_tag_returns_the_order(client, harness):
    harness.put()
    assert client.get("order-1", If_None_Match='"x"').status == 200
    assert client.get("order-1", If_None_Match="x").status == 400
    assert client.get("order-1", If_Match='"x"').status == 412


def test_no_response_may_be_cached(client, harness):
    harness.put()
    answers = [client.get("order-1"), client.get("x"), client.post(), client.list(merchant_id="m")]
    assert {answer.headers["cache-control"] for answer in answers} == {"no-store"}


def ids(answer) -> list[str]:
    assert answer.status == 200, answer.body
    return [order["order_id"] for order in answer.json["orders"]]


def fill(harness, count: int, **attributes) -> list[str]:
    """Store orders of one merchant, three a second; return their ids, newest first."""
    for n in range(count):
        harness.put(f"order-{n:03}", created_at={"N": str(NOW + n // 3)}, **attributes)
    return [f"order-{n:03}" for n in reversed(range(count))]


def pages(client, **query) -> list[list[str]]:
    found, cursor = [], {}
    while True:
        answer = client.list(**query, **cursor)
        found.append(ids(answer))
        if "next_cursor" not in answer.json:
            return found
        cursor = {"cursor": answer.json["next_cursor"]}


def test_orders_are_listed_newest_first(client, harness):
    harness.put("old", created_at={"N": str(NOW - 5)})
    harness.put("new", created_at={"N": str(NOW + 5)})
    harness.put("middle")
    harness.put("foreign", merchant_id={"S": "other"})
    answer = client.list(merchant_id="merchant-102")
    assert ids(answer) == ["new", "middle", "old"]
    assert answer.json["orders"][1] == client.get("middle").json
    assert ids(client.list(merchant_id="nobody")) == []


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 50, 99, 100])
def test_pages_list_each_order_once_and_only_the_last_is_short(client, harness, limit):
    everything = fill(harness, 50)
    found = pages(client, merchant_id="merchant-102", limit=str(limit))
    assert sorted(chain.from_iterable(found)) == sorted(everything)
    assert all(len(page) == limit for page in found[:-1])
    assert 0 < len(found[-1]) <= limit


def test_the_default_page_size_is_twenty(client, harness):
    fill(harness, 21)
    assert [len(page) for page in pages(client, merchant_id="merchant-102")] == [20, 1]


def test_expired_orders_neither_appear_nor_shorten_a_page(client, harness):
    fill(harness, 30, record_ttl={"N": str(NOW)})
    alive = [f"alive-{n}" for n in range(12)]
    for n, order_id in enumerate(alive):
        harness.put(order_id, created_at={"N": str(NOW - 50 + n * 10)})
    found = pages(client, merchant_id="merchant-102", limit="4")
    assert [len(page) for page in found] == [4, 4, 4]
    assert list(chain.from_iterable(found)) == alive[::-1]


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ({}, ["merchant_id"]),
        ({"merchant_id": ""}, ["merchant_id"]),
        ({"merchant_id": " m"}, ["merchant_id"]),
        ({"merchant_id": "m" * 65}, ["merchant_id"]),
        ({"merchant_id": "ä"}, ["merchant_id"]),
        ({"merchant_id": "m", "limit": "0"}, ["limit"]),
        ({"merchant_id": "m", "limit": "101"}, ["limit"]),
        ({"merchant_id": "m", "limit": "-1"}, ["limit"]),
        ({"merchant_id": "m", "limit": "1.0"}, ["limit"]),
        ({"merchant_id": "m", "limit": ""}, ["limit"]),
        ({"merchant_id": "m", "limit": "٣"}, ["limit"]),
        ({"merchant_id": "m", "limit": "9" * 5000}, ["limit"]),
        ({"merchant_id": "m", "cursor": ""}, ["cursor"]),
        ({"merchant_id": "m", "cursor": "x"}, ["cursor"]),
        ({"merchant_id": "m", "cursor": "é"}, ["cursor"]),
        ({"merchant_id": "m", "cursor": base64.urlsafe_b64encode(b"1 2").decode()}, ["cursor"]),
        ({"merchant_id": "m", "cursor": base64.urlsafe_b64encode(b"1 order-1 other").decode()}, ["cursor"]),
        ({"merchant_id": "m", "cursor": base64.urlsafe_b64encode(b"1e5 order-1 m").decode()}, ["cursor"]),
        ({"merchant_id": "m", "cursor": base64.urlsafe_b64encode(b"\xff").decode()}, ["cursor"]),
        ({"merchant_id": "m", "offset": "1"}, ["query"]),
        ({"merchant_id": ["m", "m"]}, ["merchant_id"]),
        ({"merchant_id": "m", "limit": ["1", "2"]}, ["limit"]),
    ],
)
def test_an_invalid_query_parameter_is_refused_by_name(client, query, fields):
    answer = client.list(**query)
    assert (answer.status, sorted(set(answer.fields))) == (400, fields)


def test_a_cursor_of_another_merchant_is_refused(client, harness):
    fill(harness, 3)
    cursor = client.list(merchant_id="merchant-102", limit="1").json["next_cursor"]
    assert client.list(merchant_id="merchant-10", cursor=cursor).status == 400


def test_a_cursor_outlives_its_order(client, harness):
    everything = fill(harness, 6)
    first = client.list(merchant_id="merchant-102", limit="3")
    for order_id in ids(first):
        client.delete(order_id)
    rest = client.list(merchant_id="merchant-102", cursor=first.json["next_cursor"])
    assert sorted(ids(rest)) == sorted(set(everything) - set(ids(first)))


def test_a_listed_order_equals_the_order_read(client, harness):
    assert stored_item().keys() == harness.put().keys()
    assert client.list(merchant_id="merchant-102").json["orders"][0] == client.get("order-1").json
