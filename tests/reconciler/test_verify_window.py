"""A verification of what has changed in a window of time."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from common import layout
from common.database import TableSize
from common.layout import EXPIRED, REPLAYED, VERIFIED
from common.mysql.database import MySQLDatabase
from reconciler.verify import walk, walk_exports
from reconciler.verify.spill import partitions_of
from tests.support import stock
from tests.support.aws import refused
from tests.support.load import LoadExecution
from tests.support.records import TTL_IDENTITY, item, record, remove
from tests.support.replay import STOCK, applied, change
from tests.support.stock import stock_change, stock_item
from tests.support.verify import VerifyHarness

FROM = datetime(2026, 1, 20, 12, tzinfo=UTC)
UNTIL = FROM + timedelta(hours=1)
BEFORE, INSIDE, AFTER = FROM - timedelta(days=1), FROM + timedelta(minutes=30), UNTIL + timedelta(days=1)
WINDOW = {"changed_from": FROM.isoformat(), "changed_until": UNTIL.isoformat()}
KEYS = [f"k{number}" for number in range(8)]


@pytest.fixture
def make_harness(make_verify: Callable[..., VerifyHarness]) -> Callable[..., VerifyHarness]:
    """With items and rows from before the window."""

    def make(**options: Any) -> VerifyHarness:
        made = make_verify(**options)
        for number, key in enumerate(KEYS):
            write(made, key, number + 1, BEFORE)
        return made

    return make


@pytest.fixture
def make_stock(make_verify: Callable[..., VerifyHarness]) -> Callable[[], VerifyHarness]:
    return lambda: make_verify(dataset=STOCK)


@pytest.fixture
def harness(make_harness: Callable[[], VerifyHarness]) -> VerifyHarness:
    return make_harness()


def write(harness: VerifyHarness, key: str, sequence: int, at: datetime, *, lost: bool = False) -> None:
    """A change of an item at a time, which the consumer gets unless it is lost."""
    made = change(key, sequence, time=int(at.timestamp()))
    harness.exports.put(made["dynamodb"]["NewImage"], at)
    if not lost:
        harness.deliver(made)


def delete(harness: VerifyHarness, key: str, sequence: int, at: datetime, *, lost: bool = False) -> None:
    harness.exports.delete(item(key), at)
    if not lost:
        harness.deliver(remove(key, sequence, time=int(at.timestamp())))


def lose_some(harness: VerifyHarness) -> None:
    """A lost change, a lost insert, and a change that is there, all in the window."""
    write(harness, "k1", 101, INSIDE, lost=True)
    write(harness, "new", 102, INSIDE, lost=True)
    write(harness, "k2", 103, INSIDE)


REPAIRED = {
    "order/k1": ("columns_differ", "amount", "updated_at", "repaired"),
    "order/new": ("row_missing", "repaired"),
}


def healed() -> list[Any]:
    numbers = {key: number + 1 for number, key in enumerate(KEYS)} | {"k1": 101, "k2": 103, "new": 102}
    return [applied(key, number) for key, number in sorted(numbers.items())]


def keys_read(harness: VerifyHarness) -> int:
    """How many keys were read of the table, which must not be scanned."""
    assert {asked["what"] for asked in harness.table.asked} <= {"get"}
    return sum(asked["keys"] for asked in harness.table.asked)


def test_what_was_lost_in_the_window_is_repaired(harness: VerifyHarness) -> None:
    """Only items of the window are read. The report names the window, and proves no time of the whole table."""
    lose_some(harness)
    report = harness.verify(repair=True, **WINDOW)
    assert {one["key"]: (one["kind"], *one["columns"], one["outcome"]) for one in report["findings"]} == REPAIRED
    assert harness.tables.orders() == healed()
    assert keys_read(harness) == 3 + 2
    counts = {name: count for name, count in report["counts"].items() if count}
    assert counts == {"exported": 3, "suspects": 3, "agreed": 1, "repaired": 2}
    assert (report["outcome"], report["verified_through"], report["next"]) == ("complete", "", [])
    assert [report[name] for name in WINDOW] == list(WINDOW.values())
    assert "scan_reason" not in report
    assert harness.keys(VERIFIED) == []
    assert "verified_through" not in harness.meter.gauges


def test_nothing_outside_of_the_window_is_touched(harness: VerifyHarness) -> None:
    """What differs before or after it stays as it is."""
    harness.tables.run("DELETE FROM tbl_orders WHERE order_id = 'k3'")
    write(harness, "k4", 104, AFTER, lost=True)
    before = harness.tables.orders()
    report = harness.verify(repair=True, **WINDOW)
    assert (report["findings"], report["counts"]["suspects"]) == ([], 0)
    assert harness.tables.orders() == before
    assert keys_read(harness) == 0


@pytest.mark.parametrize("at", [FROM - timedelta(minutes=4), UNTIL + timedelta(minutes=4)])
def test_a_window_has_a_margin_for_clocks(harness: VerifyHarness, at: datetime) -> None:
    """A change that one clock has in the window, and another one minutes outside, is found."""
    write(harness, "k1", 101, at, lost=True)
    assert list(harness.found(repair=True, **WINDOW)) == ["order/k1"]


def test_a_lost_delete_is_found(harness: VerifyHarness) -> None:
    """The export has the key of an item that is gone."""
    delete(harness, "k1", 101, INSIDE, lost=True)
    assert harness.found(repair=True, **WINDOW) == {"order/k1": ("removal_lost", "found")}
    assert harness.found(repair=True, delete_removed=True, **WINDOW) == {"order/k1": ("removal_lost", "repaired")}
    assert [row[0] for row in harness.tables.orders()] == [key for key in KEYS if key != "k1"]
    assert harness.verify(repair=True, **WINDOW)["counts"]["agreed"] == 1


@pytest.mark.parametrize("at", [INSIDE, FROM - timedelta(minutes=4), UNTIL + timedelta(minutes=4)])
def test_an_item_that_came_and_went_is_found(harness: VerifyHarness, at: datetime) -> None:
    """An item that was inserted and deleted in the window is in no export. The sidecar has its key."""
    write(harness, "brief", 101, at)
    delete(harness, "brief", 102, at + timedelta(seconds=1), lost=True)
    write(harness, "earlier", 103, BEFORE)
    harness.table.delete(item("earlier"))
    report = harness.verify(repair=True, delete_removed=True, **WINDOW)
    assert [(one["key"], one["outcome"]) for one in report["findings"]] == [("order/brief", "repaired")]
    assert (report["counts"]["exported"], report["counts"]["suspects"]) == (0, 1)
    assert "brief" not in {row[0] for row in harness.tables.orders()}


def test_what_is_known_to_be_gone_is_not_read(harness: VerifyHarness) -> None:
    """A tombstone of the window needs no look: a later insert that was lost is in an export."""
    write(harness, "brief", 101, INSIDE)
    delete(harness, "brief", 102, INSIDE)
    report = harness.verify(**WINDOW)
    assert (report["counts"]["suspects"], keys_read(harness)) == (0, 0)


def test_an_item_that_came_and_expired_keeps_its_row(harness: VerifyHarness) -> None:
    """Its expiry was applied, and left the row."""
    write(harness, "brief", 101, INSIDE)
    harness.exports.delete(item("brief"), INSIDE)
    harness.deliver(record("brief", 102, "REMOVE", time=int(INSIDE.timestamp()), identity=TTL_IDENTITY))
    report = harness.verify(repair=True, delete_removed=True, **WINDOW)
    assert (report["findings"], report["counts"]["agreed"]) == ([], 1)


def test_a_key_is_a_suspect_once(harness: VerifyHarness) -> None:
    """It may be in several exports, and in the sidecar."""
    for days in range(4):
        write(harness, "k1", 101 + days, FROM + timedelta(days=days), lost=days == 3)
    until = FROM + timedelta(days=3, hours=1)
    report = harness.verify(changed_from=FROM.isoformat(), changed_until=until.isoformat())
    assert len(harness.exports.exports) == 4
    assert (report["counts"]["exported"], report["counts"]["suspects"], report["counts"]["drift"]) == (4, 1, 1)
    assert [one["key"] for one in report["findings"]] == ["order/k1"]


def test_an_item_that_does_not_fit_is_reported(harness: VerifyHarness) -> None:
    """It has no row to compare with, as in a verification of the table. Its key may not fit, either."""
    harness.exports.put(item("k1", amount="12345678901234567890"), INSIDE)
    harness.exports.put(item("k" * 65), INSIDE)
    report = harness.verify(repair=True, **WINDOW)
    assert sorted((one["key"], one["kind"]) for one in report["findings"]) == [
        ("order/k1", "item_refused"),
        (f"order/{'k' * 65}", "item_refused"),
    ]


def test_each_row_of_an_item_is_a_suspect_once(
    make_stock: Callable[[], VerifyHarness], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An item may have been of another entity. Keys are compared one at a time, so that no page hides a second one."""
    monkeypatch.setattr(walk, "_MATCHED", 1)
    harness = make_stock()
    sale, lot = stock_item(stock.KEYS[0], 1, "sale"), stock_item(stock.KEYS[0], 2, "lot")
    harness.exports.put(sale, BEFORE)
    harness.deliver(stock_change(stock.KEYS[0], 1))
    harness.exports.put(lot, INSIDE)
    harness.exports.put(stock_item(stock.KEYS[4], 3, "sale"), INSIDE)
    report = harness.verify(repair=True, **WINDOW)
    assert report["counts"]["suspects"] == 4
    assert sorted((one["key"].partition("/")[0], one["kind"]) for one in report["findings"]) == [
        ("lot", "row_missing"),
        ("sale", "removal_lost"),
        ("sale", "row_missing"),
    ]


