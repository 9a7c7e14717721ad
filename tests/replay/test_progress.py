"""Progress of a split: noted for little, found again after a death, and made whatever a batch takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from common.changes import Change, Kind, Parked, read
from common.database import ApplyOptions, Outcome
from common.histories import CLOCK_REASON
from common.mysql import database as mysql_database
from common.mysql.apply import apply as apply_changes
from dlq_replayer import collect, drain, notes
from dlq_replayer.steps import Steps
from tests.support.replay import Execution, Killed, LazyDatabase, World, change, last_states

CALL_SECONDS, MARGIN_SECONDS = 300, 60  # as terraform/replay.tf and the handler have it
BAD = {"amount": "12345678901234567890"}


class SlowServer:
    """In place of `apply`: a change takes `seconds(key)`, and a call that takes too long is killed by Lambda."""

    def __init__(self, world: World, monkeypatch: pytest.MonkeyPatch, seconds: Callable[[str], float]) -> None:
        self.world, self.seconds, self.sizes = world, seconds, list[int]()
        self.started = world.clock.seconds()
        self._steps = world.steps
        monkeypatch.setattr(world, "steps", self._call)
        monkeypatch.setattr(mysql_database, "apply", self._apply)
        world.out_of_time = lambda: self._spent() > CALL_SECONDS - MARGIN_SECONDS

    def _call(self) -> Steps:
        self.started = self.world.clock.seconds()
        return self._steps()

    def _spent(self) -> float:
        return self.world.clock.seconds() - self.started

    def _apply(self, connection: Any, target: Any, changes: list[Change], options: ApplyOptions) -> Outcome:
        self.sizes.append(len(changes))
        self.world.clock.advance(sum(self.seconds(change.key) for change in changes))
        if self._spent() > CALL_SECONDS:
            raise Killed
        return apply_changes(connection, target, changes, options)


def keys(count: int) -> list[dict[str, Any]]:
    return [change(f"k{n:03d}", n + 1) for n in range(count)]


def notes_of(world: World) -> list[dict[str, Any]]:
    """What is noted of splits that are begun from now on, in that order."""
    noted: list[dict[str, Any]] = []
    write = world.s3.put_object

    def put_object(**given: Any) -> Any:
        if "/begun/0" in given["Key"]:
            noted.append(given)
        return write(**given)

    world.s3.put_object = put_object
    return noted


@pytest.mark.parametrize("seconds", [1, 12, 70, 230])
def test_a_batch_that_fits_no_call_gets_smaller(world: World, monkeypatch: pytest.MonkeyPatch, seconds: float):
    """Killed by the timeout in the middle of it, a lane comes to its end, within the retries of the state machine."""
    monkeypatch.setattr(drain, "_BATCH", 400)
    records = keys(400 if seconds < 70 else 20)
    world.put_batch(records)
    slow = SlowServer(world, monkeypatch, lambda _: seconds)
    execution = Execution(world, {"concurrency": 1})
    counts = execution.resume()["counts"]
    assert (counts["changes"], counts["keys"], counts["upserted"]) == (len(records), len(records), len(records))
    assert counts["redelivered"] == 0
    assert world.tables.orders() == last_states(records)
    assert execution.crashes <= 5
    assert len(slow.sizes) < 2 * len(records)


def test_a_hard_batch_behind_easy_ones_is_found(world: World, monkeypatch: pytest.MonkeyPatch):
    """What a killed call did since its last note does not hide the batch that it died in."""
    monkeypatch.setattr(drain, "_BATCH", 10)
    records = keys(150)
    world.put_batch(records)
    slow = SlowServer(world, monkeypatch, lambda key: 40.0 if "k070" <= key < "k080" else 0.01)
    execution = Execution(world, {"concurrency": 1})
    counts = execution.resume()["counts"]
    assert world.tables.orders() == last_states(records)
    assert counts["changes"] == 150
    assert execution.crashes <= 2
    assert slow.sizes[-2] == 10  # grown again


def test_after_a_death_it_goes_on_at_the_last_note(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(drain, "_BATCH", 10)
    world.put_batch(keys(60))
    slow = SlowServer(world, monkeypatch, lambda key: 100.0 if "k040" <= key < "k050" else 0.6)
    execution = Execution(world, {"concurrency": 1}).until("drain")
    with pytest.raises(Killed):
        world.steps().drain(execution.lanes[0])
    assert slow.sizes == [10] * 5
    world.faults.revive()
    slow.seconds = lambda _: 0.6
    assert world.steps().drain(execution.lanes[0])["outcome"] == "done"
    assert slow.sizes[5:] == [2, 4, 4, 10]  # a piece of what was read together
    assert execution.resume()["counts"]["redelivered"] == 0


@pytest.mark.parametrize(("seconds", "expected"), [(0.0, 1), (0.1, 1 + 3), (0.6, 1 + 19)])
def test_a_healthy_replay_notes_little(world: World, monkeypatch: pytest.MonkeyPatch, seconds: float, expected: int):
    """Once when a call begins a split, and every few seconds."""
    monkeypatch.setattr(drain, "_BATCH", 10)
    world.put_batch(keys(195))
    SlowServer(world, monkeypatch, lambda _: seconds)
    noted = notes_of(world)
    Execution(world, {"concurrency": 1}).resume()
    assert len(noted) == expected


def test_a_slow_batch_is_followed_by_smaller_ones(world: World, monkeypatch: pytest.MonkeyPatch):
    """Before a call dies of it; after a fast one the size grows again."""
    monkeypatch.setattr(drain, "_BATCH", 16)
    world.put_batch(keys(40))
    slow = SlowServer(world, monkeypatch, lambda key: 2.0 if key < "k020" else 0.1)
    Execution(world, {"concurrency": 1}).resume()
    assert slow.sizes == [16, 8, 8, 8]
    assert world.tables.orders() == last_states(keys(40))


def test_a_database_that_comes_back_is_met_with_fewer_changes(world: World, monkeypatch: pytest.MonkeyPatch):
    """No answer in time looks like an outage: what held the batch may be its size."""
    monkeypatch.setattr(drain, "_BATCH", 40)
    records = keys(40)
    world.put_batch(records)
    asked: list[str] = []
    execution = Execution(world, {"concurrency": 1})

    def before_run(operation: str) -> None:
        if "replaying" in operation:
            asked.append(operation.partition(" changes")[0])
            world.server.down = len(asked) < 3

    world.database.before_execute = before_run
    world.database.drop()
    execution.on_wait = lambda: setattr(world.server, "down", False)
    assert execution.resume()["outcome"] == "complete"
    assert asked == ["replaying 40", "replaying 10", "replaying 2", "replaying 4", "replaying 8", "replaying 16",
                     "replaying 10"]  # fmt: skip
    assert world.tables.orders() == last_states(records)


class LeavesSome:
    """In place of `apply`: time runs out behind `most` keys; of the others nothing is done."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
        self.most, self.given = most, list[list[str]]()
        monkeypatch.setattr(mysql_database, "apply", self._apply)

    def _apply(self, connection: Any, target: Any, changes: Sequence[Change], options: ApplyOptions) -> Outcome:
        self.given.append([change.key for change in changes])
        done = sorted({change.key for change in changes})[: self.most] if options.out_of_time() else None
        taken = [change for change in changes if done is None or change.key in done]
        outcome = apply_changes(connection, target, taken, replace(options, out_of_time=lambda: False))
        outcome.left = [change for change in changes if change not in taken]
        return outcome


