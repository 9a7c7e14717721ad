"""Two items never have one key, and the text of a key is exact and bounded."""

from __future__ import annotations

import json
from decimal import Decimal
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common import mapping_file
from common.changes import Change, Value
from common.keys import LONGEST, entity_and_tail, key_text, key_values
from common.records import parse_records
from tests.support.mapping_strategies import mappings, records

PROPERTY = settings(print_blob=True, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
KEY_VALUES = st.lists(
    st.one_of(
        st.tuples(st.text(min_size=1), st.text(min_size=1)),
        st.tuples(st.text(st.sampled_from("/%a"), min_size=1), st.text(st.sampled_from("/%a2F5"), min_size=1)),
        st.tuples(st.text(min_size=1, max_size=3).map(lambda text: text * 682), st.just("x")),
    ),
    min_size=2,
    max_size=6,
    unique=True,
)


def item_key(change: Change) -> dict[str, Any]:
    """The key of the item, where equal numbers are equal."""
    assert isinstance(change.record, dict)
    return {
        name: Decimal(value["N"]) if "N" in value else value
        for name, value in change.record["dynamodb"]["Keys"].items()
    }


@PROPERTY
@given(data=st.data())
def test_two_items_never_share_a_key(data: st.DataObject) -> None:
    """The SQL key is an injective function of the item's key, in every mapping that the build accepts."""
    document = data.draw(mappings(), label="mapping")
    drawn = data.draw(st.lists(records(document), min_size=2, max_size=8), label="records")
    mapping = mapping_file.read_text("any", json.dumps(document), Path())

    for one, other in combinations(parse_records(drawn, mapping).changes, 2):
        same_row = (one.entity, one.key_values) == (other.entity, other.key_values)
        assert same_row == (one.key == other.key)
        assert item_key(one) == item_key(other) or not same_row


@PROPERTY
@given(keys=KEY_VALUES)
def test_the_text_of_a_key_is_exact_and_bounded(keys: list[tuple[Value, ...]]) -> None:
    texts = [key_text("order", key) for key in keys]

    assert len(set(texts)) == len(keys)
    assert all(text.isascii() and text.isprintable() and " " not in text for text in texts)
    assert all(len(text) <= len("order/") + LONGEST for text in texts)


@PROPERTY
@given(keys=KEY_VALUES)
def test_the_text_of_a_key_gives_its_texts(keys: list[tuple[Value, ...]]) -> None:
    """Whatever they hold, unless the text was cut."""
    for key in keys:
        tail = entity_and_tail(key_text("order", key))[1]
        assert key_values(tail, [str, str]) == (None if len(tail) == LONGEST and "%#" in tail else key)


@PROPERTY
@given(data=st.data())
def test_the_text_of_a_key_gives_its_values(data: st.DataObject) -> None:
    """Of every type."""
    document = data.draw(mappings(), label="mapping")
    drawn = data.draw(st.lists(records(document), min_size=1, max_size=8), label="records")
    mapping = mapping_file.read_text("any", json.dumps(document), Path())

    for change in parse_records(drawn, mapping).changes:
        types = [column.type.python for column in mapping.entities[change.entity].key]
        tail = entity_and_tail(change.key)[1]
        assert key_values(tail, types) == (None if "%#" in tail else change.key_values)


@pytest.mark.parametrize(
    ("tail", "types"),
    [
        ("abc", [int]),
        ("1.5", [int]),
        ("1/2", [int]),
        ("1", [int, int]),
        ("abc", [bytes]),
        ("abc", [Decimal]),
        ("NaN", [Decimal]),
        ("-Infinity", [Decimal]),
    ],
)
def test_a_text_of_other_types_gives_no_values(tail: str, types: list[type]) -> None:
    """The key columns had other types when the sidecar's row was written."""
    assert key_values(tail, types) is None
