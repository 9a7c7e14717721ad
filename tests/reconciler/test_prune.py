"""What a prune does, what holds it back, and why it refuses to begin."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from common.layout import RunKeys, discarded_key, open_run_key, settled_key
from reconciler.prune import walk
from tests.support.aws import refused as refused_by_aws
from tests.support.load import LoadExecution
from tests.support.prune import DAY, HORIZON, PruneHarness
from tests.support.records import TTL_IDENTITY, record, remove
from tests.support.replay import BUCKET, STOCK, StoppedError
from tests.support.stock import KEYS as ITEMS
from tests.support.stock import stock_record

# Without an identity, the removal of an order whose time has come is an expiry.
USER = {"type": "AssumedRole", "principalId": "app"}
ITEM = ITEMS[0]
KEYS = [f"k{number:02d}" for number in range(20)]


def delete_all(pruning: PruneHarness, *keys: str, number: int = 1) -> None:
    """Orders that were written and deleted now."""
    pruning.deliver(*(record(key, number, "INSERT", time=pruning.now) for key in keys))
    pruning.deliver(*(remove(key, number + 1, time=pruning.now, identity=USER) for key in keys))


@pytest.fixture
def old(pruning: PruneHarness) -> PruneHarness:
    """Twenty orders that were deleted 41 days ago, one that was deleted 39 days ago, and one that exists."""
    delete_all(pruning, *KEYS)
    pruning.pass_days(2)
    delete_all(pruning, "young")
    pruning.deliver(record("live", 1, "INSERT", time=pruning.now))
    pruning.pass_days(HORIZON - 1)
    return pruning


def left(pruning: PruneHarness) -> list[str]:
    return list(pruning.versions())


def test_the_versions_of_items_that_are_long_gone_go(old: PruneHarness) -> None:
    """The report counts them, names the time, and needs nobody. The metric counts them, too."""
    report = old.prune()
    assert left(old) == ["live", "young"]
    assert report["outcome"] == "complete"
    assert report["counts"] == {"rows": 22, "pruned": 20, "prunable": 0, "parked": 0, "kept": 0}
    assert report["before"] == datetime.fromtimestamp(old.now - HORIZON * DAY, UTC).isoformat()
    assert (report["older_than_days"], report["dry_run"], report["held_by"]) == (HORIZON, False, "")
    assert report["next"] == []
    assert old.bucket.read_json(RunKeys("prune", report["run"]).report) == report
    assert old.meter.counts == {"pruned": 20}
    assert (old.load_lock.holder, old.bucket.read_json(open_run_key("prune"))) == (None, {"run": ""})


def test_a_second_prune_finds_nothing(old: PruneHarness) -> None:
    old.prune()
    assert old.prune()["counts"] == {"rows": 2, "pruned": 0, "prunable": 0, "parked": 0, "kept": 0}


def test_a_dry_run_counts_and_deletes_nothing(old: PruneHarness) -> None:
    """It walks through the sidecar as a prune does. A prune does not go on with it."""
    before = old.tables.whole_sidecar()
    report = old.prune(dry_run=True)
    assert old.tables.whole_sidecar() == before
    assert report["counts"] == {"rows": 22, "pruned": 0, "prunable": 20, "parked": 0, "kept": 0}
    assert (report["dry_run"], len(report["next"])) == (True, 1)
    assert old.meter.counts == {}
    assert old.prune()["counts"]["pruned"] == 20


def test_a_longer_horizon_is_the_operators_choice(old: PruneHarness) -> None:
    """At the least horizon the youngest tombstone goes, too. Days are whole ones before now."""
    assert old.prune(older_than_days=42)["counts"]["pruned"] == 0
    assert old.prune(older_than_days=37)["counts"]["pruned"] == 21


@pytest.mark.parametrize("days", [1, 30, 36])
def test_a_horizon_that_is_not_safe_is_refused(old: PruneHarness, days: int) -> None:
    before = old.tables.whole_sidecar()
    refused = old.prune(older_than_days=days)
    assert refused == {
        "outcome": "wrong_input",
        "message": "invalid input, nothing was changed: older_than_days: less than 37 days is not safe: a load of a"
        " table that was restored to a time within the last 35 days would bring deleted items back",
    }
    assert old.tables.whole_sidecar() == before


def test_a_horizon_that_is_too_short_brings_a_deleted_order_back(
    pruning: PruneHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Why it is refused: the negative control. The stream redelivers a change that it still has."""
    monkeypatch.setattr("reconciler.prune.steps.LEAST_HORIZON_DAYS", 0)
    delete_all(pruning, "k")
    pruning.pass_days(0.5)
    monkeypatch.setattr(PruneHarness, "prune_steps", _with_horizon(PruneHarness.prune_steps, days=0))
    assert pruning.prune()["counts"]["pruned"] == 1
    pruning.deliver(record("k", 1, "INSERT", time=pruning.now - DAY // 2))
    assert [row[0] for row in pruning.tables.orders()] == ["k"]


def _with_horizon(make: Callable[[Any], Any], days: int) -> Callable[[Any], Any]:
    return lambda harness: replace(make(harness), horizon_days=days)


# What waits


def refused(pruning: PruneHarness, **given: Any) -> str:
    """The message with which a prune refuses to begin. It has changed nothing, and has released the lock."""
    before = pruning.tables.whole_sidecar()
    answer = pruning.prune(**given)
    assert (answer["outcome"], pruning.load_lock.holder) == ("not_ready", None), answer
    assert pruning.tables.whole_sidecar() == before
    return str(answer["message"])


def test_a_failed_batch_holds_a_prune_back(old: PruneHarness) -> None:
    """Whatever the age of its object: a person may have put it back. It may hold changes of any key."""
    old.put_batch([record("k00", 1)])
    assert refused(old) == (
        "failed batches wait, 1 under aws/lambda/: start a replay, then prune again; they may hold old changes of any"
        " key"
    )


def test_a_message_in_the_queue_holds_a_prune_back(old: PruneHarness) -> None:
    old.messages = 3
    assert "about 3 in the queue: start a replay, then prune again" in refused(old)


@pytest.mark.parametrize("prefix", ["quarantine/", "deferred/"])
def test_an_unreadable_record_holds_a_prune_back(old: PruneHarness, prefix: str) -> None:
    """Its key is not known."""
    name = f"{prefix}_unreadable/ab.json"
    old.s3.put_object(Bucket=BUCKET, Key=name, Body="{}")
    assert f"the parked record {name} has no readable key" in refused(old)


def put(pruning: PruneHarness, key: str) -> str:
    pruning.s3.put_object(Bucket=BUCKET, Key=key, Body="{}")
    return key


@pytest.mark.parametrize("kind", ["quarantined", "deferred"])
@pytest.mark.parametrize("move", [lambda key: key, settled_key, discarded_key])
def test_the_key_of_a_parked_record_stays(old: PruneHarness, kind: str, move: Callable[[str], str]) -> None:
    """While it waits, and while it is kept after it was settled or discarded: a person may put it back."""
    made = {"quarantined": old.put_quarantined, "deferred": old.put_deferred}[kind](record("k07", 1))
    body = old.s3.objects.pop(made)
    old.s3.objects[move(made)] = body
    report = old.prune()
    assert left(old) == ["k07", "live", "young"]
    assert report["counts"] == {"rows": 22, "pruned": 19, "prunable": 0, "parked": 1, "kept": 0}
    assert "backstream replay list" in report["next"][0]


def test_a_record_that_version_0_1_parked_holds_its_key(old: PruneHarness) -> None:
    put(old, "quarantine/k07/v.json")
    old.prune()
    assert left(old) == ["k07", "live", "young"]


@pytest.mark.parametrize("move", [lambda key: key, settled_key, discarded_key])
def test_a_parked_record_holds_the_keys_of_all_its_entities(
    make_prune: Callable[..., PruneHarness], move: Callable[[str], str]
) -> None:
    """A retry brings the change of each entity of the record, and the object is named by one of them."""
    pruning = make_prune(dataset=STOCK)
    pruning.pass_days(2)  # the rows count the seconds since the records' START
    written = stock_record(ITEM, 1, "MODIFY", "lot", time=pruning.now)
    pruning.deliver(written)
    parked = pruning.put_quarantined(written)
    assert parked.startswith("quarantine/sale/")
    pruning.deliver(stock_record(ITEM, 2, "REMOVE", "lot", time=pruning.now, identity=USER))
    pruning.s3.objects[move(parked)] = pruning.s3.objects.pop(parked)
    pruning.pass_days(HORIZON + 1)
    report = pruning.prune()
    assert report["counts"] == {"rows": 2, "pruned": 0, "prunable": 0, "parked": 2, "kept": 0}
    pruning.s3.objects[parked] = pruning.s3.objects.pop(move(parked))
    pruning.replay({"include_quarantine": True})
    assert pruning.rows() == {"stock_sales": [], "stock_lots": []}


def test_a_parked_record_that_s3_refuses_holds_a_prune_back(
    make_prune: Callable[..., PruneHarness], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may hold a change of any key. A person may make it readable later, and retry it."""
    pruning = make_prune(dataset=STOCK)
    pruning.deliver(stock_record(ITEM, 1, "REMOVE", "lot", time=pruning.now, identity=USER))
    name = put(pruning, "quarantine/sale/a%2F2%2F00/v.json")
    get_object = pruning.s3.get_object

    def get(**asked: Any) -> Any:
        if asked["Key"] == name:
            raise refused_by_aws("AccessDenied")
        return get_object(**asked)

    monkeypatch.setattr(pruning.s3, "get_object", get)
    pruning.pass_days(HORIZON + 1)
    report = pruning.prune()
    assert (report["outcome"], report["counts"]["pruned"]) == ("incomplete", 0)
    assert report["reason"] == (
        f"the parked record {name} may hold a change of any key, and S3 refuses it with AccessDenied: the function may"
        " not read it. Make it readable or delete it, then prune again"
    )


def test_a_record_that_moves_while_a_prune_reads_is_found(
    make_prune: Callable[..., PruneHarness], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A replay settles it meanwhile: it moves to a prefix that is listed later."""
    pruning = make_prune(dataset=STOCK)
    written = stock_record(ITEM, 1, "MODIFY", "lot", time=pruning.now)
    pruning.deliver(stock_record(ITEM, 2, "REMOVE", "lot", time=pruning.now, identity=USER))
    parked = pruning.put_quarantined(written)
    get_object = pruning.s3.get_object

    def get(**asked: Any) -> Any:
        if asked["Key"] == parked:
            pruning.s3.objects[settled_key(parked)] = pruning.s3.objects.pop(parked)
        return get_object(**asked)

    monkeypatch.setattr(pruning.s3, "get_object", get)
    pruning.pass_days(HORIZON + 1)
    assert pruning.prune()["counts"]["pruned"] == 0


def test_an_outcome_that_is_refused_for_now_holds_its_key(make_prune: Callable[..., PruneHarness]) -> None:
    """It becomes a change once a person has corrected the mapping."""
    pruning = make_prune(dataset=STOCK)
    written = stock_record(ITEM, 1, "MODIFY", "lot", time=pruning.now)
    written["dynamodb"]["NewImage"]["seq"] = {"S": "no number"}
    assert pruning.put_quarantined(written).startswith("quarantine/sale/")
    pruning.deliver(stock_record(ITEM, 2, "REMOVE", "lot", time=pruning.now, identity=USER))
    pruning.pass_days(HORIZON + 1)
    assert pruning.prune()["counts"] == {"rows": 2, "pruned": 0, "prunable": 0, "parked": 2, "kept": 0}


@pytest.mark.parametrize("body", [b"no JSON", b"[]", b'{"record": 1}', b'{"record": {}}'])
def test_a_damaged_parked_object_holds_the_key_of_its_name(
    make_prune: Callable[..., PruneHarness], body: bytes
) -> None:
    """A retry cannot read it either: it is reported, and nothing comes of it."""
    pruning = make_prune(dataset=STOCK)
    pruning.deliver(stock_record(ITEM, 1, "REMOVE", "lot", time=pruning.now, identity=USER))
    pruning.s3.put_object(Bucket=BUCKET, Key="quarantine/sale/a%2F1%2F00/v.json", Body=body)
    pruning.pass_days(HORIZON + 1)
    assert pruning.prune()["counts"]["pruned"] == 1
    assert pruning.tables.run("SELECT item_key FROM replication_versions") == [("stock.sale a/1/00",)]


SETTLED = "replayed/aws/lambda/e1/shard/{at:%Y/%m/%d}/{at:%Y-%m-%dT%H.%M.%S}-uuid"


def test_a_settled_batch_that_is_older_sets_the_horizon(old: PruneHarness) -> None:
    """A person may put it back as long as it is kept. The oldest counts, and its records are a day older."""
    young = put(old, SETTLED.format(at=old.clock.time))
    assert old.prune(dry_run=True)["counts"]["prunable"] == 20
    at = old.clock.time.replace(microsecond=0)
    oldest = put(old, SETTLED.format(at=datetime.fromtimestamp(at.timestamp() - 39 * DAY, UTC)))
    report = old.prune()
    assert young != oldest
    assert report["held_by"] == oldest
    assert report["before"] == datetime.fromtimestamp(at.timestamp() - 41 * DAY, UTC).isoformat()
    assert report["counts"]["pruned"] == 0
    assert "`held_by`" in report["next"][0]


def test_a_settled_batch_of_the_queue_tells_its_time(old: PruneHarness) -> None:
    put(old, "replayed/aws/lambda/hydrated/shard/2026-01-01T00:00:00.123Z-m1-800-3")
    assert old.prune()["before"] == "2025-12-30T00:00:00+00:00"


@pytest.mark.parametrize("name", ["hydrated/shard/undated-m1-800-3", "e1/by-hand", "e1/2026-13-01T00.00.00-x"])
def test_a_settled_batch_without_a_time_holds_a_prune_back(old: PruneHarness, name: str) -> None:
    found = put(old, f"replayed/aws/lambda/{name}")
    assert f"the name of {found} does not say when the batch failed" in refused(old)


def test_another_job_holds_a_prune_back(old: PruneHarness) -> None:
    """One job at a time, and a prune keeps the others from beginning."""
    LoadExecution(old, {}, job="verify").until("walk")
    assert old.prune()["outcome"] == "already_running"
    assert len(left(old)) == 22


def test_what_is_invalid_is_named(old: PruneHarness) -> None:
    answer = old.prune(concurrency=2, rows_per_second=0)
    assert answer["outcome"] == "wrong_input"
    assert "concurrency" in answer["message"]
    assert "rows_per_second" in answer["message"]


# How it goes


def test_it_deletes_at_most_so_many_rows_a_second(old: PruneHarness) -> None:
    """Slower while the consumer is behind."""
    began = old.clock.seconds()
    old.prune(rows_per_second=2)
    assert 9 <= old.clock.seconds() - began <= 11
    old.lag = 300.0
    delete_all(old, *KEYS, number=10)
    old.pass_days(HORIZON + 1)
    began = old.clock.seconds()
    assert old.prune(rows_per_second=2)["counts"]["pruned"] == 20 + 1
    assert old.clock.seconds() - began >= 90


def test_it_goes_through_the_sidecar_in_parts(old: PruneHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each transaction is short, too."""
    monkeypatch.setattr(walk, "_ROWS", 3)
    monkeypatch.setattr(walk, "_KEYS", 2)
    seen: list[str] = []
    old.database.before_execute = seen.append
    assert old.prune()["counts"] == {"rows": 22, "pruned": 20, "prunable": 0, "parked": 0, "kept": 0}
    assert sum(one.startswith("reading 3 rows") for one in seen) == 8
    assert sum(one.startswith("pruning") for one in seen) == 13
    assert {one.split()[1] for one in seen if one.startswith("pruning")} == {"1", "2"}


def test_a_call_that_runs_out_of_time_is_continued(old: PruneHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is counted twice, wherever in a part the time runs out."""
    monkeypatch.setattr(walk, "_ROWS", 5)
    monkeypatch.setattr(walk, "_KEYS", 2)
    asked = iter(range(10_000))
    old.out_of_time = lambda: next(asked) % 7 == 6
    execution = LoadExecution(old, {}, job="prune")
    report = execution.resume()
    assert execution.trail.count("walk") > 5
    assert report["counts"] == {"rows": 22, "pruned": 20, "prunable": 0, "parked": 0, "kept": 0}
    assert old.meter.counts == {"pruned": 20}


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_prune_killed_anywhere_is_retried_to_the_end(
    make_prune: Callable[..., PruneHarness], monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """Each call to S3, DynamoDB, the lock and MySQL is in turn the last one of its invocation."""
    monkeypatch.setattr(walk, "_ROWS", 4)

    def made() -> PruneHarness:
        harness = make_prune()
        delete_all(harness, *KEYS[:6])
        harness.pass_days(HORIZON + 1)
        harness.deliver(record("live", 1, "INSERT", time=harness.now))
        harness.faults.calls = 0
        return harness

    harness = made()
    harness.prune()
    for call in range(1, harness.faults.calls + 1):
        harness = made()
        harness.faults.kill(call, moment)
        assert harness.prune()["outcome"] == "complete", call
        assert left(harness) == ["live"], call
        assert harness.load_lock.holder is None, call


def test_a_stopped_prune_goes_on_in_a_new_execution(old: PruneHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    """It keeps its time, which is the earlier one. With `restart`, or a settled batch that is older, it does not."""
    monkeypatch.setattr(walk, "_ROWS", 3)
    execution = LoadExecution(old, {}, retries=0, job="prune").until("walk")
    old.faults.kill(12)
    with pytest.raises(StoppedError):
        execution.resume()
    old.faults.revive()
    old.database.drop()
    assert 2 < len(left(old)) < 22
    old.pass_days(3)
    again = LoadExecution(old, {}, job="prune").until("check")
    again.stop()
    assert again.state["run"]["name"] == execution.name
    restarted = LoadExecution(old, {"restart": True}, job="prune").until("check")
    restarted.stop()
    assert restarted.state["run"]["name"] == restarted.name
    put(old, SETTLED.format(at=datetime.fromtimestamp(old.now - 44 * DAY, UTC)))
    report = old.prune()
    assert (report["run"] != restarted.name, bool(report["held_by"])) == (True, True)


def test_a_prune_does_not_go_on_with_a_stopped_dry_run(old: PruneHarness) -> None:
    """Nor with one of another horizon: the operator asks for something else."""
    LoadExecution(old, {"dry_run": True}, job="prune").until("walk").stop()
    LoadExecution(old, {"older_than_days": 50}, job="prune").until("walk").stop()
    report = old.prune()
    assert (report["dry_run"], report["older_than_days"]) == (False, HORIZON)
    assert report["counts"]["pruned"] == 20


def test_an_outage_is_waited_for(old: PruneHarness) -> None:
    execution = LoadExecution(old, {}, job="prune").until("walk")
    old.server.down = True
    execution.on_wait = lambda: setattr(old.server, "down", False)
    assert execution.resume()["counts"]["pruned"] == 20


def test_a_database_that_stays_down_ends_it(old: PruneHarness) -> None:
    execution = LoadExecution(old, {}, job="prune").until("walk")
    old.server.down = True
    report = execution.resume()
    assert (report["outcome"], "Start it again" in report["next"][0]) == ("incomplete", True)
    assert "MySQL error 2003" in report["reason"]
    old.server.down = False
    assert old.prune()["counts"]["pruned"] == 20


def test_a_verification_finds_the_same_before_and_after(old: PruneHarness) -> None:
    """Rows of expired items stay explained, and a deleted row whose tombstone is old stays a deleted row."""
    old.clock.advance(-41 * DAY)
    for number, key in enumerate(("expired", "purged", "back")):
        old.deliver(record(key, number + 50, "INSERT", time=old.now))
    old.deliver(*(remove(key, 60, time=old.now, identity=TTL_IDENTITY) for key in ("expired", "purged")))
    old.deliver(remove("back", 61, time=old.now, identity=USER))
    old.clock.advance(41 * DAY)
    row = ", ".join(repr(str(value)) for value in ("back", "m", "1", "INR", "NEW", 1, 1))
    old.tables.run("DELETE FROM tbl_orders WHERE order_id = 'purged'", f"INSERT INTO tbl_orders VALUES ({row})")
    old.table.put(record("live", 1)["dynamodb"]["NewImage"])
    before = old.found()
    assert before == {"order/back": ("deleted_row", "found")}
    assert old.prune()["counts"] == {"rows": 25, "pruned": 21, "prunable": 0, "parked": 0, "kept": 2}
    assert old.found(restart=True) == before
