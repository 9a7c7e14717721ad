"""Schemas, currencies and the OpenAPI document agree with the code, the table mapping and the standards."""

from __future__ import annotations

import json
from dataclasses import fields
from decimal import Decimal
from pathlib import Path

import iso4217
import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from api import payloads
from api.money import MINOR_DIGITS
from api.order import NewOrder, Order, OrderPatch
from api.problems import TITLES
from api.validation import DEFINITIONS, MESSAGES
from scripts.generators import openapi

MAPPING = Path(__file__).parents[3] / "mappings" / "orders.json"
ORDER = json.loads(MAPPING.read_bytes())["entities"]["order"]
KEY_COLUMN, *_ = ORDER["target"]["key_columns"]
COLUMNS = {"p_key": KEY_COLUMN, **{column["from"][0]: column for column in ORDER["columns"]}}
VALUES = [name for name, definition in DEFINITIONS.items() if definition["type"] != "object"]
REQUESTS = ["OrderCreate", "OrderPatch"]


def test_currencies_are_those_of_iso_4217_with_a_minor_unit():
    standard = {currency.code: currency.exponent for currency in iso4217.Currency if currency.exponent is not None}
    assert standard == MINOR_DIGITS


def test_no_currency_has_more_decimals_than_the_column():
    assert max(MINOR_DIGITS.values()) <= COLUMNS["amount"]["scale"]


@pytest.mark.parametrize("schema", DEFINITIONS.values(), ids=DEFINITIONS.keys())
def test_every_definition_is_a_valid_schema(schema):
    Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("name", [*VALUES, *REQUESTS])
def test_every_keyword_of_a_request_has_a_message(name):
    silent = {"required", "additionalProperties", "description", "properties"}
    assert set(DEFINITIONS[name]) <= {*MESSAGES, *silent}


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_refers_to_definitions_only(name):
    """A field has one definition, so that create and patch cannot disagree."""
    assert all(set(field) == {"$ref"} for field in DEFINITIONS[name]["properties"].values())


@pytest.mark.parametrize("name", VALUES)
def test_patterns_match_the_whole_string(name):
    pattern = DEFINITIONS[name].get("pattern", "^$")
    assert (pattern[0], pattern[-1]) == ("^", "$")


def test_every_valid_value_fits_its_column():
    assert {len(code) for code in MINOR_DIGITS} == {COLUMNS["currency"]["length"]}
    assert DEFINITIONS["MerchantId"]["maxLength"] <= COLUMNS["merchant_id"]["length"]
    assert DEFINITIONS["Status"]["maxLength"] <= COLUMNS["status"]["length"]
    whole_digits = COLUMNS["amount"]["precision"] - COLUMNS["amount"]["scale"]
    assert DEFINITIONS["Amount"]["exclusiveMaximum"] == 10**whole_digits
    assert DEFINITIONS["Amount"]["exclusiveMinimum"] == Decimal(0)


@pytest.mark.parametrize(("name", "shape"), [("OrderCreate", NewOrder), ("OrderPatch", OrderPatch), ("Order", Order)])
def test_a_schema_has_the_fields_of_its_class(name, shape):
    assert set(DEFINITIONS[name]["properties"]) == {field.name for field in fields(shape)}


OPENAPI = json.loads(openapi.OUTPUT.read_bytes())


def test_the_openapi_document_is_current():
    """After a change of its sources, `python -m scripts.generators.openapi` writes it."""
    assert openapi.OUTPUT.read_text() == openapi.render()


def test_the_openapi_document_is_valid():
    validate(OPENAPI)


def test_the_openapi_document_has_the_schemas_of_the_requests():
    local = json.loads(json.dumps(DEFINITIONS).replace("#/$defs/", "#/components/schemas/"))
    assert OPENAPI["components"]["schemas"] | local == OPENAPI["components"]["schemas"]


def test_the_openapi_document_has_the_limits_of_the_code():
    limit = OPENAPI["components"]["parameters"]["Limit"]["schema"]
    assert (limit["default"], limit["maximum"]) == (payloads.DEFAULT_LIMIT, payloads.MAX_LIMIT)
    assert f"{payloads.MAX_BODY_BYTES} bytes" in OPENAPI["components"]["responses"]["ContentTooLarge"]["description"]


def test_every_problem_has_a_title_and_a_place_in_the_document():
    documented = {
        int(status)
        for path in OPENAPI["paths"].values()
        for operation in path.values()
        if isinstance(operation, dict)
        for status in operation["responses"]
    }
    assert {int(status) for status in TITLES} <= documented


def test_the_guide_lists_every_problem_field_and_limit():
    guide = openapi.OUTPUT.parents[2].joinpath("docs", "api.md").read_text()
    rows = [f"| {int(status)} | {title} |" for status, title in TITLES.items()]
    rows += [f"| `{field.name}` |" for field in fields(Order)]
    rows += [f"| request body | {payloads.MAX_BODY_BYTES} bytes |", f"| {payloads.MAX_LIMIT} orders |"]
    assert [row for row in rows if row not in guide] == []