def test_the_exports_are_asked_for_as_documented(harness: VerifyHarness) -> None:
    """Incremental, of new images, in the bucket's encryption, with spans that join."""
    harness.key_arn = "arn:aws:kms:us-east-1:123456789012:key/1"
    until = FROM + timedelta(hours=30)
    report = harness.verify(changed_from=FROM.isoformat(), changed_until=until.isoformat())
    first, second = harness.exports.asked
    spans = [asked["IncrementalExportSpecification"] for asked in (first, second)]
    margin = timedelta(minutes=5)
    assert (spans[0]["ExportFromTime"], spans[1]["ExportToTime"]) == (FROM - margin, until + margin)
    assert spans[0]["ExportToTime"] == spans[1]["ExportFromTime"]
    assert {span["ExportViewType"] for span in spans} == {"NEW_IMAGE"}
    assert (first["S3SseAlgorithm"], first["S3SseKmsKeyId"]) == ("KMS", harness.key_arn)
    assert first["S3Prefix"] == f"exports/{report['run']}"
    assert first["ClientToken"] != second["ClientToken"]
    harness.key_arn = ""
    harness.verify(**WINDOW)
    assert harness.exports.asked[-1]["S3SseAlgorithm"] == "AES256"
    assert "S3SseKmsKeyId" not in harness.exports.asked[-1]


