"""The items of a scanned page are decoded on demand, to what the JSON of the whole answer says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from moto import mock_aws

from common.mapping import load
from common.raw_items import keep_items_raw
from common.records import parse_items
from reconciler.page_items import PageItems, decode_scan
from scripts.bench.stored_table import item_of

ORDERS = load()
KEYS = [f"{number:08x}-e2cb-4c7f-9b0e-0d4c9c2a7e11" for number in range(3)]

TEXTS = st.text(st.characters(exclude_categories=()))  # also halves of surrogate pairs
VALUES = st.recursive(
    TEXTS | st.booleans() | st.none() | st.integers(-(2**63), 2**63 - 1),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=10,
)
ITEMS = st.lists(st.dictionaries(TEXTS, VALUES, max_size=4), max_size=5)


def answer(**fields: Any) -> bytes:
    return json.dumps({"Count": 3, "ConsumedCapacity": {"CapacityUnits": 1.5}, **fields}).encode()


@given(ITEMS, st.booleans())
@example(items=[{"\ud800": None}], ascii_only=False)  # in a name, msgspec raises another error
def test_items_are_what_json_says(items: list[Any], ascii_only: bool) -> None:
    """Also texts that are half of a surrogate pair: their column refuses them, with its reason."""
    text = json.dumps({"Items": items}, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    expected = json.loads(text)["Items"]
    found = decode_scan(text)["Items"]
    assert list(found) == expected
    assert [found[index] for index in range(len(found))] == found[:] == expected


def test_the_rest_of_an_answer_is_as_dynamodb_sent_it() -> None:
    """Where the next page begins, and what was consumed."""
    whole = {"ScannedCount": 3, "LastEvaluatedKey": {"p": {"S": "a"}}}
    found = decode_scan(answer(Items=[], **whole))
    assert list(found.pop("Items")) == []
    assert found == {"Count": 3, "ConsumedCapacity": {"CapacityUnits": 1.5}, **whole}


def test_an_answer_of_another_shape_is_decoded_whole() -> None:
    """What becomes of it must not depend on the decoder."""
    assert decode_scan(answer(Items={})) == json.loads(answer(Items={}))
    assert "Items" not in decode_scan(answer())
    with pytest.raises(json.JSONDecodeError):
        decode_scan(b"<html>")


def test_an_item_is_decoded_only_when_it_is_needed() -> None:
    """A page of decoded items overflows the processor's cache."""
    broken = decode_scan(b'{"Items":[{"p":{"S":"a"}},{"p":{"S":"\xff"}}]}')["Items"]
    assert isinstance(broken, PageItems)
    assert (len(broken), next(iter(broken))) == (2, {"p": {"S": "a"}})
    with pytest.raises(UnicodeDecodeError):
        list(broken)


def test_changes_of_items_keep_only_their_keys() -> None:
    """Otherwise all items of a page would be in memory until it is loaded."""
    made = iter([item_of(KEYS[0]), item_of(KEYS[1]), {**item_of(KEYS[2]), "amount": {"N": "x"}}])
    batch = parse_items(made, ORDERS)
    [parked] = batch.parked
    assert [one.record for one in (*batch.changes, parked)] == [
        {"eventName": "INSERT", "dynamodb": {"Keys": {"p_key": {"S": key}, "s_key": {"S": "ORDER"}}}} for key in KEYS
    ]


@pytest.fixture
def client() -> Iterator[Any]:
    with mock_aws():
        made = boto3.client("dynamodb", region_name="us-east-1")
        made.create_table(
            TableName="t",
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": "p", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "p", "AttributeType": "B"}],
        )
        for number in range(3):
            made.put_item(TableName="t", Item={"p": {"B": bytes([number])}, "set": {"BS": [b"\x01"]}})
        yield made


def test_boto3_gives_the_items_of_either_decoder(client: Any) -> None:
    """A page has the same items, cursor and units, whichever decodes it."""
    asked = {"TableName": "t", "Limit": 2, "ReturnConsumedCapacity": "TOTAL"}
    lazy, whole = (
        keep_items_raw(boto3.client("dynamodb", region_name="us-east-1"), *decoder).scan(**asked)
        for decoder in ((decode_scan,), ())
    )
    assert isinstance(lazy["Items"], PageItems)
    assert list(lazy["Items"]) == whole["Items"]
    for name in ("Count", "LastEvaluatedKey", "ConsumedCapacity"):
        assert lazy[name] == whole[name]
