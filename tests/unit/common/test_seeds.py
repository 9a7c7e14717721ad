"""A change that the seed made is told by the mark of its item."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import mapping as declared
from common import mapping_file
from common.changes import Mark
from common.records import Classifier, parse_records
from common.seeds import MARK, digest, is_marked, marked
from tests.support import examples
from tests.support.attribute_strategies import attributes
from tests.support.records import echo, item, record, remove
from tests.support.writes import MAPPING

images = st.dictionaries(st.text(min_size=1, max_size=5), attributes, min_size=1, max_size=4)


def marks(*records: dict[str, Any], mapping: declared.Mapping = MAPPING) -> list[Mark]:
    batch = parse_records(records, mapping)
    assert not batch.parked
    return [change.mark for change in batch.changes]


def with_old(made: dict[str, Any], old: dict[str, Any]) -> dict[str, Any]:
    made["dynamodb"]["OldImage"] = old
    return made


def changed(made: dict[str, Any], **values: Any) -> dict[str, Any]:
    """The record of another writer that keeps the mark."""
    image = made["dynamodb"]["NewImage"]
    made["dynamodb"]["NewImage"] = image | values
    return made


def test_an_insert_and_an_update_of_the_seed_are_echoes():
    """With old images and without."""
    first, again = echo("a", 1), echo("a", 2, "MODIFY", seed="two", status="PAID")
    seen = with_old(echo("a", 2, "MODIFY", seed="two", status="PAID"), first["dynamodb"]["NewImage"])

    assert marks(first, again, seen) == [Mark.SEEDED] * 3


def test_a_change_by_anybody_else_is_no_echo():
    """An application that keeps the mark, drops it, or copies a seeded item to another key."""
    mark = echo("a", 1)["dynamodb"]["NewImage"][MARK]
    keeps = changed(echo("a", 2, "MODIFY"), status={"S": "PAID"})
    adds = changed(echo("a", 3, "MODIFY"), note={"S": "x"})
    copies = changed(record("b", 4, "INSERT"), **{MARK: mark})
    forged = changed(record("a", 5, "INSERT"), **{MARK: {"S": "orders/one"}})
    typed = changed(record("a", 6, "INSERT"), **{MARK: {"N": "1"}})

    found = marks(keeps, adds, copies, forged, typed, record("a", 7), remove("a", 8))

    assert found == [Mark.LIVE] * 6 + [Mark.DELETED]


def test_an_update_that_keeps_the_mark_is_no_echo():
    """Even where the application has written again what the seed wrote: the old image tells."""
    again = echo("a", 2, "MODIFY")
    old = changed(echo("a", 1), status={"S": "PAID"})["dynamodb"]["NewImage"]

    assert marks(with_old(again, old)) == [Mark.LIVE]


def test_an_item_put_back_as_it_was_seeded_is_no_echo():
    """An application restores it, mark and all. A seed replaces an item with a mark only, and never with the same."""
    back = with_old(echo("a", 3, "MODIFY"), item("a", status="PAID"))

    assert marks(back) == [Mark.LIVE]


def test_an_insert_of_the_seed_has_no_old_image():
    """Some emulators send an empty one."""
    assert marks(with_old(echo("a", 1), {})) == [Mark.SEEDED]


def test_another_mapping_takes_a_seeded_item_for_any_other():
    """Its rows may be in another database, which the seed has never seen."""
    file = examples.ROOT / "mappings" / "orders.json"
    other = mapping_file.read_text("reports", file.read_text(encoding="utf-8"), file.parent)

    assert marks(echo("a", 1), mapping=other) == [Mark.LIVE]


def test_echoes_and_others_of_a_slice_are_told_apart():
    records = [echo(f"k{i}", i) if i % 3 else record(f"k{i}", i) for i in range(1, 200)]

    assert marks(*records) == [Mark.SEEDED if i % 3 else Mark.LIVE for i in range(1, 200)]


@given(images)
def test_any_item_with_its_mark_is_recognised(image: dict[str, Any]):
    image.pop(MARK, None)

    assert is_marked(marked(image, "orders", "run/1"), "orders")
    assert marked(marked(image, "orders", "run/1"), "orders", "run/2") == marked(image, "orders", "run/2")


def test_another_notation_has_the_same_digest():
    """DynamoDB gives numbers and sets back in its own notation."""
    one = {"a": {"N": "200.00"}, "b": {"NS": ["1", "2E1"]}, "c": {"L": [{"N": "1E+2"}]}, "d": {"SS": ["x", "y"]}}
    two = {"d": {"SS": ["y", "x"]}, "c": {"L": [{"N": "100"}]}, "b": {"NS": ["20", "1"]}, "a": {"N": "200"}}

    assert digest(one) == digest(two)
    assert digest(one) != digest(one | {"a": {"S": "200"}})


@pytest.mark.parametrize("value", [{}, {"N": "x"}, {"N": "1", "S": "1"}, {"X": 1}, None, {"M": None}])
def test_a_malformed_image_is_no_echo(value: Any):
    assert not is_marked(item("a") | {"other": value, MARK: {"S": "orders/one/2"}}, "orders")


@pytest.mark.parametrize("policy", ["ignore", "quarantine", {"column": "extra"}])
def test_the_mark_is_no_unmapped_attribute(policy: Any):
    file = examples.ROOT / "mappings" / "examples" / "shop.json"
    document = json.loads(file.read_text(encoding="utf-8"))
    document["entities"]["order_line"]["unmapped"] = policy
    mapping = mapping_file.read_text("marked", json.dumps(document), file.parent)
    line = {
        "pk": {"S": "ORDER#1"},
        "sk": {"S": "LINE#1"},
        "sku": {"S": "a"},
        "quantity": {"N": "1"},
        "price": {"N": "1"},
    }
    classify = Classifier(mapping, None)

    [change] = classify([examples.record(mapping, marked(line, "marked", "one"), 1, "INSERT")])

    assert change.mark is Mark.SEEDED
    assert change.row[5:] == (("{}",) if isinstance(policy, dict) else ())
    assert classify.take_unmapped_attributes() == []


def test_no_mapping_may_use_the_mark():
    document: dict[str, Any] = json.loads((examples.ROOT / "mappings" / "orders.json").read_text(encoding="utf-8"))
    document["ttl_attribute"] = MARK
    document["entities"]["order"]["columns"][0]["from"] = [MARK]

    with pytest.raises(declared.MappingError) as error:
        mapping_file.read_text("orders", json.dumps(document), examples.ROOT)

    assert error.value.problems == [
        f"orders.json: ttl_attribute: {MARK} is Backstream's own attribute; name another one",
        f"orders.json: entity order, column merchant_id, from: {MARK} is Backstream's own attribute; name another one",
    ]