# Repairs before


def test_a_repaired_insert_whose_delete_is_lost_is_found(harness: VerifyHarness) -> None:
    """A row that a repair wrote has no time in the sidecar, and no export has an item that came and went."""
    write(harness, "brief", 101, INSIDE, lost=True)
    assert harness.found(repair=True, **WINDOW) == {"order/brief": ("row_missing", "repaired")}
    delete(harness, "brief", 102, INSIDE + timedelta(minutes=5), lost=True)
    kept = expired(harness, "lost", INSIDE, INSIDE + timedelta(minutes=5))
    harness.clock.advance(60)
    report = harness.verify(repair=True, **WINDOW)
    assert [(one["key"], one["kind"]) for one in report["findings"]] == [("order/brief", "removal_lost")]
    assert (report["counts"]["exported"], report["counts"]["suspects"]) == (0, 1)
    assert harness.keys(EXPIRED) == [kept]
    harness.found(repair=True, delete_removed=True, **WINDOW)
    assert [row[0] for row in harness.tables.orders()] == KEYS


def test_a_row_repaired_over_a_tombstone_is_found(harness: VerifyHarness) -> None:
    """The repair keeps the time of the tombstone, which is before the window."""
    write(harness, "again", 50, BEFORE)
    delete(harness, "again", 51, BEFORE)
    write(harness, "again", 101, INSIDE, lost=True)
    assert harness.found(repair=True, **WINDOW) == {"order/again": ("row_missing", "repaired")}
    delete(harness, "again", 102, INSIDE + timedelta(minutes=5), lost=True)
    assert harness.found(repair=True, delete_removed=True, **WINDOW) == {"order/again": ("removal_lost", "repaired")}


def test_a_version_that_a_repair_noted_is_found(harness: VerifyHarness) -> None:
    """The row was there, and the repair noted the lowest version, which has no time."""
    write(harness, "brief", 101, INSIDE)
    harness.tables.run("DELETE FROM replication_versions WHERE item_key LIKE '%brief'")
    assert harness.found(repair=True, **WINDOW) == {"order/brief": ("sidecar_missing", "repaired")}
    delete(harness, "brief", 102, INSIDE + timedelta(minutes=5), lost=True)
    assert list(harness.found(repair=True, delete_removed=True, **WINDOW)) == ["order/brief"]


def test_a_repair_is_noted_before_it_writes(harness: VerifyHarness) -> None:
    """Wherever a call dies, no repaired row is unknown to later windows. A deleted row needs no note."""
    write(harness, "brief", 101, INSIDE, lost=True)
    delete(harness, "k1", 102, INSIDE, lost=True)
    apply, noted = harness.database.apply, []

    def applied_after(*args: Any, **options: Any) -> Any:
        noted.append([harness.bucket.read_json(key) for key in harness.keys(layout.REPAIRED)])
        return apply(*args, **options)

    harness.database.apply = applied_after
    harness.verify(repair=True, delete_removed=True, **WINDOW)
    brief = {name: item("brief")[name] for name in harness.table.key}
    assert noted == [[[brief]]] * len(noted)
    assert len(noted) == 2


