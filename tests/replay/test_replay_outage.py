"""MySQL goes down again in the middle: the workflow waits and goes on; past its bound the rest stays in place."""

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
from tests.support.deliveries import Parameters
from tests.support.fake_mysql import FakeMySQL
from tests.support.records import ARN
from tests.support.replay import SHARD, Execution, World, applied, change


def fill(world: World) -> None:
    for number in range(40):
        world.put_batch([change(f"k{number:02d}", number)])


ROWS = [applied(f"k{number:02d}", number) for number in range(40)]


def test_started_while_mysql_is_down_it_waits_and_goes_on(world: World):
    fill(world)
    world.server.down = True
    execution = Execution(world)
    waits = iter(range(100))

    def mend() -> None:
        world.server.down = next(waits) < 3

    execution.on_wait = mend
    assert execution.resume()["outcome"] == "complete"
    assert execution.trail[:12] == ["start", *["hydrate", "check"] * 5, "collect"]
    assert world.tables.orders() == ROWS


def test_past_its_bound_it_ends_and_nothing_was_touched(world: World):
    fill(world)
    before = dict(world.s3.objects)
    world.server.down = True
    report = world.replay()
    assert report["outcome"] == "database_down"
    assert "MySQL error 2003" in report["reason"]
    assert "start the replay again" in report["next"][0]
    assert before.items() <= world.s3.objects.items()
    assert world.lock_table.holder is None
    world.server.down = False
    assert world.replay()["outcome"] == "complete"
    assert world.tables.orders() == ROWS


def test_an_account_that_needs_tls_holds_the_replay(world: World, server: Any, monkeypatch: pytest.MonkeyPatch):
    """Without TLS the driver would need a package that the zips do not contain."""
    fill(world)
    before, mended, fake = dict(world.s3.objects), world.database, FakeMySQL()
    monkeypatch.setattr(pymysql._auth, "_have_cryptography", False)  # noqa: SLF001
    address = {"hostname": server.host, "port": fake.port, "db": server.database, "driver": "mysql"}
    parameters = Parameters(**address, username=server.app.user, password=server.app.password)
    without_tls = MySQLSettings(param_name="p", secret_arn="s", tls="off", connect_timeout=2)
    world.database = MySQLDatabase(without_tls, parameters, mapping.load())

    report = world.replay()

    assert report["outcome"] == "database_down"
    assert "MySQL error 2061: the account logs in with caching_sha2_password" in report["reason"]
    assert before.items() <= world.s3.objects.items()
    fake.close()
    world.database = mended
    assert world.replay()["outcome"] == "complete"
    assert world.tables.orders() == ROWS


def test_the_stream_does_not_forget_while_mysql_is_waited_for(world: World):
    """Pointers become batches before the database is asked for, and those that come while it is waited for as well."""
    early, late = [change("a", 1)], [change("b", 2)]
    world.streams.shard(ARN, SHARD).records = early + late
    world.send_pointer(early)
    world.server.down = True
    execution = Execution(world)
    waits = iter(range(100))
    saved = []

    def meanwhile() -> None:
        saved.append(len(world.left()))
        wait = next(waits)
        if wait == 1:
            world.send_pointer(late)
        if wait == 3:
            world.streams.shard(ARN, SHARD).records = []
            world.server.down = False

    execution.on_wait = meanwhile
    report = execution.resume()
    assert saved == [1, 1, 2, 2]
    assert world.tables.orders() == [applied("a", 1), applied("b", 2)]
    assert (report["counts"]["messages"], report["counts"]["expired"], report["problems"]) == (2, 0, [])


def test_past_its_bound_what_the_queue_held_is_safe_in_the_bucket(world: World):
    records = [change("a", 1)]
    world.streams.shard(ARN, SHARD).records = records
    world.send_pointer(records)
    world.server.down = True
    report = world.replay()
    assert (report["outcome"], report["counts"]["messages"]) == ("database_down", 1)
    world.streams.shard(ARN, SHARD).records = []
    world.server.down = False
    world.replay()
    assert world.tables.orders() == [applied("a", 1)]


@pytest.mark.parametrize("given", [{}, {"dry_run": True}], ids=["replay", "dry run"])
def test_a_message_that_stays_is_told_once_however_long_the_wait(world: World, given: dict[str, bool]):
    records = [change("a", 1)]
    world.streams.shard(ARN, SHARD).records = records
    world.send_pointer(records)
    world.sqs.send("not ours")
    world.send_pointer([change("b", 2)], batchSize=9)
    world.server.down = True
    execution = Execution(world, given)
    waits = iter(range(100))

    def mend() -> None:
        world.server.down = next(waits) < 3

    execution.on_wait = mend
    report = execution.resume()
    assert (report["counts"]["messages"], report["counts"]["batches"], report["counts"]["problems"]) == (1, 2, 2)
    assert len(world.sqs.messages) == (3 if given else 2)
    assert len(world.keys(f"replay/{execution.name}/problems/hydrate")) == 1


def test_a_problem_is_told_as_long_as_its_message_stays(world: World):
    """Hidden from the look after it, it is still there; gone at a later one, it is told no more."""
    foreign = world.sqs.send("not ours")
    late = [change("b", 2)]
    world.send_pointer([change("a", 1)])
    idle = world.send_pointer(late)
    world.streams.before_page = lambda call: setattr(world.streams, "empty_pages", 1000 if call > 1 else 0)
    world.server.down = True
    looked, waits = iter(range(1, 100)), iter(range(100))
    world.out_of_time = lambda: next(looked) == 2  # the first look has time for two messages
    execution = Execution(world)

    def mend() -> None:
        wait = next(waits)
        world.streams.before_page = lambda _: setattr(world.streams, "empty_pages", 0)
        world.clock.advance(200 if wait == 1 else 0)
        world.server.down = wait < 2

    execution.on_wait = mend
    execution.until("check")
    known = world.bucket.read_json(f"replay/{execution.name}/problems/hydrate.json")
    assert {problem["source"] for problem in known} == {f"message {foreign}", f"message {idle}"}
    report = execution.resume()
    assert [problem["source"] for problem in report["problems"]] == [f"message {foreign}"]
    assert list(world.sqs.messages) == [foreign] != [idle]
    assert world.tables.orders() == [applied("a", 1), applied("b", 2)]


