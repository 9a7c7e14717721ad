"""The heartbeat is an item that the monitor writes. Nothing but the consumer's metric takes notice of it."""

from __future__ import annotations

import base64
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from common import mapping
from common.heartbeat import TIME, Heartbeat, time_of
from common.mapping import Mapping, MappingError
from common.mapping_file import read_text
from common.records import UNMAPPED_ITEM, item_classifier, parse_items, parse_records, parse_states
from tests.support import meters
from tests.support.heartbeats import ORDERS, WRITTEN, beat
from tests.support.item_tables import mapping_of
from tests.support.records import item, record, remove

KEY = {"p_key": {"S": "backstream#heartbeat"}, "s_key": {"S": "backstream#heartbeat"}}

# A mapping that makes a row of any key.
NOTES = mapping_of(
    "notes",
    {
        "partition_key": {"attribute": "id", "type": "string"},
        "entities": {
            "note": {
                "target": {
                    "table": "notes",
                    "key": {"partition_key": "{id}"},
                    "key_columns": [{"column": "id", "type": "string", "length": 40}],
                },
                "columns": [{"column": "text", "from": ["text"], "type": "text", "absent": "null"}],
            }
        },
    },
)


def test_the_item_has_the_tables_key_and_the_time() -> None:
    """The key fits attributes of each type. No column of integers and no template reaches such a key by accident."""
    assert Heartbeat(ORDERS).item(1_770_000_000.1251) == {**KEY, TIME: {"N": "1770000000.125"}}
    assert Heartbeat(meters.METERS).item(1.0) == {
        "device": {"B": b"backstream#heartbeat"},
        "taken": {"N": "-99999999999999999999999999999999999999"},
        TIME: {"N": "1.000"},
    }
    number = Decimal(Heartbeat(meters.METERS).key["taken"]["N"])
    assert number < -(2**63)
    assert Heartbeat(meters.METERS).key["device"]["B"] == base64.b64encode(b"backstream#heartbeat").decode()


@pytest.mark.parametrize("place", [0, 1, 2])
def test_heartbeats_among_changes_leave_no_trace(place: int) -> None:
    """The other records of the batch become what they become without it, in their order."""
    others = [record("a", 1), record("b", 2, amount="many"), remove("c", 3)]
    records = [*others[:place], beat(), *others[place:]]
    with_beat, without = parse_records(records, ORDERS), parse_records(others, ORDERS)
    assert with_beat.heartbeat == WRITTEN
    assert without.heartbeat is None
    with_beat.heartbeat = None
    assert with_beat == without


def test_the_oldest_heartbeat_of_a_batch_counts_once() -> None:
    """After an outage a batch has many: the oldest waited longest. The next batch begins anew."""
    records = [beat(1, 30.5), *(record(f"k{number}", number) for number in range(200)), beat(2, 10.5), beat(3, 20.5)]
    assert parse_records(records, ORDERS).heartbeat == 10.5
    assert parse_records([record("a", 1)], ORDERS).heartbeat is None


def test_a_removed_heartbeat_is_no_delete_and_no_beat() -> None:
    batch = parse_records([beat(event="REMOVE")], ORDERS)
    assert (batch.changes, batch.parked, batch.skipped, batch.heartbeat) == ([], [], {}, None)


@pytest.mark.parametrize(
    ("old", "skipped"), [({TIME: {"N": "1.0"}}, {}), ({"note": {"S": "mine"}}, {UNMAPPED_ITEM: 1})]
)
def test_what_was_removed_tells_whether_it_was_a_heartbeat(old: dict[str, Any], skipped: dict[str, int]) -> None:
    """An item of the application under the key is deleted as any other is."""
    removed = beat(event="REMOVE")
    removed["dynamodb"]["OldImage"] = {**KEY, **old}
    batch = parse_records([removed], ORDERS)
    assert (batch.changes, batch.parked, batch.skipped, batch.heartbeat) == ([], [], skipped, None)


@pytest.mark.parametrize(("new", "old", "is_beat"), [("1.0", "soon", True), ("soon", "1.0", False)])
def test_what_was_written_tells_whether_it_is_a_heartbeat(new: str, old: str, is_beat: bool) -> None:
    """Whatever was there before."""
    written = beat(**{TIME: {"N": new}})
    written["dynamodb"]["OldImage"] = {**KEY, TIME: {"N": old}}
    batch = parse_records([written], ORDERS)
    assert (batch.heartbeat, batch.skipped) == ((1.0, {}) if is_beat else (None, {UNMAPPED_ITEM: 1}))


def test_an_item_of_the_application_under_the_key_is_deleted() -> None:
    """Where the key fits an entity, a row was made of it."""
    written = beat(1, declared=NOTES, **{TIME: {"S": "mine"}})
    removed = beat(2, event="REMOVE", declared=NOTES)
    removed["dynamodb"]["OldImage"] = written["dynamodb"]["NewImage"]
    batch = parse_records([written, removed], NOTES)
    assert [(change.key, change.mark.exists) for change in batch.changes] == [
        ("note/backstream#heartbeat", True),
        ("note/backstream#heartbeat", False),
    ]


def test_keys_of_bytes_and_numbers_are_recognised() -> None:
    batch = parse_records([beat(declared=meters.METERS), meters.put("a", 2)], meters.METERS)
    assert (len(batch.changes), batch.parked, batch.skipped, batch.heartbeat) == (1, [], {}, WRITTEN)


@pytest.mark.parametrize("time", [{"S": "1.0"}, {"N": "soon"}, {"N": "nan"}, {"N": "Infinity"}])
def test_an_item_without_a_valid_time_is_an_item(time: dict[str, str]) -> None:
    """What the monitor did not write is not skipped silently."""
    batch = parse_records([beat(**{TIME: time})], ORDERS)
    assert (batch.skipped, batch.heartbeat) == ({UNMAPPED_ITEM: 1}, None)
    assert time_of({TIME: time}) is None


def test_an_order_with_the_attribute_is_an_order() -> None:
    """Only the key and the attribute together make a heartbeat."""
    batch = parse_records([record("a", 1, **{TIME: {"N": "1.0"}})], ORDERS)
    assert (len(batch.changes), batch.heartbeat) == (1, None)


def test_a_load_takes_no_notice_of_the_heartbeat() -> None:
    """It is neither a change nor an unmapped item, and its attribute is not unmapped."""
    batch = parse_items([item("a"), {**KEY, TIME: {"N": "1.0"}}], ORDERS)
    assert [change.key for change in batch.changes] == ["order/a"]
    assert (batch.parked, batch.skipped, batch.unmapped_attributes) == ([], {}, [])


@pytest.mark.parametrize("declared", [ORDERS, meters.METERS], ids=["orders", "meters"])
def test_a_verification_compares_no_row_of_the_heartbeat(declared: Mapping) -> None:
    """Neither while its item exists nor when it is gone; its key is not refused, though it may fit no row."""
    key = Heartbeat(declared).key
    batch = parse_states([(key, {**key, TIME: {"N": "1.0"}}), (key, None)], declared)
    assert (batch.changes, batch.parked, batch.skipped) == ([], [], {})
    assert item_classifier(declared).unfit([key]) == []


def test_no_mapping_may_use_the_attribute() -> None:
    declared = json.loads((Path(mapping.__file__).parents[2] / "mappings" / "orders.json").read_bytes())
    declared["entities"]["order"]["columns"][0]["from"] = [TIME]
    with pytest.raises(MappingError, match=f"{TIME} is Backstream's own attribute"):
        read_text("orders", json.dumps(declared), Path())
