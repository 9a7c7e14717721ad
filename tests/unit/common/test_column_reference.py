"""The decoder of each column type against the reference."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.columns import TYPES
from common.poison import PoisonError
from tests.support.attribute_strategies import attributes, numbers
from tests.support.column_strategies import columns, fitting
from tests.support.reference_types import Unfit, convert, is_same

# What a decoder raises for a value that its column does not hold: see ColumnType.
REFUSALS = (PoisonError, KeyError, TypeError, AttributeError)


def values(column: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    number = numbers.flatmap(lambda text: st.sampled_from(({"N": text}, {"S": text})))
    return st.one_of(fitting(column), number, attributes)


@settings(
    max_examples=500,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(data=st.data())
def test_a_decoder_gives_what_the_reference_gives(data: st.DataObject) -> None:
    """Any column of any type, any value: the same value exactly, or refused by both."""
    column = data.draw(columns(), label="column")
    drawn = data.draw(st.lists(values(column), min_size=1, max_size=3), label="values")
    options = {name: option for name, option in column.items() if name != "type"}
    decode = TYPES[column["type"]].with_options(options).decoder("attribute any")

    expected = [reference(value, column) for value in drawn]
    try:
        actual = list(decode(drawn))
    except REFUSALS:
        assert Unfit in expected
    else:
        assert all(is_same(one, other) for one, other in zip(expected, actual, strict=True)), (expected, actual)


def reference(value: dict[str, Any], column: dict[str, Any]) -> Any:
    try:
        return convert(value, column)
    except Unfit:
        return Unfit
