"""SQL text: exact literals, and statements cut to a size in bytes."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from common.changes import Value
from common.mysql.sql import chunks, literal

items = st.lists(st.text(min_size=1, max_size=40), max_size=40)
separators = st.sampled_from([",", " OR "])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "NULL"),
        (0, "0"),
        (-7, "-7"),
        (10**20, "100000000000000000000"),
        (Decimal("200.00"), "200.00"),
        (Decimal("2E+2"), "200"),
        (Decimal("1E-4"), "0.0001"),
        (Decimal("-0.5"), "-0.5"),
        ("", "''"),
        ("NEW", "'NEW'"),
        ("it's", r"'it\'s'"),
        ('"', r"'\"'"),
        ("\\", r"'\\'"),
        ("\x00\n\r\x1a", r"'\0\n\r\Z'"),
        ("₹😀", "'₹😀'"),
        ("%s {0}", "'%s {0}'"),
    ],
)
def test_a_value_has_one_exact_literal(value: Value, text: str):
    assert literal(value) == text


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_a_decimal_is_never_written_with_an_exponent(value: Decimal):
    text = literal(value)

    assert "E" not in text.upper()
    assert Decimal(text) == value


@given(st.text())
@example("\\' OR 1=1 -- ")
def test_no_text_ends_its_literal_early(value: str):
    inside = literal(value)[1:-1]

    assert "'" not in inside.replace("\\\\", "").replace("\\'", "")
    assert not inside.replace("\\\\", "").endswith("\\")


@given(items, st.text(max_size=10), st.text(max_size=10), st.integers(1, 200), separators)
def test_chunks_hold_all_items_once_within_the_limit(
    items: list[str], head: str, tail: str, limit: int, separator: str
):
    """In their order."""
    parts = list(chunks(head, items, tail, limit, separator))

    assert [item for _, part in parts for item in items[part]] == items
    assert all(text == head + separator.join(items[part]) + tail for text, part in parts)
    assert all(len(text.encode()) <= limit or part.stop - part.start == 1 for text, part in parts)


@given(items, st.integers(1, 200))
def test_chunks_are_as_few_as_the_limit_allows(items: list[str], limit: int):
    """The first item of a chunk would not have fitted into the chunk before, give or take one separator."""
    parts = list(chunks("h", items, "t", limit))

    for (before, _), (_, after) in pairwise(parts):
        assert len(before.encode()) + 2 * len(",") + len(items[after.start].encode()) > limit


def test_nothing_to_write_makes_no_statement():
    assert list(chunks("head", [], "tail", 100)) == []


def test_bytes_count_and_not_characters():
    assert [part for _, part in chunks("", ["😀" * 10] * 3, "", 100)] == [slice(0, 2), slice(2, 3)]