def test_repairs_before_the_window_are_not_read(harness: VerifyHarness) -> None:
    """The insert that a repair made up for was before it."""
    write(harness, "new", 101, INSIDE, lost=True)
    assert harness.verify(repair=True, **WINDOW)["counts"]["repaired"] == 1
    (note,) = harness.keys(layout.REPAIRED)
    repaired_at = datetime.fromtimestamp(int(note.removeprefix(layout.REPAIRED).partition("-")[0]), UTC)
    harness.clock.advance(3_600)
    harness.exports.latest = harness.clock() + timedelta(minutes=5)
    for minutes, suspects in ((5, 1), (6, 0)):
        start = repaired_at + timedelta(minutes=minutes)
        later = {"changed_from": start.isoformat(), "changed_until": (start + timedelta(minutes=20)).isoformat()}
        assert harness.verify(**later)["counts"]["suspects"] == suspects, minutes


def test_a_note_of_repairs_that_is_gone_stops_the_verification(harness: VerifyHarness) -> None:
    """It is named, and its keys are not left out."""
    write(harness, "new", 101, INSIDE, lost=True)
    harness.verify(repair=True, **WINDOW)
    execution = LoadExecution(harness, WINDOW, job="verify").until("walk")
    (note,) = harness.keys(layout.REPAIRED)
    del harness.s3.objects[note]
    report = execution.resume()
    assert report["outcome"] == "incomplete"
    assert f"{note}, which names repaired rows, is not there: start the verification again" in report["reason"]
    assert harness.verify(**WINDOW)["outcome"] == "complete"


# Where there is no export


def _off(harness: VerifyHarness) -> None:
    harness.exports.is_on = False


def _too_young(harness: VerifyHarness) -> None:
    harness.exports.earliest = FROM - timedelta(minutes=4)


def _unknown(harness: VerifyHarness) -> None:
    harness.exports.refusals["export_table_to_point_in_time"] = ["UnknownOperationException"]


def _switched_off(harness: VerifyHarness) -> None:
    harness.exports.refusals["export_table_to_point_in_time"] = ["PointInTimeRecoveryUnavailableException"]


def _slid_out(harness: VerifyHarness) -> None:
    harness.exports.refusals["export_table_to_point_in_time"] = ["InvalidExportTimeException"]


def _no_windows(harness: VerifyHarness) -> None:
    harness.exports.incremental = False


def _no_earliest_time(harness: VerifyHarness) -> None:
    harness.exports.earliest = None


def _no_latest_time(harness: VerifyHarness) -> None:
    harness.exports.latest = None


NOT_OFFERED: dict[Callable[[VerifyHarness], None], str] = {
    _off: "point-in-time recovery of the table is off",
    _switched_off: "point-in-time recovery of the table is off",
    _too_young: "holds the table since 2026-01-20T11:56:00+00:00, and the window begins at 2026-01-20T11:55:00+00:00",
    _slid_out: "does not hold the whole window",
    _unknown: "knows no exports",
    _no_windows: "makes no incremental exports",
    _no_earliest_time: "does not say which times",
    _no_latest_time: "does not say which times",
}


@pytest.mark.parametrize("without", NOT_OFFERED, ids=lambda without: without.__name__)
def test_without_an_export_the_table_is_read(harness: VerifyHarness, without: Callable[[VerifyHarness], None]) -> None:
    """The whole of it, as without a window. The report says why, and proves a time."""
    lose_some(harness)
    harness.tables.run("DELETE FROM tbl_orders WHERE order_id = 'k3'")
    without(harness)
    report = harness.verify(repair=True, **WINDOW)
    assert NOT_OFFERED[without] in report["scan_reason"]
    assert (report["counts"]["items"], report["counts"]["mysql_rows"], report["counts"]["repaired"]) == (9, 7, 3)
    assert (report["verified_through"], report["counts"]["exported"]) == ("2026-01-31T23:59:50+00:00", 0)
    assert harness.tables.orders() == healed()
    assert (
        f"the whole table was read: {report['scan_reason']}"
        in harness.s3.body(f"verify/{report['run']}/report.html").decode()
    )


@pytest.mark.parametrize(
    "operation", ["describe_continuous_backups", "export_table_to_point_in_time", "describe_export"]
)
def test_a_refused_call_is_no_reason_to_read_all(harness: VerifyHarness, operation: str) -> None:
    """The run ends with what to do, and goes on with the same exports when it is started again."""
    lose_some(harness)
    harness.exports.refusals[operation] = ["AccessDeniedException"]
    report = harness.verify(repair=True, **WINDOW)
    assert (report["outcome"], report["findings"]) == ("incomplete", [])
    assert f"DynamoDB refuses {operation} with AccessDeniedException: see that the role" in report["reason"]
    assert harness.load_lock.holder is None
    assert harness.found(repair=True, **WINDOW) == REPAIRED
    assert len(harness.exports.exports) == 1


