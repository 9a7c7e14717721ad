"""A replay takes no notice of heartbeats, which long outages bring into failed batches."""

from __future__ import annotations

from tests.support.heartbeats import beat
from tests.support.replay import ReplayHarness, applied, change


def test_heartbeats_in_failed_batches_are_no_changes(harness: ReplayHarness):
    """Also a batch of heartbeats alone is settled."""
    harness.put_batch([beat(1), change("a", 2), beat(3, event="REMOVE")])
    harness.put_batch([beat(4)])

    report = harness.replay()

    found = {name: count for name, count in report["counts"].items() if count and not name.startswith("splits")}
    assert found == {"batches": 2, "records": 4, "changes": 1, "keys": 1, "applied": 1, "upserted": 1, "settled": 2}
    assert harness.tables.orders() == [applied("a", 2)]
    assert harness.left() == []


def test_a_replay_of_one_key_takes_no_heartbeat(harness: ReplayHarness):
    harness.put_batch([beat(1), change("a", 2)])

    report = harness.replay({"keys": ["order/a"]})

    assert (report["counts"]["records"], report["counts"]["applied"]) == (1, 1)
