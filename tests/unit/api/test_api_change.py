"""PATCH and DELETE: preconditions, and no lost update."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.unit.api.harness import NOW, THREE_DAYS, Client, PatchedClient, basic, stored_item

PAID = '{"status": "PAID"}'


def item(**attributes: dict[str, str]) -> dict[str, Any]:
    return stored_item() | attributes


def refused(code: str, retries: int = 0) -> ClientError:
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": {"RetryAttempts": retries}}, "UpdateItem")


def test_a_patch_changes_its_fields_and_updated_at(client, harness):
    harness.put()
    harness.clock.now += 60
    answer = client.patch("order-1", PAID)
    later = {"N": str(NOW + 60)}
    assert answer.status == 200
    assert harness.items() == [item(status={"S": "PAID"}, updated_at=later)]
    assert answer.headers["etag"] == client.get("order-1").headers["etag"]
    assert answer.body == client.get("order-1").body


def test_a_patch_may_change_every_field_at_once(client, harness):
    harness.put()
    assert client.patch("order-1", '{"amount": 1.234, "currency": "KWD", "status": "ON_HOLD_2"}').status == 200
    assert harness.items() == [item(amount={"N": "1.234"}, currency={"S": "KWD"}, status={"S": "ON_HOLD_2"})]


def test_merge_patch_is_accepted(client, harness):
    harness.put()
    assert client.patch("order-1", PAID, Content_Type="application/merge-patch+json").status == 200


def test_unknown_attributes_are_preserved(client, harness):
    harness.put(note={"S": "x"}, flags={"SS": ["a", "b"]})
    assert client.patch("order-1", PAID).status == 200
    assert harness.items()[0]["note"] == {"S": "x"}


def test_updated_at_never_decreases(client, harness):
    harness.put(updated_at={"N": str(NOW + 500)})
    assert client.patch("order-1", PAID).json["updated_at"] == NOW + 500


def test_a_patch_does_not_extend_the_ttl(client, harness):
    harness.put()
    harness.clock.now += 1000
    client.patch("order-1", PAID)
    assert harness.items()[0]["record_ttl"] == {"N": str(NOW + THREE_DAYS)}


@pytest.mark.parametrize(
    ("body", "status", "fields"),
    [
        ("{}", 422, [""]),
        ("[]", 422, [""]),
        ('{"status": ""}', 422, ["/status"]),
        ('{"status": "paid"}', 422, ["/status"]),
        ('{"status": "PAID\\n"}', 422, ["/status"]),
        ('{"status": "A' + "B" * 32 + '"}', 422, ["/status"]),
        ('{"status": null}', 422, ["/status"]),
        ('{"amount": 0}', 422, ["/amount"]),
        ('{"amount": 1.001}', 422, ["/amount"]),
        ('{"amount": null}', 422, ["/amount"]),
        ('{"currency": "JPY", "amount": 1.5}', 422, ["/amount"]),
        ('{"currency": "XXX"}', 422, ["/currency"]),
        ('{"merchant_id": "other"}', 422, ["/merchant_id"]),
        ('{"order_id": "other"}', 422, ["/order_id"]),
        ('{"status": "PAID", "status": "NEW"}', 400, ["/status"]),
    ],
)
def test_an_invalid_patch_changes_nothing(client, harness, body, status, fields):
    harness.put()
    answer = client.patch("order-1", body)
    assert (answer.status, sorted(set(answer.fields))) == (status, fields)
    assert harness.items() == [item()]


def test_a_currency_too_coarse_for_the_amount_is_refused(client, harness):
    harness.put(amount={"N": "200.5"})
    assert client.patch("order-1", '{"currency": "JPY"}').fields == ["/currency"]
    assert client.patch("order-1", '{"currency": "JPY", "amount": 200}').status == 200


def test_a_stored_invalid_amount_does_not_block_a_status_patch(client, harness):
    harness.put(amount={"N": "200.12345"})
    assert client.patch("order-1", PAID).status == 200
    assert harness.items()[0]["amount"] == {"N": "200.12345"}


def test_a_delete_removes_the_order(client, harness):
    harness.put()
    harness.put("order-2")
    answer = client.delete("order-1")
    assert (answer.status, answer.body) == (204, "")
    assert [found["p_key"]["S"] for found in harness.items()] == ["order-2"]
    assert client.delete("order-1").status == 404


@pytest.mark.parametrize(
    "change", [lambda c, **h: c.patch("order-1", PAID, **h), lambda c, **h: c.delete("order-1", **h)]
)
class TestIfMatch:
    @pytest.mark.parametrize("form", ["{}", '"x", {}', '{} , "x"', ",, {},", "*"])
    def test_a_matching_tag_allows_the_change(self, client, harness, change, form):
        harness.put()
        tag = client.get("order-1").headers["etag"]
        assert change(client, If_Match=form.format(tag)).status in {200, 204}

    @pytest.mark.parametrize("form", ['"x"', "W/{}", '"x", "y"', '"x,{}"'.replace("{}", "y"), '""'])
    def test_a_tag_that_does_not_match_is_a_412(self, client, harness, change, form):
        harness.put()
        tag = client.get("order-1").headers["etag"]
        assert change(client, If_Match=form.format(tag)).status == 412
        assert harness.items() == [item()]

    @pytest.mark.parametrize("attribute", ["merchant_id", "status", "currency", "s_note"])
    def test_a_tag_is_stale_after_any_change(self, client, harness, change, attribute):
        harness.put()
        tag = client.get("order-1").headers["etag"]
        changed = harness.put(**{attribute: {"S": "CHF"}})
        assert change(client, If_Match=tag).status == 412
        assert harness.items() == [changed]

    @pytest.mark.parametrize(
        "value", ["", "x", '"x', '"x" "y"', "W/", '*, "x"', "'x'", "," * 50 + "x", " " * 5000 + "x"]
    )
    def test_a_malformed_list_is_refused(self, client, harness, change, value):
        harness.put()
        answer = change(client, If_Match=value)
        assert (answer.status, answer.fields) == (400, ["if-match"])
        assert harness.items() == [item()]

    def test_a_missing_order_is_a_404(self, client, harness, change):
        assert change(client).status == 404
        assert change(client, If_Match="*").status == 404
        harness.put(record_ttl={"N": str(NOW)})
        assert change(client).status == 404
        assert len(harness.items()) == 1


class RacingWriter:
    """Changes the order between the API's read and its write, `times` times."""

    def __init__(self, harness: Any, times: int) -> None:
        self.harness = harness
        self.left = times

    def before(self, name: str) -> Any:
        def call(**request: Any) -> Any:
            if self.left:
                self.left -= 1
                self.harness.put(currency={"S": "USD"}, amount={"N": str(1000 + self.left)})
            return getattr(self.harness.dynamodb, name)(**request)

        return call

    def client(self, make_api: Any) -> Client:
        methods = {name: self.before(name) for name in ("update_item", "delete_item")}
        return Client(make_api(PatchedClient(self.harness.dynamodb, **methods)), basic())