@pytest.mark.parametrize("at", [1, 2, 3, 4])
def test_down_in_the_middle_of_the_drain_its_lanes_wait_and_go_on(make_world: Callable[..., World], at: int):
    world = make_world(concurrency=4)
    fill(world)
    execution = Execution(world).until("drain")
    drained = iter(range(1, 100))

    def fail(operation: str) -> None:
        if "replaying" in operation and next(drained) == at:
            world.server.down = True

    def mend() -> None:
        world.server.down = False

    world.database.before_execute, execution.on_wait = fail, mend
    report = execution.resume()
    assert report["outcome"] == "complete"
    assert report["counts"]["applied"] == 40
    assert world.tables.orders() == ROWS
    assert world.left() == []


def test_each_outage_in_the_middle_has_the_whole_bound(world: World):
    """A lane that has gone on in between begins to wait anew."""
    fill(world)
    execution = Execution(world, {"concurrency": 1}).until("drain")
    world.server.down = True
    waiting = world.steps().drain(execution.lanes[0])
    assert waiting["waiting_since"] == world.clock().isoformat()
    world.clock.advance(3_000)
    world.server.down = False
    replaying = []

    def fail_again(operation: str) -> None:
        replaying.append(operation)
        world.server.down = len(replaying) > 1

    world.database.before_execute = fail_again
    world.out_of_time = lambda: False
    lanes = waiting | {"splits": 2, "lanes": 1}
    world.s3.objects |= {
        key.replace("/00000/", "/00001/"): body for key, body in world.s3.objects.items() if "/splits/00000/" in key
    }
    again = world.steps().drain(lanes)
    assert (again["outcome"], again["waiting_since"]) == ("waiting", world.clock().isoformat())


@pytest.mark.parametrize("first", [0, 1])
def test_a_batch_of_two_splits_stays_until_both_are_drained(world: World, first: int):
    keys = [next(key for n in range(100) if split_of(key := f"k{n}", 2) == split) for split in (0, 1)]
    key = world.put_batch([change(keys[0], 1), change(keys[1], 2)])
    execution = Execution(world, {"concurrency": 2}).until("drain")
    done = [{"outcome": "failed", "lane": lane} for lane in (0, 1)]
    done[first] = world.steps().drain(execution.lanes[first])
    assert done[first]["outcome"] == "done"
    execution.action, execution.state = "settle", execution.state | {"drained": done}
    assert execution.resume()["outcome"] == "incomplete"
    assert world.left() == [key]
    assert len(world.tables.orders()) == 1


@pytest.mark.parametrize("at", [1, 2, 3, 4])
def test_down_for_good_what_is_done_is_settled_and_the_rest_in_place(make_world: Callable[..., World], at: int):
    """Four lanes of one split each; the next replay takes up the rest."""
    world = make_world(concurrency=4)
    fill(world)
    execution = Execution(world).until("drain")
    drained = iter(range(1, 10_000))

    def fail(operation: str) -> None:
        world.server.down = world.server.down or ("replaying" in operation and next(drained) >= at)

    world.database.before_execute = fail
    report = execution.resume()
    done = len(world.tables.orders())
    assert report["outcome"] == "incomplete"
    assert "MySQL error 2003" in report["reason"]
    assert (report["counts"]["settled"], report["counts"]["left"]) == (done, 40 - done)
    assert (len(world.keys(REPLAYED)), len(world.left())) == (done, 40 - done)
    assert (done == 0) == (at == 1)
    world.server.down = False
    world.database.before_execute = lambda _: None
    assert world.replay()["outcome"] == "complete"
    assert world.tables.orders() == ROWS


def test_a_record_that_cannot_be_parked_keeps_its_batch_in_place(world: World):
    """The bucket takes no quarantined records: the step is tried again and again, then the rest goes on."""
    key = world.put_batch([change("a", 1, merchant_id=None)])
    world.put_batch([change("b", 2)])
    put = world.s3.put_object

    def refuse(**given: str) -> dict[str, str]:
        if given["Key"].startswith("quarantine/"):
            raise OSError("no room")
        return put(**given)

    world.s3.put_object = refuse
    execution = Execution(world).until("drain")
    with pytest.raises(Exception, match="cannot park"):
        execution.resume()
    # The lane is lost, as the Map's Catch has it; the other one has drained its split.
    done = world.steps().drain(execution.lanes[1])
    execution.action, execution.state = "settle", execution.state | {"drained": [{"outcome": "failed"}, done]}
    assert execution.resume()["outcome"] == "incomplete"
    assert key in world.left()
    world.s3.put_object = put
    world.replay()
    assert world.left() == []
    assert len(world.keys("quarantine/a/")) == 1


def test_a_survey_asks_mysql_again_and_again_without_writing(world: World):
    """A dry run that MySQL leaves is an error of that step; tried again it counts the same."""
    fill(world)
    execution = Execution(world, {"dry_run": True}).until("plan")
    state = execution.state
    world.out_of_time = lambda: True
    execution.resume()
    assert execution.trail.count("plan") == state["collected"]["splits"]
    assert execution.state["counts"]["keys"] == 40
