"""A stream record becomes a change, is skipped for a reason, or is parked with one."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import mapping
from common.changes import Change, Mark, Parked
from common.columns import TYPES
from common.records import UNMAPPED_ITEM, classifier, parse_records
from common.stream_clock import source_times
from tests.support.cases import cases, record_of
from tests.support.records import START, TTL_IDENTITY, record, remove
from tests.support.tables import order

ORDERS = mapping.load()
FIRST = "2026-01-31T00:00:00.000_21_800000000000000000001"
CORRECT_IT = "correct the item; its next version supersedes this one"
NEW_KEY = "a key cannot be changed: write the item again under a valid key, delete this item, then discard its records"


def classify_one(record: Any) -> Any:
    [result] = classifier(ORDERS)([record])
    return result


all_cases = pytest.mark.parametrize(
    "case", [pytest.param(case, id=case["name"]) for case in cases("values") + cases("records")]
)


@all_cases
def test_a_record_becomes_its_change_or_is_refused(case: dict[str, Any]):
    """A refused record is parked with the reason."""
    record = record_of(case)

    result = classify_one(record)

    if case.get("poison"):
        assert case["poison"] == result.reason
        return
    assert _expected(case, record) == result
    if isinstance(result, Change) and result.row:
        assert str(_expected(case, record).row) == str(result.row), "equal decimals with other digits are not the same"


def _expected(case: dict[str, Any], record: dict[str, Any]) -> Change | str:
    if case.get("unmapped_item"):
        return UNMAPPED_ITEM
    row = None
    if case["row"] is not None:
        row = order("order-1", **case["row"])
    key = case.get("key", "order-1")
    mark = Mark.DELETED if record["eventName"] == "REMOVE" else Mark.LIVE
    created = record["eventName"] == "INSERT"
    return Change(f"order/{key}", case.get("version", FIRST), row, START, record, created, 0, (key,), mark)


@all_cases
def test_every_record_ends_in_one_place_and_parked_ones_whole(case: dict[str, Any]):
    record = record_of(case)

    batch = parse_records([record], ORDERS)

    assert len(batch.changes) + len(batch.parked) + batch.skipped.total() == 1
    for parked in batch.parked:
        assert parked.record is record
        hint = case.get("hint") or (NEW_KEY if parked.reason.startswith("key ") else CORRECT_IT)
        assert (case["poison"], hint, None) == (parked.reason, parked.hint, parked.errno)


@pytest.mark.parametrize("thing", cases("others"), ids=repr)
def test_any_malformed_record_is_parked_and_blocks_no_other(thing: Any):
    good = record("order-1", 1)

    batch = parse_records([thing, good], ORDERS)

    assert [thing] == [parked.record for parked in batch.parked]
    assert [change.key for change in batch.changes] == ["order/order-1"]


def test_a_refusal_names_the_attribute_and_never_its_value():
    secret = "4111-1111-1111-1111"
    for values in ({"amount": {"N": secret}}, {"currency": secret}, {"updated_at": {"N": secret}}):
        parked = classify_one(record("order-1", 1, **values))
        assert secret not in parked.reason + parked.hint


def test_a_parked_record_has_its_key_and_version():
    """As far as they can be read."""
    bad_amount = record("order-1", 1, amount="x")
    no_number = record("order-2", 1)
    del no_number["dynamodb"]["SequenceNumber"]
    bad_key = record("blank ", 3)

    parked = parse_records([bad_amount, no_number, bad_key], ORDERS).parked

    assert [
        Parked("order/order-1", FIRST, "attribute amount does not fit DECIMAL(19,4)", CORRECT_IT, None, bad_amount),
        Parked("order/order-2", None, "the record lacks SequenceNumber", CORRECT_IT, None, no_number),
        Parked(
            "order/blank%20",
            FIRST[:-1] + "3",
            "key p_key is not 1 to 64 printable ASCII characters without spaces",
            NEW_KEY,
            None,
            bad_key,
        ),
    ] == parked


others = cases("others")
MIXED = [
    *[record_of(case) for case in cases("values") + cases("records")],
    *others,
    *[record("order-1", number) for number in range(len(others))],
    remove("order-1", 1),
    remove("order-1", 1, identity=TTL_IDENTITY),
    remove("order-1", 1, identity={"type": "IAMUser"}),
    remove("order-1", 1, record_ttl={"N": str(START)}),
    record("order-1", 1, "INSERT"),
]


@given(st.lists(st.sampled_from(MIXED), max_size=150))
def test_a_list_is_parsed_as_each_record_alone(records: list[Any]):
    """Whatever stands beside a record, in its slice or in another one, changes nothing of what it is."""
    classify = classifier(ORDERS)

    together = list(classify(records))

    assert [result for record in records for result in classify([record])] == together
    assert all(
        isinstance(result, str) or result.record is record for record, result in zip(records, together, strict=True)
    )


@pytest.mark.parametrize("one", MIXED, ids=range(len(MIXED)))
def test_a_record_among_good_ones_is_what_it_is_alone(one: Any):
    """A check of a whole column must not pass a value that only its neighbours make good."""
    classify = classifier(ORDERS)
    good = [record(f"order-{number}", number) for number in range(1, 8)]

    assert list(classify([*good, one, *good])) == [*classify(good), *classify([one]), *classify(good)]


def test_a_source_time_is_a_plain_integer():
    """JSON has true, which Python takes for the number 1."""
    assert [repr(time) for time in source_times([True, 5, 6.9, "7"])] == ["1", "5", "6", "7"]
    assert [repr(time) for time in source_times([True, 5])] == ["1", "5"]


@given(st.lists(st.sampled_from([None, {"NULL": True}, {"S": "text"}, {"S": "much too long"}, {"N": "1"}]), max_size=9))
def test_a_column_with_nulls_is_parsed_as_each_alone(notes: list[Any]):
    classify = classifier(with_note())
    records = [record("order-1", number, note=note) for number, note in enumerate(notes)]

    assert [result for record in records for result in classify([record])] == list(classify(records))


def test_a_slice_of_records_is_held_at_a_time():
    """A replay holds the records of a batch as text, and reads each of them when it is asked for."""
    asked: list[int] = []
    records = (asked.append(number) or record("order-1", number) for number in range(1000))

    next(iter(classifier(ORDERS)(records)))

    assert len(asked) < 200


def test_changes_keep_the_order_of_the_stream():
    batch = parse_records([record("b", 2), remove("a", 3), record("b", 1)], ORDERS)

    assert [(change.key, change.version[-1]) for change in batch.changes] == [
        ("order/b", "2"),
        ("order/a", "3"),
        ("order/b", "1"),
    ]


def with_note() -> mapping.Mapping:
    """Orders with a nullable column."""
    null = mapping.Instead(None)
    note = mapping.Column("note", ("note",), TYPES["string"].with_options({"length": 10}), True, null, null)
    [entity] = ORDERS.entities
    return replace(ORDERS, entities=(replace(entity, columns=(*entity.columns, note)),))


def test_a_nullable_column_takes_null_and_an_absent_attribute():
    """It takes no value of another type."""

    def note_of(**values: Any) -> Any:
        [change] = classifier(with_note())([record("order-1", 1, **values)])
        return change.row[-1] if isinstance(change, Change) else change.reason

    assert note_of() is None
    assert note_of(note={"NULL": True}) is None
    assert note_of(note={"S": "text"}) == "text"
    assert note_of(note={"N": "1"}) == "attribute note has the wrong type"


@given(st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**15) + 1, max_value=10**15 - 1))
def test_every_amount_that_fits_is_kept_to_the_digit(amount: Decimal):
    for text in (str(amount), f"{amount:f}", f"{amount:E}"):
        assert order("order-1", amount=amount) == classify_one(record("order-1", 1, amount={"N": text})).row
