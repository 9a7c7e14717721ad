"""The writes of a seed: they never overwrite what somebody else wrote."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from common.seed_writes import insertion, replacement
from common.seeds import MARK, is_marked, marked

KEY = {"pk": {"S": "a"}, "sk": {"B": "AAE="}}
KEYS = ("pk", "sk")
ITEM = KEY | {"n": {"N": "1"}, "map": {"M": {"x": {"L": [{"B": "AA=="}]}}}, "gone": {"BOOL": True}}
NEW = KEY | {"n": {"N": "2"}, "map": ITEM["map"], "more": {"S": "x"}}


@pytest.fixture
def table() -> Iterator[Any]:
    """A client with its table as the only one."""
    with mock_aws():
        client = boto3.client("dynamodb")
        client.create_table(
            TableName="t",
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            AttributeDefinitions=[
                {"AttributeName": "pk", "AttributeType": "S"},
                {"AttributeName": "sk", "AttributeType": "B"},
            ],
            BillingMode="PAY_PER_REQUEST",
        )
        yield client


def stored(client: Any) -> dict[str, Any]:
    return client.get_item(TableName="t", Key={"pk": {"S": "a"}, "sk": {"B": b"\0\1"}}).get("Item", {})


def change(client: Any, expression: str, **values: Any) -> None:
    """Another writer changes the item and keeps its mark."""
    client.update_item(
        TableName="t",
        Key={"pk": {"S": "a"}, "sk": {"B": b"\0\1"}},
        UpdateExpression=expression,
        **({"ExpressionAttributeValues": values} if values else {}),
    )


def refused(write: Any, **arguments: Any) -> bool:
    try:
        write(TableName="t", **arguments)
    except ClientError as error:
        return bool(error.response["Error"]["Code"] == "ConditionalCheckFailedException")
    return False


def test_an_item_is_inserted_once(table: Any):
    one, two = (insertion(marked(item, "m", "one"), "pk") for item in (ITEM, NEW))

    assert [refused(table.put_item, **one), refused(table.put_item, **two)] == [False, True]
    assert is_marked(stored(table), "m"), "in the form in which boto3 gives bytes"
    assert stored(table)["n"] == {"N": "1"}


def test_an_untouched_item_is_replaced_whole(table: Any):
    old = marked(ITEM, "m", "one")
    table.put_item(TableName="t", **insertion(old, "pk"))

    assert not refused(table.update_item, **replacement(marked(NEW, "m", "two"), old, KEYS))

    found = stored(table)
    assert (found.keys(), found["n"]) == ({*NEW, MARK}, {"N": "2"})
    assert is_marked(found, "m")


@pytest.mark.parametrize(
    "expression", ["SET n = :v", "REMOVE gone", "REMOVE backstream_seed"], ids=["changed", "removed", "mark dropped"]
)
def test_an_item_that_somebody_changed_is_left_alone(table: Any, expression: str):
    """Even if the new item has the value that the other writer wrote."""
    old = marked(ITEM, "m", "one")
    table.put_item(TableName="t", **insertion(old, "pk"))
    change(table, expression, **({":v": {"N": "2"}} if ":v" in expression else {}))
    before = stored(table)

    assert refused(table.update_item, **replacement(marked(NEW, "m", "two"), old, KEYS))

    assert stored(table) == before


def test_an_added_attribute_that_the_row_has_too_stays(table: Any):
    """Somebody else has set it since the item was read. The item is read again, and is theirs."""
    old = marked(ITEM, "m", "one")
    table.put_item(TableName="t", **insertion(old, "pk"))
    change(table, "SET more = :v", **{":v": {"S": "mine"}})
    before = stored(table)

    assert refused(table.update_item, **replacement(marked(NEW, "m", "two"), old, KEYS))

    assert stored(table) == before


def test_an_item_that_somebody_deleted_does_not_come_back(table: Any):
    assert refused(table.update_item, **replacement(marked(NEW, "m", "two"), marked(ITEM, "m", "one"), KEYS))

    assert stored(table) == {}


def test_an_attribute_that_was_added_meanwhile_stays(table: Any):
    """Its change is no echo: the consumer writes the row of the item."""
    old = marked(ITEM, "m", "one")
    table.put_item(TableName="t", **insertion(old, "pk"))
    change(table, "SET note = :v", **{":v": {"S": "mine"}})

    assert not refused(table.update_item, **replacement(marked(NEW, "m", "two"), old, KEYS))

    assert stored(table)["note"] == {"S": "mine"}
    assert not is_marked(stored(table), "m")
