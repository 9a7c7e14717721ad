"""The keys that the log line and the trace of a batch have."""

from __future__ import annotations

import json
from pathlib import Path

from common import mapping
from common.changes import Batch
from common.mapping_file import read_file
from common.records import parse_records
from stream_consumer.ids import ids_of, keys_of
from tests.support.records import record

ORDERS = mapping.load()


def test_each_key_is_told_once_in_stream_order():
    batch = parse_records([record("b", 1), record("a", 2), record("b", 3)], ORDERS)
    assert keys_of(batch) == ["order/b", "order/a"]


def test_the_key_of_an_unreadable_record_is_told_if_it_has_one():
    batch = parse_records([record("bad", 1, amount="x"), {}, record("a", 2)], ORDERS)
    assert keys_of(batch) == ["order/a", "order/bad"]
    assert keys_of(Batch()) == []


def test_an_order_has_the_id_that_the_api_notes():
    assert ids_of(["order/8f14", "order/c0ffee"], ORDERS) == {"order_id": ["8f14", "c0ffee"]}


def test_another_key_is_noted_as_its_text(tmp_path: Path):
    """A key of several columns, or of a column with another name."""
    declared = json.loads((Path(mapping.__file__).parents[2] / "mappings" / "orders.json").read_text())
    declared["entities"]["order"]["target"]["key_columns"][0]["column"] = "number"
    declared["entities"]["order"]["target"]["key"] = {"partition_key": "{number}"}
    file = tmp_path / "others.json"
    file.write_text(json.dumps(declared))
    assert ids_of(["order/8f14", "order/c0ffee"], read_file(file)) == {"key": ["order/8f14", "order/c0ffee"]}
