"""Versions of two sources never meet unawares: a generation orders them, and another table's records are refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import mapping
from common.records import parse_records
from common.source import HIGHEST_GENERATION, Source, Stream, parse_stream
from common.versions import version
from tests.support.records import ARN, SOURCE, STREAM, record

TABLE = mapping.load()
SECOND = Source(SOURCE.table_arn, 2)
OTHERS = {
    "table": ARN.replace("orders", "users"),
    "table whose name begins alike": ARN.replace("orders", "orders-2"),
    "Region": ARN.replace("us-east-1", "eu-west-1"),
    "account": ARN.replace("123456789012", "210987654321"),
}


def test_a_stream_is_a_table_and_a_label():
    assert parse_stream(ARN) == Stream(
        "arn:aws:dynamodb:us-east-1:123456789012:table/orders", "2026-01-31T00:00:00.000"
    )


@pytest.mark.parametrize(
    "arn",
    [
        "",
        "orders",
        SOURCE.table_arn,
        ARN + "\n",
        ARN[:-4],
        ARN.replace("dynamodb", "kinesis"),
        ARN.replace("/o", "/'o"),
    ],
)
def test_what_is_no_stream_is_refused(arn: str):
    with pytest.raises(ValueError, match="must be the ARN of a DynamoDB stream"):
        parse_stream(arn)


labels = st.datetimes().map(lambda when: when.strftime("%Y").zfill(4) + when.strftime("-%m-%dT%H:%M:%S.") + "123")
numbers = st.one_of(st.integers(1, 10**56), st.integers(10**20, 10**21))
places = st.tuples(st.integers(0, HIGHEST_GENERATION) | st.integers(0, 11), labels, numbers)


def of(place: tuple[int, str, int]) -> str:
    generation, label, number = place
    return version(f"{SOURCE.table_arn}/stream/{label}", str(number), Source(SOURCE.table_arn, generation))


@given(places, places)
def test_versions_sort_by_generation_label_and_number(one: Any, other: Any):
    assert (one < other) == (of(one) < of(other))
    assert (one == other) == (of(one) == of(other))


@given(places)
def test_every_version_of_a_generation_fits_the_sidecar(place: Any):
    assert len(of(place)) <= 160
    assert of(place).isascii()


def test_the_first_generation_keeps_the_versions_that_there_are():
    assert version(ARN, "17", SOURCE) == version(ARN, "17") == f"{STREAM.label}_02_17"
    assert version(ARN, "17", SECOND) == f"g0002_{STREAM.label}_02_17"


def test_another_stream_of_the_same_table_is_its_own():
    arn = ARN.replace("2026-01-31", "2025-01-31")
    assert version(arn, "1", SOURCE) == version(arn, "1")


@pytest.mark.parametrize("arn", OTHERS.values(), ids=OTHERS.keys())
def test_a_record_of_another_table_is_parked_without_a_version(arn: str):
    """A version that means nothing here would be compared with those that do."""
    foreign = record("a", 1, arn=arn)
    batch = parse_records([foreign, record("b", 1)], TABLE, source=SOURCE)
    assert [change.key for change in batch.changes] == ["order/b"]
    assert [(one.key, one.version, one.record) for one in batch.parked] == [("order/a", None, foreign)]
    assert batch.parked[0].reason == "eventSourceARN belongs to another table"
    assert "STREAM_ARN" in batch.parked[0].hint


def test_a_parked_record_has_the_version_of_its_generation():
    (parked,) = parse_records([record("a", 1, amount="x")], TABLE, source=SECOND).parked
    assert parked.version == version(ARN, str(8 * 10**20 + 1), SECOND)


def test_without_a_source_any_table_is_read():
    assert parse_records([record("a", 1, arn=OTHERS["table"])], TABLE).changes
