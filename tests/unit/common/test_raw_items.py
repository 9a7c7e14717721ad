"""Items as DynamoDB sends them, through boto3 and a real HTTP server or moto."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import boto3
import pytest
from moto import mock_aws

from common.raw_items import keep_items_raw, key_for_request, require_raw

KEY = {"p": {"B": b"\x00\xff"}, "s": {"N": "7"}}
ITEM = KEY | {
    "text": {"S": "ü"},
    "set": {"BS": [b"\x01", b"\x02"]},
    "map": {"M": {"inner": {"B": b"\x03"}}},
    "nothing": {"NULL": True},
}
RAW_KEY = {"p": {"B": b64encode(b"\x00\xff").decode()}, "s": {"N": "7"}}


@pytest.fixture
def client() -> Any:
    with mock_aws():
        made = boto3.client("dynamodb", region_name="us-east-1")
        made.create_table(
            TableName="t",
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": "p", "KeyType": "HASH"}, {"AttributeName": "s", "KeyType": "RANGE"}],
            AttributeDefinitions=[
                {"AttributeName": "p", "AttributeType": "B"},
                {"AttributeName": "s", "AttributeType": "N"},
            ],
        )
        made.put_item(TableName="t", Item=ITEM)
        made.put_item(TableName="t", Item=ITEM | {"s": {"N": "8"}})
        yield keep_items_raw(made)


def test_items_are_as_dynamodb_sends_them(client: Any) -> None:
    """Binary values are base64 texts, as in stream records; all else of the answer is as boto3 gives it."""
    answer = client.scan(TableName="t", Limit=1, ReturnConsumedCapacity="TOTAL")
    require_raw(answer)
    [item] = answer["Items"]
    assert {name: item[name] for name in ("p", "s")} == RAW_KEY
    assert sorted(item["set"]["BS"]) == ["AQ==", "Ag=="]
    assert item["map"] == {"M": {"inner": {"B": "Aw=="}}}
    assert (item["text"], item["nothing"]) == ({"S": "ü"}, {"NULL": True})
    assert answer["LastEvaluatedKey"] == RAW_KEY
    assert answer["ConsumedCapacity"]["CapacityUnits"] > 0
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200


def test_a_raw_key_goes_on_where_a_page_ended(client: Any) -> None:
    """A cursor that was stored as JSON is sent back with its bytes."""
    cursor = client.scan(TableName="t", Limit=1)["LastEvaluatedKey"]
    rest = client.scan(TableName="t", ExclusiveStartKey=key_for_request(cursor))
    assert [item["s"] for item in rest["Items"]] == [{"N": "8"}]
    assert "LastEvaluatedKey" not in rest


def test_items_by_key_are_raw_too(client: Any) -> None:
    """BatchGetItem takes a raw key and returns raw items."""
    answer = client.batch_get_item(RequestItems={"t": {"Keys": [key_for_request(RAW_KEY)], "ConsistentRead": True}})
    require_raw(answer)
    [item] = answer["Responses"]["t"]
    assert item["p"] == RAW_KEY["p"]
    assert answer.get("UnprocessedKeys", {}) == {}


def test_an_error_is_still_an_error(client: Any) -> None:
    """An answer that refuses the request reaches the caller as boto3 makes it."""
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.scan(TableName="absent")


def test_a_boto3_without_the_event_is_refused() -> None:
    """Items with bytes in place of base64 texts would be read as something else."""
    with pytest.raises(RuntimeError, match="boto3 is too old"):
        require_raw({"Items": []})
