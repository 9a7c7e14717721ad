"""Items by their keys: consistently, a hundred at a time, and until DynamoDB has answered all."""

from __future__ import annotations

from typing import Any

import pytest

from common.item_reader import ItemReader


class Client:
    """Answers at most `most` keys of a request, of which it has each item."""

    def __init__(self, most: int = 100) -> None:
        self.most = most
        self.asked: list[int] = []

    def batch_get_item(self, **request: Any) -> dict[str, Any]:
        [(table, given)] = request["RequestItems"].items()
        assert (table, given["ConsistentRead"]) == ("orders", True)
        self.asked.append(len(given["Keys"]))
        answered, left = given["Keys"][: self.most], given["Keys"][self.most :]
        self.most = 100
        unprocessed = {"orders": {"Keys": left}} if left else {}
        return {"Responses": {"orders": answered}, "UnprocessedKeys": unprocessed, "IsRaw": True}


def keys(count: int) -> list[dict[str, Any]]:
    return [{"p_key": {"S": f"k{number}"}} for number in range(count)]


def never(_: float) -> None:
    raise AssertionError("it slept")


def test_keys_are_asked_for_a_hundred_at_a_time():
    client = Client()
    assert ItemReader(client, "orders", never)(keys(250)) == keys(250)
    assert client.asked == [100, 100, 50]


def test_what_is_left_unprocessed_is_asked_for_again():
    """At once, where DynamoDB has answered a part: an answer has at most 16 MB."""
    client = Client(most=30)
    found = ItemReader(client, "orders", never)(keys(150))
    assert sorted(found, key=str) == sorted(keys(150), key=str)
    assert client.asked == [100, 100, 20]


def test_a_request_without_an_answer_waits():
    client, sleeps = Client(most=0), []
    assert ItemReader(client, "orders", sleeps.append)(keys(2)) == keys(2)
    assert sleeps == [0.05]


def test_an_old_boto3_is_refused():
    """It would return items that are not raw."""
    client: Any = type("Old", (), {"batch_get_item": lambda *_, **__: {"Responses": {}}})()
    with pytest.raises(RuntimeError, match="boto3 is too old"):
        ItemReader(client, "orders")(keys(1))
