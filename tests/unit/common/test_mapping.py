"""The mapping is data; its schema refuses what the writer could not write."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from common.columns.epoch import EpochType
from common.columns.key import KeyType

from common import mapping
from common.columns.decimal import DecimalType
from common.columns.string import StringType
from common.mapping import Column, Table
from scripts.generators import mapping_schema

TABLES = Path(mapping.__file__).parent / "tables"
SCHEMA = json.loads((TABLES / "mapping.schema.json").read_text())
DECLARED = sorted(path for path in TABLES.glob("*.json") if path.name != "mapping.schema.json")
GOOD: dict[str, Any] = {
    "table": "t",
    "sort_key": "ORDER",
    "columns": [
        {"column": "id", "attribute": "p_key", "type": "key", "length": 64},
        {"column": "amount", "attribute": "amount", "type": "decimal", "precision": 19, "scale": 4},
        {"column": "note", "attribute": "note", "type": "string", "length": 10, "nullable": True},
        {"column": "at", "attribute": "at", "type": "epoch"},
    ],
}


def check(declared: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator(SCHEMA).validate(declared)


@pytest.mark.parametrize("path", DECLARED, ids=lambda path: path.name)
def test_every_declared_mapping_fits_the_schema(path: Path):
    check(json.loads(path.read_text()))


def test_the_schema_itself_is_valid():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_the_schema_is_what_the_column_types_say():
    """Otherwise run `python -m scripts.generators.mapping_schema`."""
    assert mapping_schema.render() == mapping_schema.OUTPUT.read_text()


def test_a_good_mapping_is_accepted():
    check(GOOD)


@pytest.mark.parametrize(
    ("where", "what"),
    [
        ("table", "bad-name"),
        ("table", "t` (x) --"),
        ("sort_key", ""),
        ("ttl_attribute", ""),
        ("columns", []),
        ("columns", GOOD["columns"][1:]),
        ("columns", [GOOD["columns"][0], GOOD["columns"][0]]),
        ("extra", 1),
    ],
    ids=["table name", "SQL in a name", "empty sort key", "no ttl", "no columns", "no key", "two keys", "unknown"],
)
def test_a_bad_table_is_refused(where: str, what: Any):
    with pytest.raises(jsonschema.ValidationError):
        check(GOOD | {where: what})


@pytest.mark.parametrize(
    ("column", "changes"),
    [
        (0, {"length": None}),
        (0, {"length": 256}),
        (0, {"nullable": True}),
        (0, {"column": "a`b"}),
        (0, {"attribute": ""}),
        (1, {"precision": None}),
        (1, {"scale": None}),
        (1, {"precision": 39}),
        (1, {"length": 5}),
        (2, {"length": 0}),
        (2, {"length": None}),
        (2, {"precision": 5}),
        (2, {"type": "float"}),
        (2, {"type": None}),
        (2, {"default": "x"}),
        (3, {"scale": 3}),
        (0, {"length": 5, "scale": 3}),
        (0, {"length": "5"}),
    ],
    ids=str,
)
def test_a_bad_column_is_refused(column: int, changes: dict[str, Any]):
    declared = copy.deepcopy(GOOD)
    for name, value in changes.items():
        if value is None:
            del declared["columns"][column][name]
        else:
            declared["columns"][column][name] = value

    with pytest.raises(jsonschema.ValidationError):
        check(declared)


def test_a_required_field_of_a_table_may_not_be_left_out():
    for name in GOOD:
        with pytest.raises(jsonschema.ValidationError, match=f"'{name}' is a required property"):
            check({field: value for field, value in GOOD.items() if field != name})


def test_orders_are_mapped_to_the_columns_of_the_legacy_table():
    assert mapping.load() == Table(
        "tbl_orders",
        "ORDER",
        (
            Column("order_id", "p_key", KeyType(64)),
            Column("merchant_id", "merchant_id", StringType(64)),
            Column("amount", "amount", DecimalType(19, 4)),
            Column("currency", "currency", StringType(3)),
            Column("status", "status", StringType(32)),
            Column("created_at", "created_at", EpochType()),
            Column("updated_at", "updated_at", EpochType()),
        ),
        ttl_attribute="record_ttl",
    )
    assert mapping.load().key.name == "order_id"