def test_what_is_left_of_a_batch_is_where_the_next_call_begins(world: World, monkeypatch: pytest.MonkeyPatch):
    """Nothing twice, nothing not at all; the counts are those of one call that had the time."""
    records = [change(key, n) for n, key in enumerate("aabbbccdeef", start=1)]
    world.put_batch(records)
    world.out_of_time = lambda: True
    some = LeavesSome(monkeypatch, 2)
    counts = Execution(world, {"concurrency": 1}).resume()["counts"]
    assert ["".join(given) for given in some.given] == ["aabbbccdeef", "ccdeef", "eef"]
    assert {name: counts[name] for name in ("changes", "keys", "upserted", "superseded", "redelivered")} == {
        "changes": 11, "keys": 6, "upserted": 6, "superseded": 5, "redelivered": 0,
    }  # fmt: skip
    assert world.tables.orders() == last_states(records)
    assert world.left() == []


def test_of_what_is_left_nothing_is_parked(world: World, three_letters: None, monkeypatch: pytest.MonkeyPatch):
    """A record may be known as poison before its key's turn: it is parked, and counted, in its turn."""
    world.put_batch([change(key, n, currency="R") for n, key in enumerate("abcd", start=1)])
    world.out_of_time = lambda: True
    some = LeavesSome(monkeypatch, 2)
    early = some._apply  # noqa: SLF001

    def with_the_last(connection: Any, target: Any, changes: list[Change], options: ApplyOptions) -> Outcome:
        outcome = early(connection, target, changes, options)
        last = changes[-1]
        if last in outcome.left:
            outcome.parked.append(Parked(last.key, last.version, "early", "", None, last.record))
        return outcome

    monkeypatch.setattr(mysql_database, "apply", with_the_last)
    report = Execution(world, {"concurrency": 1}).resume()
    assert report["counts"]["parked"] == len(report["parked_records"]) == 4
    assert "early" not in {world.bucket.read_json(key)["reason"] for key in report["parked_records"]}


