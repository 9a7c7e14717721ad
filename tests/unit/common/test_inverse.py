"""A mapping read backwards: each row gets an item of which the mapping makes this row again, or a reason."""

from __future__ import annotations

import json
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common import mapping as declared
from common import mapping_file
from common.changes import Change
from common.inverse import Inverse, Unseedable
from common.item_limits import item_size
from common.records import classifier
from tests.support import examples
from tests.support.columns import TypeCase, type_cases
from tests.support.item_tables import mapping_of
from tests.support.mapping_strategies import mappings, records, with_agreeing_removals
from tests.support.records import ARN, START
from tests.support.reference_mapping import Live, outcomes
from tests.support.reference_types import is_same

KEY = [{"column": "id", "type": "string", "length": 20}]


def mapping_with(*columns: dict[str, Any], table: dict[str, Any] | None = None, **entity: Any) -> declared.Mapping:
    target = {"table": "things", "key": {"partition_key": "{id}"}, "key_columns": KEY}
    one = {"target": target, "columns": list(columns)} | entity
    document = {"partition_key": {"attribute": "pk", "type": "string"}, "entities": {"thing": one}} | (table or {})
    return mapping_of("any", document)


def column(name: str, *path: str | int, type: str = "string", **options: Any) -> dict[str, Any]:  # noqa: A002
    length = {"length": 20} if type == "string" else {}
    return {"column": name, "from": list(path), "type": type} | length | options


def optional(name: str, *path: str | int, **options: Any) -> dict[str, Any]:
    return column(name, *path, absent="null", **options)


def items(mapping: declared.Mapping, *rows: tuple[Any, ...]) -> list[Any]:
    return Inverse(mapping).items(0, rows)


def reasons(mapping: declared.Mapping, *rows: tuple[Any, ...]) -> list[str]:
    found = items(mapping, *rows)
    assert all(isinstance(one, Unseedable) for one in found), found
    return [one.reason for one in found]


def problems(mapping: declared.Mapping) -> list[str]:
    with pytest.raises(declared.MappingError) as error:
        Inverse(mapping)
    return error.value.problems


def row_of(mapping: declared.Mapping, item: dict[str, Any]) -> Any:
    [change] = classifier(mapping)([examples.record(mapping, item, 1)])
    assert isinstance(change, Change), change
    return change.row


# Any mapping, any row


def _keys(document: Any, item: dict[str, Any]) -> dict[str, Any]:
    roles = [role for role in ("partition_key", "sort_key") if role in document]
    return {document[role]["attribute"]: item[document[role]["attribute"]] for role in roles}


def _insert(document: Any, item: dict[str, Any]) -> dict[str, Any]:
    body = {
        "Keys": _keys(document, item),
        "NewImage": item,
        "SequenceNumber": "1",
        "ApproximateCreationDateTime": START,
    }
    return {"eventName": "INSERT", "eventSource": "aws:dynamodb", "eventSourceARN": ARN, "dynamodb": body}


def test_any_row_of_an_item_becomes_an_item_of_that_row():
    """The reference implementation says so, too. Only an item that became too large is not made."""
    seen: Counter[str] = Counter()

    @settings(
        max_examples=400, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], derandomize=True
    )
    @given(st.data())
    def check(data: st.DataObject) -> None:
        document = with_agreeing_removals(data.draw(mappings()))
        mapping = mapping_file.read_text("any", json.dumps(document), Path())
        try:
            inverse = Inverse(mapping)
        except declared.MappingError:
            seen["refused"] += 1
            return
        given = [data.draw(records(document)) for _ in range(3)]
        for record in given:
            for live in [one for one in outcomes(document, record) if isinstance(one, Live)]:
                index = list(document["entities"]).index(live.entity)
                outcome = next(iter(classifier(mapping)([record])))
                changes = outcome if isinstance(outcome, list) else [outcome]
                [row] = [one.row for one in changes if one.entity == index and one.row is not None]
                [item] = inverse.items(index, [row])
                if isinstance(item, Unseedable):
                    assert "larger than" in item.reason or "levels" in item.reason, item.reason
                    seen["too large"] += 1
                    continue
                [again] = outcomes(document, _insert(document, item))
                assert isinstance(again, Live)
                assert (again.entity, again.key) == (live.entity, live.key)
                names = [column.name for column in mapping.entities[index].columns]
                assert all(is_same(again.row[name], value) for name, value in zip(names, row, strict=True))
                seen["made"] += 1

    check()
    assert seen["made"] > 100, seen


