"""A key attribute that has another type in DynamoDB than in the mapping."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from common.mapping_file import read_text
from common.records import parse_records
from tests.support.records import record

ENTITY: dict[str, Any] = {
    "target": {
        "table": "things",
        "key": {"partition_key": "{id}"},
        "key_columns": [{"column": "id", "type": "string", "length": 20}],
    },
    "columns": [],
}


@pytest.mark.parametrize("when", [{}, {"partition_key": {"starts_with": "A"}}], ids=["decoded", "tested"])
def test_a_key_of_another_type_names_both_types(when: dict[str, Any]):
    """The mapping is wrong, so the hint is to correct it, not the item."""
    if when:
        entity = {**ENTITY, "when": when, "target": {**ENTITY["target"], "key": {"partition_key": "A{id}"}}}
    else:
        entity = ENTITY
    declared = {"partition_key": {"attribute": "pk", "type": "string"}, "entities": {"thing": entity}}
    made = record("any", 1)
    made["dynamodb"] |= {"Keys": {"pk": {"N": "7"}}, "NewImage": {"pk": {"N": "7"}}}

    [parked] = parse_records([made], read_text("things", json.dumps(declared), Path())).parked

    assert parked.reason == "key pk has the type N, and the mapping says S"
    assert parked.hint == "correct the type of this key attribute in the mapping, deploy it, then retry the record"