@pytest.mark.parametrize("operation", ["export_table_to_point_in_time", "describe_export"])
def test_a_limit_is_waited_for(harness: VerifyHarness, operation: str) -> None:
    """Only so many exports run at a time."""
    lose_some(harness)
    passing = ["LimitExceededException", "ThrottlingException", "InternalServerError"]
    harness.exports.refusals[operation] = [*passing, "RequestLimitExceeded", "ServiceUnavailable"]
    execution = LoadExecution(harness, {"repair": True, **WINDOW}, job="verify").until("walk")
    assert execution.trail.count("check") > 4
    assert execution.state["stage_since"] is None, "a later stage waits for as long"
    assert execution.resume()["counts"]["repaired"] == 2


def test_a_failed_export_is_started_anew(harness: VerifyHarness) -> None:
    """The run ends and says why. The next execution of it starts another export."""
    lose_some(harness)
    harness.exports.fail_with = "S3AccessDenied"
    report = harness.verify(repair=True, **WINDOW)
    assert (report["outcome"], report["findings"]) == ("incomplete", [])
    (failed,) = harness.exports.exports
    assert f"the export {failed} has failed with S3AccessDenied: see that" in report["reason"]
    harness.exports.fail_with = ""
    again = harness.verify(repair=True, **WINDOW)
    assert (again["run"], again["counts"]["repaired"]) == (report["run"], 2)
    assert len(harness.exports.exports) == 2


def test_an_export_whose_token_is_taken_is_started_anew(harness: VerifyHarness) -> None:
    """A call was killed before it noted its export, and then the bucket's KMS key was changed."""
    lose_some(harness)
    execution = LoadExecution(harness, {"repair": True, **WINDOW}, job="verify").until("check")
    execution.step()
    (note,) = [key for key in harness.keys("verify/") if key.endswith("/exports.json")]
    del harness.s3.objects[note]
    harness.key_arn = "arn:aws:kms:eu-west-1:123456789012:key/new"
    assert execution.resume()["counts"]["repaired"] == 2
    assert [one.get("S3SseKmsKeyId", "") for one in harness.exports.asked] == ["", harness.key_arn, harness.key_arn]
    assert len(harness.exports.exports) == 2


def test_a_forgotten_export_is_started_anew(harness: VerifyHarness) -> None:
    """DynamoDB lists an export for some months only."""
    lose_some(harness)
    execution = LoadExecution(harness, {"repair": True, **WINDOW}, job="verify").until("check")
    execution.step()
    execution.stop()
    harness.exports.exports.clear()
    assert "ExportNotFoundException" in harness.verify(repair=True, **WINDOW)["reason"]
    assert harness.found(repair=True, **WINDOW) == REPAIRED


def test_exports_are_waited_for_with_a_bound(harness: VerifyHarness) -> None:
    """After six hours the run ends, and goes on when it is started again."""
    lose_some(harness)
    harness.exports.checks = 10**6
    began = harness.clock()
    report = harness.verify(repair=True, **WINDOW)
    assert report["outcome"] == "incomplete"
    assert "the exports of the table are not there after 6 hours" in report["reason"]
    assert timedelta(hours=6) <= harness.clock() - began < timedelta(hours=7)
    harness.exports.checks = 1
    assert harness.found(repair=True, **WINDOW) == REPAIRED
    assert len(harness.exports.exports) == 1


def test_a_late_database_takes_no_time_of_the_exports(harness: VerifyHarness) -> None:
    """Waiting for exports and waiting for the database have bounds of their own."""
    lose_some(harness)
    harness.exports.checks = 40
    execution = LoadExecution(harness, {"repair": True, **WINDOW}, job="verify").until("check")
    waits = iter(range(100))

    def interrupt() -> None:
        harness.server.down = next(waits) in (20, 21)

    execution.on_wait = interrupt
    assert execution.resume()["counts"]["repaired"] == 2


def test_a_recent_window_waits_for_its_end(harness: VerifyHarness) -> None:
    """DynamoDB exports nothing of the last minutes: then the window is not exported in part."""
    now = harness.clock()
    write(harness, "k1", 101, now, lost=True)
    execution = LoadExecution(
        harness, {"repair": True, "changed_from": FROM.isoformat(), "changed_until": now.isoformat()}, job="verify"
    )

    def follow() -> None:
        harness.exports.latest = harness.clock() - timedelta(minutes=5)

    execution.on_wait = follow
    assert execution.resume()["counts"]["repaired"] == 1
    assert harness.clock() - now >= timedelta(minutes=10)


