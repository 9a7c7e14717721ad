"""A mapping file is refused for everything that it leaves open. `tests/cases/mappings.json` has the cases."""

from __future__ import annotations

import copy
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common import mapping
from common.columns import TYPES
from common.mapping import Column, Entity, KeyAttribute, KeyCondition, Mapping, MappingError, Templates, When
from common.mapping_file import parse_json, read_text
from common.templates import Template
from scripts.generators import mapping_schema
from tests.support.cases import cases

CASES = cases("mappings")
GOOD: dict[str, Any] = CASES["good"]
FOLDER = mapping_schema.OUTPUT.parent
SCHEMA = json.loads(mapping_schema.OUTPUT.read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
DECLARED = sorted(path for path in FOLDER.glob("*.json") if path != mapping_schema.OUTPUT)


def problems(declared: Any, folder: Path = FOLDER) -> list[str]:
    try:
        read_text("shop", declared if isinstance(declared, str) else json.dumps(declared), folder)
    except MappingError as error:
        return error.problems
    return []


def with_change(change: dict[str, Any]) -> Any:
    """The good mapping with a value at each path of `put`; null removes one."""
    declared = copy.deepcopy(GOOD)
    for path, value in change["put"].items():
        *way, last = path.split(".")
        place: Any = declared
        for name in way:
            place = place[int(name) if isinstance(place, list) else name]
        if value is None:
            del place[last]
        else:
            place[int(last) if isinstance(place, list) else last] = value
    return declared


@pytest.mark.parametrize("path", DECLARED, ids=lambda path: path.name)
def test_every_declared_mapping_is_accepted(path: Path):
    assert mapping.check_file(path) == []


def test_the_schema_itself_is_valid():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_the_published_schema_is_current():
    """Otherwise run `python -m scripts.generators.mapping_schema`."""
    assert mapping_schema.render() == mapping_schema.OUTPUT.read_text()


def test_a_mapping_with_everything_is_accepted():
    assert problems(GOOD) == []
    assert list(VALIDATOR.iter_errors(GOOD)) == []


@pytest.mark.parametrize("case", CASES["refused"], ids=lambda case: json.dumps(case["put"])[:60])
def test_a_bad_mapping_is_refused_with_a_reason(case: dict[str, Any]):
    """The reason names file, entity, column and what to write instead."""
    assert case["problem"] in problems(with_change(case))


@pytest.mark.parametrize(("text", "problem"), CASES["refused_texts"])
def test_a_file_that_is_not_a_mapping_is_refused(text: str, problem: str):
    assert problem in problems(text)


def test_all_problems_are_reported_at_once():
    declared = with_change(
        {"put": {"ttl_attribute": "", "entities.line.unmapped": "x", "entities.line.columns.0.length": 0}}
    )
    assert len(problems(declared)) == 3


junk = st.sampled_from(
    [
        None,
        True,
        0,
        -1,
        1.5,
        10**9,
        "",
        "x",
        "a b",
        "string",
        "null",
        "reject",
        [],
        ["x"],
        [0],
        {},
        {"x": 1},
        {"comment": 1},
    ]
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for name, one in inner for place in places(one, (*path, name)))]


PLACES = [path for path in places(GOOD) if path]


@settings(max_examples=600)
@given(st.sampled_from(PLACES), st.sampled_from(["replace", "delete", "add"]), junk)
def test_the_loader_refuses_what_the_schema_refuses(path: tuple[Any, ...], how: str, value: Any):
    """The loader raises MappingError alone, whatever the file holds."""
    declared = copy.deepcopy(GOOD)
    place: Any = declared
    for name in path[:-1]:
        place = place[name]
    if how == "replace":
        place[path[-1]] = value
    elif how == "delete":
        del place[path[-1]]
    elif isinstance(place, dict):
        place["added"] = value
    else:
        place.append(value)

    found = problems(declared)

    if list(VALIDATOR.iter_errors(declared)):
        assert found


