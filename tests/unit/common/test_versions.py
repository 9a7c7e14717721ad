"""Newer wins: the order of versions is the order of changes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.poison import PoisonError
from common.versions import LOWEST_VERSION, version, versions
from tests.support.records import ARN

labels = st.datetimes().map(lambda when: when.strftime("%Y").zfill(4) + when.strftime("-%m-%dT%H:%M:%S.") + "123")
numbers = st.one_of(st.integers(0, 10**56), st.integers(10**20, 10**21), st.integers(10**26, 10**27))
changes = st.tuples(labels, numbers)


def of(change: tuple[str, int], width: int = 0) -> str:
    return version(f"arn:aws:dynamodb:us-east-1:1:table/t/stream/{change[0]}", str(change[1]).zfill(width))


@given(changes, changes)
def test_versions_sort_as_label_and_number_do(one: tuple[str, int], other: tuple[str, int]):
    assert (one < other) == (of(one) < of(other))
    assert (one == other) == (of(one) == of(other))


@given(changes, st.sampled_from([21, 27, 30, 56]), st.sampled_from([21, 27, 30, 56]))
def test_zeros_in_front_make_no_difference(change: tuple[str, int], one: int, other: int):
    assert of(change, one) == of(change, other)


@given(changes)
def test_every_version_fits_the_sidecar_and_beats_a_loaded_row(change: tuple[str, int]):
    assert of(change) > LOWEST_VERSION
    assert len(of(change)) <= 160
    assert of(change).isascii()


def test_the_longest_number_fits_and_a_longer_one_is_refused():
    assert len(version(ARN, "9" * 99)) == 126
    with pytest.raises(PoisonError, match="at most 99 digits"):
        version(ARN, "1" + "0" * 99)


arns = labels.map(lambda label: f"arn:aws:dynamodb:us-east-1:1:table/t/stream/{label}")
padded = st.tuples(numbers, st.sampled_from([0, 21, 27])).map(lambda drawn: str(drawn[0]).zfill(drawn[1]))


@given(st.lists(st.tuples(arns, padded), min_size=1))
def test_many_versions_are_those_of_each_alone(records: list[tuple[str, str]]):
    """Of one stream and one length too, which is what a batch has."""
    for given_records in (records, [records[0]] * 3):
        together = versions(*zip(*given_records, strict=True))
        assert together == [version(*one) for one in given_records]