def test_what_is_decided_stays(harness: VerifyHarness) -> None:
    """Lanes may have begun: an execution that goes on asks for no exports, and reads no table in their place."""
    lose_some(harness)
    first = LoadExecution(harness, {"repair": True, **WINDOW}, job="verify").until("walk")
    first.stop()
    harness.exports.is_on = False
    harness.exports.exports.clear()
    assert harness.found(repair=True, **WINDOW) == REPAIRED


def test_a_late_call_does_not_replace_the_decision(harness: VerifyHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call of an execution that was stopped may end when another one has decided, and lanes read exports."""
    lose_some(harness)
    execution = LoadExecution(harness, {"repair": True, **WINDOW}, job="verify").until("check")
    state = dict(execution.state)

    def decide_meanwhile(**_: Any) -> Any:
        monkeypatch.undo()
        execution.until("walk")
        raise refused("PointInTimeRecoveryUnavailableException")

    monkeypatch.setattr(harness.exports, "describe_continuous_backups", decide_meanwhile)
    assert harness.steps_of("verify").step("check", state)["outcome"] == "go"
    report = execution.resume()
    assert (report["counts"]["repaired"], "scan_reason" in report) == (2, False)


# Exported files


def data_file(harness: VerifyHarness, run: str) -> str:
    """The first file of a run's exports that holds items."""
    return next(
        key for key in harness.keys(f"exports/{run}/") if "/data/" in key and gzip.decompress(harness.s3.body(key))
    )


def _missing(harness: VerifyHarness, key: str) -> None:
    del harness.s3.objects[key]


def _cut_off(harness: VerifyHarness, key: str) -> None:
    harness.s3.objects[key] = harness.s3.body(key)[:-9]


def _shorter(harness: VerifyHarness, key: str) -> None:
    lines = gzip.decompress(harness.s3.body(key)).splitlines(keepends=True)
    harness.s3.objects[key] = gzip.compress(b"".join(lines[1:]) or b"\n")


DAMAGES = {_missing: "is not there", _cut_off: "was cut off", _shorter: ""}


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_file_stops_the_verification(
    harness: VerifyHarness, damage: Callable[[VerifyHarness, str], None]
) -> None:
    """It is named, and never left out. The next start exports the window anew."""
    lose_some(harness)
    execution = LoadExecution(harness, {"repair": True, **WINDOW}, job="verify").until("walk")
    key = data_file(harness, execution.name)
    damage(harness, key)
    report = execution.resume()
    assert (report["outcome"], report["counts"]["repaired"]) == ("incomplete", 0)
    assert f"{key}, a file that DynamoDB has exported, {DAMAGES[damage]}" in report["reason"]
    assert "start the verification again, which exports the window anew" in report["reason"]
    lanes = [harness.bucket.read_json(name) for name in harness.keys(f"verify/{execution.name}/lanes/")]
    assert [lane["at_work"] for lane in lanes] == [False, False], "no call was killed"
    assert harness.found(repair=True, **WINDOW) == REPAIRED


def test_a_missing_manifest_stops_the_verification(harness: VerifyHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    """An export without files is not taken for one without changes."""
    lose_some(harness)
    monkeypatch.setattr(harness.exports, "_put", lambda key, body: None)
    report = harness.verify(repair=True, **WINDOW)
    assert report["outcome"] == "incomplete"
    assert "manifest-files.json, a file that DynamoDB has exported, is not there" in report["reason"]
    monkeypatch.undo()
    assert harness.found(repair=True, **WINDOW) == REPAIRED


def test_a_run_whose_files_have_expired_is_begun_anew(harness: VerifyHarness) -> None:
    """By the same input, as a replay gives it: the second start exports the window again."""
    lose_some(harness)
    execution = LoadExecution(harness, {"repair": True, **WINDOW}, job="verify").until("walk")
    execution.stop()
    for key in harness.keys("exports/"):
        del harness.s3.objects[key]
    harness.clock.advance(86_400 * 8)
    first = harness.verify(repair=True, **WINDOW)
    assert (first["run"], first["outcome"]) == (execution.name, "incomplete")
    second = harness.verify(repair=True, **WINDOW)
    assert (second["outcome"], second["counts"]["repaired"]) == ("complete", 2)
    assert second["run"] != first["run"]


def test_a_run_that_waits_for_the_consumer_is_not_lost(harness: VerifyHarness) -> None:
    """Only a lost file closes a run: another one goes on with its exports."""
    lose_some(harness)
    execution = LoadExecution(harness, {"repair": True, **WINDOW}, job="verify").until("walk")
    harness.lag = None
    report = execution.resume()
    assert report["outcome"] == "incomplete"
    harness.lag = 0.0
    assert harness.verify(repair=True, **WINDOW)["run"] == report["run"]
    assert len(harness.exports.exports) == 1


def test_a_lane_goes_on_in_the_middle_of_a_file(
    make_harness: Callable[..., VerifyHarness], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call may end after any key, and each key is read by one call."""
    monkeypatch.setattr(walk_exports, "_KEYS", 2)
    harness = make_harness(concurrency=2)
    for number in range(30):
        write(harness, f"n{number:02d}", 200 + number, INSIDE, lost=True)
    harness.exports.files = 3
    calls = iter(range(10**6))
    harness.out_of_time = lambda: next(calls) % 3 == 2
    execution = LoadExecution(harness, {"repair": True, **WINDOW}, job="verify")
    report = execution.resume()
    assert (report["counts"]["exported"], report["counts"]["repaired"]) == (30, 30)
    assert execution.trail.count("walk") > 10


def test_a_file_is_read_once_in_a_call(harness: VerifyHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is long, and its keys are taken a few at a time."""
    monkeypatch.setattr(walk_exports, "_KEYS", 1)
    for number in range(20):
        write(harness, f"n{number:02d}", 200 + number, INSIDE)
    harness.exports.files = 1
    execution = LoadExecution(harness, WINDOW, job="verify").until("walk")
    file, get, read = data_file(harness, execution.name), harness.s3.get_object, []

    def note(**options: Any) -> Any:
        read.append(options["Key"])
        return get(**options)

    monkeypatch.setattr(harness.s3, "get_object", note)
    assert execution.resume()["counts"]["exported"] == 20
    assert read.count(file) == 1


def test_lanes_share_the_files(make_harness: Callable[..., VerifyHarness]) -> None:
    """Also where there are fewer files than lanes."""
    for files, lanes in ((1, 3), (7, 2)):
        harness = make_harness(concurrency=lanes)
        lose_some(harness)
        harness.exports.files = files
        assert harness.found(repair=True, **WINDOW) == REPAIRED


# Runs


def test_another_window_is_another_run(harness: VerifyHarness) -> None:
    """A run that was stopped goes on under the same window, however its times are written."""
    lose_some(harness)
    first = LoadExecution(harness, {"repair": True, **WINDOW}, job="verify").until("walk")
    first.stop()
    other = {"changed_from": "2026-01-20T11:59:59Z", "changed_until": UNTIL.isoformat()}
    assert harness.verify(repair=True, dry_run=True, **other)["run"] != first.name
    same = {"changed_from": "2026-01-20T13:00:00+01:00", "changed_until": "2026-01-20T13:00:00Z"}
    report = harness.verify(repair=True, **same)
    assert (report["run"], report["counts"]["repaired"]) == (first.name, 2)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"changed_from": WINDOW["changed_from"]}, "changed_from: has no meaning without changed_until"),
        ({"changed_until": WINDOW["changed_until"]}, "changed_until: has no meaning without changed_from"),
        ({**WINDOW, "slice": "1/3"}, "slice: has no meaning with changed_from"),
        ({**WINDOW, "changed_until": FROM.isoformat()}, "changed_from: is not before changed_until"),
        ({**WINDOW, "changed_until": "2026-02-01T00:06:00Z"}, "changed_until: is in the future"),
        ({**WINDOW, "changed_from": "2026-01-20T12:00:00"}, "changed_from: is not a time with an offset"),
        ({**WINDOW, "changed_from": "soon"}, "changed_from: is not a time with an offset"),
        ({**WINDOW, "changed_from": 5}, "changed_from: 5 is not of type 'string'"),
    ],
)
def test_a_window_that_is_none_is_refused(harness: VerifyHarness, given: dict[str, Any], message: str) -> None:
    """Nothing is compared, and the message says what is wrong."""
    result = harness.verify(**given)
    assert result["outcome"] == "wrong_input"
    assert message in result["message"]
    assert harness.s3.objects == {}


