"""A deferred record is tried by every replay until it fits, is superseded, or has waited for a day."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from common.changes import Kind, Parked
from common.layout import DEFERRED, REPLAYED
from common.mysql import database as mysql_database
from common.quarantine import Quarantine
from common.versions import version
from dlq_replayer import drain
from tests.support.legacy import signal, trigger
from tests.support.records import ARN, remove
from tests.support.replay import BUCKET, ReplayExecution, ReplayHarness, applied, change

DAY = 86_400
ORPHAN = change("a", 5, merchant_id="late")
CHECK = (3819, 4025)  # MySQL's number and MariaDB's


@pytest.fixture(autouse=True)
def _merchants(harness: ReplayHarness) -> Iterator[None]:
    """An order refers to its merchant. The merchant `late` does not exist yet."""
    harness.tables.run(
        "CREATE TABLE merchants (id VARCHAR(64) PRIMARY KEY) ENGINE=InnoDB CHARSET=utf8mb4",
        "INSERT INTO merchants VALUES ('merchant-102')",
        "ALTER TABLE tbl_orders ADD CONSTRAINT merchant FOREIGN KEY (merchant_id) REFERENCES merchants (id)",
    )
    yield
    harness.tables.run("ALTER TABLE tbl_orders DROP FOREIGN KEY merchant, DROP KEY merchant", "DROP TABLE merchants")


@pytest.fixture
def one_status(harness: ReplayHarness) -> Iterator[None]:
    """No two orders have the same status."""
    harness.tables.run("ALTER TABLE tbl_orders ADD UNIQUE KEY uq_status (status)")
    yield
    harness.tables.run("ALTER TABLE tbl_orders DROP KEY uq_status")


def merchant_arrives(harness: ReplayHarness) -> None:
    harness.tables.run("INSERT INTO merchants VALUES ('late')")


def name_of(key: str, sequence: int, prefix: str = "deferred") -> str:
    return f"{prefix}/order/{key}/{version(ARN, str(8 * 10**20 + sequence))}.json"


def counts(report: dict[str, Any], *names: str) -> tuple[Any, ...]:
    return report["outcome"], *(report["counts"][name] for name in names)


def test_a_missing_parent_is_waited_for(harness: ReplayHarness):
    """Every replay tries it again without being asked, and writes it when the parent exists."""
    harness.put_batch([ORPHAN, change("b", 6)])
    since = int(harness.clock.seconds())
    report = harness.replay()
    assert counts(report, "applied", "parked", "quarantined", "deferred", "left") == ("complete", 1, 1, 0, 1, 0)
    assert harness.left() == []
    assert harness.keys(DEFERRED) == [name_of("a", 5)] == report["parked_records"]
    stored = harness.bucket.read_json(name_of("a", 5))
    assert (stored["kind"], stored["errno"], stored["since"], stored["record"]) == ("deferred", 1452, since, ORPHAN)
    assert harness.tables.orders() == [applied("b", 6)]

    harness.clock.advance(600)
    again = harness.replay({})
    assert counts(again, "batches", "parked", "deferred", "settled", "left") == ("complete", 1, 1, 1, 0, 0)
    assert harness.bucket.read_json(name_of("a", 5)) == stored, "it waits since the first time"

    merchant_arrives(harness)
    assert counts(harness.replay({}), "applied", "parked", "settled") == ("complete", 1, 0, 1)
    assert harness.tables.orders() == [applied("a", 5, merchant_id="late"), applied("b", 6)]
    assert (harness.keys(DEFERRED), harness.keys(REPLAYED + DEFERRED)) == ([], [REPLAYED + name_of("a", 5)])
    assert harness.replay({})["outcome"] == "nothing_to_do"


@pytest.mark.usefixtures("one_status")
def test_a_unique_value_that_is_not_free_yet_is_waited_for(harness: ReplayHarness):
    harness.put_batch([change("a", 1, status="ONE")])
    harness.replay()
    harness.put_batch([change("b", 2, status="ONE")])
    assert counts(harness.replay(), "parked", "deferred") == ("complete", 1, 1)
    assert harness.keys(DEFERRED) == [name_of("b", 2)]
    harness.put_batch([remove("a", 3)])
    harness.replay()
    harness.replay()
    assert harness.tables.orders() == [applied("b", 2, status="ONE")]
    assert harness.keys(DEFERRED) == []


@pytest.mark.usefixtures("one_status")
@pytest.mark.parametrize("keys", ["abcdefgh", "hgfedcba"], ids=["taker first", "taker last"])
def test_a_chain_of_unique_values_is_written_by_one_replay(make_harness: Callable[..., ReplayHarness], keys: str):
    """A replay of parked records alone gives `apply()` as many as fit into one call."""
    harness = make_harness(concurrency=4)
    harness.put_batch([change(key, n, status=f"S{n}") for n, key in enumerate(keys)])
    harness.replay()
    for n, key in enumerate(keys):
        harness.put_deferred(change(key, 10 + n, status=f"S{n + 1}"))
    assert counts(harness.replay(), "applied", "deferred", "splits") == ("complete", len(keys), 0, 1)
    assert harness.tables.orders() == sorted(applied(key, 10 + n, status=f"S{n + 1}") for n, key in enumerate(keys))


def test_a_referenced_row_is_deleted_when_the_others_are_gone(harness: ReplayHarness):
    harness.put_batch([change("a", 1)])
    harness.replay()
    harness.tables.run(
        "CREATE TABLE invoices (order_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin,"
        " FOREIGN KEY (order_id) REFERENCES tbl_orders (order_id)) ENGINE=InnoDB",
        "INSERT INTO invoices VALUES ('a')",
    )
    try:
        harness.put_batch([remove("a", 2)])
        assert counts(harness.replay(), "parked", "deferred") == ("complete", 1, 1)
        assert harness.tables.orders() == [applied("a", 1)]
    finally:
        harness.tables.run("DROP TABLE invoices")
    harness.replay()
    assert (harness.tables.orders(), harness.keys(DEFERRED)) == ([], [])


def test_a_superseded_record_is_settled(harness: ReplayHarness):
    harness.put_deferred(ORPHAN)
    harness.put_batch([change("a", 7)])
    assert counts(harness.replay(), "superseded", "parked", "settled") == ("complete", 1, 0, 2)
    harness.put_deferred(ORPHAN)
    assert counts(harness.replay(), "stale", "parked", "settled") == ("complete", 1, 0, 1)
    assert (harness.tables.orders(), harness.keys(DEFERRED)) == ([applied("a", 7)], [])


def test_the_newest_waiting_record_that_fits_is_written(harness: ReplayHarness):
    harness.put_deferred(change("a", 4))
    harness.put_deferred(change("a", 5))
    newest = harness.put_deferred(change("a", 6, merchant_id="late"))
    harness.replay()
    assert harness.tables.orders() == [applied("a", 5)]
    assert harness.keys(DEFERRED) == [newest]
    merchant_arrives(harness)
    harness.replay()
    assert harness.tables.orders() == [applied("a", 6, merchant_id="late")]
    assert harness.keys(DEFERRED) == []


def test_of_two_that_fit_the_older_one_is_superseded(harness: ReplayHarness):
    for sequence in (5, 6):
        harness.put_deferred(change("a", sequence))
    assert counts(harness.replay(), "applied", "superseded", "settled") == ("complete", 1, 1, 2)
    assert (harness.tables.orders(), harness.keys(DEFERRED)) == ([applied("a", 6)], [])


@pytest.mark.parametrize(("waited", "prefix"), [(DAY, "deferred"), (DAY + 1, "quarantine")])
def test_after_a_day_a_deferred_record_is_quarantined(harness: ReplayHarness, waited: int, prefix: str):
    """The day begins when the record is first parked, however often it is tried."""
    harness.put_batch([ORPHAN])
    since = int(harness.clock.seconds())
    harness.replay()
    harness.clock.advance(DAY // 2)
    harness.replay()
    harness.clock.advance(waited - DAY // 2)
    report = harness.replay()
    moved = int(prefix == "quarantine")
    assert counts(report, "parked", "quarantined", "deferred", "settled") == ("complete", 1, moved, 1 - moved, moved)
    assert harness.keys(DEFERRED) + harness.keys("quarantine/") == [name_of("a", 5, prefix)]
    stored = harness.bucket.read_json(name_of("a", 5, prefix))
    assert (stored["since"], stored["record"], "1452" in stored["reason"]) == (since, ORPHAN, True)
    assert stored["kind"] == ("poison" if moved else "deferred")
    assert ("waited for a day" in stored["hint"]) == bool(moved)


def test_after_a_day_a_record_that_fits_is_written(harness: ReplayHarness):
    harness.put_deferred(ORPHAN)
    harness.clock.advance(2 * DAY)
    merchant_arrives(harness)
    harness.replay()
    assert (harness.keys(DEFERRED), harness.keys("quarantine/")) == ([], [])
    assert harness.tables.orders() == [applied("a", 5, merchant_id="late")]


def test_a_retried_record_stays_in_quarantine_until_it_fits(harness: ReplayHarness):
    harness.put_deferred(ORPHAN)
    harness.clock.advance(DAY + 1)
    harness.replay()
    retry = {"include_quarantine": True, "keys": ["order/a"]}
    assert counts(harness.replay(retry), "quarantined", "deferred") == ("complete", 1, 0)
    assert (harness.keys(DEFERRED), harness.keys("quarantine/")) == ([], [name_of("a", 5, "quarantine")])
    merchant_arrives(harness)
    harness.replay(retry)
    assert harness.keys("quarantine/") == []
    assert harness.tables.orders() == [applied("a", 5, merchant_id="late")]


def test_a_clash_quarantined_by_an_older_release_is_deferred(harness: ReplayHarness):
    harness.put_quarantined(ORPHAN, "MySQL error 1452")
    harness.replay({"include_quarantine": True})
    assert (harness.keys(DEFERRED), harness.keys("quarantine/")) == ([name_of("a", 5)], [])


def test_a_record_in_both_places_waits_since_the_first_time(harness: ReplayHarness):
    """An older release may have quarantined the record, and a redelivery may have deferred it."""
    since = int(harness.clock.seconds())
    waiting = harness.put_deferred(ORPHAN)
    harness.put_quarantined(ORPHAN, "MySQL error 1452")
    harness.clock.advance(60)
    harness.replay({"include_quarantine": True})
    assert (harness.keys(DEFERRED), harness.keys("quarantine/")) == ([waiting], [])
    assert harness.bucket.read_json(waiting)["since"] == since


@pytest.fixture
def odd(harness: ReplayHarness) -> Iterator[None]:
    """A trigger signals an unknown error number for the status ODD."""
    harness.tables.run(trigger("BEFORE INSERT", signal("NEW.status = 'ODD'", 31001)))
    yield
    harness.tables.run("DROP TRIGGER before_insert")


@pytest.mark.usefixtures("odd")
def test_an_unknown_error_is_decided_once(harness: ReplayHarness):
    """The next replay has no other change that could succeed: the first evidence still holds."""
    harness.put_batch([change("a", 5, status="ODD"), change("b", 6)])
    for attempt in range(3):
        report = harness.replay()
        assert counts(report, "parked", "unknown", "applied") == ("complete", 1, 1, int(attempt == 0))
    assert harness.bucket.read_json(name_of("a", 5))["kind"] == "unknown"
    assert harness.tables.orders() == [applied("b", 6)]


def test_an_unknown_error_is_retried_without_limit(harness: ReplayHarness, monkeypatch: pytest.MonkeyPatch):
    real = mysql_database.apply

    def apply(*given: Any, **seams: Any) -> Any:
        outcome = real(*given, **seams)
        return replace(outcome, parked=[parked._replace(kind=Kind.UNKNOWN) for parked in outcome.parked])

    monkeypatch.setattr(mysql_database, "apply", apply)
    harness.put_batch([ORPHAN])
    for _ in range(3):
        report = harness.replay()
        assert counts(report, "parked", "quarantined", "deferred", "unknown") == ("complete", 1, 0, 0, 1)
        assert "does not know" in report["next"][0]
        harness.clock.advance(5 * DAY)
    assert harness.bucket.read_json(name_of("a", 5))["kind"] == "unknown"
    merchant_arrives(harness)
    harness.replay()
    assert harness.tables.orders() == [applied("a", 5, merchant_id="late")]
    assert harness.keys(DEFERRED) == []


def test_a_deferred_object_has_the_newest_reason(harness: ReplayHarness, one_status: None):
    """It is written only where the reason has changed: replays may run every few minutes."""
    harness.put_batch([change("b", 1, status="ONE")])
    harness.replay()
    waiting = harness.put_deferred(change("a", 5, status="ONE"), reason="an older one")
    since = int(harness.clock.seconds())
    harness.clock.advance(60)
    harness.replay()
    stored, kept = harness.bucket.read_json(waiting), harness.s3.objects[waiting]
    assert ("uq_status" in stored["reason"], stored["since"]) == (True, since)
    harness.replay()
    assert harness.s3.objects[waiting] is kept


@pytest.mark.parametrize("together", [1, 1000])
def test_a_record_in_a_batch_too_waits_since_the_first_time(
    harness: ReplayHarness, together: int, monkeypatch: pytest.MonkeyPatch
):
    """A batch that stays because it lacks records must not postpone the day for ever."""
    monkeypatch.setattr(drain, "_CHUNK", together)
    waiting = harness.put_deferred(ORPHAN)
    since = int(harness.clock.seconds())
    harness.put_batch([ORPHAN], batchSize=9)
    harness.clock.advance(60)
    harness.replay()
    assert harness.bucket.read_json(waiting)["since"] == since
    harness.clock.advance(DAY)
    harness.replay()
    assert harness.keys("quarantine/") == [name_of("a", 5, "quarantine")]


def test_a_dry_run_counts_deferred_records(harness: ReplayHarness):
    harness.put_deferred(ORPHAN, since=0)
    harness.put_deferred(change("b", 6))
    harness.put_batch([change("b", 5)])
    before, rows = dict(harness.s3.objects), harness.tables.orders()
    report = harness.replay({"dry_run": True})
    assert counts(report, "batches", "changes", "keys", "deferred", "parked") == ("planned", 3, 3, 2, 2, 0)
    assert (rows, harness.tables.sidecar()) == (harness.tables.orders(), [])
    assert before == {key: value for key, value in harness.s3.objects.items() if not key.startswith("replay/")}


def test_keys_selects_deferred_records(harness: ReplayHarness):
    harness.put_deferred(change("a", 5))
    other = harness.put_deferred(change("b", 6))
    assert counts(harness.replay({"keys": ["order/a"]}), "batches", "settled", "left") == ("complete", 1, 1, 0)
    assert (harness.tables.orders(), harness.keys(DEFERRED)) == ([applied("a", 5)], [other])


def test_one_deferred_record_alone_is_replayed(harness: ReplayHarness):
    harness.put_deferred(ORPHAN)
    execution = ReplayExecution(harness)
    report = execution.resume()
    assert report["outcome"] == "complete"
    assert "drain" in execution.trail
    assert [advice for advice in report["next"] if "deferred/" in advice] == report["next"] != []


def test_a_foreign_object_under_deferred_is_reported(harness: ReplayHarness):
    foreign = f"{DEFERRED}notes.txt"
    harness.s3.put_object(Bucket=BUCKET, Key=foreign, Body="x")
    harness.put_deferred(change("a", 5))
    report = harness.replay()
    assert [problem["source"] for problem in report["problems"]] == [foreign] == harness.keys(DEFERRED)
    assert harness.tables.orders() == [applied("a", 5)]


@pytest.mark.parametrize("since", [None, "never", True, -1, 10**30], ids=repr)
def test_an_object_without_since_waits_from_now_on(harness: ReplayHarness, since: Any):
    waiting = harness.put_deferred(ORPHAN, since=since)
    harness.replay()
    assert harness.bucket.read_json(waiting)["since"] == int(harness.clock.seconds())


def test_a_deferred_record_discarded_meanwhile_stays_discarded(harness: ReplayHarness):
    waiting = harness.put_deferred(ORPHAN)
    execution = ReplayExecution(harness).until("drain")
    del harness.s3.objects[waiting]
    report = execution.resume()
    assert (report["outcome"], report["problems"], harness.keys(DEFERRED)) == ("complete", [], [])


def test_a_deferred_record_that_becomes_poison_is_quarantined(harness: ReplayHarness, three_letters: None):
    harness.put_deferred(change("a", 5, currency="R"))
    harness.replay()
    assert (harness.keys(DEFERRED), harness.keys("quarantine/")) == ([], [name_of("a", 5, "quarantine")])
    assert harness.bucket.read_json(name_of("a", 5, "quarantine"))["errno"] in CHECK


@pytest.mark.parametrize("at", ["collect", "drain", "settle", "report"])
def test_the_consumer_parks_a_record_during_its_replay(harness: ReplayHarness, at: str):
    """Redelivered at any moment, the record is written once and waits no longer."""
    harness.put_deferred(ORPHAN)
    merchant_arrives(harness)
    execution = ReplayExecution(harness).until(at)
    parked = Parked("order/a", version(ARN, str(8 * 10**20 + 5)), "clash", "wait", 1062, ORPHAN, Kind.DEFERRED)
    Quarantine(lambda: harness.s3, BUCKET).park([parked])
    execution.resume()
    if at == "report":
        assert harness.keys(DEFERRED) == [name_of("a", 5)]
        assert counts(harness.replay(), "redelivered", "settled") == ("complete", 1, 1)
    assert harness.keys(DEFERRED) == []
    assert harness.tables.orders() == [applied("a", 5, merchant_id="late")]
    assert harness.written() == [("order/a", 5, 0)]


@pytest.mark.parametrize("seed", range(6))
def test_two_replays_at_once_lose_no_deferred_record(harness: ReplayHarness, seed: int):
    """Some fit, some do not, some have waited for a day: each ends in one place."""
    rng = random.Random(seed)
    harness.put_deferred(change("old", 1, merchant_id="never"))
    harness.clock.advance(DAY + 1)
    waiting = harness.put_deferred(change("never", 2, merchant_id="never"))
    fits = [f"k{number}" for number in range(5)]
    for number, key in enumerate(fits):
        harness.put_deferred(change(key, number))
    harness.put_batch([change("z", 9, merchant_id="never"), change("k0", 30)])
    one = ReplayExecution(harness, rng=rng).until("hydrate")
    one.stop()
    two = ReplayExecution(harness, rng=rng).until("collect")
    while running := [execution for execution in (one, two) if execution.action]:
        rng.choice(running).step()
        harness.check()
    assert harness.keys(DEFERRED) == sorted([waiting, name_of("z", 9)])
    assert harness.keys("quarantine/") == [name_of("old", 1, "quarantine")]
    assert harness.left() == []
    assert harness.tables.orders() == [applied("k0", 30), *(applied(f"k{number}", number) for number in range(1, 5))]


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_kill_at_any_call_loses_no_deferred_record(
    make_harness: Callable[..., ReplayHarness], harness: ReplayHarness, moment: str
):
    crashes = 0
    for call in range(1, 200):
        harness = make_harness(concurrency=1)
        harness.put_deferred(change("old", 1, merchant_id="never"))
        harness.clock.advance(DAY + 1)
        waiting = harness.put_deferred(change("wait", 2, merchant_id="never"))
        harness.put_deferred(change("fits", 3))
        harness.put_batch([change("late", 4, merchant_id="never"), change("b", 5)])
        execution = ReplayExecution(harness)
        harness.faults.kill(call, moment)
        execution.resume()
        crashes += execution.crashes
        assert harness.keys(DEFERRED) == sorted([waiting, name_of("late", 4)])
        assert harness.keys("quarantine/") == [name_of("old", 1, "quarantine")]
        assert harness.tables.orders() == [applied("b", 5), applied("fits", 3)]
        harness.database.drop()
        if not execution.crashes:
            break
    assert crashes == call - 1 > 20
