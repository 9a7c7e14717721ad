"""MySQL goes down during a replay: the workflow waits and goes on. Past the limit, the rest stays in place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pymysql
import pytest

from common import mapping
from common.layout import REPLAYED
from common.mysql.database import MySQLDatabase
from common.mysql.settings import MySQLSettings
from dlq_replayer.splits import split_of
from tests.support.deliveries import FakeParameters
from tests.support.fake_mysql import FakeMySQL
from tests.support.records import ARN
from tests.support.replay import SHARD, ReplayExecution, ReplayHarness, applied, change


def fill(harness: ReplayHarness) -> None:
    for number in range(40):
        harness.put_batch([change(f"k{number:02d}", number)])


ROWS = [applied(f"k{number:02d}", number) for number in range(40)]


def test_a_replay_started_in_an_outage_waits_and_goes_on(harness: ReplayHarness):
    fill(harness)
    harness.server.down = True
    execution = ReplayExecution(harness)
    waits = iter(range(100))

    def recover() -> None:
        harness.server.down = next(waits) < 3

    execution.on_wait = recover
    assert execution.resume()["outcome"] == "complete"
    assert execution.trail[:12] == ["start", *["hydrate", "check"] * 5, "collect"]
    assert harness.tables.orders() == ROWS


def test_a_replay_that_gives_up_has_changed_nothing(harness: ReplayHarness):
    fill(harness)
    before = dict(harness.s3.objects)
    harness.server.down = True
    report = harness.replay()
    assert report["outcome"] == "database_down"
    assert "MySQL error 2003" in report["reason"]
    assert "start a new replay" in report["next"][0]
    assert before.items() <= harness.s3.objects.items()
    assert harness.lock_table.holder is None
    harness.server.down = False
    assert harness.replay()["outcome"] == "complete"
    assert harness.tables.orders() == ROWS


def test_an_account_that_needs_tls_holds_the_replay(
    harness: ReplayHarness, server: Any, monkeypatch: pytest.MonkeyPatch
):
    """Without TLS the driver would need a package that the zips do not contain."""
    fill(harness)
    before, database, fake = dict(harness.s3.objects), harness.database, FakeMySQL()
    monkeypatch.setattr(pymysql._auth, "_have_cryptography", False)  # noqa: SLF001
    address = {"hostname": server.host, "port": fake.port, "db": server.database, "driver": "mysql"}
    parameters = FakeParameters(**address, username=server.app.user, password=server.app.password)
    without_tls = MySQLSettings(param_name="p", secret_arn="s", tls="off", connect_timeout=2)
    harness.database = MySQLDatabase(without_tls, parameters, mapping.load())

    report = harness.replay()

    assert report["outcome"] == "database_down"
    assert "MySQL error 2061: the account logs in with caching_sha2_password" in report["reason"]
    assert before.items() <= harness.s3.objects.items()
    fake.close()
    harness.database = database
    assert harness.replay()["outcome"] == "complete"
    assert harness.tables.orders() == ROWS


def test_messages_are_hydrated_during_the_wait_for_mysql(harness: ReplayHarness):
    """Messages become batches before the database is checked, and again during the wait."""
    early, late = [change("a", 1)], [change("b", 2)]
    harness.streams.shard(ARN, SHARD).records = early + late
    harness.send_pointer(early)
    harness.server.down = True
    execution = ReplayExecution(harness)
    waits = iter(range(100))
    saved = []

    def meanwhile() -> None:
        saved.append(len(harness.left()))
        wait = next(waits)
        if wait == 1:
            harness.send_pointer(late)
        if wait == 3:
            harness.streams.shard(ARN, SHARD).records = []
            harness.server.down = False

    execution.on_wait = meanwhile
    report = execution.resume()
    assert saved == [1, 1, 2, 2]
    assert harness.tables.orders() == [applied("a", 1), applied("b", 2)]
    assert (report["counts"]["messages"], report["counts"]["expired"], report["problems"]) == (2, 0, [])


def test_after_giving_up_queue_messages_are_in_the_bucket(harness: ReplayHarness):
    records = [change("a", 1)]
    harness.streams.shard(ARN, SHARD).records = records
    harness.send_pointer(records)
    harness.server.down = True
    report = harness.replay()
    assert (report["outcome"], report["counts"]["messages"]) == ("database_down", 1)
    harness.streams.shard(ARN, SHARD).records = []
    harness.server.down = False
    harness.replay()
    assert harness.tables.orders() == [applied("a", 1)]


@pytest.mark.parametrize("given", [{}, {"dry_run": True}], ids=["replay", "dry run"])
def test_a_message_that_stays_is_reported_once(harness: ReplayHarness, given: dict[str, bool]):
    records = [change("a", 1)]
    harness.streams.shard(ARN, SHARD).records = records
    harness.send_pointer(records)
    harness.sqs.send("not ours")
    harness.send_pointer([change("b", 2)], batchSize=9)
    harness.server.down = True
    execution = ReplayExecution(harness, given)
    waits = iter(range(100))

    def recover() -> None:
        harness.server.down = next(waits) < 3

    execution.on_wait = recover
    report = execution.resume()
    assert (report["counts"]["messages"], report["counts"]["batches"], report["counts"]["problems"]) == (1, 2, 2)
    assert len(harness.sqs.messages) == (3 if given else 2)
    assert len(harness.keys(f"replay/{execution.name}/problems/hydrate")) == 1


def test_a_problem_is_reported_while_its_message_stays(harness: ReplayHarness):
    """The problem stays while the message is hidden, and goes when the message is stored."""
    foreign = harness.sqs.send("not ours")
    late = [change("b", 2)]
    harness.send_pointer([change("a", 1)])
    idle = harness.send_pointer(late)
    harness.streams.before_page = lambda call: setattr(harness.streams, "empty_pages", 1000 if call > 1 else 0)
    harness.server.down = True
    looked, waits = iter(range(1, 100)), iter(range(100))
    harness.out_of_time = lambda: next(looked) == 2  # the first look has time for two messages
    execution = ReplayExecution(harness)

    def recover() -> None:
        wait = next(waits)
        harness.streams.before_page = lambda _: setattr(harness.streams, "empty_pages", 0)
        harness.clock.advance(200 if wait == 1 else 0)
        harness.server.down = wait < 2

    execution.on_wait = recover
    execution.until("check")
    known = harness.bucket.read_json(f"replay/{execution.name}/problems/hydrate.json")
    assert {problem["source"] for problem in known} == {f"message {foreign}", f"message {idle}"}
    report = execution.resume()
    assert [problem["source"] for problem in report["problems"]] == [f"message {foreign}"]
    assert list(harness.sqs.messages) == [foreign] != [idle]
    assert harness.tables.orders() == [applied("a", 1), applied("b", 2)]


@pytest.mark.parametrize("at", [1, 2, 3, 4])
def test_lanes_wait_for_a_database_that_goes_down_and_go_on(make_harness: Callable[..., ReplayHarness], at: int):
    harness = make_harness(concurrency=4)
    fill(harness)
    execution = ReplayExecution(harness).until("drain")
    drained = iter(range(1, 100))

    def fail(operation: str) -> None:
        if "replaying" in operation and next(drained) == at:
            harness.server.down = True

    def recover() -> None:
        harness.server.down = False

    harness.database.before_execute, execution.on_wait = fail, recover
    report = execution.resume()
    assert report["outcome"] == "complete"
    assert report["counts"]["applied"] == 40
    assert harness.tables.orders() == ROWS
    assert harness.left() == []


def test_each_outage_of_a_lane_has_the_whole_time_limit(harness: ReplayHarness):
    """The wait of a lane starts over after progress."""
    fill(harness)
    execution = ReplayExecution(harness, {"concurrency": 1}).until("drain")
    harness.server.down = True
    waiting = harness.steps().drain(execution.lanes[0])
    assert waiting["waiting_since"] == harness.clock().isoformat()
    harness.clock.advance(3_000)
    harness.server.down = False
    replaying = []

    def fail_again(operation: str) -> None:
        replaying.append(operation)
        harness.server.down = len(replaying) > 1

    harness.database.before_execute = fail_again
    harness.out_of_time = lambda: False
    lanes = waiting | {"splits": 2, "lanes": 1}
    harness.s3.objects |= {
        key.replace("/00000/", "/00001/"): body for key, body in harness.s3.objects.items() if "/splits/00000/" in key
    }
    again = harness.steps().drain(lanes)
    assert (again["outcome"], again["waiting_since"]) == ("waiting", harness.clock().isoformat())


@pytest.mark.parametrize("first", [0, 1])
def test_a_batch_of_two_splits_stays_until_both_are_drained(harness: ReplayHarness, first: int):
    keys = [next(key for n in range(100) if split_of(key := f"k{n}", 0, 2, 1) == split) for split in (0, 1)]
    key = harness.put_batch([change(keys[0], 1), change(keys[1], 2)])
    execution = ReplayExecution(harness, {"concurrency": 2}).until("drain")
    done = [{"outcome": "failed", "lane": lane} for lane in (0, 1)]
    done[first] = harness.steps().drain(execution.lanes[first])
    assert done[first]["outcome"] == "done"
    execution.action, execution.state = "settle", execution.state | {"drained": done}
    assert execution.resume()["outcome"] == "incomplete"
    assert harness.left() == [key]
    assert len(harness.tables.orders()) == 1


@pytest.mark.parametrize("at", [1, 2, 3, 4])
def test_a_database_down_for_good_leaves_only_the_rest(make_harness: Callable[..., ReplayHarness], at: int):
    """Four lanes have one split each. The next replay takes the rest."""
    harness = make_harness(concurrency=4)
    fill(harness)
    execution = ReplayExecution(harness).until("drain")
    drained = iter(range(1, 10_000))

    def fail(operation: str) -> None:
        harness.server.down = harness.server.down or ("replaying" in operation and next(drained) >= at)

    harness.database.before_execute = fail
    report = execution.resume()
    done = len(harness.tables.orders())
    assert report["outcome"] == "incomplete"
    assert "MySQL error 2003" in report["reason"]
    assert (report["counts"]["settled"], report["counts"]["left"]) == (done, 40 - done)
    assert (len(harness.keys(REPLAYED)), len(harness.left())) == (done, 40 - done)
    assert (done == 0) == (at == 1)
    harness.server.down = False
    harness.database.before_execute = lambda _: None
    assert harness.replay()["outcome"] == "complete"
    assert harness.tables.orders() == ROWS


def test_a_record_that_cannot_be_parked_keeps_its_batch_in_place(harness: ReplayHarness):
    """The bucket refuses quarantined records: the lane is retried, fails, and the others go on."""
    key = harness.put_batch([change("a", 1, merchant_id=None)])
    harness.put_batch([change("b", 2)])
    put = harness.s3.put_object

    def refuse(**given: str) -> dict[str, str]:
        if given["Key"].startswith("quarantine/"):
            raise OSError("no room")
        return put(**given)

    harness.s3.put_object = refuse
    execution = ReplayExecution(harness).until("drain")
    with pytest.raises(Exception, match="cannot park"):
        execution.resume()
    # The lane is lost, as the Map's Catch has it; the other one has drained its split.
    done = harness.steps().drain(execution.lanes[1])
    execution.action, execution.state = "settle", execution.state | {"drained": [{"outcome": "failed"}, done]}
    assert execution.resume()["outcome"] == "incomplete"
    assert key in harness.left()
    harness.s3.put_object = put
    harness.replay()
    assert harness.left() == []
    assert len(harness.keys("quarantine/order/a/")) == 1


def test_a_dry_run_is_retried_without_writing(harness: ReplayHarness):
    """An outage during a dry run is an error of its step. The retry counts the same."""
    fill(harness)
    execution = ReplayExecution(harness, {"dry_run": True}).until("plan")
    state = execution.state
    harness.out_of_time = lambda: True
    execution.resume()
    assert execution.trail.count("plan") == state["collected"]["splits"]
    assert execution.state["counts"]["keys"] == 40
