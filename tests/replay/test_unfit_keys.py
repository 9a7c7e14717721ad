"""A replay parks a record whose key fits no row, whatever became of other items."""

from __future__ import annotations

from typing import Any

import pytest

from common.layout import QUARANTINE
from tests.support.item_tables import mapping_of
from tests.support.records import START, record
from tests.support.replay import Dataset, ReplayHarness

BADGES = Dataset(
    mapping_of(
        "badges",
        {
            "partition_key": {"attribute": "pk", "type": "string"},
            "entities": {
                "badge": {
                    "target": {
                        "table": "badges",
                        "key": {"partition_key": "{id}#BADGE"},
                        "key_columns": [{"column": "id", "type": "string", "length": 20}],
                    },
                    "columns": [{"column": "seq", "from": ["seq"], "type": "int"}],
                }
            },
        },
    ),
    {},
    lambda *_: {},
)


def change(pk: str, sequence: int) -> dict[str, Any]:
    made = record("", sequence, "INSERT", time=START + sequence)
    body = made["dynamodb"]
    body["Keys"] = {"pk": {"S": pk}}
    body["NewImage"] = body["Keys"] | {"seq": {"N": str(sequence)}}
    return made


@pytest.mark.parametrize("records", [[change("7", 1), change("7#BADGE", 2)], [change("7#BADGE", 2), change("7", 1)]])
def test_a_row_of_the_same_text_supersedes_no_unfit_key(make_harness: Any, records: list[dict[str, Any]]):
    """The text of a key that fits no row may be that of another item's row. Versions of two items say nothing."""
    harness: ReplayHarness = make_harness(dataset=BADGES, concurrency=1)
    harness.put_batch([change("7#BADGE", 9)])
    harness.replay()
    harness.put_batch(records)

    counts = harness.replay()["counts"]

    assert (counts["parked"], counts["stale"], counts["settled"]) == (1, 1, 1)
    [name] = harness.keys(QUARANTINE)
    assert harness.bucket.read_json(name)["record"] == change("7", 1)
