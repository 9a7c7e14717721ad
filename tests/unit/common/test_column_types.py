"""Every column type is complete. The values of its cases are data: `tests/cases/columns/<type>.json`."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import columns
from common.columns.column_type import ColumnType
from common.columns.decimal import DecimalType
from common.columns.key import KeyType
from common.mapping import Column, Table
from common.mysql.columns import ColumnRules
from common.poison import PoisonError
from dlq_replayer.splits import line_reader
from tests.support.cases import cases
from tests.support.columns import column_type

every_type = pytest.mark.parametrize("name", columns.TYPES)


def test_a_type_is_found_by_its_name():
    assert {name: cls.name for name, cls in columns.TYPES.items()} == {name: name for name in columns.TYPES}
    assert {"key", "string", "decimal", "epoch"} <= set(columns.TYPES)


def test_a_type_that_lacks_a_part_is_refused():
    """Not where that part is asked for first: at import."""

    class Half(ColumnType, name="half", python=str):
        def decoder(self, attribute: str) -> Any:
            raise NotImplementedError

    with pytest.raises(TypeError, match="half lacks mysql"):
        columns.complete([Half])
    with pytest.raises(TypeError, match="name"):

        class Nameless(ColumnType, python=str):
            pass


@every_type
def test_good_values_are_decoded_together_and_alone(name: str):
    decode = column_type(name).decoder("a")
    values = [value for value, _ in cases(f"columns/{name}")["values"]]

    together = list(decode(values))

    assert [type(value) for value in together] == [columns.TYPES[name].python] * len(values)
    assert [str(value) for value in together] == [str(decode([value])[0]) for value in values]


@every_type
def test_a_bad_value_is_refused_alone_and_among_good_ones(name: str):
    decode = column_type(name).decoder("a")
    good = [value for value, _ in cases(f"columns/{name}")["values"]]

    for value, reason in cases(f"columns/{name}")["poison"]:
        for given_values in ([value], [*good, value], [value, *good]):
            with pytest.raises(PoisonError) as refused:
                decode(given_values)
            assert reason == str(refused.value)


@every_type
def test_an_attribute_of_another_dynamodb_type_is_a_key_error(name: str):
    """The parser then says that the attribute has the wrong type."""
    with pytest.raises(KeyError):
        column_type(name).decoder("a")([{"SOMETHING": "else"}])


@every_type
def test_the_files_of_a_replay_carry_every_value(name: str):
    """As the type's Python type: what is read again is what was written."""
    table = Table("t", "ORDER", (Column("id", "id", KeyType(8)), Column("a", "a", column_type(name), nullable=True)))
    given_values = cases(f"columns/{name}")["values"]
    decoded = column_type(name).decoder("a")([value for value, _ in given_values])

    for value, expected in [*zip(decoded, (carried for _, carried in given_values), strict=True), (None, None)]:
        line = ("id", "v", 1, ("id", value), "source", 0, False)
        text = msgspec.json.encode([line])
        assert msgspec.json.decode(text)[0][3][1] == expected
        [found] = line_reader(table)(text)
        assert repr(found) == repr(line)


@every_type
def test_a_type_says_what_its_column_is_in_mysql(name: str):
    rules = column_type(name).mysql
    assert isinstance(rules, ColumnRules)
    assert rules.ddl


@pytest.mark.parametrize("text", ["9." + "9" * 37 + "E+37", "-1." + "0" * 36 + "1E+37"])
def test_a_number_of_38_digits_is_exact(text: str):
    """DynamoDB has 38 digits, Python's default context 28."""
    [found] = DecimalType(38, 0).decoder("a")([{"N": text}])
    assert f"{found:f}" == f"{Decimal(text):f}"


fractions = st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-1, max_value=1)


@given(st.lists(fractions.filter(lambda value: abs(value) < 1), min_size=1))
def test_a_decimal_may_have_no_digit_before_the_point(values: list[Any]):
    decode = DecimalType(4, 4).decoder("a")
    assert list(decode([{"N": str(value)} for value in values])) == values
    with pytest.raises(PoisonError):
        decode([{"N": "1.0"}])