@pytest.mark.parametrize("case", list(type_cases()), ids=lambda case: case.id)
def test_the_content_of_a_value_decodes_to_the_value(case: TypeCase):
    decode = case.type.decoder("attribute a")
    for attribute, _ in case.values:
        [value] = decode([attribute])
        content = case.type.content(value)
        if not case.type.lossy:
            assert decode([{case.type.kind: content} if case.type.kind else content]) == [value]
        assert case.type.canonical(value) == value


@pytest.mark.parametrize("sample", examples.SAMPLES, ids=lambda sample: f"{sample['mapping']} {sample['entity']}")
def test_the_rows_of_the_document_become_items(sample: dict[str, Any]):
    mapping = examples.load(sample["mapping"])
    entity = [one.name for one in mapping.entities].index(sample["entity"])
    row = row_of(mapping, sample["item"])

    [item] = Inverse(mapping).items(entity, [row])

    assert row_of(mapping, item) == row
    assert item.keys() <= sample["item"].keys() | {"newsletter"}, "a default is written as itself"


# What an item looks like


def test_a_row_becomes_an_item():
    mapping = mapping_with(
        column("name", "name"),
        column("city", "address", "lines", 0, "city"),
        optional("zip", "address", "lines", 1),
        column("amount", "amount", type="decimal", precision=10, scale=2),
        column("taken_at", "at", type="datetime", fraction=3, **{"as": "epoch_seconds"}),
        column("paid", "paid", type="boolean", **{"as": {"true": "Y", "false": 0}}),
        {"column": "source", "const": "dynamodb", "type": "string", "length": 20},
        unmapped={"column": "extra"},
        when={"attribute": {"path": ["kind"], "equals": 1}},
    )
    row = ("a", "Zoë", "Pune", None, Decimal("200.00"), "2026-01-31 12:00:00.500", 0, "dynamodb", '{"more":[1,null]}')

    assert items(mapping, row) == [
        {
            "pk": {"S": "a"},
            "kind": {"N": "1"},
            "name": {"S": "Zoë"},
            "address": {"M": {"lines": {"L": [{"M": {"city": {"S": "Pune"}}}]}}},
            "amount": {"N": "200"},
            "at": {"N": "1769860800.5"},
            "paid": {"N": "0"},
            "more": {"L": [{"N": "1"}, {"NULL": True}]},
        }
    ]


def test_keys_are_made_by_the_templates():
    mapping = examples.load("examples/shop")

    [item] = Inverse(mapping).items(2, [("A-1", 7, "kettle", 2, Decimal("99.95"))])

    assert (item["pk"], item["sk"]) == ({"S": "ORDER#A-1"}, {"S": "LINE#7"})


def test_null_is_left_out_or_written_as_the_mapping_says():
    mapping = mapping_with(
        optional("one", "one"), column("two", "two", null="null"), optional("three", "three", null="null")
    )

    [item] = items(mapping, ("a", None, None, None))

    assert item == {"pk": {"S": "a"}, "two": {"NULL": True}}


def test_an_absent_element_keeps_its_place_in_a_list():
    mapping = mapping_with(
        optional("a", "list", 0, null="null"),
        optional("b", "list", 1, "b"),
        optional("c", "list", 2, 0),
        optional("d", "list", 3),
    )

    made = items(mapping, ("a", None, None, None, "d"), ("b", None, None, "c", None), ("c", None, None, None, None))

    assert [item.get("list") for item in made] == [
        {"L": [{"NULL": True}, {"M": {}}, {"L": []}, {"S": "d"}]},
        {"L": [{"NULL": True}, {"M": {}}, {"L": [{"S": "c"}]}]},
        None,
    ]


# Rows without an item


