"""What waits for another row: tried again by every replay until it fits, is superseded, or has waited for a day."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from common.changes import Kind, Parked, version
from common.layout import DEFERRED, REPLAYED
from common.mysql import database as mysql_database
from common.quarantine import Quarantine
from dlq_replayer import drain
from tests.support.legacy import signal, trigger
from tests.support.records import ARN, remove
from tests.support.replay import BUCKET, Execution, World, applied, change

DAY = 86_400
ORPHAN = change("a", 5, merchant_id="late")
CHECK = (3819, 4025)  # MySQL's number and MariaDB's


@pytest.fixture(autouse=True)
def _merchants(world: World) -> Iterator[None]:
    """An order refers to its merchant; the merchant `late` is not there yet."""
    world.tables.run(
        "CREATE TABLE merchants (id VARCHAR(64) PRIMARY KEY) ENGINE=InnoDB CHARSET=utf8mb4",
        "INSERT INTO merchants VALUES ('merchant-102')",
        "ALTER TABLE tbl_orders ADD CONSTRAINT merchant FOREIGN KEY (merchant_id) REFERENCES merchants (id)",
    )
    yield
    world.tables.run("ALTER TABLE tbl_orders DROP FOREIGN KEY merchant, DROP KEY merchant", "DROP TABLE merchants")


@pytest.fixture
def one_status(world: World) -> Iterator[None]:
    """No two orders have the same status."""
    world.tables.run("ALTER TABLE tbl_orders ADD UNIQUE KEY uq_status (status)")
    yield
    world.tables.run("ALTER TABLE tbl_orders DROP KEY uq_status")


def merchant_arrives(world: World) -> None:
    world.tables.run("INSERT INTO merchants VALUES ('late')")


def name_of(key: str, sequence: int, prefix: str = "deferred") -> str:
    return f"{prefix}/{key}/{version(ARN, str(8 * 10**20 + sequence))}.json"


def counts(report: dict[str, Any], *names: str) -> tuple[Any, ...]:
    return report["outcome"], *(report["counts"][name] for name in names)


def test_a_missing_parent_is_waited_for(world: World):
    """Deferred, tried again by a replay that nobody had to tell, and written once the parent is there."""
    world.put_batch([ORPHAN, change("b", 6)])
    since = int(world.clock.seconds())
    report = world.replay()
    assert counts(report, "applied", "parked", "quarantined", "deferred", "left") == ("complete", 1, 1, 0, 1, 0)
    assert world.left() == []
    assert world.keys(DEFERRED) == [name_of("a", 5)] == report["parked_records"]
    stored = world.bucket.read_json(name_of("a", 5))
    assert (stored["kind"], stored["errno"], stored["since"], stored["record"]) == ("deferred", 1452, since, ORPHAN)
    assert world.tables.orders() == [applied("b", 6)]

    world.clock.advance(600)
    again = world.replay({})
    assert counts(again, "batches", "parked", "deferred", "settled", "left") == ("complete", 1, 1, 1, 0, 0)
    assert world.bucket.read_json(name_of("a", 5)) == stored, "it waits since the first time"

    merchant_arrives(world)
    assert counts(world.replay({}), "applied", "parked", "settled") == ("complete", 1, 0, 1)
    assert world.tables.orders() == [applied("a", 5, merchant_id="late"), applied("b", 6)]
    assert (world.keys(DEFERRED), world.keys(REPLAYED + DEFERRED)) == ([], [REPLAYED + name_of("a", 5)])
    assert world.replay({})["outcome"] == "nothing_to_do"


@pytest.mark.usefixtures("one_status")
def test_a_unique_value_that_is_not_free_yet_is_waited_for(world: World):
    world.put_batch([change("a", 1, status="ONE")])
    world.replay()
    world.put_batch([change("b", 2, status="ONE")])
    assert counts(world.replay(), "parked", "deferred") == ("complete", 1, 1)
    assert world.keys(DEFERRED) == [name_of("b", 2)]
    world.put_batch([remove("a", 3)])
    world.replay()
    world.replay()
    assert world.tables.orders() == [applied("b", 2, status="ONE")]
    assert world.keys(DEFERRED) == []


@pytest.mark.usefixtures("one_status")
@pytest.mark.parametrize("keys", ["abcdefgh", "hgfedcba"], ids=["taker first", "taker last"])
def test_a_chain_of_unique_values_is_written_by_one_replay(make_world: Callable[..., World], keys: str):
    """A replay of nothing but parked records gives `apply()` all that fits into a call."""
    world = make_world(concurrency=4)
    world.put_batch([change(key, n, status=f"S{n}") for n, key in enumerate(keys)])
    world.replay()
    for n, key in enumerate(keys):
        world.put_deferred(change(key, 10 + n, status=f"S{n + 1}"))
    assert counts(world.replay(), "applied", "deferred", "splits") == ("complete", len(keys), 0, 1)
    assert world.tables.orders() == sorted(applied(key, 10 + n, status=f"S{n + 1}") for n, key in enumerate(keys))


def test_a_row_that_others_refer_to_is_deleted_once_they_are_gone(world: World):
    world.put_batch([change("a", 1)])
    world.replay()
    world.tables.run(
        "CREATE TABLE invoices (order_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin,"
        " FOREIGN KEY (order_id) REFERENCES tbl_orders (order_id)) ENGINE=InnoDB",
        "INSERT INTO invoices VALUES ('a')",
    )
    try:
        world.put_batch([remove("a", 2)])
        assert counts(world.replay(), "parked", "deferred") == ("complete", 1, 1)
        assert world.tables.orders() == [applied("a", 1)]
    finally:
        world.tables.run("DROP TABLE invoices")
    world.replay()
    assert (world.tables.orders(), world.keys(DEFERRED)) == ([], [])


def test_superseded_it_leaves(world: World):
    world.put_deferred(ORPHAN)
    world.put_batch([change("a", 7)])
    assert counts(world.replay(), "superseded", "parked", "settled") == ("complete", 1, 0, 2)
    world.put_deferred(ORPHAN)
    assert counts(world.replay(), "stale", "parked", "settled") == ("complete", 1, 0, 1)
    assert (world.tables.orders(), world.keys(DEFERRED)) == ([applied("a", 7)], [])


def test_of_two_that_wait_the_newest_that_fits_is_written(world: World):
    world.put_deferred(change("a", 4))
    world.put_deferred(change("a", 5))
    newest = world.put_deferred(change("a", 6, merchant_id="late"))
    world.replay()
    assert world.tables.orders() == [applied("a", 5)]
    assert world.keys(DEFERRED) == [newest]
    merchant_arrives(world)
    world.replay()
    assert world.tables.orders() == [applied("a", 6, merchant_id="late")]
    assert world.keys(DEFERRED) == []


def test_both_fit_and_the_older_one_is_superseded(world: World):
    for sequence in (5, 6):
        world.put_deferred(change("a", sequence))
    assert counts(world.replay(), "applied", "superseded", "settled") == ("complete", 1, 1, 2)
    assert (world.tables.orders(), world.keys(DEFERRED)) == ([applied("a", 6)], [])


@pytest.mark.parametrize(("waited", "prefix"), [(DAY, "deferred"), (DAY + 1, "quarantine")])
def test_after_a_day_it_waits_for_a_person(world: World, waited: int, prefix: str):
    """From the first time that it was parked, however often it was tried again since."""
    world.put_batch([ORPHAN])
    since = int(world.clock.seconds())
    world.replay()
    world.clock.advance(DAY // 2)
    world.replay()
    world.clock.advance(waited - DAY // 2)
    report = world.replay()
    moved = int(prefix == "quarantine")
    assert counts(report, "parked", "quarantined", "deferred", "settled") == ("complete", 1, moved, 1 - moved, moved)
    assert world.keys(DEFERRED) + world.keys("quarantine/") == [name_of("a", 5, prefix)]
    stored = world.bucket.read_json(name_of("a", 5, prefix))
    assert (stored["since"], stored["record"], "1452" in stored["reason"]) == (since, ORPHAN, True)
    assert stored["kind"] == ("poison" if moved else "deferred")
    assert ("waited for a day" in stored["hint"]) == bool(moved)


def test_after_a_day_it_is_written_if_it_fits(world: World):
    world.put_deferred(ORPHAN)
    world.clock.advance(2 * DAY)
    merchant_arrives(world)
    world.replay()
    assert (world.keys(DEFERRED), world.keys("quarantine/")) == ([], [])
    assert world.tables.orders() == [applied("a", 5, merchant_id="late")]


def test_retried_from_the_quarantine_it_stays_there_until_it_fits(world: World):
    world.put_deferred(ORPHAN)
    world.clock.advance(DAY + 1)
    world.replay()
    retry = {"include_quarantine": True, "keys": ["a"]}
    assert counts(world.replay(retry), "quarantined", "deferred") == ("complete", 1, 0)
    assert (world.keys(DEFERRED), world.keys("quarantine/")) == ([], [name_of("a", 5, "quarantine")])
    merchant_arrives(world)
    world.replay(retry)
    assert world.keys("quarantine/") == []
    assert world.tables.orders() == [applied("a", 5, merchant_id="late")]


def test_a_clash_that_an_older_release_quarantined_is_deferred_when_retried(world: World):
    world.put_quarantined(ORPHAN, "MySQL error 1452")
    world.replay({"include_quarantine": True})
    assert (world.keys(DEFERRED), world.keys("quarantine/")) == ([name_of("a", 5)], [])


def test_quarantined_and_deferred_at_once_it_waits_since_the_first_time(world: World):
    """An older release may have quarantined it, and a redelivery deferred it."""
    since = int(world.clock.seconds())
    waiting = world.put_deferred(ORPHAN)
    world.put_quarantined(ORPHAN, "MySQL error 1452")
    world.clock.advance(60)
    world.replay({"include_quarantine": True})
    assert (world.keys(DEFERRED), world.keys("quarantine/")) == ([waiting], [])
    assert world.bucket.read_json(waiting)["since"] == since


@pytest.fixture
def odd(world: World) -> Iterator[None]:
    """A trigger signals a number that nobody knows for the status ODD."""
    world.tables.run(trigger("BEFORE INSERT", signal("NEW.status = 'ODD'", 31001)))
    yield
    world.tables.run("DROP TRIGGER before_insert")


@pytest.mark.usefixtures("odd")
def test_an_unknown_error_is_decided_once(world: World):
    """The replay after has nothing beside it that could go through: the first evidence still holds."""
    world.put_batch([change("a", 5, status="ODD"), change("b", 6)])
    for attempt in range(3):
        report = world.replay()
        assert counts(report, "parked", "unknown", "applied") == ("complete", 1, 1, int(attempt == 0))
    assert world.bucket.read_json(name_of("a", 5))["kind"] == "unknown"
    assert world.tables.orders() == [applied("b", 6)]


def test_an_unknown_error_is_tried_again_for_ever(world: World, monkeypatch: pytest.MonkeyPatch):
    real = mysql_database.apply

    def apply(*given: Any) -> Any:
        outcome = real(*given)
        return replace(outcome, parked=[parked._replace(kind=Kind.UNKNOWN) for parked in outcome.parked])

    monkeypatch.setattr(mysql_database, "apply", apply)
    world.put_batch([ORPHAN])
    for _ in range(3):
        report = world.replay()
        assert counts(report, "parked", "quarantined", "deferred", "unknown") == ("complete", 1, 0, 0, 1)
        assert "does not know" in report["next"][0]
        world.clock.advance(5 * DAY)
    assert world.bucket.read_json(name_of("a", 5))["kind"] == "unknown"
    merchant_arrives(world)
    world.replay()
    assert world.tables.orders() == [applied("a", 5, merchant_id="late")]
    assert world.keys(DEFERRED) == []


def test_its_object_tells_the_newest_reason(world: World, one_status: None):
    """And is written only where that has changed: replays may come every few minutes."""
    world.put_batch([change("b", 1, status="ONE")])
    world.replay()
    waiting = world.put_deferred(change("a", 5, status="ONE"), reason="an older one")
    since = int(world.clock.seconds())
    world.clock.advance(60)
    world.replay()
    stored, kept = world.bucket.read_json(waiting), world.s3.objects[waiting]
    assert ("uq_status" in stored["reason"], stored["since"]) == (True, since)
    world.replay()
    assert world.s3.objects[waiting] is kept


@pytest.mark.parametrize("together", [1, 1000])
def test_found_in_a_failed_batch_too_it_waits_since_the_first_time(
    world: World, together: int, monkeypatch: pytest.MonkeyPatch
):
    """A batch that stays, as it stands for more than it holds, must not put off the day for ever."""
    monkeypatch.setattr(drain, "_BATCH", together)
    waiting = world.put_deferred(ORPHAN)
    since = int(world.clock.seconds())
    world.put_batch([ORPHAN], batchSize=9)
    world.clock.advance(60)
    world.replay()
    assert world.bucket.read_json(waiting)["since"] == since
    world.clock.advance(DAY)
    world.replay()
    assert world.keys("quarantine/") == [name_of("a", 5, "quarantine")]


def test_a_dry_run_counts_those_that_wait_and_changes_nothing(world: World):
    world.put_deferred(ORPHAN, since=0)
    world.put_deferred(change("b", 6))
    world.put_batch([change("b", 5)])
    before, rows = dict(world.s3.objects), world.tables.orders()
    report = world.replay({"dry_run": True})
    assert counts(report, "batches", "changes", "keys", "deferred", "parked") == ("planned", 3, 3, 2, 2, 0)
    assert (rows, world.tables.sidecar()) == (world.tables.orders(), [])
    assert before == {key: value for key, value in world.s3.objects.items() if not key.startswith("replay/")}


def test_only_those_of_the_keys_that_were_asked_for_are_tried(world: World):
    world.put_deferred(change("a", 5))
    other = world.put_deferred(change("b", 6))
    assert counts(world.replay({"keys": ["a"]}), "batches", "settled", "left") == ("complete", 1, 1, 0)
    assert (world.tables.orders(), world.keys(DEFERRED)) == ([applied("a", 5)], [other])


def test_one_that_waits_alone_is_something_to_do(world: World):
    world.put_deferred(ORPHAN)
    execution = Execution(world)
    report = execution.resume()
    assert report["outcome"] == "complete"
    assert "drain" in execution.trail
    assert [advice for advice in report["next"] if "deferred/" in advice] == report["next"] != []


def test_what_is_no_parked_record_is_named_and_left(world: World):
    foreign = f"{DEFERRED}notes.txt"
    world.s3.put_object(Bucket=BUCKET, Key=foreign, Body="x")
    world.put_deferred(change("a", 5))
    report = world.replay()
    assert [problem["source"] for problem in report["problems"]] == [foreign] == world.keys(DEFERRED)
    assert world.tables.orders() == [applied("a", 5)]


@pytest.mark.parametrize("since", [None, "never", True, -1, 10**30], ids=repr)
def test_an_object_that_does_not_say_since_when_waits_from_now_on(world: World, since: Any):
    waiting = world.put_deferred(ORPHAN, since=since)
    world.replay()
    assert world.bucket.read_json(waiting)["since"] == int(world.clock.seconds())


def test_discarded_while_it_is_tried_it_stays_away(world: World):
    waiting = world.put_deferred(ORPHAN)
    execution = Execution(world).until("drain")
    del world.s3.objects[waiting]
    report = execution.resume()
    assert (report["outcome"], report["problems"], world.keys(DEFERRED)) == ("complete", [], [])


def test_refused_for_good_it_moves_to_the_quarantine(world: World, three_letters: None):
    world.put_deferred(change("a", 5, currency="R"))
    world.replay()
    assert (world.keys(DEFERRED), world.keys("quarantine/")) == ([], [name_of("a", 5, "quarantine")])
    assert world.bucket.read_json(name_of("a", 5, "quarantine"))["errno"] in CHECK


@pytest.mark.parametrize("at", ["collect", "drain", "settle", "report"])
def test_the_consumer_parks_it_again_while_it_is_replayed(world: World, at: str):
    """Redelivered at any moment, it ends written once and waits no more."""
    world.put_deferred(ORPHAN)
    merchant_arrives(world)
    execution = Execution(world).until(at)
    parked = Parked("a", version(ARN, str(8 * 10**20 + 5)), "clash", "wait", 1062, ORPHAN, Kind.DEFERRED)
    Quarantine(lambda: world.s3, BUCKET).park([parked])
    execution.resume()
    if at == "report":
        assert world.keys(DEFERRED) == [name_of("a", 5)]
        assert counts(world.replay(), "redelivered", "settled") == ("complete", 1, 1)
    assert world.keys(DEFERRED) == []
    assert world.tables.orders() == [applied("a", 5, merchant_id="late")]
    assert world.written() == [("a", 5, 0)]


@pytest.mark.parametrize("seed", range(6))
def test_two_replays_at_once_lose_none(world: World, seed: int):
    """Of some that fit, some that do not and some that have waited for a day, each ends in one place."""
    rng = random.Random(seed)
    world.put_deferred(change("old", 1, merchant_id="never"))
    world.clock.advance(DAY + 1)
    waiting = world.put_deferred(change("never", 2, merchant_id="never"))
    fits = [f"k{number}" for number in range(5)]
    for number, key in enumerate(fits):
        world.put_deferred(change(key, number))
    world.put_batch([change("z", 9, merchant_id="never"), change("k0", 30)])
    one = Execution(world, rng=rng).until("hydrate")
    one.stop()
    two = Execution(world, rng=rng).until("collect")
    while running := [execution for execution in (one, two) if execution.action]:
        rng.choice(running).step()
        world.check()
    assert world.keys(DEFERRED) == sorted([waiting, name_of("z", 9)])
    assert world.keys("quarantine/") == [name_of("old", 1, "quarantine")]
    assert world.left() == []
    assert world.tables.orders() == [applied("k0", 30), *(applied(f"k{number}", number) for number in range(1, 5))]


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_at_any_call_none_is_lost(make_world: Callable[..., World], world: World, when: str):
    crashes = 0
    for call in range(1, 200):
        world = make_world(concurrency=1)
        world.put_deferred(change("old", 1, merchant_id="never"))
        world.clock.advance(DAY + 1)
        waiting = world.put_deferred(change("wait", 2, merchant_id="never"))
        world.put_deferred(change("fits", 3))
        world.put_batch([change("late", 4, merchant_id="never"), change("b", 5)])
        execution = Execution(world)
        world.faults.kill(call, when)
        execution.resume()
        crashes += execution.crashes
        assert world.keys(DEFERRED) == sorted([waiting, name_of("late", 4)])
        assert world.keys("quarantine/") == [name_of("old", 1, "quarantine")]
        assert world.tables.orders() == [applied("b", 5), applied("fits", 3)]
        world.database.drop()
        if not execution.crashes:
            break
    assert crashes == call - 1 > 20
