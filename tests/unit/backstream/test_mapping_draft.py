"""A first mapping file from a sample of items."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from backstream.mapping.draft import draft
from backstream.mapping.draft_key import LegacyTable, TableKeys
from backstream.mapping.files import render
from backstream.mapping.inference import Attribute, infer
from common.mapping import KeyAttribute, Mapping
from common.mapping_file import read_text
from common.mysql.columns import ActualColumn

PK, SK = KeyAttribute("pk", "S"), KeyAttribute("sk", "S")
SINGLE_TABLE = TableKeys(PK, SK)


def item(pk: str, sk: str | None = None, **attributes: Any) -> dict[str, Any]:
    keys = {"pk": {"S": pk}} | ({"sk": {"S": sk}} if sk is not None else {})
    return keys | {name: {"S": value} if isinstance(value, str) else value for name, value in attributes.items()}


def drafted(keys: TableKeys, items: Sequence[Any], tables: Sequence[LegacyTable] = ()) -> dict[str, Any]:
    """A draft always loads."""
    declared = draft(keys, items, tables)
    assert isinstance(read_text("draft", render(declared), Path()), Mapping)
    return declared


def entities(declared: dict[str, Any]) -> dict[str, Any]:
    """What each entity is about, and its key."""
    return {
        name: (one.get("when"), one["target"]["key"], [column["column"] for column in one["target"]["key_columns"]])
        for name, one in declared["entities"].items()
    }


def test_prefixes_and_whole_sort_keys_tell_entities_apart():
    items = [item(f"CUSTOMER#{n}", "PROFILE") for n in range(3)]
    items += [item(f"ORDER#{n}", sort) for n in range(3) for sort in ("ORDER", "LINE#1", "LINE#2")]
    assert entities(drafted(SINGLE_TABLE, items)) == {
        "order_line": (
            {"partition_key": {"starts_with": "ORDER#"}, "sort_key": {"starts_with": "LINE#"}},
            {"partition_key": "ORDER#{order_id}", "sort_key": "LINE#{line_id}"},
            ["order_id", "line_id"],
        ),
        "customer": (
            {"partition_key": {"starts_with": "CUSTOMER#"}, "sort_key": {"equals": "PROFILE"}},
            {"partition_key": "CUSTOMER#{customer_id}"},
            ["customer_id"],
        ),
        "order": (
            {"partition_key": {"starts_with": "ORDER#"}, "sort_key": {"equals": "ORDER"}},
            {"partition_key": "ORDER#{order_id}"},
            ["order_id"],
        ),
    }


def test_an_attribute_tells_items_of_like_keys_apart():
    items = [item(f"id{n}", type=kind) for n in range(4) for kind in ("user", "group")]
    assert entities(drafted(TableKeys(PK), items)) == {
        kind: ({"attribute": {"path": ["type"], "equals": kind}}, {"partition_key": f"{{{kind}_id}}"}, [f"{kind}_id"])
        for kind in ("user", "group")
    }


def test_items_with_like_keys_are_named():
    """The larger group gets the entity; the draft says how many items are in none."""
    items = [item(f"order-{n}", f"2026-01-{n:02}") for n in range(1, 9)]
    items += [item("order-9", "LINE#1")]
    declared = drafted(SINGLE_TABLE, items)
    assert len(declared["entities"]) == 1
    assert "1 sampled items with sk starts with LINE# have no entity of their own" in declared["comment"]


def test_a_key_with_several_parts_becomes_several_columns():
    items = [item(f"ORDER#{n}#LINE#{n + 7}") for n in range(3)]
    ((when, key, columns),) = entities(drafted(TableKeys(PK), items)).values()
    assert when == {"partition_key": {"starts_with": "ORDER#"}}
    assert key == {"partition_key": "ORDER#{order_id}#LINE#{line_id}"}
    assert columns == ["order_id", "line_id"]


@pytest.mark.parametrize("text", ["a #{}", "a##{}", "1#2#3#4#5#6#7#8#{}"], ids=["space", "empty", "too many"])
def test_a_key_whose_parts_fit_no_columns_stays_whole(text: str):
    """A key column takes neither an empty text nor a space at the end, and a key has at most 16 columns."""
    ((_, key, columns),) = entities(drafted(TableKeys(PK), [item(text.format(n)) for n in range(3)])).values()
    assert (key["partition_key"].count("{"), len(columns)) == (1, 1)


def test_a_key_of_many_texts_is_as_long_as_the_sample():
    """A key has at most 3072 bytes. Four texts of 255 characters would be too long."""
    items = [item(f"é{n}|ü|ö{n}|ä") for n in range(3)]
    [entity] = drafted(TableKeys(PK), items)["entities"].values()
    assert [column["length"] for column in entity["target"]["key_columns"]] == [2, 1, 2, 1]
    assert all("at most 3072 bytes" in column["comment"] for column in entity["target"]["key_columns"])


def test_number_and_binary_keys_are_whole_columns():
    keys = TableKeys(KeyAttribute("company", "N"), KeyAttribute("digest", "B"))
    declared = drafted(keys, [{"company": {"N": str(n)}, "digest": {"B": "eHg="}} for n in range(3)])
    ((_, key, columns),) = entities(declared).values()
    assert key == {"partition_key": "{company}", "sort_key": "{digest}"}
    assert columns == ["company", "digest"]


def test_ttl_and_index_attributes_become_no_columns():
    keys = TableKeys(PK, None, "expires", frozenset({"GSI1PK", "email"}))
    declared = drafted(keys, [item("a", expires={"N": "1800000000"}, GSI1PK="x", email="a@b")])
    ((_, entity),) = declared["entities"].items()
    assert declared["ttl_attribute"] == "expires"
    assert [column["column"] for column in entity["columns"]] == ["email"]


def test_absent_and_null_attributes_are_nullable():
    items = [item("a", note="x"), item("b", note={"NULL": True}), item("c")]
    ((_, entity),) = drafted(TableKeys(PK), items)["entities"].items()
    assert entity["columns"] == [
        {"column": "note", "from": ["note"], "type": "string", "length": 16, "absent": "null", "null": "null"}
    ]


@pytest.mark.parametrize(
    ("values", "declared"),
    [
        ([{"S": "x" * 40}], {"type": "string", "length": 64}),
        ([{"S": ""}], {"type": "string", "length": 16}),
        ([{"S": "x" * 5000}], {"type": "text"}),
        ([{"S": str(UUID(int=7))}], {"type": "uuid"}),
        ([{"S": "2026-01-31"}], {"type": "date"}),
        ([{"S": "23:59:59"}], {"type": "time"}),
        ([{"S": "2026-01-31T00:00:00Z"}], {"type": "datetime", "fraction": 0}),
        ([{"S": "2026-01-31T00:00:00.5+01:00"}], {"type": "datetime", "fraction": 3}),
        ([{"S": "Y"}, {"S": "N"}], {"type": "boolean", "as": {"true": "Y", "false": "N"}}),
        ([{"N": "7"}], {"type": "int"}),
        ([{"N": "3000000000"}], {"type": "bigint"}),
        ([{"N": "1760000000"}], {"type": "bigint"}),
        ([{"N": "12345678901234567890"}], {"type": "decimal", "precision": 38, "scale": 0}),
        ([{"N": "1.5"}, {"N": "100"}], {"type": "decimal", "precision": 19, "scale": 2}),
        ([{"N": "1E+100"}], {"type": "string", "length": 255, "as": "number"}),
        ([{"BOOL": True}], {"type": "boolean"}),
        ([{"B": "eHg="}], {"type": "binary", "length": 16}),
        ([{"M": {"a": {"N": "1"}}}], {"type": "json"}),
        ([{"NS": ["1"]}], {"type": "json"}),
        ([{"L": [{"N": "1.00000000000000000000001"}]}], {"type": "json", "numbers": "string"}),
        ([{"S": "x"}, {"N": "1"}], {"type": "json"}),
        ([], {"type": "json"}),
    ],
)
def test_the_type_holds_every_sampled_value(values: list[Any], declared: dict[str, Any]):
    found = infer(Attribute(("a",), values))
    found.pop("comment", None)
    assert found == declared


@pytest.mark.parametrize(
    ("value", "doubt"),
    [
        ({"N": "1760000000"}, '"as": "epoch_seconds"'),
        ({"N": "1760000000000"}, '"as": "epoch_milliseconds"'),
        ({"S": "2026-01-31T00:00:00"}, '"as": "iso8601_utc"'),
        ({"S": "42"}, '"as": "string"'),
        ({"M": {"city": {"S": "x"}}}, '"from": ["a", "city"]'),
    ],
)
def test_what_the_sample_cannot_tell_is_a_comment(value: dict[str, Any], doubt: str):
    assert doubt in infer(Attribute(("a",), [value] * 2))["comment"]


def actual(name: str, full_type: str, *, nullable: bool = True, has_default: bool = False) -> ActualColumn:
    kind, _, size = full_type.partition("(")
    numbers = [int(number) for number in size.rstrip(")").split(",") if number.isdigit()]
    length = numbers[0] if numbers and kind in ("char", "varchar", "binary", "varbinary") else None
    precision, scale = numbers if kind == "decimal" else (None, None)
    return ActualColumn(name, kind, full_type, length, precision, scale, nullable, "", "", has_default, "")


def legacy(name: str, key: list[str], *columns: ActualColumn) -> LegacyTable:
    return LegacyTable(name, {column.name: column for column in columns}, key)


def test_a_legacy_table_gives_names_and_types():
    table = legacy(
        "tblOrders",
        ["OrderNo"],
        actual("OrderNo", "varchar(40)", nullable=False),
        actual("CREATED_AT", "datetime(3)", nullable=False),
        actual("Amount", "decimal(12,2)", nullable=False),
        actual("address_city", "varchar(30)"),
        actual("note", "varchar(10)", nullable=False),
        actual("ship_no", "int", nullable=False),
        actual("site", "int", nullable=False),
    )
    values = {"createdAt": {"N": "1760000000"}, "amount": {"N": "5"}, "address": {"M": {"city": {"S": "x"}}}}
    items = [item("ORDER#1", **values, note="x", shipNo="7"), item("ORDER#2", **values, shipNo="8")]
    ((_, entity),) = drafted(TableKeys(PK), items, [table])["entities"].items()
    assert entity["target"] == {
        "table": "tblOrders",
        "key": {"partition_key": "ORDER#{OrderNo}"},
        "key_columns": [{"column": "OrderNo", "type": "string", "length": 40, "ascii": True}],
    }
    shown = {column.pop("column"): (column.pop("comment", ""), column) for column in entity["columns"]}
    assert shown["CREATED_AT"] == (
        "taken as seconds since 1970",
        {"from": ["createdAt"], "type": "datetime", "fraction": 3, "as": "epoch_seconds"},
    )
    assert shown["Amount"] == ("", {"from": ["amount"], "type": "decimal", "precision": 12, "scale": 2})
    assert shown["address_city"] == ("", {"from": ["address", "city"], "type": "string", "length": 30})
    assert shown["ship_no"] == ("", {"from": ["shipNo"], "type": "int", "as": "string"})
    assert "absent in 1 sampled items, and the column is NOT NULL" in shown["note"][0]
    assert "column site is NOT NULL without a default: map it, with from or const" in entity["comment"]


def test_a_legacy_table_goes_to_the_entity_it_is_like():
    items = [item(f"CUSTOMER#{n}", "PROFILE", email="x") for n in range(3)]
    items += [item(f"ORDER#{n}", "ORDER", total={"N": "1"}) for n in range(5)]
    table = legacy("clients", ["id"], actual("id", "varchar(40)"), actual("email", "varchar(200)"))
    declared = drafted(SINGLE_TABLE, items, [table])
    assert declared["entities"]["customer"]["target"]["table"] == "clients"
    assert declared["entities"]["order"]["target"]["table"] == "orders"


def test_another_number_of_key_columns_is_a_comment():
    table = legacy("orders", ["shop", "no"], actual("shop", "int"), actual("no", "int"))
    ((_, entity),) = drafted(TableKeys(PK), [item("ORDER#1")], [table])["entities"].items()
    assert "the primary key of orders is shop, no, and the items' key has 1 parts" in entity["comment"]