def test_a_flagged_row_has_no_item():
    mapping = examples.load("examples/members")

    found = items(mapping, ("m-7", "ada", 1, "2026-01-31 00:00:00"), ("m-8", "bob", 0, "2026-01-31 00:00:00"))

    assert found == [
        Unseedable("member/m-7", "the row is flagged as removed", removed=True),
        Unseedable("member/m-8", "its item would give another value of deleted_at"),
    ]


@pytest.mark.parametrize(
    ("declaration", "value", "reason"),
    [
        (column("x", "x"), None, "column x is NULL, and neither `absent` nor `null` gives NULL"),
        (column("x", "x"), "y" * 21, "attribute x is longer than 20 characters"),
        (column("x", "x", **{"as": "number"}), "007", "its item would give another value of x"),
        (column("x", "x", **{"as": "number"}), "seven", "column x is not a number"),
        (column("x", "x", type="boolean"), 2, "column x is neither 0 nor 1"),
        (column("x", "x", type="date"), "0000-00-00", "attribute x is not a date such as 2026-01-31"),
        (column("x", "x", type="date", **{"as": "epoch_seconds"}), "0000-00-00", "column x is not a date or time"),
        (column("x", "x", type="int", maximum=5), 6, "attribute x is not between -2147483648 and 5"),
        (column("x", "x", type="json"), "{", "column x does not hold a value of its type"),
        (column("x", "x", type="json"), '{"a":1,"a":2}', "column x has a name twice"),
        (column("x", "x", type="json"), "null", "attribute x has the wrong type"),
        (column("x", "x", type="json"), '{"":1}', "an attribute has an empty name"),
        (column("x", "x", type="json"), "[" * 33 + "]" * 33, "the item has more than 32 levels"),
        (column("x", "x", type="text"), "z" * 409_600, "the item is larger than 409600 bytes"),
        (
            column("x", "x", type="decimal", precision=65, scale=0),
            Decimal(10**39 + 1),
            "column x is a number that DynamoDB cannot hold: it has 38 digits and exponents to 125",
        ),
        (
            {"column": "x", "const": "one", "type": "string", "length": 9},
            "two",
            "its item would give another value of x",
        ),
    ],
)
def test_a_row_without_an_item_has_a_reason(declaration: dict[str, Any], value: Any, reason: str):
    assert reasons(mapping_with(declaration), ("a", value)) == [reason]


def test_one_bad_row_spoils_no_other():
    mapping = mapping_with(column("x", "x"))

    made = items(mapping, *[(f"k{i}", None if i == 70 else "x" * (21 if i == 99 else 3)) for i in range(200)])

    bad = [index for index, one in enumerate(made) if isinstance(one, Unseedable)]
    assert bad == [70, 99]
    assert made[71] == {"pk": {"S": "k71"}, "x": {"S": "xxx"}}


def test_a_key_that_no_item_can_have_is_a_reason():
    target = {
        "table": "things",
        "key": {"partition_key": "A#{one}#{two}"},
        "key_columns": [
            {"column": "one", "type": "string", "length": 2500, "ascii": True},
            {"column": "two", "type": "string", "length": 9},
        ],
    }
    mapping = mapping_with(target=target, when={"partition_key": {"starts_with": "A#x"}})

    assert reasons(mapping, ("xy#", "z"), ("xx", ""), ("y", "z"), ("x" * 2100, "z")) == [
        "its item would give another value of one, two",
        "key pk does not fit the template A#{one}#{two}",
        "its item would not be of entity thing: see `when` and the templates",
        "key pk does not have 1 to 2048 bytes",
    ]
    assert reasons(mapping_with(), ("",)) == ["key pk does not have 1 to 2048 bytes"]


def test_an_item_of_another_entity_is_no_item_of_the_row():
    """The keys of two tables may overlap, where nobody has written items so far."""
    target = {"key": {"partition_key": "{id}"}, "key_columns": KEY}
    entities = {
        name: {"when": {"partition_key": {"starts_with": name}}, "target": target | {"table": name}, "columns": []}
        for name in ("a", "b")
    }
    mapping = mapping_with(table={"entities": entities})

    assert reasons(mapping, ("b1",)) == ["its item would not be of entity a: see `when` and the templates"]
    assert items(mapping, ("a1",)) == [{"pk": {"S": "a1"}}]


