"""The ids of a trace fit into what X-Ray indexes: 50 annotations with values of 1,000 characters."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from common.telemetry import LONGEST_ANNOTATION, MOST_ANNOTATIONS, annotation_values

UUIDS = [f"c0ffee00-0000-4000-8000-{number:012}" for number in range(2_000)]
ids = st.lists(st.text("abc/%", min_size=1, max_size=255), max_size=60)


def test_no_id_needs_no_annotation():
    assert annotation_values({}) == annotation_values({"key": []}) == []


def test_the_ids_of_a_default_batch_are_all_noted():
    """1,000 orders: `annotation.order_id CONTAINS` finds each of them."""
    noted = annotation_values({"order_id": UUIDS[:1_000]})
    assert " ".join(value for _, value in noted).split() == UUIDS[:1_000]
    assert len(noted) == 38


def test_more_ids_than_x_ray_indexes_are_left_out():
    noted = annotation_values({"order_id": UUIDS, "key": ["item/1"]})
    assert len(noted) == MOST_ANNOTATIONS
    assert " ".join(value for _, value in noted).split() == UUIDS[: 27 * MOST_ANNOTATIONS]


@given(ids, ids)
def test_every_value_fits_and_no_id_is_cut(first: list[str], second: list[str]):
    noted = annotation_values({"order_id": first, "key": second})
    assert [text for name, value in noted if name == "order_id" for text in value.split()] == first
    assert [text for name, value in noted if name == "key" for text in value.split()] == second
    assert all(0 < len(value) <= LONGEST_ANNOTATION for _, value in noted)
