"""Attributes and items that are not mapped."""

from __future__ import annotations

import json
from typing import Any

from common import mapping as declared
from common import mapping_file
from common.records import UNMAPPED_ITEM, Classifier, parse_records
from tests.support import examples

LINE = {"pk": {"S": "ORDER#1"}, "sk": {"S": "LINE#1"}, "sku": {"S": "a"}, "quantity": {"N": "1"}, "price": {"N": "1"}}


def shop(name: str, unmapped: Any) -> declared.Mapping:
    """The shop with another policy for the lines of its orders."""
    file = examples.ROOT / "mappings" / "examples" / "shop.json"
    document = json.loads(file.read_text(encoding="utf-8"))
    document["entities"]["order_line"]["unmapped"] = unmapped
    return mapping_file.read_text(name, json.dumps(document), file.parent)


def test_an_unmapped_attribute_is_reported_once():
    mapping = shop("told_once", "ignore")
    classify = Classifier(mapping, None)
    record = examples.record(mapping, LINE | {"gift": {"BOOL": True}, "color": {"S": "red"}}, 1)

    told = []
    for _ in range(2):
        assert [type(outcome).__name__ for outcome in classify([record])] == ["Change"]
        told.append(classify.take_unmapped_attributes())

    assert told == [["order_line.color", "order_line.gift"], []]


def test_an_unmapped_attribute_is_quarantined_where_asked():
    mapping = shop("quarantined", "quarantine")

    batch = parse_records([examples.record(mapping, LINE | {"gift": {"BOOL": True}}, 1)], mapping)

    [parked] = batch.parked
    assert (parked.key, "gift" in parked.reason) == ("order_line/1/1", True)


def test_unmapped_attributes_are_kept_in_a_column_where_asked():
    mapping = shop("kept", {"column": "extra"})

    batch = parse_records([examples.record(mapping, LINE | {"gift": {"BOOL": True}}, 1)], mapping)

    [change] = batch.changes
    assert change.row is not None
    assert change.row[-1] == '{"gift":true}'


def test_an_item_that_no_entity_matches_is_counted():
    mapping = shop("counted", "ignore")

    batch = parse_records([examples.record(mapping, LINE | {"sk": {"S": "NOTE"}}, 1)], mapping)

    assert batch.skipped == {UNMAPPED_ITEM: 1}
    assert not batch.changes
    assert not batch.parked