def test_a_value_that_when_forbids_is_a_reason():
    mapping = mapping_with(column("kind", "kind"), when={"attribute": {"path": ["kind"], "equals": "member"}})

    [good, bad] = items(mapping, ("a", "member"), ("b", "guest"))

    assert good == {"pk": {"S": "a"}, "kind": {"S": "member"}}
    assert bad.reason == "attribute kind would need two different values"


def test_an_attribute_of_the_unmapped_column_hides_no_mapped_one():
    mapping = mapping_with(optional("x", "x"), unmapped={"column": "extra"})

    assert (
        reasons(mapping, ("a", "1", '{"x":"2"}'), ("a", None, None), ("a", "1", "[1]"))
        == ["its item would give another value of extra"] * 3
    )


def test_two_columns_of_one_attribute_must_agree():
    mapping = mapping_with(column("x", "x"), column("y", "x"))

    [good, bad] = items(mapping, ("a", "1", "1"), ("b", "1", "2"))

    assert good == {"pk": {"S": "a"}, "x": {"S": "1"}}
    assert bad.reason == "attribute x would need two different values"


# Mappings that cannot be read backwards


MAP_THESE = "has no elements before it in the mapping: map these as well, or do not seed the entity"
DO_NOT = "or do not seed the entity"
NO_TEXT = '"numbers": "string" makes a string of a number, and no text says which it was'
NOT_ALIKE = "is made of f, as f is, and differs in type, absent or null; declare both alike"
REFUSED = [
    f"column h: {NO_TEXT}; leave the option out, {DO_NOT}",
    f"attribute n: is also a part of n.x: map one of them, {DO_NOT}",
    f"attribute deep[0].pairs[2]: {MAP_THESE}",
    f"attribute list[1]: {MAP_THESE}",
    f"attribute m: is a map in one path and a list in another: correct them, {DO_NOT}",
    f"column g: {NOT_ALIKE}, {DO_NOT}",
    "column i: is made of the key attribute pk, which has another type: no item has such a row; correct the column",
]


def test_each_mapping_that_cannot_be_read_backwards_is_refused():
    mapping = mapping_with(
        column("a", "m", "x"),
        column("b", "m", 0),
        column("c", "n"),
        column("d", "n", "x"),
        column("e", "list", 1),
        column("f", "f"),
        column("g", "f", absent="null"),
        column("h", "h", type="json", numbers="string"),
        column("i", "pk", type="int"),
        column("j", "deep", 0, "pairs", 2),
    )

    found = problems(mapping)

    assert sorted(found) == sorted(f"any.json: entity thing, {problem}" for problem in REFUSED)


def test_a_prepare_function_is_refused(tmp_path: Path):
    (tmp_path / "any.py").write_text("def prepare(item):\n    return item\n", encoding="utf-8")
    document = json.loads((examples.ROOT / "mappings" / "orders.json").read_text(encoding="utf-8")) | {
        "prepare": "any.py"
    }

    assert problems(mapping_file.read_text("any", json.dumps(document), tmp_path)) == [
        "any.json: prepare: a Python function cannot be read backwards; map its attributes without it"
    ]


def test_only_the_chosen_entities_must_be_invertible():
    document = json.loads((examples.ROOT / "mappings" / "examples" / "shop.json").read_text(encoding="utf-8"))
    document["entities"]["order"]["columns"].append(column("x", "list", 3))
    mapping = mapping_of("shop", document)

    assert len(problems(mapping)) == 1
    assert Inverse(mapping, [2]).items(2, [("A", 1, "s", 1, Decimal(1))])[0]["sk"] == {"S": "LINE#1"}


def test_the_size_of_an_item_is_what_dynamodb_counts():
    """Names and texts in UTF-8; 3 bytes for a container and 1 for each element."""
    item = {"é": {"S": "ab"}, "n": {"N": "-120.50"}, "b": {"B": "AAA="}, "m": {"M": {"k": {"L": [{"BOOL": True}]}}}}

    assert item_size(item) == (2 + 2) + (1 + 4) + (1 + 2) + (1 + 3 + 1 + 1 + 3 + 1 + 1)
