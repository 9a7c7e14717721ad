"""Every column type is complete. The values of its cases are data: `tests/cases/columns/<type>.json`."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import columns
from common.columns import TYPES
from common.columns.column_type import ColumnType
from common.columns.option import OptionError
from common.mysql.columns import ColumnRules
from common.poison import PoisonError
from tests.support.columns import TypeCase, type_cases

CASES = list(type_cases())
every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)


def decoder(case: TypeCase) -> Any:
    return case.type.decoder("attribute a")


def test_a_type_is_found_by_its_name():
    assert {name: cls.name for name, cls in TYPES.items()} == {name: name for name in TYPES}
    assert set(TYPES) == {case.type.name for case in CASES}


def test_a_type_that_lacks_a_part_is_refused():
    """Not where that part is asked for first: at import."""

    class Half(ColumnType, name="half"):
        kind = "S"

    with pytest.raises(TypeError, match="half lacks content_decoder, half lacks literal, half lacks mysql"):
        columns.complete([Half])


@every_case
def test_good_values_are_decoded_together_and_alone(case: TypeCase):
    decode = decoder(case)
    values = [value for value, _ in case.values]

    together = list(decode(values))

    assert [type(value) for value in together] == [case.type.python] * len(values)
    assert [str(value) for value in together] == [str(decode([value])[0]) for value in values]
    assert [msgspec.to_builtins(value) for value in together] == [expected for _, expected in case.values]


@every_case
def test_a_bad_value_is_refused_alone_and_among_good(case: TypeCase):
    decode = decoder(case)
    good = [value for value, _ in case.values]

    for value, reason in case.poison:
        for given_values in ([value], [*good, value], [value, *good]):
            with pytest.raises(PoisonError) as refused:
                decode(given_values)
            assert reason == str(refused.value)


@every_case
def test_another_dynamodb_type_is_a_key_error(case: TypeCase):
    """The parser then says that the attribute has the wrong type."""
    for wrong in [*case.wrong, {"SOMETHING": "else"}]:
        with pytest.raises(KeyError):
            decoder(case)([wrong])


@every_case
def test_the_files_of_a_replay_carry_every_value(case: TypeCase):
    """As the type's Python type: what is read again is what was written."""
    for value in decoder(case)([value for value, _ in case.values]):
        text = msgspec.json.encode([value, None])
        found = msgspec.json.decode(text, type=list[case.type.python | None])
        assert repr(found) == repr([value, None])


@every_case
def test_a_type_says_what_its_column_is_in_mysql(case: TypeCase):
    assert isinstance(case.type.mysql, ColumnRules)
    assert case.type.mysql.ddl


@pytest.mark.parametrize(
    ("name", "options", "problem"),
    [
        ("decimal", {}, "needs the option precision, a whole number from 1 to 65; needs the option scale"),
        ("decimal", {"precision": 3, "scale": 4}, "scale must not be above precision"),
        ("decimal", {"precision": 3.0, "scale": 1}, "precision must be a whole number from 1 to 65"),
        ("decimal", {"precision": True, "scale": 1}, "precision must be a whole number from 1 to 65"),
        ("string", {"length": 5, "scale": 1}, "has no option scale; it has length, ascii, as"),
        ("string", {"length": 5, "ascii": 1}, "ascii must be true or false"),
        ("string", {"length": 5, "as": "text"}, 'as must be "number"'),
        ("tinyint", {"maximum": 200}, "minimum and maximum must be between -128 and 127, the range of the column"),
        ("int", {"minimum": 2, "maximum": 1}, "maximum must not be below minimum"),
        ("boolean", {"as": {"true": "Y"}}, 'as must be an object such as {"true": "Y", "false": "N"}'),
        (
            "boolean",
            {"as": {"true": 1, "false": Decimal("1.0")}},
            "as must have different values for true and for false",
        ),
        ("enum", {"values": ["a", "a"]}, "values must be a list of different strings"),
        ("enum", {"values": ["a "]}, "values must be a list of different strings"),
        ("enum", {"values": []}, "values must be a list of different strings"),
        ("date", {"fraction": 3}, "has no option fraction; it has as"),
    ],
)
def test_bad_options_are_refused(name: str, options: dict[str, Any], problem: str):
    with pytest.raises(OptionError) as refused:
        TYPES[name].with_options(options)
    assert problem in str(refused.value)


@pytest.mark.parametrize(
    ("name", "options", "literal", "value"),
    [
        ("string", {"length": 5, "as": "number"}, "a", "a"),
        ("decimal", {"precision": 5, "scale": 2}, Decimal("1.5"), Decimal("1.5")),
        ("decimal", {"precision": 5, "scale": 2, "as": "string"}, "1.5", Decimal("1.5")),
        ("int", {}, 5, 5),
        ("boolean", {"as": {"true": "Y", "false": "N"}}, True, 1),
        ("datetime", {"as": "epoch_seconds"}, "2026-01-31T00:00:00Z", "2026-01-31 00:00:00"),
        ("binary", {"length": 3}, "AAEC", b"\0\1\2"),
        ("json", {}, {"b": [1, Decimal("1.5"), None], "a": True}, '{"a":true,"b":[1,1.5,null]}'),
        ("enum", {"values": ["a"]}, "a", "a"),
    ],
)
def test_a_constant_is_written_in_the_natural_form(name: str, options: dict[str, Any], literal: Any, value: Any):
    assert TYPES[name].with_options(options).literal(literal) == value


@pytest.mark.parametrize(
    ("name", "options", "good", "bad"),
    [
        ("int", {}, ["7", "0", "-1"], ["007", "+7", "-0", "7.0", "1e3", " 7", "", "\u0667", "7,7"]),
        (
            "decimal",
            {"precision": 5, "scale": 2},
            ["1.5", "0", "-0.05"],
            ["1.50", "01", ".5", "1.", "-0", "-0.0", "1e1"],
        ),
        ("uuid", {}, ["01234567-89ab-cdef-0123-456789abcdef"], ["01234567-89AB-cdef-0123-456789abcdef"]),
        ("date", {}, ["2026-01-31"], ["2026-1-31"]),
        (
            "datetime",
            {"fraction": 1},
            ["2026-01-31T10:00:00.5Z"],
            ["2026-01-31T10:00:00.50Z", "2026-01-31T11:00:00.5+01:00"],
        ),
        ("string", {"length": 5}, ["a", " a"], ["a ", "toolong"]),
    ],
)
def test_a_key_column_takes_one_text_for_each_value(
    name: str, options: dict[str, Any], good: list[str], bad: list[str]
):
    """Otherwise two items would be one row."""
    decode = TYPES[name].with_options(options).in_key().key_decoder("key k")
    assert len(set(decode(good))) == len(good)
    for text in bad:
        for texts in ([text], [*good, text]):
            with pytest.raises(PoisonError, match="key k"):
                decode(texts)


fractions = st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-1, max_value=1)


@given(st.lists(fractions.filter(lambda value: abs(value) < 1), min_size=1))
def test_a_decimal_may_have_no_digit_before_the_point(values: list[Any]):
    decode = TYPES["decimal"].with_options({"precision": 4, "scale": 4}).decoder("attribute a")
    assert list(decode([{"N": str(value)} for value in values])) == values
    with pytest.raises(PoisonError):
        decode([{"N": "1.0"}])