def expired(harness: VerifyHarness, name: str, first: datetime | None, last: datetime | None) -> str:
    key = f"{EXPIRED}{name}.json"
    times = {"first_arrival": first, "last_arrival": last}
    stated = {field: time.isoformat() for field, time in times.items() if time}
    harness.bucket.write_json(key, {"message": "{}", "shard": "shardId-1", **stated})
    harness.s3.modified[key] = harness.clock() - timedelta(days=1)
    return key


def test_a_key_that_was_cut_keeps_a_range(harness: VerifyHarness) -> None:
    """The sidecar has no whole text of a long key. An item that came and went is in no export, which could tell it."""
    brief, lasting = "%" * 64, "/" * 64
    key = expired(harness, "all", FROM, INSIDE)
    write(harness, lasting, 101, INSIDE)
    write(harness, brief, 102, INSIDE)
    delete(harness, brief, 103, INSIDE + timedelta(seconds=1), lost=True)
    report = harness.verify(repair=True, delete_removed=True, **WINDOW)
    counts = report["counts"]
    assert (counts["exported"], counts["agreed"], counts["cut_keys"], counts["ranges_proven"]) == (1, 1, 1, 0)
    assert "Verify the whole table" in report["next"][0]
    assert harness.keys(EXPIRED) == [key]
    assert harness.verify(repair=True, delete_removed=True)["counts"]["repaired"] == 1
    harness.clock.advance(600)
    assert harness.verify()["counts"]["ranges_proven"] == 1
    assert [row[0] for row in harness.tables.orders()] == [lasting, *KEYS]


