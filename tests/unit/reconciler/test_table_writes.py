"""The writes of a seed, as boto3 sends them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from common.raw_items import keep_items_raw
from common.seeds import is_marked, marked
from reconciler.table import RefusedError, Table, ThrottledError

KEYS = ("pk", "sk")
ITEM = {"pk": {"S": "a"}, "sk": {"B": "AAE="}, "n": {"N": "1"}, "list": {"L": [{"B": "AA=="}]}}


@pytest.fixture
def table() -> Iterator[Table]:
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
        yield Table(keep_items_raw(client), "t")


def test_an_item_is_inserted_and_replaced_by_its_seed(table: Table):
    """What is read is raw and what is written is not, with one client."""
    first, second = marked(ITEM, "m", "one"), marked(ITEM | {"n": {"N": "2"}}, "m", "two")

    assert [table.insert(first, "pk"), table.insert(second, "pk")] == [1.0, None]
    [stored], _ = table.items([{name: ITEM[name] for name in KEYS}])
    assert (stored, is_marked(stored, "m")) == (first, True)

    assert table.replace(second, stored, KEYS) is not None
    assert table.replace(second, stored, KEYS) is None, "somebody else has changed it"
    assert table.items([{name: ITEM[name] for name in KEYS}])[0] == [second]


def test_an_item_that_dynamodb_refuses_has_an_error_of_its_own(table: Table):
    """The message names no value."""
    with pytest.raises(RefusedError) as error:
        table.insert(marked(ITEM | {"text": {"S": "secret" * 70_000}}, "m", "one"), "pk")
    assert str(error.value) == "ValidationException"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("ProvisionedThroughputExceededException", ThrottledError),
        ("TransactionConflictException", ThrottledError),
        ("ItemCollectionSizeLimitExceededException", RefusedError),
        ("AccessDeniedException", ClientError),
    ],
)
def test_errors_are_of_the_table_of_the_item_or_of_all(code: str, expected: type[Exception]):
    class Client:
        def put_item(self, **_: Any) -> Any:
            raise ClientError({"Error": {"Code": code, "Message": code}}, "PutItem")

    with pytest.raises(expected):
        Table(Client(), "t").insert(marked(ITEM, "m", "one"), "pk")


def test_a_write_that_is_not_counted_is_one_unit():
    class Client:
        def put_item(self, **_: Any) -> Any:
            return {}

    assert Table(Client(), "t").insert(marked(ITEM, "m", "one"), "pk") == 1.0
