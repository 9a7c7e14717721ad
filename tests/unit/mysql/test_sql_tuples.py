"""Rows printed column by column equal rows printed value by value."""

from hypothesis import given
from hypothesis import strategies as st

from common.mysql.sql import literal, tuples

texts = st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(["it's", "100%", "%s", "back\\slash", "\0"])
values = texts | st.integers() | st.decimals(allow_nan=False, allow_infinity=False) | st.none()
amounts = st.decimals(allow_nan=False, allow_infinity=False)


def tables(cells):
    return st.integers(1, 4).flatmap(lambda width: st.lists(st.lists(cells, min_size=width, max_size=width)))


@given(tables(values) | tables(texts) | tables(amounts) | tables(st.integers()))
def test_same_text_as_value_by_value(rows):
    assert tuples(zip(*rows, strict=True)) == [f"({','.join(map(literal, row))})" for row in rows]
