"""A stream record becomes a change, is skipped for a reason, or is refused with one."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import mapping
from common.changes import LOWEST_VERSION, Batch, Change, Parked, PoisonError, decoder, is_ttl_delete, read, version
from tests.support.cases import cases, record_of
from tests.support.records import ARN, START, TTL_IDENTITY, record, remove
from tests.support.tables import order

TABLE = mapping.load()
FIRST = "2026-01-31T00:00:00.000_21_800000000000000000001"
CORRECT_IT = "correct the item; its next version supersedes this one"
NEW_KEY = "a key cannot be corrected: write the item anew under a valid one, delete this one, then discard its records"

all_cases = pytest.mark.parametrize(
    "case", [pytest.param(case, id=case["name"]) for case in cases("values") + cases("records")]
)


@all_cases
def test_a_record_becomes_the_change_it_stands_for_or_is_refused_with_the_reason(case: dict[str, Any]):
    record = record_of(case)
    if case.get("poison"):
        with pytest.raises(PoisonError) as refused:
            decoder(TABLE)(record)
        assert case["poison"] == str(refused.value)
        return

    change = decoder(TABLE)(record)

    assert _expected(case, record) == change
    if change and change.row:
        assert str(_expected(case, record).row) == str(change.row), "equal decimals with other digits are not the same"


def _expected(case: dict[str, Any], record: dict[str, Any]) -> Change | None:
    if case.get("other_item"):
        return None
    row = None
    if case["row"] is not None:
        row = order("order-1", **case["row"])
    created = record["eventName"] == "INSERT"
    return Change(case.get("key", "order-1"), case.get("version", FIRST), row, START, record, created)


@all_cases
def test_every_record_ends_in_one_place_and_a_parked_one_is_whole(case: dict[str, Any]):
    record = record_of(case)

    batch = read([record], TABLE)

    assert len(batch.changes) + len(batch.parked) + batch.skipped.total() == 1
    for parked in batch.parked:
        assert parked.record is record
        hint = NEW_KEY if parked.reason.startswith("key ") else CORRECT_IT
        assert (case["poison"], hint, None) == (parked.reason, parked.hint, parked.errno)


@pytest.mark.parametrize("thing", cases("others"), ids=repr)
def test_whatever_the_stream_holds_is_parked_and_blocks_nobody(thing: Any):
    good = record("order-1", 1)

    batch = read([thing, good], TABLE)

    assert [thing] == [parked.record for parked in batch.parked]
    assert [change.key for change in batch.changes] == ["order-1"]


def test_a_refusal_names_the_attribute_and_never_its_value():
    secret = "4111-1111-1111-1111"
    for values in ({"amount": {"N": secret}}, {"currency": secret}, {"updated_at": {"N": secret}}):
        with pytest.raises(PoisonError) as refused:
            decoder(TABLE)(record("order-1", 1, **values))
        assert secret not in str(refused.value)


def test_a_parked_record_is_named_by_key_and_version_as_far_as_it_has_them():
    bad_amount = record("order-1", 1, amount="x")
    no_number = record("order-2", 1)
    del no_number["dynamodb"]["SequenceNumber"]
    bad_key = record("blank ", 3)

    parked = read([bad_amount, no_number, bad_key], TABLE).parked

    assert [
        Parked("order-1", FIRST, "attribute amount does not fit DECIMAL(19,4)", CORRECT_IT, None, bad_amount),
        Parked("order-2", None, "the record lacks SequenceNumber", CORRECT_IT, None, no_number),
        Parked(
            "blank ",
            FIRST[:-1] + "3",
            "key p_key is not 1 to 64 printable ASCII characters",
            NEW_KEY,
            None,
            bad_key,
        ),
    ] == parked


def test_changes_keep_the_order_of_the_stream():
    batch = read([record("b", 2), remove("a", 3), record("b", 1)], TABLE)

    assert [(change.key, change.version[-1]) for change in batch.changes] == [("b", "2"), ("a", "3"), ("b", "1")]


class TestTTL:
    """Items expire from DynamoDB; the legacy row stays unless told otherwise."""

    expired = remove("order-1", 1, identity=TTL_IDENTITY)

    def test_an_expired_item_is_skipped_and_counted(self):
        assert Batch(skipped={"ttl_delete": 1}) == read([self.expired], TABLE)

    def test_an_expired_item_deletes_its_row_when_mirrored(self):
        change = Change("order-1", FIRST, None, START, self.expired)
        assert Batch(changes=[change]) == read([self.expired], TABLE, mirror_ttl_deletes=True)

    @pytest.mark.parametrize(
        "made",
        [
            remove("order-1", 1),
            remove("order-1", 1, identity={"type": "Service", "principalId": "replication.dynamodb.amazonaws.com"}),
            remove("order-1", 1, identity={"type": "IAMUser", "principalId": "dynamodb.amazonaws.com"}),
            record("order-1", 1, identity=TTL_IDENTITY),
        ],
        ids=["no identity", "another service", "a user", "not a removal"],
    )
    def test_nothing_else_counts_as_expired(self, made: dict[str, Any]):
        assert not is_ttl_delete(made)
        assert len(read([made], TABLE).changes) == 1


FIVE_YEARS = (5 * 365 + 2) * 86_400


class TestReplicatedTTL:
    """In a global table's other Region an expiry is a REMOVE without an identity: the item's own time tells."""

    @staticmethod
    def removed(ttl: Any, **options: Any) -> dict[str, Any]:
        return remove("order-1", 1, record_ttl=ttl, **options)

    @pytest.mark.parametrize("ttl", [START, START - 1, START - FIVE_YEARS], ids=["just now", "before", "long before"])
    def test_an_item_whose_time_had_come_has_expired(self, ttl: int):
        """It is skipped and counted, or deletes its row when mirrored."""
        made = self.removed({"N": str(ttl)})
        assert Batch(skipped={"ttl_delete": 1}) == read([made], TABLE)
        mirrored = Batch(changes=[Change("order-1", FIRST, None, START, made)])
        assert mirrored == read([made], TABLE, mirror_ttl_deletes=True)

    @pytest.mark.parametrize(
        "ttl",
        [
            {"N": str(START + 1)},
            None,
            {"S": str(START)},
            {"N": "soon"},
            {"N": "-1"},
            {"N": "1" * 12},
            {"N": "\u0661" * 10},
            {"N": START},
            {"NULL": True},
            {"N": "0"},
            {"N": str(START - FIVE_YEARS - 1)},
        ],
        ids=repr,
    )
    def test_an_item_whose_time_had_not_come_was_deleted(self, ttl: Any):
        """DynamoDB expires nothing without a whole number of seconds, nor what is past by more than five years."""
        made = self.removed(ttl)
        assert Batch(changes=[Change("order-1", FIRST, None, START, made)]) == read([made], TABLE)

    def test_whoever_names_himself_has_deleted_it(self):
        user = {"type": "IAMUser", "principalId": "somebody"}
        assert len(read([self.removed({"N": str(START)}, identity=user)], TABLE).changes) == 1

    def test_without_a_ttl_attribute_nothing_expires_by_its_time(self):
        table = mapping.Table(TABLE.name, TABLE.sort_key, TABLE.columns)
        assert len(read([self.removed({"N": str(START)})], table).changes) == 1

    def test_only_a_removal_can_be_an_expiry(self):
        made = record("order-1", 1, record_ttl={"N": str(START)})
        made["dynamodb"]["OldImage"] = made["dynamodb"]["NewImage"]
        assert not is_ttl_delete(made, TABLE.ttl_attribute)


class TestVersion:
    """Newer wins: the order of versions is the order of changes."""

    labels = st.datetimes().map(lambda when: when.strftime("%Y").zfill(4) + when.strftime("-%m-%dT%H:%M:%S.") + "123")
    numbers = st.one_of(st.integers(0, 10**56), st.integers(10**20, 10**21), st.integers(10**26, 10**27))
    changes = st.tuples(labels, numbers)

    @staticmethod
    def of(change: tuple[str, int], width: int = 0) -> str:
        return version(f"arn:aws:dynamodb:us-east-1:1:table/t/stream/{change[0]}", str(change[1]).zfill(width))

    @given(changes, changes)
    def test_versions_sort_as_label_and_number_do(self, one: tuple[str, int], other: tuple[str, int]):
        assert (one < other) == (self.of(one) < self.of(other))
        assert (one == other) == (self.of(one) == self.of(other))

    @given(changes, st.sampled_from([21, 27, 30, 56]), st.sampled_from([21, 27, 30, 56]))
    def test_zeros_in_front_make_no_difference(self, change: tuple[str, int], one: int, other: int):
        assert self.of(change, one) == self.of(change, other)

    @given(changes)
    def test_every_version_fits_the_sidecar_and_beats_a_loaded_row(self, change: tuple[str, int]):
        assert self.of(change) > LOWEST_VERSION
        assert len(self.of(change)) <= 160
        assert self.of(change).isascii()

    def test_the_longest_number_fits_and_a_longer_one_is_refused(self):
        assert len(version(ARN, "9" * 99)) == 126
        with pytest.raises(PoisonError, match="at most 99 digits"):
            version(ARN, "1" + "0" * 99)


def test_a_nullable_column_takes_null_and_an_absent_attribute_but_no_other_type():
    note = mapping.Column("note", "note", "string", length=10, nullable=True)
    table = mapping.Table("t", "ORDER", (*TABLE.columns, note))

    def note_of(**values: Any) -> Any:
        change = decoder(table)(record("order-1", 1, **values))
        assert change
        assert change.row
        return change.row[-1]

    assert note_of() is None
    assert note_of(note={"NULL": True}) is None
    assert note_of(note={"S": "text"}) == "text"
    with pytest.raises(PoisonError, match="attribute note has the wrong type"):
        note_of(note={"N": "1"})


@given(st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**15) + 1, max_value=10**15 - 1))
def test_every_amount_that_fits_is_kept_to_the_digit(amount: Decimal):
    for text in (str(amount), f"{amount:f}", f"{amount:E}"):
        change = decoder(TABLE)(record("order-1", 1, amount={"N": text}))
        assert change
        assert order("order-1", amount=amount) == change.row
