"""Schemas, currencies and the OpenAPI document say the same as the table mapping and the standards."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import iso4217
import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

import api
from api import payloads
from api.money import MINOR_DIGITS
from api.problems import TITLES
from api.validation import MESSAGES
from common import mapping

HERE = Path(api.__file__).parent
SCHEMAS = {path.name: json.loads(path.read_bytes()) for path in (HERE / "schemas").iterdir()}
COLUMNS = {
    column["attribute"]: column
    for column in json.loads(Path(mapping.__file__).with_name("tables").joinpath("orders.json").read_bytes())["columns"]
}


def test_currencies_are_those_of_iso_4217_with_a_minor_unit():
    standard = {currency.code: currency.exponent for currency in iso4217.Currency if currency.exponent is not None}
    assert standard == MINOR_DIGITS


def test_no_currency_has_more_decimals_than_the_column():
    assert max(MINOR_DIGITS.values()) <= COLUMNS["amount"]["scale"]


@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=SCHEMAS.keys())
class TestSchema:
    def test_is_a_schema_with_a_message_for_each_keyword(self, schema):
        Draft202012Validator.check_schema(schema)
        spoken = {*MESSAGES, "required", "additionalProperties", "$schema", "title", "description", "properties"}
        for part in (schema, *schema["properties"].values()):
            assert set(part) <= spoken

    def test_fits_the_columns(self, schema):
        for name, part in schema["properties"].items():
            if name == "currency":
                assert {len(code) for code in part["enum"]} == {COLUMNS[name]["length"]}
            elif part["type"] == "string":
                assert part["maxLength"] <= COLUMNS[name]["length"]
        whole_digits = COLUMNS["amount"]["precision"] - COLUMNS["amount"]["scale"]
        assert schema["properties"]["amount"]["exclusiveMaximum"] == 10**whole_digits
        assert schema["properties"]["amount"]["exclusiveMinimum"] == Decimal(0)

    def test_knows_the_currencies(self, schema):
        assert schema["properties"]["currency"]["enum"] == list(MINOR_DIGITS)

    def test_its_patterns_mean_the_whole_string(self, schema):
        for part in schema["properties"].values():
            pattern = part.get("pattern", "^$")
            assert (pattern[0], pattern[-1]) == ("^", "$")


def test_both_schemas_agree_on_the_fields_they_share():
    create, patch = (SCHEMAS[name]["properties"] for name in ("order_create.json", "order_patch.json"))
    assert {name: create[name] for name in create.keys() & patch.keys()} == {
        name: patch[name] for name in create.keys() & patch.keys()
    }


OPENAPI = json.loads((HERE / "openapi.json").read_bytes())


def test_the_openapi_document_is_valid():
    validate(OPENAPI)


def test_the_openapi_document_has_the_schemas_of_the_requests():
    published = OPENAPI["components"]["schemas"]
    assert {schema["title"]: schema for schema in SCHEMAS.values()} == {
        schema["title"]: published[schema["title"]] for schema in SCHEMAS.values()
    }
    merchant_id = OPENAPI["components"]["parameters"]["MerchantId"]["schema"]
    assert merchant_id == SCHEMAS["order_create.json"]["properties"]["merchant_id"]


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
