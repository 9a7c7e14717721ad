"""What a verification finds, what it leaves alone, and what it repairs."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from common.layout import EXPIRED, FAILED, REPLAYED, verified_key
from reconciler.verify import report as report_of_verification
from reconciler.verify.deletions import Deletions
from tests.support.load import LoadExecution
from tests.support.records import TTL_IDENTITY, item, record, remove
from tests.support.replay import BUCKET, StoppedError, applied, change
from tests.support.tables import order
from tests.support.verify import SETTLE, VerifyHarness

KEYS = [f"k{number:02d}" for number in range(30)]
START_OF_TESTS = datetime(2026, 2, 1, tzinfo=UTC).timestamp()


@pytest.fixture
def harness(server: Any, tables: Any) -> Any:
    made = VerifyHarness(server, tables)
    yield made
    made.database.drop()


def write(harness: VerifyHarness, key: str, sequence: int, *, deliver: bool = True) -> None:
    """A live change of an item, which the consumer gets."""
    made = change(key, sequence)
    harness.table.put(made["dynamodb"]["NewImage"])
    if deliver:
        harness.deliver(made)


def fill(harness: VerifyHarness) -> None:
    for number, key in enumerate(KEYS):
        write(harness, key, number + 1)


def rows() -> list[Any]:
    return [applied(key, number + 1) for number, key in enumerate(KEYS)]


def test_equal_sides_have_no_findings(harness: VerifyHarness) -> None:
    """Both sides are read once, nothing is locked or written, and the report proves a time."""
    fill(harness)
    report = harness.verify()
    assert report["outcome"] == "complete"
    assert report["findings"] == report["next"] == []
    assert {name: count for name, count in report["counts"].items() if count} == {
        "items": 30, "rows": 30, "mysql_rows": 30,
    }  # fmt: skip
    assert report["verified_through"] == "2026-01-31T23:59:50+00:00"
    assert harness.meter.gauges["verified_through"] == [START_OF_TESTS - 10.0]
    assert {asked["consistent"] for asked in harness.table.asked} == {False}
    assert harness.tables.orders() == rows()


# Each corruption of a key, and what is found: its kind and its columns.
CORRUPTIONS: dict[str, tuple[str, tuple[str, ...]]] = {
    "DELETE FROM tbl_orders WHERE order_id = 'k03'": ("k03", ("row_missing",)),
    "UPDATE tbl_orders SET amount = amount + 0.0001 WHERE order_id = 'k04'": ("k04", ("columns_differ", "amount")),
    "UPDATE tbl_orders SET currency = 'inr', status = 'new' WHERE order_id = 'k05'": (
        "k05",
        ("columns_differ", "currency", "status"),
    ),
    "DELETE FROM replication_versions WHERE item_key = 'k06'": ("k06", ("sidecar_missing",)),
    "UPDATE replication_versions SET deleted = 1 WHERE item_key = 'k07'": ("k07", ("sidecar_removed",)),
    "INSERT INTO tbl_orders VALUES ('z', 'm', 1, 'INR', 'NEW', 1, 1)": ("z", ("stranger",)),
}


@pytest.mark.parametrize("statement", CORRUPTIONS, ids=lambda statement: CORRUPTIONS[statement][1][0])
def test_each_corruption_is_found(harness: VerifyHarness, statement: str) -> None:
    """It is named by key, kind and columns; nothing else is reported, and nothing is changed."""
    fill(harness)
    harness.tables.run(statement)
    before = harness.tables.orders()
    key, found = CORRUPTIONS[statement]
    assert harness.found() == {f"order/{key}": (*found, "found")}
    assert harness.tables.orders() == before


def test_a_key_that_no_item_can_have_is_a_stranger(harness: VerifyHarness) -> None:
    """It is reported once, by the text of its key, and no repair touches its row."""
    fill(harness)
    harness.tables.run("INSERT INTO tbl_orders VALUES ('a b', 'm', 1, 'INR', 'NEW', 1, 1)")
    before = harness.tables.orders()
    report = harness.verify(repair=True, delete_strangers=True)
    [found] = report["findings"]
    assert (found["key"], found["kind"], found["outcome"]) == ("order/a%20b", "stranger", "found")
    counts = report["counts"]
    assert (counts["strangers"], counts["drift"], counts["keys_without_item"]) == (1, 0, 0)
    assert harness.tables.orders() == before


def test_all_corruptions_are_repaired(harness: VerifyHarness) -> None:
    """With repair, MySQL ends as the table is; rows of strangers stay unless asked for."""
    fill(harness)
    harness.tables.run(*CORRUPTIONS)
    found = harness.found(repair=True)
    assert found == {
        f"order/{key}": (*kind, "found" if key == "z" else "repaired") for key, kind in CORRUPTIONS.values()
    }
    stranger = harness.tables.orders()[-1]
    assert harness.tables.orders() == [*rows(), stranger]
    assert harness.found(repair=True, delete_strangers=True) == {"order/z": ("stranger", "repaired")}
    assert harness.tables.orders() == rows()
    assert harness.found() == {}


def test_units_that_are_not_counted_stop_nothing(harness: VerifyHarness) -> None:
    """MiniStack does not say what reads by key consume."""
    fill(harness)
    harness.tables.run("DELETE FROM tbl_orders WHERE order_id = 'k03'")
    harness.table.counts_reads_by_key = False
    assert harness.found(repair=True) == {"order/k03": ("row_missing", "repaired")}


def test_a_lost_delete_is_found_and_repaired(harness: VerifyHarness) -> None:
    """The item is gone and its removal never arrived. The repair leaves a tombstone, so a late upsert stays out."""
    fill(harness)
    harness.table.delete(item("k00"))
    # The mapping of orders keeps the rows of expired items, so nobody can tell a lost delete from a lost expiry.
    assert harness.found(repair=True) == {"order/k00": ("removal_lost", "found")}
    assert harness.tables.orders() == rows()
    assert harness.found(repair=True, delete_removed=True) == {"order/k00": ("removal_lost", "repaired")}
    assert harness.tables.orders() == rows()[1:]
    harness.deliver(change("k00", 0))
    assert harness.tables.orders() == rows()[1:]
    assert harness.found() == {}


def test_an_expired_item_keeps_its_row(harness: VerifyHarness) -> None:
    """A row that an expiry left in place is no difference."""
    fill(harness)
    harness.table.delete(item("k00"))
    harness.deliver(record("k00", 100, "REMOVE", identity=TTL_IDENTITY))
    assert harness.found() == {}


def test_a_row_of_a_deleted_item_is_found(harness: VerifyHarness) -> None:
    """Somebody has put back the row of an item that was deleted."""
    fill(harness)
    harness.table.delete(item("k00"))
    harness.deliver(remove("k00", 100))
    harness.tables.run("INSERT INTO tbl_orders VALUES ('k00', 'm', 1, 'INR', 'NEW', 1, 1)")
    assert harness.found(repair=True) == {"order/k00": ("deleted_row", "repaired")}
    assert harness.tables.orders() == rows()[1:]


def test_a_change_in_flight_is_no_drift(harness: VerifyHarness) -> None:
    """An item that is ahead of its row is read again until the change has arrived."""
    fill(harness)
    write(harness, "k00", 100, deliver=False)
    write(harness, "new", 101, deliver=False)
    execution = LoadExecution(harness, {"repair": True}, job="verify")
    execution.on_wait = lambda: harness.deliver(change("k00", 100), change("new", 101))
    report = execution.resume()
    assert (report["findings"], report["counts"]["agreed"]) == ([], 2)
    assert harness.versions()["k00"] == "100"


def test_drift_must_stand_still_for_longer_than_the_lag(harness: VerifyHarness) -> None:
    """While the consumer is an hour behind, a difference of half an hour is nothing."""
    fill(harness)
    harness.lag = 3_600.0
    harness.tables.run("DELETE FROM tbl_orders WHERE order_id = 'k03'")
    began = harness.clock.seconds()
    assert harness.found() == {"order/k03": ("row_missing", "found")}
    assert harness.clock.seconds() - began > 3_600 + SETTLE


def test_an_item_that_keeps_changing_is_unsettled(harness: VerifyHarness) -> None:
    """It is read again a number of times, is never called drift, and keeps the run from proving a time."""
    fill(harness)
    harness.tables.run("DELETE FROM tbl_orders WHERE order_id = 'k03'")
    execution = LoadExecution(harness, {"repair": True}, job="verify")
    sequence = iter(range(1_000, 9_999))
    execution.on_wait = lambda: write(harness, "k03", next(sequence), deliver=False)
    report = execution.resume()
    assert (report["outcome"], report["findings"], report["counts"]["unsettled"]) == ("complete", [], 1)
    assert report["verified_through"] == ""


def test_what_waits_for_a_replay_is_pending(harness: VerifyHarness) -> None:
    """While a failed batch waits, its changes are not lost: nothing is repaired, and a replay is asked for."""
    fill(harness)
    write(harness, "k00", 100, deliver=False)
    key = harness.put_batch([change("k00", 100)])
    report = harness.verify(repair=True)
    assert [(one["key"], one["outcome"]) for one in report["findings"]] == [("order/k00", "pending")]
    assert harness.tables.orders() == rows()
    assert "Start a replay" in report["next"][0]
    harness.s3.objects.pop(key)
    harness.messages = 1
    assert harness.found(repair=True) == {"order/k00": ("columns_differ", "amount", "updated_at", "pending")}
    assert FAILED in key
    assert BUCKET


def test_a_parked_record_is_pending(harness: VerifyHarness) -> None:
    """A key whose newest change is parked is not repaired behind its back."""
    fill(harness)
    write(harness, "k00", 100, deliver=False)
    harness.put_quarantined(change("k00", 100))
    found = harness.found(repair=True)
    assert found == {"order/k00": ("row_outdated", "amount", "updated_at", "pending")}
    assert harness.tables.orders() == rows()


def test_a_change_during_the_repair_wins(harness: VerifyHarness) -> None:
    """A live change that arrives between the second reading and the repair is not overwritten."""
    fill(harness)
    harness.tables.run("UPDATE tbl_orders SET status = 'X' WHERE order_id = 'k03'")

    def overtake(operation: str) -> None:
        if operation.startswith("repairing"):
            harness.database.before_execute = lambda _: None
            write(harness, "k03", 100)

    harness.database.before_execute = overtake
    assert harness.found(repair=True) == {}
    assert harness.tables.orders()[3] == applied("k03", 100)


def test_a_repair_that_mysql_refuses_is_reported(harness: VerifyHarness) -> None:
    """The finding stays, with the reason; other rows are repaired."""
    fill(harness)
    harness.tables.run("DELETE FROM tbl_orders WHERE order_id IN ('k03', 'k04')")
    harness.tables.run("ALTER TABLE tbl_orders ADD CONSTRAINT small CHECK (amount <> 4)")
    try:
        found = harness.found(repair=True)
    finally:
        harness.tables.run("ALTER TABLE tbl_orders DROP CONSTRAINT small")
    assert found == {"order/k03": ("row_missing", "refused"), "order/k04": ("row_missing", "repaired")}


def test_only_the_given_columns_are_filled(harness: VerifyHarness) -> None:
    """A row that differs elsewhere, too, is only reported: somebody else has changed it."""
    fill(harness)
    harness.tables.run(
        "UPDATE tbl_orders SET status = '' WHERE order_id IN ('k03', 'k04')",
        "UPDATE tbl_orders SET currency = 'EUR' WHERE order_id IN ('k04', 'k05')",
        "DELETE FROM tbl_orders WHERE order_id = 'k06'",
    )
    assert harness.found(repair=True, columns=["status"]) == {
        "order/k03": ("columns_differ", "status", "repaired"),
        "order/k04": ("columns_differ", "currency", "status", "found"),
        "order/k05": ("columns_differ", "currency", "found"),
        "order/k06": ("row_missing", "found"),
    }


def test_slices_cover_the_table(harness: VerifyHarness) -> None:
    """Each item and each row is in one slice. When all were found equal, the earliest proves the time."""
    fill(harness)
    harness.tables.run("INSERT INTO tbl_orders VALUES ('z', 'm', 1, 'INR', 'NEW', 1, 1)")
    reports = [harness.verify(slice=f"{part}/3") for part in (1, 2, 3)]
    assert sum(report["counts"]["items"] for report in reports) == 30
    assert [one["key"] for report in reports for one in report["findings"]] == ["order/z"]
    assert 0 < sum(report["counts"]["keys_without_item"] for report in reports) <= 31
    harness.tables.run("DELETE FROM tbl_orders WHERE order_id = 'z'")
    ends = []
    for part in (1, 2, 3):
        ends.append(harness.clock())
        report = harness.verify(slice=f"{part}/3")
        harness.clock.advance(86_400)
    assert report["verified_through"][:10] == ends[0].isoformat()[:10]


def test_slices_keep_their_segments_while_the_table_grows(harness: VerifyHarness) -> None:
    """With another number of segments, the parts would no longer be those of one whole."""
    fill(harness)
    reports = [harness.verify(slice="1/5", concurrency=2)]
    reports += [harness.verify(slice=f"{part}/5", concurrency=1 + part) for part in (2, 3, 4, 5)]
    assert sum(report["counts"]["items"] for report in reports) == 30


def test_a_job_that_cannot_ask_the_database_is_not_ready(harness: VerifyHarness) -> None:
    """The message says why, nothing is begun, and the lock is free."""
    fill(harness)
    harness.server.down = True
    for result in (harness.verify(), harness.load()):
        assert result["outcome"] == "not_ready"
        assert "does not answer" in result["message"]
    assert (harness.s3.objects, harness.load_lock.holder) == ({}, None)


def test_a_verification_waits_for_no_load(harness: VerifyHarness) -> None:
    """While a load runs, rows that it has not reached would look missing: one job runs at a time."""
    fill(harness)
    load = LoadExecution(harness).until("walk")
    result = harness.verify()
    assert (result["outcome"], result["running"]) == ("already_running", load.arn)
    assert load.resume()["outcome"] == "complete"


def lose(harness: VerifyHarness, key: str) -> None:
    """A row that MySQL knows nothing of: only the slice of its item finds that it is missing."""
    harness.tables.run(
        f"DELETE FROM tbl_orders WHERE order_id = '{key}'", f"DELETE FROM replication_versions WHERE item_key = '{key}'"
    )


def turns(harness: VerifyHarness, count: int, **given: Any) -> list[str]:
    """The slices of so many scheduled verifications, a day apart."""
    slices = []
    for _ in range(count):
        slices.append(harness.verify(slice="next/3", **given)["slice"])
        harness.clock.advance(86_400)
    return slices


def test_next_takes_the_slice_tried_longest_ago(harness: VerifyHarness) -> None:
    """A slice that was never tried comes first, in whatever order the others were tried."""
    fill(harness)
    harness.verify(slice="2/3")
    harness.clock.advance(60)
    assert harness.verify(slice="next/3", dry_run=True)["slice"] == "1/3"
    assert turns(harness, 5) == ["1/3", "3/3", "2/3", "1/3", "3/3"]
    assert harness.verify(slice="next/2")["slice"] == "1/2"


def test_a_slice_with_drift_does_not_keep_its_turn(harness: VerifyHarness) -> None:
    """When it was tried is kept beside when it was last found equal, so the others follow and prove their times."""
    fill(harness)
    turns(harness, 3)
    lose(harness, "k03")
    before = harness.bucket.read_json(verified_key(3, harness.mapping.digest))
    began = harness.clock()
    assert turns(harness, 4) == ["1/3", "2/3", "3/3", "1/3"]
    stored = harness.bucket.read_json(verified_key(3, harness.mapping.digest))
    (with_drift,) = (part for part in stored if stored[part]["equal"] == before[part]["equal"])
    assert stored[with_drift]["tried"] > before[with_drift]["tried"]
    assert all(stored[part]["equal"] >= began.isoformat()[:10] for part in set(stored) - {with_drift})


def test_a_slice_that_was_never_equal_proves_no_time(harness: VerifyHarness) -> None:
    """That every slice was tried proves nothing."""
    fill(harness)
    lose(harness, "k03")
    reports = [harness.verify(slice="next/3") for _ in range(6)]
    assert [report["verified_through"] for report in reports] == [""] * 6
    assert sorted(len(report["findings"]) for report in reports) == [0, 0, 0, 0, 1, 1]


def test_next_goes_on_with_an_unfinished_slice(harness: VerifyHarness) -> None:
    """It comes before its turn, but not where other options were given."""
    fill(harness)
    turns(harness, 3)
    stopped = LoadExecution(harness, {"slice": "2/3", "repair": False}, job="verify").until("next")
    stopped.stop()
    assert harness.verify(slice="next/3", repair=True, dry_run=True)["slice"] == "1/3"
    assert harness.verify(slice="next/2", dry_run=True)["slice"] == "1/2"
    report = harness.verify(slice="next/3")
    assert (report["run"], report["slice"]) == (stopped.name, "2/3")
    assert turns(harness, 2) == ["1/3", "3/3"]


def test_restart_gives_up_an_unfinished_slice(harness: VerifyHarness) -> None:
    """A run that cannot be finished does not keep the others from their turn for ever."""
    fill(harness)
    stopped = LoadExecution(harness, {"slice": "next/3"}, job="verify").until("next")
    stopped.state["walked"] = []
    stopped.harness.s3.objects = {key: body for key, body in harness.s3.objects.items() if "/lanes/" not in key}
    assert stopped.resume()["outcome"] == "incomplete"
    assert harness.verify(slice="next/3", dry_run=True)["slice"] == "1/3"
    assert harness.verify(slice="next/3", restart=True)["slice"] == "2/3"


def test_the_only_slice_is_the_whole_table(harness: VerifyHarness) -> None:
    """With one slice, and options that are off, a run goes on with one that was started with {}."""
    fill(harness)
    stopped = LoadExecution(harness, {}, job="verify").until("next")
    stopped.stop()
    report = harness.verify(slice="next/1", repair=False)
    assert (report["run"], report["slice"], report["counts"]["items"]) == (stopped.name, "", 30)
    assert report["verified_through"] == "2026-01-31T23:59:50+00:00"


def test_an_item_that_does_not_fit_is_reported(harness: VerifyHarness) -> None:
    """It has no row to compare with; the reason is given without values."""
    fill(harness)
    harness.table.put(item("k00", amount="12345678901234567890"))
    report = harness.verify(repair=True)
    [finding] = [one for one in report["findings"] if one["kind"] == "item_refused"]
    assert (finding["key"], finding["reason"]) == ("order/k00", "attribute amount does not fit DECIMAL(19,4)")
    assert report["verified_through"] == ""
    assert (report["counts"]["item_refused"], harness.meter.counts["verify_item_refused"]) == (1, 1)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"slice": "4/3"}, "slice: 4/3 is not a part of a whole"),
        ({"slice": "next/0"}, "slice: 'next/0' does not match"),
        ({"slice": "next"}, "slice: 'next' does not match"),
        ({"slice": "0/3"}, "slice: '0/3' does not match"),
        ({"columns": ["status"]}, "columns: has no meaning without repair"),
        ({"repair": True, "columns": ["order_id"]}, "columns: the mapping has no column order_id"),
        ({"delete_strangers": True}, "delete_strangers: has no meaning without repair"),
        ({"delete_removed": True}, "delete_removed: has no meaning without repair"),
        (
            {"repair": True, "columns": ["status"], "delete_removed": True},
            "delete_removed: has no meaning with columns",
        ),
        ({"keep_removed": True}, "keep_removed: has no meaning without repair"),
        ({"repair": True, "columns": ["status"], "keep_removed": True}, "keep_removed: has no meaning with columns"),
        (
            {"repair": True, "delete_removed": True, "keep_removed": True},
            "keep_removed: has no meaning with delete_removed",
        ),
    ],
)
def test_wrong_input_is_refused(harness: VerifyHarness, given: dict[str, Any], message: str) -> None:
    """Nothing is compared, and the message says what is wrong."""
    result = harness.verify(**given)
    assert result["outcome"] == "wrong_input"
    assert message in result["message"]
    assert harness.s3.objects == {}


def test_without_a_known_lag_nothing_is_judged(harness: VerifyHarness) -> None:
    """What is in flight could not be told from drift."""
    fill(harness)
    harness.lag = None
    assert "nothing can be told from what is in flight" in harness.verify()["message"]


def test_a_consumer_that_stops_in_mid_run_is_waited_for(harness: VerifyHarness) -> None:
    """Nothing is called drift while it may have stopped. After hours the run ends, and goes on when started again."""
    fill(harness)
    harness.tables.run("DELETE FROM tbl_orders WHERE order_id = 'k03'")
    execution = LoadExecution(harness, {"repair": True}, job="verify").until("walk")
    harness.lag = None
    report = execution.resume()
    assert (report["outcome"], report["findings"]) == ("incomplete", [])
    assert "has not caught up" in report["reason"]
    harness.lag = 0.0
    assert harness.found(repair=True) == {"order/k03": ("row_missing", "repaired")}


def test_a_run_waits_for_the_first_batch_of_its_mapping(harness: VerifyHarness) -> None:
    """It begins and scans. What the stream still holds is no drift, though the lag that is reported is 0."""
    fill(harness)
    write(harness, "k03", 100, deliver=False)
    harness.is_lag_proven = False
    execution = LoadExecution(harness, {"repair": True}, job="verify")
    waits = itertools.count(1)

    def on_wait() -> None:
        if next(waits) == 10:
            harness.deliver(change("k03", 100))
            harness.is_lag_proven = True

    execution.on_wait = on_wait
    report = execution.resume()
    assert (report["outcome"], report["findings"]) == ("complete", [])
    assert next(waits) > 10


def test_an_expired_range_leaves_when_both_sides_are_equal(harness: VerifyHarness) -> None:
    """It leaves when a whole verification, begun after it was found, has healed what it lost; a foreign file stays."""
    fill(harness)
    write(harness, "k00", 100, deliver=False)
    lost = {"message": "{}", "shard": "shardId-1"}
    for name, document in (("lost.json", lost), ("foreign.json", {"message": "{}"}), ("later.json", lost)):
        harness.bucket.write_json(f"{EXPIRED}{name}", document)
    harness.clock.advance(60)
    harness.s3.modified[f"{EXPIRED}later.json"] = harness.clock() + timedelta(days=1)
    report = harness.verify(slice="1/1", repair=False)
    assert report["counts"]["drift"] == 1
    assert len(harness.keys(EXPIRED)) == 3
    report = harness.verify(repair=True)
    assert (report["counts"]["repaired"], report["counts"]["ranges_proven"]) == (1, 1)
    assert harness.keys(EXPIRED) == [f"{EXPIRED}foreign.json", f"{EXPIRED}later.json"]
    assert harness.keys(REPLAYED) == [f"{REPLAYED}{EXPIRED}lost.json"]
    assert harness.tables.orders()[0] == applied("k00", 100)


def test_a_report_that_dies_has_settled_some_ranges(harness: VerifyHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    """An outage may leave more expired ranges than one call can read. The next call goes on with the others."""
    monkeypatch.setattr(report_of_verification, "_AT_ONCE", 1)
    monkeypatch.setattr(report_of_verification, "_MOVED", 2)
    fill(harness)
    names = [f"{EXPIRED}{number}.json" for number in range(9)]
    for name in names:
        harness.bucket.write_json(name, {"message": "{}", "shard": "shardId-1"})
    harness.clock.advance(60)
    execution = LoadExecution(harness, {}, job="verify", retries=0).until("report")
    read, get = set(), harness.s3.get_object

    def die_later(**options: Any) -> Any:
        read.add(options["Key"])
        if len(read & set(names)) == 6:
            harness.faults.kill(1)
        return get(**options)

    monkeypatch.setattr(harness.s3, "get_object", die_later)
    with pytest.raises(StoppedError):
        execution.resume()
    assert 0 < len(harness.keys(REPLAYED)) < 6
    harness.faults.revive()
    monkeypatch.undo()
    assert execution.resume()["outcome"] == "complete"
    assert harness.keys(REPLAYED) == [f"{REPLAYED}{name}" for name in names]


def test_a_stranger_contradicts_no_change(harness: VerifyHarness) -> None:
    """Rows of which there never was an item are listed, and a time is proven all the same."""
    fill(harness)
    harness.tables.run("INSERT INTO tbl_orders VALUES ('z', 'm', 1, 'INR', 'NEW', 1, 1)")
    report = harness.verify()
    assert (report["counts"]["strangers"], report["counts"]["drift"]) == (1, 0)
    assert report["verified_through"]


def test_a_run_that_deletes_rows_proves_no_time(harness: VerifyHarness) -> None:
    """A foreign key may have taken other rows along: the next run of the whole table tells."""
    fill(harness)
    harness.tables.run("INSERT INTO tbl_orders VALUES ('z', 'm', 1, 'INR', 'NEW', 1, 1)")
    report = harness.verify(repair=True, delete_strangers=True)
    assert (report["counts"]["deleted_rows"], report["verified_through"]) == (1, "")
    [advice] = [text for text in report["next"] if text.startswith("Nothing is proven")]
    assert "a repair deleted rows, the last at 2026-02-01T00:0" in advice
    harness.clock.advance(60)
    assert harness.verify()["verified_through"]


def test_a_deletion_of_a_call_that_died_counts(harness: VerifyHarness) -> None:
    """The call dies between the commit and its progress. The next one finds agreement, and proves no time."""
    fill(harness)
    harness.table.delete(item("k00"))
    apply = harness.database.apply

    def die(*args: Any, **options: Any) -> Any:
        harness.database.apply = apply  # type: ignore[method-assign]
        outcome = apply(*args, **options)
        harness.faults.kill(1)
        return outcome

    harness.database.apply = die  # type: ignore[method-assign]
    report = harness.verify(repair=True, delete_removed=True)
    assert len(harness.tables.orders()) == 29
    assert (report["counts"]["deleted_rows"], report["counts"]["agreed"], report["findings"]) == (0, 1, [])
    assert report["verified_through"] == ""
    assert "a repair deleted rows" in report["next"][0]
    harness.clock.advance(60)
    assert harness.verify()["verified_through"]


def test_a_deletion_is_noted_before_and_after_it(harness: VerifyHarness) -> None:
    """Another run may begin while a stopped execution still deletes."""
    fill(harness)
    harness.table.delete(item("k00"))
    deletions = Deletions(harness.bucket)
    apply, noted = harness.database.apply, []

    def take_an_hour(*args: Any, **options: Any) -> Any:
        noted.append((deletions.last(), harness.clock()))
        harness.clock.advance(3600)
        return apply(*args, **options)

    harness.database.apply = take_an_hour  # type: ignore[method-assign]
    harness.verify(repair=True)
    assert (noted, deletions.last()) == ([], None)
    harness.verify(repair=True, delete_removed=True)
    [(before, began)] = noted
    assert before == began
    assert deletions.last() == began + timedelta(hours=1)


def test_a_repair_that_deletes_nothing_is_not_noted(harness: VerifyHarness) -> None:
    """Rows that are written take none along. A tombstone without a row deletes none, either."""
    fill(harness)
    harness.tables.run("UPDATE tbl_orders SET status = 'X'", "DELETE FROM tbl_orders WHERE order_id = 'k00'")
    harness.table.delete(item("k00"))
    report = harness.verify(repair=True)
    assert (report["counts"]["repaired"], report["counts"]["deleted_rows"]) == (30, 0)
    assert bool(report["verified_through"])
    assert Deletions(harness.bucket).last() is None


def test_a_slow_table_is_read_a_few_keys_at_a_time(harness: VerifyHarness) -> None:
    """Suspects are as many at a time as the rate allows in about a second."""
    fill(harness)
    harness.options["on_demand_rate"] = 4
    harness.tables.run("DELETE FROM tbl_orders")
    assert len(harness.found()) == 30
    assert max(asked["keys"] for asked in harness.table.asked if asked["what"] == "get") <= 4


def test_two_calls_of_a_lane_overwrite_no_file(harness: VerifyHarness) -> None:
    """A call goes on for minutes after its execution was stopped. What it writes has names of its own."""
    fill(harness)
    harness.tables.run("UPDATE tbl_orders SET status = 'X'")
    first = LoadExecution(harness, {}, job="verify").until("walk")
    lane = first.state["lanes"][0]
    harness.steps_of("verify").step("walk", lane)
    before = {key: harness.s3.body(key) for key in harness.keys("verify/") if "/lanes/" not in key}
    for key in harness.keys(f"verify/{first.name}/lanes/"):
        del harness.s3.objects[key]
    harness.steps_of("verify").step("walk", lane)
    assert before.items() <= {key: harness.s3.body(key) for key in harness.keys("verify/")}.items()
    assert len(first.resume()["findings"]) == 30


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_verification_killed_anywhere_ends_the_same(
    server: Any, tables: Any, moment: str, make_verify: Callable[[], VerifyHarness]
) -> None:
    """Each call of a repair is in turn the last one of its invocation: MySQL ends equal to the table."""
    statements = [*CORRUPTIONS][:5]

    def corrupted() -> VerifyHarness:
        harness = make_verify()
        fill(harness)
        harness.tables.run(*statements)
        return harness

    harness = corrupted()
    harness.verify(repair=True)
    total = harness.faults.calls
    assert total > 80
    for call in range(1, total + 1, 3):
        harness = corrupted()
        harness.faults.calls = 0
        harness.faults.kill(call, moment)
        assert harness.verify(repair=True)["outcome"] == "complete", call
        assert harness.tables.orders() == rows(), call
        assert harness.found() == {}, call


def test_a_row_with_the_lowest_version_is_compared(harness: VerifyHarness) -> None:
    """A loaded row has no live change, and its repair keeps it so that any live change wins."""
    harness.table.put(*(item(key) for key in KEYS))
    LoadExecution(harness).resume()
    harness.tables.run("UPDATE tbl_orders SET status = 'X' WHERE order_id = 'k03'")
    assert harness.found(repair=True) == {"order/k03": ("columns_differ", "status", "repaired")}
    assert harness.tables.orders() == [order(key) for key in KEYS]
    assert harness.versions() == dict.fromkeys(KEYS, "")
    harness.deliver(change("k03", 1))
    assert harness.tables.orders()[3] == applied("k03", 1)
