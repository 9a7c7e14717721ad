"""What a verification proves after a repair has deleted rows, and MySQL has deleted rows that referred to them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from common.layout import EXPIRED, VERIFIED, verified_key, verified_parts
from common.verified import whole_equal
from reconciler.verify.deletions import Deletions
from reconciler.verify.pending import Pending
from reconciler.verify.proof import Proof
from tests.support.family import FAMILY
from tests.support.records import START, record
from tests.support.replay import Dataset
from tests.support.source_table import key_text
from tests.support.verify import VerifyHarness

FROM = datetime(2026, 1, 20, 12, tzinfo=UTC)
INSIDE = FROM + timedelta(minutes=30)
WINDOW = {"changed_from": FROM.isoformat(), "changed_until": (FROM + timedelta(hours=1)).isoformat()}
RANGE = f"{EXPIRED}lost.json"
# The slices of the items, where the table has two.
PARCEL, LINE = ("PARCEL#1", "1/2"), ("LINE#3", "2/2")


@pytest.fixture
def harness(server: Any, tables: Any) -> Iterator[VerifyHarness]:
    """Lines refer to parcels, and MySQL deletes them with their parcel."""
    made = VerifyHarness(server, tables, dataset=Dataset(FAMILY, {}, None))  # type: ignore[arg-type]
    made.exports.name_of = lambda item: key_text({"pk": item["pk"]})  # type: ignore[method-assign]
    made.tables.run(
        "ALTER TABLE family_lines ADD CONSTRAINT of_parcel FOREIGN KEY (parcel) REFERENCES family_parcels (id)"
        " ON DELETE CASCADE"
    )
    yield made
    made.tables.run("DROP TABLE family_lines", "DROP TABLE family_parcels")
    made.database.drop()


def fill(harness: VerifyHarness) -> None:
    """A parcel and its line, which were written before the window and arrived."""
    for sequence, (name, values) in enumerate({PARCEL[0]: {}, LINE[0]: {"parcel": {"N": "1"}}}.items()):
        key = {"pk": {"S": name}}
        made = record("", sequence, time=START + sequence)
        made["dynamodb"] |= {"Keys": key, "NewImage": key | values}
        harness.exports.put(key | values, INSIDE - timedelta(days=2))
        harness.deliver(made)


def delete(harness: VerifyHarness, name: str) -> None:
    """The item is gone, and its delete never arrived."""
    harness.exports.delete({"pk": {"S": name}}, INSIDE)


def lose_delete(harness: VerifyHarness) -> None:
    """The delete of the parcel was in a range that expired."""
    delete(harness, PARCEL[0])
    expire(harness)


def expire(harness: VerifyHarness) -> None:
    times = {"first_arrival": INSIDE.isoformat(), "last_arrival": INSIDE.isoformat()}
    harness.bucket.write_json(RANGE, {"message": "{}", "shard": "s", **times})
    harness.clock.advance(60)


def verify(harness: VerifyHarness, **given: Any) -> dict[str, Any]:
    report = harness.verify(repair=True, **given)
    assert report["outcome"] == "complete"
    harness.clock.advance(60)
    return report


def count(report: dict[str, Any], *names: str) -> tuple[int, ...]:
    return tuple(report["counts"][name] for name in names)


def lines(harness: VerifyHarness) -> int:
    return len(harness.tables.run("SELECT * FROM family_lines"))


WHOLE_TABLE = "rows that refer to them may have gone with them. Verify the whole table."


def test_a_window_whose_repair_cascades_settles_nothing(harness: VerifyHarness) -> None:
    """The child did not change in the window, so no run of the window finds it. The whole table does, and settles."""
    fill(harness)
    assert verify(harness)["verified_through"]
    lose_delete(harness)
    first = verify(harness, **WINDOW)
    assert (count(first, "deleted_rows", "ranges_proven"), lines(harness)) == ((1, 0), 0)
    again = verify(harness, **WINDOW)
    assert (count(again, "agreed", "repaired", "ranges_proven"), harness.keys(EXPIRED)) == ((1, 0, 0), [RANGE])
    for report in (first, again):
        assert [text for text in report["next"] if text.endswith(WHOLE_TABLE)] == report["next"] != []
    whole = verify(harness, keep_removed=True)
    assert [(one["key"], one["kind"], one["outcome"]) for one in whole["findings"]] == [
        ("line/3", "row_missing", "refused")
    ]
    delete(harness, LINE[0])
    assert count(verify(harness), "drift", "refused", "ranges_proven") == (0, 0, 1)
    expire(harness)
    settled = verify(harness, **WINDOW)
    assert (count(settled, "ranges_proven"), settled["next"], harness.keys(EXPIRED)) == ((1,), [], [])


def test_a_window_without_a_whole_verification_settles_nothing(harness: VerifyHarness) -> None:
    """Rows were deleted, and the whole table was never found equal under the mapping."""
    fill(harness)
    lose_delete(harness)
    assert count(verify(harness, **WINDOW), "deleted_rows") == (1,)
    report = verify(harness, **WINDOW)
    assert (count(report, "ranges_proven"), len(report["next"])) == ((0,), 1)


def test_a_slice_that_was_equal_before_a_deletion_proves_nothing(harness: VerifyHarness) -> None:
    """A repair in slice 1 takes a row of slice 2 along. A time is proven when both were equal since."""
    fill(harness)
    assert [count(verify(harness, slice=part), "items") for _, part in (LINE, PARCEL)] == [(1,), (1,)]
    lose_delete(harness)
    deleting = verify(harness, slice=PARCEL[1])
    assert (count(deleting, "deleted_rows"), deleting["verified_through"], lines(harness)) == ((1,), "", 0)
    again = verify(harness, slice=PARCEL[1])
    assert (count(again, "drift", "deleted_rows"), again["verified_through"]) == ((0, 0), "")
    assert count(verify(harness, **WINDOW), "ranges_proven") == (0,)
    delete(harness, LINE[0])
    last = verify(harness, slice=LINE[1])
    began = datetime.fromisoformat(again["started"]) - timedelta(seconds=10)
    assert (last["counts"]["drift"], last["verified_through"]) == (0, began.isoformat())
    assert (count(verify(harness, **WINDOW), "ranges_proven"), harness.keys(EXPIRED)) == ((1,), [])


def test_the_whole_table_is_equal_since_its_latest_proof(harness: VerifyHarness) -> None:
    """In one run, or in slices each of which was equal: then since the earliest of them. Under the mapping alone."""
    mapping = harness.mapping.digest

    def tried(parts: int, *equal: str, under: str = mapping) -> None:
        times = {str(part): {"tried": "2026-02-09", "equal": time} for part, time in enumerate(equal, 1)}
        harness.bucket.write_json(verified_key(parts, under), times)

    def found() -> str:
        time = whole_equal(harness.bucket, mapping)
        return time.date().isoformat() if time else ""

    assert found() == ""
    harness.bucket.write_json(f"{VERIFIED}deleted.json", {})
    tried(2, "2026-02-02")
    tried(3, "2026-02-02", "", "2026-02-02")
    tried(1, "2026-02-08", under="another")
    assert found() == ""
    tried(2, "2026-02-04", "2026-02-03")
    assert found() == "2026-02-03"
    tried(1, "2026-02-01")
    assert found() == "2026-02-03"
    tried(1, "2026-02-05")
    assert found() == "2026-02-05"


def test_what_was_equal_at_the_time_of_a_deletion_does_not_count(harness: VerifyHarness) -> None:
    """Only what began after it does. What was never equal counts as before it."""
    proof = Proof(Pending(harness.bucket), Deletions(harness.bucket))
    now, second = harness.clock(), timedelta(seconds=1)
    assert [proof.deleted_since(time) for time in (None, now)] == [None, None]
    proof.deletions.note()
    assert [proof.deleted_since(time) for time in (None, now - second, now)] == [now] * 3
    assert proof.deleted_since(now + second) is None


def test_the_number_of_slices_is_read_from_a_key() -> None:
    """Keys of other mappings and other objects have none."""
    assert verified_parts(verified_key(30, "abc"), "abc") == 30
    assert verified_parts(verified_key(30, "abc"), "ab") == 0
    assert verified_parts(f"{VERIFIED}deleted.json", "abc") == 0
