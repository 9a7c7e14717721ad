"""Which texts of a column are one value."""

from __future__ import annotations

import pytest

from common.mysql.columns import same_document, same_time

DEEP = "[" * 100_000 + "]" * 100_000


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ('{"a":1,"b":[true,null]}', '{"b": [true, null], "a": 1}', True),
        ("1", "1.0", True),
        ("100", "1e2", True),
        ("18446744073709551615", "1.8446744073709552e19", False),
        ("9007199254740993", "9007199254740992.0", False),
        ("0.1", "0.10000000000000001", False),
        ("true", "1", False),
        ("[false]", "[0]", False),
        ("null", '""', False),
        ("1", '"1"', False),
        ('"1"', "[1]", False),
        ('"a"', '"\\u0061"', True),
        ('"é"', '"e\u0301"', False),
        ("[1,2]", "[2,1]", False),
        ('{"a":1}', '{"a":1,"a":1}', False),
        ('{"a":1}', '{"a":1,"b":null}', False),
        ("[Infinity]", "[ Infinity ]", False),
        ("{}", "", False),
        ("{}", "{} x", False),
        ("[]", DEEP, False),
    ],
)
def test_documents_are_compared_by_what_they_hold(one: str, other: str, *, same: bool):
    """A number is its value. A boolean is no number."""
    assert (same_document(one, other), same_document(other, one)) == (same, same)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("12:00:00", "12:00:00.000000", True),
        ("2026-01-31 12:00:00.5", "2026-01-31 12:00:00.500", True),
        ("12:00:00.5", "12:00:00.05", False),
        ("12:00:00", "12:00:00.000001", False),
        ("12:00:10", "12:00:01", False),
        ("2026-01-31", "2026-01-3", False),
    ],
)
def test_zeros_at_the_end_of_a_fraction_do_not_count(one: str, other: str, *, same: bool):
    assert (same_time(one, other), same_time(other, one)) == (same, same)