def test_numbers_of_a_file_are_exact():
    assert parse_json("0.10") == Decimal("0.10")


def test_a_column_is_null_only_where_the_mapping_says_so():
    entity = read_text("shop", json.dumps(GOOD), FOLDER).entities[1]
    assert [column.name for column in entity.columns if column.nullable] == ["city"]


def test_columns_come_in_writing_order():
    """Key columns in the order of the primary key, then mapped ones, then those of `unmapped`, `deletes` and `ttl`."""
    customer, line, _ = read_text("shop", json.dumps(GOOD), FOLDER).entities
    assert [column.name for column in customer.columns] == ["id", "extra", "is_deleted", "deleted_at"]
    assert [column.name for column in line.columns][:5] == ["line_no", "order_id", "at", "sku", "city"]


def test_a_prepare_file_is_found_by_its_path(tmp_path: Path):
    """A module of the same name elsewhere is not loaded."""
    (tmp_path / "json.py").write_text("def prepare(item):\n    return {**item, 'seen': True}\n")
    loaded = read_text("shop", json.dumps(GOOD | {"prepare": "json.py"}), tmp_path)
    assert loaded.prepare is not None
    assert loaded.prepare({"a": 1}) == {"a": 1, "seen": True}


def test_a_prepare_file_can_define_a_dataclass(tmp_path: Path):
    """With postponed annotations, the module is looked up by its name."""
    lines = ("from __future__ import annotations", "from dataclasses import dataclass", "@dataclass", "class Name:")
    text = "\n".join((*lines, "    first: str", "def prepare(item):", "    return {'name': Name(item['a']).first}"))
    (tmp_path / "shop.py").write_text(text)
    loaded = read_text("shop", json.dumps(GOOD | {"prepare": "shop.py"}), tmp_path)
    assert loaded.prepare is not None
    assert loaded.prepare({"a": "ann"}) == {"name": "ann"}


@pytest.mark.parametrize(
    ("text", "problem"),
    [("prepare = 5", "has no function prepare"), ("1 / 0", "ZeroDivisionError"), ("def prepare(:", "SyntaxError")],
)
def test_a_prepare_file_that_cannot_be_loaded_is_refused(tmp_path: Path, text: str, problem: str):
    (tmp_path / "shop.py").write_text(text)
    [found] = problems(GOOD | {"prepare": "shop.py"}, tmp_path)
    assert "prepare: shop.py cannot be loaded: " in found
    assert problem in found


def test_a_missing_mapping_is_named():
    with pytest.raises(MappingError, match=r"absent\.json: is in neither .*mappings.*correct MAPPING"):
        mapping.load("absent")


def test_a_file_that_is_not_text_is_refused(tmp_path: Path):
    (tmp_path / "shop.json").write_bytes(b"\xff")
    assert mapping.check_file(tmp_path / "shop.json") == ["shop.json: is not UTF-8"]


def test_orders_are_mapped_to_the_columns_of_the_legacy_table():
    def column(name: str, type_name: str, **options: Any) -> Column:
        return Column(name, (name,), TYPES[type_name].with_options(options))

    key = Column("order_id", (), TYPES["string"].with_options({"length": 64, "ascii": True}).in_key())
    seconds = {"minimum": 0, "maximum": 99_999_999_999}
    columns = (
        column("merchant_id", "string", length=64),
        column("amount", "decimal", precision=19, scale=4),
        column("currency", "string", length=3),
        column("status", "string", length=32),
        column("created_at", "bigint", **seconds),
        column("updated_at", "bigint", **seconds),
    )
    when = When(sort_key=KeyCondition(equals="ORDER"))
    templates = Templates(Template.parse("{order_id}"))
    order = Entity("order", "tbl_orders", (key,), (key, *columns), when, templates)
    keys = KeyAttribute("p_key", "S"), KeyAttribute("s_key", "S")
    assert mapping.load() == Mapping("orders", *keys, (order,), ttl_attribute="record_ttl")