def test_a_call_gets_something_further_though_all_is_left(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(drain, "_BATCH", 16)
    records = keys(16)
    world.put_batch(records)
    world.out_of_time = lambda: True
    some = LeavesSome(monkeypatch, 0)
    assert Execution(world, {"concurrency": 1}).resume()["counts"]["changes"] == 16
    assert [len(given) for given in some.given][:3] == [16, 4, 1]
    assert world.tables.orders() == last_states(records)


def test_stored_versions_are_those_of_now(world: World):
    """A read view left open would show the sidecar as it was, and hold back the server's purge."""
    before = world.database.versions(["a"])
    consumer = LazyDatabase(world.server, world.database._settings.ca_pem)  # noqa: SLF001
    consumer.apply(read([change("a", 1)], world.table).changes, ApplyOptions())
    consumer.drop()
    after = world.database.versions(["a"])
    assert (before, list(after)) == ({}, ["a"])


# names


@pytest.mark.parametrize("values", [BAD, {"currency": "R"}], ids=["by the mapping", "by MySQL"])
def test_names_of_what_was_parked_lie_in_bounded_files(
    world: World, three_letters: None, monkeypatch: pytest.MonkeyPatch, values: dict[str, Any]
):
    """However much is parked, a note stays small, and settling finds the quarantined that must stay."""
    monkeypatch.setattr(notes, "_NAMES", 3)
    monkeypatch.setattr(drain, "_BATCH", 4)
    kept = [world.put_quarantined(change(f"q{n}", n, **values)) for n in range(20)]
    gone = world.put_quarantined(change("good", 50))
    world.put_batch([change(f"b{n:02d}", 100 + n, **values) for n in range(10)])
    report = world.replay({"include_quarantine": True, "concurrency": 1})
    assert report["counts"]["parked"] == len(report["parked_records"]) == 30
    assert world.keys("quarantine/") == report["parked_records"]
    assert set(kept) < set(report["parked_records"])
    assert gone not in world.s3.objects
    assert (report["counts"]["settled"], report["counts"]["left"]) == (2, 0)
    prefix = f"replay/{report['execution']}/"
    files = [world.bucket.read_json(key)["parked"] for key in world.keys(f"{prefix}named/")]
    assert max(map(len, files)) < 3 + 4
    assert not [key for key in world.keys(f"{prefix}done/") if b"quarantine/" in world.s3.body(key)]


def test_settling_reads_the_names_of_a_part_once(world: World, monkeypatch: pytest.MonkeyPatch):
    """A part looks for its unreadable records among those of that part, not of all."""
    monkeypatch.setattr(collect, "_PART_BATCHES", 1)
    kept = [world.put_quarantined(change(f"q{n}", n, **BAD)) for n in range(5)]
    execution = Execution(world, {"include_quarantine": True}).until("settle")
    read_objects: list[str] = []
    get = world.s3.get_object

    def get_object(**given: Any) -> Any:
        read_objects.append(given["Key"])
        return get(**given)

    world.s3.get_object = get_object
    execution.until("report")
    files = world.keys(f"replay/{execution.name}/named/")
    assert len(files) == 5
    assert sorted(key for key in read_objects if "/named/" in key) == files
    execution.resume()
    assert world.keys("quarantine/") == sorted(kept)


def test_a_report_lists_the_first_of_what_was_parked(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("dlq_replayer.report._KEPT", 3)
    monkeypatch.setattr(notes, "_NAMES", 2)
    monkeypatch.setattr(drain, "_BATCH", 2)
    world.put_batch([change(f"b{n}", n, **BAD) for n in (5, 3, 8, 1, 7, 2, 6, 4)])
    for n in range(5):
        world.s3.put_object(Bucket="", Key=f"aws/lambda/z{n}", Body="x")
    report = world.replay()
    stored = world.bucket.read_json(f"replay/{report['execution']}/report.json")
    assert (report["counts"]["parked"], report["counts"]["problems"]) == (8, 5)
    assert [name.split("/")[1] for name in stored["parked_records"]] == ["b1", "b2", "b3"]
    assert len(stored["problems"]) == 3


def test_kinds_of_parked_records_are_counted_apart(world: World, monkeypatch: pytest.MonkeyPatch):
    """Those that wait for another row or are refused with an unknown error are tried again by themselves."""
    kinds = {"a": Kind.DEFERRED, "b": Kind.UNKNOWN, "c": Kind.POISON, "d": Kind.POISON}

    def park_all(_connection: Any, _target: Any, changes: list[Change], _options: ApplyOptions) -> Outcome:
        reasons = {"d": CLOCK_REASON}
        parked = [Parked(*c[:2], reasons.get(c.key, "r"), "", None, c.record, kinds[c.key]) for c in changes]
        return Outcome(parked=parked)

    monkeypatch.setattr(mysql_database, "apply", park_all)
    world.put_batch([change(key, n) for n, key in enumerate(kinds)])
    report = world.replay()
    names = ("parked", "deferred", "unknown", "clock_tripped")
    assert [report["counts"][name] for name in names] == [4, 1, 1, 1]
    assert [world.meter.counts[name] for name in names] == [4, 1, 1, 1]
    assert len(report["parked_records"]) == 4
    assert len(report["next"]) == 3
