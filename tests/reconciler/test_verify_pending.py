"""What a verification says of a key whose change waits outside the stream: where it waits, and what to do."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, cast

import pytest

from common.bucket import Bucket
from common.layout import EXPIRED, FAILED
from reconciler.verify import pending
from reconciler.verify.pending import Pending
from tests.support.load import LoadExecution
from tests.support.replay import applied, change
from tests.support.verify import VerifyHarness

REPLAY = "start a replay"
CORRECT = "see why with backstream replay list, correct the item, then retry or discard the record"


@pytest.fixture(params=[1_000, 0], ids=["listed at once", "asked for by key"])
def harness(
    server: Any, tables: Any, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[VerifyHarness]:
    """The items of a and b are ahead of their rows."""
    monkeypatch.setattr(pending, "_FEW", request.param)
    made = VerifyHarness(server, tables)
    for key, sequence in (("a", 1), ("b", 2)):
        made.deliver(change(key, sequence))
        made.table.put(change(key, 100)["dynamodb"]["NewImage"])
    yield made
    made.database.drop()


def reasons(harness: VerifyHarness) -> dict[str, str]:
    """Why nothing is repaired, by key. All of it is pending."""
    report = harness.verify(repair=True)
    assert {one["outcome"] for one in report["findings"]} == {"pending"}
    assert report["counts"]["pending"] == len(report["findings"])
    assert "what to do" in report["next"][0]
    assert harness.tables.orders() == [applied("a", 1), applied("b", 2)]
    return {one["key"]: one["reason"] for one in report["findings"]}


def test_a_failed_batch_blocks_every_key(harness: VerifyHarness) -> None:
    """It may hold changes of any key. Objects and messages are counted."""
    harness.put_batch([change("a", 100)])
    expected = f"failed batches wait, 1 under {FAILED}: {REPLAY}"
    assert reasons(harness) == {"order/a": expected, "order/b": expected}
    harness.put_batch([change("b", 100)])
    harness.messages = 3
    expected = f"failed batches wait, 2 under {FAILED} and about 3 in the queue: {REPLAY}"
    assert reasons(harness) == {"order/a": expected, "order/b": expected}
    harness.s3.objects.clear()
    expected = f"failed batches wait, about 3 in the queue: {REPLAY}"
    assert reasons(harness) == {"order/a": expected, "order/b": expected}


def test_a_parked_record_is_named(harness: VerifyHarness) -> None:
    """By its object, the newest one of the key; what to do depends on who tries it again."""
    harness.put_deferred(change("a", 50))
    quarantined, deferred = harness.put_quarantined(change("a", 100)), harness.put_deferred(change("b", 100))
    assert quarantined.startswith("quarantine/order/a/")
    assert deferred.startswith("deferred/order/b/")
    assert reasons(harness) == {
        "order/a": f"a newer change is parked, in {quarantined}: {CORRECT}",
        "order/b": f"a newer change waits for another row, in {deferred}: {REPLAY}, which tries it again",
    }


def test_a_failed_batch_comes_before_a_parked_record(harness: VerifyHarness) -> None:
    """Both are named."""
    harness.put_batch([change("a", 100)])
    deferred = harness.put_deferred(change("b", 100))
    batches = f"failed batches wait, 1 under {FAILED}: {REPLAY}"
    waits = f"a newer change waits for another row, in {deferred}: {REPLAY}, which tries it again"
    assert reasons(harness) == {"order/a": batches, "order/b": f"{batches}; {waits}"}


def test_a_parked_record_that_is_stale_blocks_nothing(harness: VerifyHarness) -> None:
    """A newer change of the key was applied."""
    harness.put_quarantined(change("a", 0))
    harness.put_deferred(change("b", 2))
    found = harness.found(repair=True)
    assert found == {f"order/{key}": ("row_changed", "amount", "updated_at", "repaired") for key in ("a", "b")}


def test_failed_batches_without_end_are_not_all_counted() -> None:
    """As many as one request lists."""

    class Endless:
        def list(self, prefix: str) -> Iterator[tuple[str, int]]:
            for number in itertools.count():
                assert number < 1_000, "too many objects are listed"
                yield f"{prefix}{number}", 1

    waiting = Pending(cast("Bucket", Endless()), lambda: 0).batches()
    assert waiting == f"failed batches wait, 1000 or more under {FAILED}: {REPLAY}"


def test_parked_records_without_end_are_not_all_counted() -> None:
    """As many as one request lists, too."""

    class Endless:
        def list(self, prefix: str) -> Iterator[tuple[str, int]]:
            for number in itertools.count():
                assert number < 1_000, "too many objects are listed"
                yield f"{prefix}{number}", 1

    parked = Pending(cast("Bucket", Endless()), lambda: 0).parked()
    assert parked == "records are parked, 1000 or more under quarantine/ and deferred/"


# What a run proves while something waits


WINDOW = {"changed_from": "2026-01-20T12:00:00+00:00", "changed_until": "2026-01-20T13:00:00+00:00"}
INSIDE = "2026-01-20T12:30:00+00:00"
WHOLE: dict[str, str] = {}


@pytest.fixture
def lost_delete(server: Any, tables: Any) -> Iterator[VerifyHarness]:
    """An item came and went. Its delete is in an expired range and lost, so there is neither item nor row."""
    made = VerifyHarness(server, tables)
    made.bucket.write_json(
        f"{EXPIRED}a.json", {"message": "{}", "shard": "s", "first_arrival": INSIDE, "last_arrival": INSIDE}
    )
    made.clock.advance(60)
    yield made
    made.database.drop()


def proof(report: dict[str, Any]) -> tuple[str, int]:
    assert (report["outcome"], report["findings"]) == ("complete", [])
    return report["verified_through"], report["counts"]["ranges_proven"]


NO_TIME = ("", 0)


@pytest.mark.parametrize("given", [WHOLE, WINDOW, {"slice": "1/2"}], ids=["whole", "window", "slice"])
def test_nothing_is_proven_while_a_failed_batch_waits(lost_delete: VerifyHarness, given: dict[str, str]) -> None:
    """It holds the insert, which the next replay writes. Both sides are equal until then."""
    batch = lost_delete.put_batch([change("a", 1)])
    report = lost_delete.verify(repair=True, **given)
    assert proof(report) == NO_TIME
    [advice] = report["next"]
    assert f"Nothing is proven: failed batches wait, 1 under {FAILED}: {REPLAY}, then verify again." in advice
    assert lost_delete.keys(EXPIRED) == [f"{EXPIRED}a.json"]
    del lost_delete.s3.objects[batch]
    lost_delete.messages = 1
    report = lost_delete.verify(repair=True, **given)
    assert proof(report) == NO_TIME
    assert "about 1 in the queue" in report["next"][0]


@pytest.mark.parametrize("given", [WHOLE, WINDOW], ids=["whole", "window"])
def test_nothing_is_proven_where_batches_waited_at_the_start(lost_delete: VerifyHarness, given: dict[str, str]) -> None:
    """A replay wrote the row behind the scan. The next run finds it."""
    lost_delete.put_batch([change("a", 1)])
    execution = LoadExecution(lost_delete, given, job="verify").until("report")
    lost_delete.replay()
    report = execution.resume()
    assert proof(report) == NO_TIME
    [advice] = report["next"]
    assert "failed batches waited when the verification began" in advice
    assert lost_delete.found()["order/a"] == ("removal_lost", "found")


def test_a_run_that_did_not_end_only_says_why(lost_delete: VerifyHarness) -> None:
    """It proves nothing anyway: what waits is asked for when it has ended."""
    lost_delete.put_batch([change("a", 1)])
    execution = LoadExecution(lost_delete, {}, job="verify").until("check")
    lost_delete.server.down = True
    report = execution.resume()
    lost_delete.server.down = False
    assert (report["outcome"], len(report["next"])) == ("database_down", 1)


@pytest.mark.parametrize("park", [VerifyHarness.put_quarantined, VerifyHarness.put_deferred])
def test_no_range_is_settled_while_a_record_is_parked(lost_delete: VerifyHarness, park: Any) -> None:
    """Its retry would write the row. A time is proven: the record has its own place in every report of a replay."""
    parked = park(lost_delete, change("a", 1))
    for given in (WINDOW, WHOLE):
        report = lost_delete.verify(repair=True, **given)
        assert proof(report) == ("" if given else report["verified_through"], 0)
        [advice] = report["next"]
        assert "No expired range is settled: records are parked, 1 under quarantine/ and deferred/." in advice
    assert report["verified_through"]
    execution = LoadExecution(lost_delete, {}, job="verify").until("report")
    del lost_delete.s3.objects[parked]
    report = execution.resume()
    assert (report["counts"]["ranges_proven"], bool(report["verified_through"])) == (0, True)
    [advice] = report["next"]
    assert "records were parked when the verification began" in advice
    assert lost_delete.verify()["counts"]["ranges_proven"] == 1
    assert lost_delete.keys(EXPIRED) == []


def test_a_parked_record_is_no_matter_without_expired_ranges(lost_delete: VerifyHarness) -> None:
    """A report that proves its time asks for nothing."""
    lost_delete.s3.objects.clear()
    lost_delete.put_quarantined(change("a", 1))
    report = lost_delete.verify()
    assert (bool(report["verified_through"]), report["next"]) == (True, [])