def test_a_key_that_was_cut_concerns_windows_alone(harness: VerifyHarness) -> None:
    """A verification of the table reads the keys of rows. A version without a row is harmless."""
    write(harness, "%" * 64, 101, INSIDE)
    delete(harness, "%" * 64, 102, INSIDE, lost=True)
    harness.tables.run(f"DELETE FROM tbl_orders WHERE order_id = '{'%' * 64}'")
    report = harness.verify()
    assert (report["counts"]["cut_keys"], bool(report["verified_through"])) == (0, True)
    assert harness.verify(**WINDOW)["counts"]["cut_keys"] == 1


def test_tombstones_count_for_the_partitions_of_a_window(
    harness: VerifyHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An export has the keys of items that are gone, and a partition must fit into memory."""
    known = TableSize(1_200_000, 0)
    monkeypatch.setattr(MySQLDatabase, "sidecar_size", lambda _: known)
    for options, keys in (({}, len(KEYS)), (WINDOW, known.rows)):
        run = harness.verify(**options)["run"]
        assert harness.bucket.read_json(f"verify/{run}/run.json")["partitions"] == partitions_of(keys)
    assert partitions_of(known.rows) > 1


def test_only_ranges_in_the_window_leave(harness: VerifyHarness) -> None:
    """Their whole time is in it, and they were there before. The times of others are before, after, or not known."""
    lose_some(harness)
    second = timedelta(seconds=1)
    inside = [expired(harness, "all", FROM, UNTIL - second), expired(harness, "part", INSIDE, INSIDE)]
    others = [
        expired(harness, "early", FROM - second, INSIDE),
        expired(harness, "late", INSIDE, UNTIL),
        expired(harness, "unknown", None, INSIDE),
        expired(harness, "open", INSIDE, None),
        expired(harness, "reversed", UNTIL - second, FROM),
        expired(harness, "new", INSIDE, INSIDE),
    ]
    harness.s3.modified[others[-1]] = harness.clock() + timedelta(days=1)
    assert harness.verify(**WINDOW)["counts"]["ranges_proven"] == 0
    report = harness.verify(repair=True, **WINDOW)
    assert (report["counts"]["repaired"], report["counts"]["ranges_proven"]) == (2, 2)
    assert harness.keys(REPLAYED) == sorted(f"{REPLAYED}{key}" for key in inside)
    assert harness.keys(EXPIRED) == sorted(others)


def test_a_scan_in_place_of_exports_settles_all(harness: VerifyHarness) -> None:
    """It has proven the whole table."""
    keys = [expired(harness, "early", BEFORE, BEFORE), expired(harness, "unknown", None, None)]
    harness.exports.is_on = False
    assert harness.verify(**WINDOW)["counts"]["ranges_proven"] == 2
    assert harness.keys(REPLAYED) == sorted(f"{REPLAYED}{key}" for key in keys)


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_window_killed_anywhere_ends_the_same(make_harness: Callable[..., VerifyHarness], moment: str) -> None:
    """Each call is in turn the last one of its invocation: what was lost is repaired, with one export."""

    def lossy() -> VerifyHarness:
        harness = make_harness()
        lose_some(harness)
        write(harness, "brief", 104, INSIDE)
        delete(harness, "brief", 105, INSIDE, lost=True)
        expired(harness, "lost", INSIDE, INSIDE)
        harness.faults.calls = 0
        return harness

    given = {"repair": True, "delete_removed": True, **WINDOW}
    harness = lossy()
    harness.verify(**given)
    total = harness.faults.calls
    assert total > 60
    for call in range(1, total + 1, 2):
        harness = lossy()
        harness.faults.kill(call, moment)
        assert harness.verify(**given)["outcome"] == "complete", call
        assert harness.tables.orders() == healed(), call
        assert len(harness.exports.exports) == 1, call
        assert harness.keys(EXPIRED), call  # a row was deleted
