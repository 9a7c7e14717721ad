"""Idempotency-Key: one key creates one order, however often it is sent."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from botocore.exceptions import ClientError

from api import idempotency
from api.order import NewOrder
from tests.unit.api.harness import GOOD_ORDER, IDEMPOTENCY_TABLE, NOW, Client, PatchedClient, basic

OTHER_ORDER = GOOD_ORDER.replace("200.00", "200.01")


def canceled(*codes: str) -> ClientError:
    reasons = [{"Code": code} for code in codes]
    error = {"Code": "TransactionCanceledException", "Message": ""}
    return ClientError({"Error": error, "CancellationReasons": reasons}, "TransactWriteItems")


def test_the_same_key_and_body_give_the_same_order(client, harness):
    first = client.post(Idempotency_Key='"key-1"')
    before = harness.everything()
    again = client.post(Idempotency_Key='"key-1"')
    assert (again.status, again.json) == (201, first.json)
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert again.headers["location"] == first.headers["location"]
    assert harness.everything() == before


def test_a_key_record_contains_only_hashes(client, harness):
    client.post(Idempotency_Key='"key-1"')
    (claim,) = harness.items(IDEMPOTENCY_TABLE)
    assert claim["order_id"] == harness.items()[0]["p_key"]
    assert claim["record_ttl"] == {"N": str(NOW + 86_400)}
    assert sorted(claim) == ["fingerprint", "order_id", "p_key", "record_ttl"]
    assert not {"key-1", "foo", "merchant-102"} & set(str(claim).replace("'", " ").split())


def test_the_fingerprint_is_that_of_every_release(client, harness):
    """A key that an older release recorded must match after an upgrade, or its client creates a second order."""
    client.post(Idempotency_Key="k")
    (record,) = harness.items(IDEMPOTENCY_TABLE)
    text = "merchant-102\x1f200.00\x1fINR"
    assert record["fingerprint"] == {"S": hashlib.sha256(text.encode()).hexdigest()}


def test_a_field_of_a_later_release_counts_where_it_was_sent():
    @dataclass(frozen=True)
    class LaterOrder(NewOrder):
        note: str | None = None

    plain = ("merchant-102", Decimal("200.00"), "INR")
    fingerprints = [
        idempotency.record({"idempotency-key": "k"}, "client", order).fingerprint
        for order in (NewOrder(*plain), LaterOrder(*plain), LaterOrder(*plain, "a"), LaterOrder(*plain, "b"))
    ]
    assert fingerprints[0] == fingerprints[1]
    assert len(set(fingerprints)) == 3


@pytest.mark.parametrize(
    "same",
    [
        '{"currency":"INR","amount":2e2,"merchant_id":"merchant-102"}',
        GOOD_ORDER.replace("200.00", "200"),
        GOOD_ORDER.encode(),
    ],
)
def test_equal_orders_match_however_their_json_is_written(client, harness, same):
    first = client.post(Idempotency_Key="k")
    assert client.post(same, Idempotency_Key="k").json == first.json
    assert len(harness.items()) == 1


@pytest.mark.parametrize("other", [OTHER_ORDER, GOOD_ORDER.replace("INR", "USD"), GOOD_ORDER.replace("102", "103")])
def test_the_same_key_with_another_body_is_refused(client, harness, other):
    client.post(Idempotency_Key="k")
    before = harness.everything()
    answer = client.post(other, Idempotency_Key="k")
    assert (answer.status, answer.fields) == (422, ["idempotency-key"])
    assert harness.everything() == before


def test_a_refused_body_does_not_use_up_the_key(client, harness):
    assert client.post("{}", Idempotency_Key="k").status == 422
    assert client.post(Idempotency_Key="k").status == 201


def test_quotes_are_optional(client, harness):
    first = client.post(Idempotency_Key='"a-key"')
    assert client.post(Idempotency_Key="a-key").json == first.json
    assert client.post(Idempotency_Key=r'"with \"quotes\" and \\"').status == 201
    assert len(harness.items()) == 2


@pytest.mark.parametrize(
    "key",
    [
        "",
        " ",
        '""',
        '"',
        '"a',
        'a"',
        '"a" ; b',
        "a b",
        "a,b",
        "é",
        '"é"',
        '"\\a"',
        "k" * 256,
        f'"{"k" * 256}"',
        "a\x00",
    ],
)
def test_a_malformed_key_is_refused(client, harness, key):
    answer = client.post(Idempotency_Key=key)
    assert (answer.status, answer.fields) == (400, ["idempotency-key"])
    assert harness.everything() == ([], [])


def test_the_longest_key_is_accepted(client):
    assert client.post(Idempotency_Key="k" * 255).status == 201


def test_clients_do_not_share_keys(make_api, harness):
    names = iter(["alice", "bob"])
    client = Client(make_api(authenticate=lambda _: next(names)), None)
    assert client.post(Idempotency_Key="k").json != client.post(Idempotency_Key="k").json
    assert len(harness.items()) == 2


def test_a_client_and_key_never_match_another_pair(make_api, harness):
    """Client `a` with key `bk` is not client `ab` with key `k`."""
    names = iter(["a", "ab"])
    client = Client(make_api(authenticate=lambda _: next(names)), None)
    assert client.post(Idempotency_Key="bk").json != client.post(Idempotency_Key="k").json
    assert len(harness.items()) == len(harness.items(IDEMPOTENCY_TABLE)) == 2


def test_a_conflict_does_not_return_the_order_of_an_expired_key(make_api, client, harness):
    """A transaction may fail for another reason while the expired record still exists."""
    first = client.post(Idempotency_Key="k")
    harness.clock.now += 86_400
    conflicts = iter([canceled("None", "TransactionConflict")])

    def transact(**request: Any) -> Any:
        for error in conflicts:
            raise error
        return harness.dynamodb.transact_write_items(**request)

    late = Client(make_api(PatchedClient(harness.dynamodb, transact_write_items=transact)), basic())
    second = late.post(OTHER_ORDER, Idempotency_Key="k")
    assert (second.status, second.json == first.json) == (201, False)
    assert "idempotency-replayed" not in second.headers
    assert len(harness.items()) == 2


def test_an_expired_key_is_a_new_key(client, harness):
    """DynamoDB deletes expired records late; `record_ttl` decides."""
    first = client.post(Idempotency_Key="k")
    harness.clock.now += 86_399
    assert client.post(Idempotency_Key="k").json == first.json
    harness.clock.now += 1
    second = client.post(OTHER_ORDER, Idempotency_Key="k")
    assert (second.status, second.json == first.json) == (201, False)
    assert "idempotency-replayed" not in second.headers


def test_concurrent_requests_with_one_key_create_one_order(client, harness):
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: client.post(Idempotency_Key="k"), range(24)))
    assert {answer.status for answer in answers} == {201}
    assert {answer.json["order_id"] for answer in answers} == {harness.items()[0]["p_key"]["S"]}
    assert len(harness.items()) == len(harness.items(IDEMPOTENCY_TABLE)) == 1


def test_concurrent_requests_with_different_bodies_create_one(client, harness):
    bodies = [GOOD_ORDER, OTHER_ORDER] * 8
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda body: client.post(body, Idempotency_Key="k"), bodies))
    assert sorted({answer.status for answer in answers}) == [201, 422]
    assert len(harness.items()) == 1


@pytest.mark.parametrize("codes", [("None", "TransactionConflict"), ()])
def test_a_request_waits_for_one_in_progress_with_the_same_key(make_api, harness, codes):
    """Until the other transaction commits there is no record to read, so the request retries."""
    rival = Client(make_api(), basic())
    conflicts = iter([canceled(*codes), canceled(*codes)])

    def transact(**request: Any) -> Any:
        error = next(conflicts, None)
        if error:
            raise error
        rival.post(Idempotency_Key="k")
        return harness.dynamodb.transact_write_items(**request)

    client = Client(make_api(PatchedClient(harness.dynamodb, transact_write_items=transact)), basic())
    answer = client.post(Idempotency_Key="k")
    assert (answer.status, answer.headers["idempotency-replayed"]) == (201, "true")
    assert [item["p_key"]["S"] for item in harness.items()] == [answer.json["order_id"]]
    assert harness.pauses == [0.05, 0.1]


def test_an_endless_conflict_is_a_409(make_api, harness):
    def transact(**_: Any) -> Any:
        raise canceled("None", "TransactionConflict")

    client = Client(make_api(PatchedClient(harness.dynamodb, transact_write_items=transact)), basic())
    assert client.post(Idempotency_Key="k").status == 409
    assert harness.everything() == ([], [])
    assert sum(harness.pauses) < 5


def test_a_throttled_transaction_is_a_503(make_api, harness):
    def transact(**_: Any) -> Any:
        raise canceled("ThrottlingError", "None")

    client = Client(make_api(PatchedClient(harness.dynamodb, transact_write_items=transact)), basic())
    assert client.post(Idempotency_Key="k").status == 503
    assert harness.pauses == []
