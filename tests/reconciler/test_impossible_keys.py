"""Rows whose keys no item can have, because DynamoDB refuses the key."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.item_tables import mapping_of
from tests.support.replay import Dataset
from tests.support.verify import VerifyHarness

LONGEST = 700
MAPPING = mapping_of(
    "club",
    {
        "partition_key": {"attribute": "pk", "type": "string"},
        "sort_key": {"attribute": "sk", "type": "string"},
        "entities": {
            "member": {
                "target": {
                    "table": "club_member",
                    "key": {"partition_key": "CLUB#{club}", "sort_key": "{id}"},
                    "key_columns": [
                        {"column": "club", "type": "int"},
                        {"column": "id", "type": "string", "length": LONGEST},
                    ],
                },
                "columns": [{"column": "nickname", "from": ["nickname"], "type": "string", "length": 40}],
            }
        },
    },
)


@pytest.fixture
def club(server: Any, tables: Any) -> Iterator[VerifyHarness]:
    harness = VerifyHarness(server, tables, dataset=Dataset(MAPPING, {}, None))
    yield harness
    harness.tables.run("DROP TABLE club_member")
    harness.database.drop()


@pytest.mark.parametrize("key", ["", "\u00e9" * LONGEST], ids=["empty", "too long"])
def test_a_key_that_dynamodb_refuses_is_a_strangers(club: VerifyHarness, key: str) -> None:
    """A legacy row may have it. Its item is not asked for: DynamoDB would refuse the whole request."""
    club.table.put({"pk": {"S": "CLUB#1"}, "sk": {"S": "a"}, "nickname": {"S": "ann"}})
    club.load()
    club.tables.run(f"INSERT INTO club_member VALUES (1, '{key}', 'x')")
    report = club.verify(repair=True, delete_strangers=True)
    assert [(one["kind"], one["reason"]) for one in report["findings"]] == [
        ("stranger", "no item can have this key under the mapping")
    ]
    assert (report["outcome"], report["counts"]["strangers"]) == ("complete", 1)
