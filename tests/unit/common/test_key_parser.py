"""The row that a text names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import mapping
from common.key_parser import KeyParser
from common.keys import LONGEST, key_text
from common.mapping_file import read_text
from common.records import parse_records
from tests.support.item_tables import mapping_of
from tests.support.mapping_strategies import mappings, records
from tests.support.readings import READINGS
from tests.support.shop import SHOP

ORDERS, SHOPS = KeyParser(mapping.load()), KeyParser(mapping_of("shop", SHOP))
NUMBERED = mapping_of(
    "numbered",
    {
        "partition_key": {"attribute": "pk", "type": "number"},
        "entities": {
            "thing": {
                "target": {
                    "table": "things",
                    "key": {"partition_key": "{number}"},
                    "key_columns": [{"column": "number", "type": "int"}],
                },
                "columns": [{"column": "a", "from": ["a"], "type": "int"}],
            }
        },
    },
)


@pytest.mark.parametrize(
    ("text", "value"),
    [("order/8f14", "8f14"), ("8f14", "8f14"), ("a/b%2F", "a/b%2F"), ("order/a%2Fb", "a/b")],
)
def test_a_value_alone_is_taken_as_it_is(text: str, value: str):
    """The text of a key is escaped; a value alone, which is enough for one key column, is not."""
    found = ORDERS(text)
    assert (found.values, found.item_key) == ((value,), {"p_key": {"S": value}, "s_key": {"S": "ORDER"}})


def test_a_key_of_several_columns_names_its_item():
    found = SHOPS("bill/ann/2026-01-31/7")
    assert found == (
        "bill/ann/2026-01-31/7",
        0,
        ("ann", "2026-01-31", 7),
        {"pk": {"S": "C#ann"}, "sk": {"S": "BILL#2026-01-31#7"}},
    )
    assert SHOPS("customer/ann").item_key == {"pk": {"S": "C#ann"}, "sk": {"S": "CUSTOMER"}}


def test_bytes_and_numbers_are_read_back():
    found = KeyParser(mapping_of("readings", READINGS))("reading/00ff/1.5")
    assert found.item_key == {"device": {"B": "AP8="}, "seq": {"N": "1.5"}}
    assert KeyParser(NUMBERED)("17").item_key == {"pk": {"N": "17"}}


@pytest.mark.parametrize(
    "text", ["ann", "bill/ann", "bill/ann/2026-01-31/x", "bill/ann/31.1.2026/1", "bill/ann/2026-01-31/1/1", "no/ann"]
)
def test_a_text_that_is_no_key_is_refused(text: str):
    with pytest.raises(ValueError, match="give bill/<customer>/<day>/<number> or customer/<customer> or note"):
        SHOPS(text)


def test_a_text_that_was_cut_is_refused():
    """Its values cannot be read back."""
    with pytest.raises(ValueError, match="is the key of no item"):
        ORDERS(key_text("order", ["x" * (LONGEST + 1)]))


@given(data=st.data())
def test_the_key_of_every_change_is_read_back(data: st.DataObject):
    """Of every mapping that the build accepts."""
    document = data.draw(mappings(), label="mapping")
    declared = read_text("any", json.dumps(document), Path())
    parse = KeyParser(declared)
    for change in parse_records(data.draw(st.lists(records(document), max_size=8), label="records"), declared).changes:
        if "%#" not in change.key:
            found: Any = parse(change.key)
            assert found[:3] == (change.key, change.entity, change.key_values)
