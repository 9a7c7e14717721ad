"""Several kinds of item in one table: each record becomes the changes of the entities that it concerns."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.changes import Change, Mark, Parked
from common.mapping import Mapping
from common.mapping_file import read_text
from common.records import Classifier, parse_records
from tests.support.records import ARN, START, TTL_IDENTITY


def entity(table: str, key: dict[str, str], *columns: dict[str, Any], **others: Any) -> dict[str, Any]:
    names = [name for template in key.values() for name in template.replace("}", "{").split("{")[1::2]]
    key_columns = [{"column": name, "type": "int" if name == "no" else "string", "length": 40} for name in names]
    for column in key_columns:
        if column["type"] == "int":
            del column["length"]
    return {"target": {"table": table, "key": key, "key_columns": key_columns}, "columns": list(columns), **others}


NAME = {"column": "name", "from": ["name"], "type": "string", "length": 9}
CITY = {"column": "city", "from": ["address", "lines", 0, "city"], "type": "string", "length": 9}
SHOP: dict[str, Any] = {
    "partition_key": {"attribute": "pk", "type": "string"},
    "sort_key": {"attribute": "sk", "type": "string"},
    "entities": {
        "line": entity("order_lines", {"partition_key": "ORDER#{id}", "sort_key": "LINE#{no}"}, NAME),
        "open": entity(
            "open_things",
            {"partition_key": "THING#{id}", "sort_key": "{rest}"},
            NAME,
            when={"attribute": {"path": ["state"], "equals": "open"}},
        ),
        "closed": entity(
            "closed_things",
            {"partition_key": "THING#{id}", "sort_key": "{rest}"},
            NAME,
            when={"attribute": {"path": ["state"], "equals": "closed"}},
        ),
    },
}


def shop(**entities: dict[str, Any]) -> Mapping:
    return read_text("shop", json.dumps(SHOP | {"entities": entities or SHOP["entities"]}), Path())


def record(
    pk: str, sk: str, event: str = "MODIFY", *, old: dict[str, Any] | None = None, sequence: int = 1, **image: Any
) -> dict[str, Any]:
    """Attributes are strings, or values in DynamoDB's JSON."""

    def typed(values: dict[str, Any]) -> dict[str, Any]:
        return keys | {name: {"S": value} if isinstance(value, str) else value for name, value in values.items()}

    keys = {"pk": {"S": pk}, "sk": {"S": sk}}
    body: dict[str, Any] = {"Keys": keys, "SequenceNumber": str(sequence), "ApproximateCreationDateTime": START}
    if event != "REMOVE":
        body["NewImage"] = typed(image)
    if old is not None:
        body["OldImage"] = typed(old)
    return {"eventName": event, "eventSourceARN": ARN, "dynamodb": body}


def thing(event: str = "MODIFY", **values: Any) -> dict[str, Any]:
    return record("THING#1", "a", event, **({"name": "n"} | values if event != "REMOVE" else values))


def outcomes(mapping: Mapping, given_record: dict[str, Any]) -> Any:
    """(entity, mark) of each change, and the reasons of the others."""
    [found] = Classifier(mapping, None)([given_record])
    singles = found if isinstance(found, list) else [found]
    names = [one.name for one in mapping.entities]
    return [
        (names[one.entity], one.mark.name)
        if isinstance(one, Change)
        else one.reason
        if isinstance(one, Parked)
        else one
        for one in singles
    ]


def test_a_composite_key_is_made_of_both_key_attributes():
    [change] = parse_records([record("ORDER#1#2", "LINE#7", name="n")], shop()).changes
    assert (change.key, change.key_values, change.row, change.entity) == ("line/1#2/7", ("1#2", 7), ("1#2", 7, "n"), 0)


@pytest.mark.parametrize(
    ("sk", "reason"),
    [
        ("LINE#007", "column no of key sk is not a number in its shortest notation"),
        ("LINE#", "key sk does not fit the template LINE#{no}"),
    ],
)
def test_a_key_that_fits_no_row_is_parked_under_its_texts(sk: str, reason: str):
    [parked] = parse_records([record("ORDER#1", sk, name="n")], shop()).parked
    assert (parked.reason, parked.key) == (reason, f"line/ORDER#1/{sk}")
    assert parked.version is not None


def test_an_item_of_no_entity_is_counted():
    assert outcomes(shop(), record("OTHER", "x", name="n")) == ["unmapped_item"]


GONE, LIVE = "DELETED", "LIVE"