def test_a_patch_that_loses_a_race_is_applied_to_the_newer_order(make_api, harness):
    harness.put()
    answer = RacingWriter(harness, 3).client(make_api).patch("order-1", PAID)
    assert answer.status == 200
    assert harness.items() == [item(status={"S": "PAID"}, currency={"S": "USD"}, amount={"N": "1000"})]


def test_a_patch_that_loses_a_race_is_validated_again(make_api, harness):
    """Each change is valid alone; together they would leave an amount that its currency does not allow."""
    harness.put()
    changed = item(currency={"S": "JPY"})

    def update(**request: Any) -> Any:
        harness.put(currency={"S": "JPY"})
        return harness.dynamodb.update_item(**request)

    client = Client(make_api(PatchedClient(harness.dynamodb, update_item=update)), basic())
    assert client.patch("order-1", '{"amount": 10.50}').fields == ["/amount"]
    assert harness.items() == [changed]


def test_a_delete_that_loses_a_race_is_repeated(make_api, harness):
    harness.put()
    assert RacingWriter(harness, 3).client(make_api).delete("order-1").status == 204
    assert harness.items() == []


@pytest.mark.parametrize(
    "change", [lambda c, **h: c.patch("order-1", PAID, **h), lambda c, **h: c.delete("order-1", **h)]
)
def test_with_if_match_a_lost_race_is_a_412(make_api, harness, change):
    harness.put()
    client = RacingWriter(harness, 1).client(make_api)
    assert change(client, If_Match=client.get("order-1").headers["etag"]).status == 412
    assert harness.items() == [item(currency={"S": "USD"}, amount={"N": "1000"})]


@pytest.mark.parametrize("change", [lambda c: c.patch("order-1", PAID), lambda c: c.delete("order-1")])
def test_a_race_that_is_always_lost_is_a_409(make_api, harness, change):
    harness.put()
    assert change(RacingWriter(harness, 99).client(make_api)).status == 409
    assert harness.items()[0]["status"] == {"S": "NEW"}


def test_a_patch_does_not_recreate_a_deleted_order(make_api, harness):
    harness.put()

    def update(**request: Any) -> Any:
        harness.clear()
        return harness.dynamodb.update_item(**request)

    client = Client(make_api(PatchedClient(harness.dynamodb, update_item=update)), basic())
    assert client.patch("order-1", PAID).status == 404
    assert harness.items() == []


def test_a_transaction_on_the_same_order_is_a_lost_race(make_api, harness):
    harness.put()
    errors = iter([refused("TransactionConflictException")])

    def update(**request: Any) -> Any:
        for error in errors:
            raise error
        return harness.dynamodb.update_item(**request)

    client = Client(make_api(PatchedClient(harness.dynamodb, update_item=update)), basic())
    assert client.patch("order-1", PAID).status == 200


class LostResponse:
    """Executes the write, then fails as botocore's retry of it would: the condition is no longer met."""

    def __init__(self, harness: Any) -> None:
        self.harness = harness

    def once(self, name: str) -> Any:
        def call(**request: Any) -> Any:
            getattr(self.harness.dynamodb, name)(**request)
            raise refused("ConditionalCheckFailedException", retries=1)

        return call

    def client(self, make_api: Any) -> Client:
        methods = {name: self.once(name) for name in ("put_item", "update_item", "delete_item")}
        return Client(make_api(PatchedClient(self.harness.dynamodb, **methods)), basic())


def test_a_write_whose_response_was_lost_is_recognised(make_api, harness):
    client = LostResponse(harness).client(make_api)
    order_id = client.post().json["order_id"]
    assert [found["p_key"]["S"] for found in harness.items()] == [order_id]
    tag = client.get(order_id).headers["etag"]
    patched = client.patch(order_id, PAID, If_Match=tag)
    assert (patched.status, patched.json["status"]) == (200, "PAID")
    assert client.delete(order_id, If_Match=patched.headers["etag"]).status == 204
    assert harness.items() == []


def test_an_existing_order_is_never_overwritten(make_api, harness):
    taken = harness.put("00000000-0000-4000-8000-000000000001")
    assert Client(make_api(), basic()).post('{"merchant_id": "m", "amount": 1, "currency": "EUR"}').status == 500
    assert harness.items() == [taken]