@pytest.mark.parametrize(
    ("given_record", "expected"),
    [
        (thing("INSERT", state="open"), [("open", LIVE)]),
        (thing(state="open"), [("open", LIVE), ("closed", GONE)]),
        (thing(state="open", old={"state": "open"}), [("open", LIVE)]),
        (thing(state="closed", old={"state": "open"}), [("open", GONE), ("closed", LIVE)]),
        (thing(state="lost"), [("open", GONE), ("closed", GONE)]),
        (thing(state="lost", old={"state": "lost"}), ["unmapped_item"]),
        (thing("INSERT", state={"BOOL": True}), ["unmapped_item"]),
        (thing("REMOVE"), [("open", GONE), ("closed", GONE)]),
        (thing("REMOVE", old={"state": "closed"}), [("closed", GONE)]),
        (thing("REMOVE") | {"userIdentity": TTL_IDENTITY}, [("open", "EXPIRED"), ("closed", "EXPIRED")]),
        (thing(state="closed", name={"N": "1"}), [("open", GONE), "attribute name has the wrong type"]),
        (thing("TRUNCATE"), ["eventName is not INSERT, MODIFY or REMOVE"]),
    ],
    ids=str,
)
def test_an_item_that_stops_matching_loses_its_row(given_record: dict[str, Any], expected: list[Any]):
    """A new item had no row, and neither had an item whose old image did not match."""
    assert outcomes(shop(), given_record) == expected


MIXED = [
    record("ORDER#1", "LINE#1", name="n"),
    record("ORDER#1", "LINE#x", name="n"),
    record("ORDER#1", "LINE#2", "REMOVE"),
    record("OTHER", "x"),
    thing(state="open"),
    thing(state="closed", old={"state": "open"}),
    thing(state="open", name={"N": "1"}),
    thing("REMOVE"),
    {"dynamodb": {}},
]


@given(st.lists(st.sampled_from(MIXED), max_size=150))
def test_mixed_entities_are_parsed_as_each_record_alone(records: list[Any]):
    classify = Classifier(shop(), None)
    assert [result for one in records for result in classify([one])] == list(classify(records))


# Paths


def city_of(mapping: Mapping, **image: Any) -> Any:
    [outcome] = Classifier(mapping, None)([record("ORDER#1", "LINE#1", **image)])
    return outcome.row[-1] if isinstance(outcome, Change) else outcome.reason  # type: ignore[union-attr,index]


def with_city(**options: Any) -> Mapping:
    return shop(line=entity("t", {"partition_key": "ORDER#{id}", "sort_key": "LINE#{no}"}, CITY | options))


def lines(*inner: Any) -> dict[str, Any]:
    return {"M": {"lines": {"L": list(inner)}}}


NULL = {"NULL": True}
CITY_PATH = "attribute address.lines[0].city"


@pytest.mark.parametrize(
    ("address", "strict", "lenient"),
    [
        (lines({"M": {"city": {"S": "Oslo"}}}), "Oslo", "Oslo"),
        (None, f"{CITY_PATH} is missing", "?"),
        (lines(), f"{CITY_PATH} is missing", "?"),
        (lines({"M": {}}), f"{CITY_PATH} is missing", "?"),
        (NULL, f"{CITY_PATH} has the wrong type", None),
        ({"M": {"lines": NULL}}, f"{CITY_PATH} has the wrong type", None),
        (lines(NULL), f"{CITY_PATH} has the wrong type", None),
        (lines({"M": {"city": NULL}}), f"{CITY_PATH} has the wrong type", None),
        (lines({"M": {"city": {"N": "1"}}}), f"{CITY_PATH} has the wrong type", f"{CITY_PATH} has the wrong type"),
        ({"S": "x"}, "attribute address has the wrong type", "attribute address has the wrong type"),
        (
            lines({"S": "x"}),
            "attribute address.lines[0] has the wrong type",
            "attribute address.lines[0] has the wrong type",
        ),
    ],
    ids=str,
)
def test_a_path_leads_into_maps_and_lists(address: Any, strict: Any, lenient: Any):
    """If the path ends early, the value is absent. A NULL on the path is a NULL."""
    image = {} if address is None else {"address": address}
    assert city_of(with_city(), **image) == strict
    assert city_of(with_city(absent={"default": "?"}, null="null"), **image) == lenient


@pytest.mark.parametrize("address", [NULL, {"M": {"lines": NULL}}, lines(NULL)], ids=str)
def test_a_null_on_the_way_is_a_null_for_json_too(address: Any):
    json_type = {"type": "json", "column": "city", "from": CITY["from"]}
    for options, expected in (({}, f"{CITY_PATH} has the wrong type"), ({"null": "null"}, None)):
        line = entity("t", {"partition_key": "ORDER#{id}", "sort_key": "LINE#{no}"}, json_type | options)
        assert city_of(shop(line=line), address=address) == expected


# Unmapped attributes


def with_unmapped(unmapped: Any) -> Mapping:
    key = {"partition_key": "ORDER#{id}", "sort_key": "LINE#{no}"}
    return shop(line=entity("t", key, NAME, unmapped=unmapped))


def test_an_unmapped_attribute_is_named_once():
    mapping = with_unmapped("ignore")
    records = [record("ORDER#1", "LINE#1", name="n", more="x"), record("ORDER#1", "LINE#2", name="n", **{"a.b": "x"})]
    assert parse_records(records, mapping).unmapped_attributes == ["line.a.b", "line.more"]
    assert parse_records(records, mapping).unmapped_attributes == []


def test_an_unmapped_attribute_can_be_poison():
    [parked] = parse_records(
        [record("ORDER#1", "LINE#1", name="n", more="x", and_more="x")], with_unmapped("quarantine")
    ).parked
    assert parked.reason == "attribute and_more, more is not mapped"


def test_unmapped_attributes_can_be_kept_in_a_column():
    records = [
        record("ORDER#1", "LINE#1", name="n", more={"L": [{"N": "1.50"}]}),
        record("ORDER#1", "LINE#2", name="n"),
    ]
    changes = parse_records(records, with_unmapped({"column": "extra"})).changes
    assert [change.row[-1] for change in changes if change.row] == ['{"more":[1.5]}', "{}"]


# Prepare


def prepared(prepare: Callable[[Any], Any], *, event: str = "MODIFY", **image: Any) -> Any:
    mapping = replace(with_unmapped("ignore"), prepare=prepare)
    [outcome] = Classifier(mapping, None)([record("ORDER#1", "LINE#1", event, **image)])
    if isinstance(outcome, Change):
        return outcome.row[-1] if outcome.row else outcome.mark
    return outcome.reason if isinstance(outcome, Parked) else outcome


def test_prepare_gets_and_gives_plain_values():
    seen: list[Any] = []

    def prepare(item: dict[str, Any]) -> dict[str, Any]:
        seen.append(dict(item))
        return {**item, "name": "prepared"}

    image = {"n": {"N": "9" * 38}, "b": {"B": "AAE="}, "s": {"NS": ["1", "2"]}, "m": {"M": {"l": {"L": [NULL]}}}}
    assert prepared(prepare, **image) == "prepared"
    [item] = seen
    assert (str(item["n"]), item["b"], item["s"], item["m"]) == ("9" * 38, b"\0\1", {1, 2}, {"l": [None]})


def test_an_item_that_prepare_refuses_has_no_row():
    assert prepared(lambda item: None) is Mark.DELETED
    assert prepared(lambda item: None, event="INSERT") == "unmapped_item"


def test_what_prepare_raises_is_a_reason_without_values():
    assert prepared(lambda item: item["secret"]) == "prepare: KeyError"


def test_an_exit_or_an_endless_result_of_prepare_is_poison():
    """Else the batch would come again and again."""

    def leave(_: Any) -> Any:
        raise SystemExit(1)

    def contain_itself(item: dict[str, Any]) -> dict[str, Any]:
        item["x"] = [item]
        return item

    assert prepared(leave) == "prepare: SystemExit"
    assert prepared(contain_itself) == "prepare: the result is nested too deeply, or contains itself"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"pk": "other"}, "prepare: the result has another pk; the key must not change"),
        ({"x": 1.5}, "prepare: the result has a float, which DynamoDB does not have"),
        ({"x": {1: 2}}, "prepare: the result has a name that is a int"),
        ({"x": set()}, "prepare: the result has a set that is empty, or not all strings, numbers or bytes"),
        ({"x": {1, "a"}}, "prepare: the result has a set that is empty, or not all strings, numbers or bytes"),
    ],
    ids=["another key", "a float", "a name that is no string", "an empty set", "a mixed set"],
)
def test_a_result_that_is_not_an_item_is_poison(change: dict[str, Any], reason: str):
    assert prepared(lambda item: {**item, **change}) == reason
