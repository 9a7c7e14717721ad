"""A replay leaves the rows of echoes alone, as the consumer does. Its reader skips old images."""

from __future__ import annotations

import json
from typing import Any

from common.changes import Mark, OldMark
from common.seeds import MARK
from dlq_replayer.batches import parse_lean
from tests.support.records import SOURCE, echo, item
from tests.support.replay import ReplayHarness, applied, change, failure
from tests.support.tables import order

SEEDED = int(Mark.SEEDED)


def legacy_row(harness: ReplayHarness, key: str, status: str) -> tuple[Any, ...]:
    row = order(key, status=status)
    harness.tables.run(f"INSERT INTO tbl_orders VALUES ({', '.join(repr(str(value)) for value in row)})")
    return row


def test_a_replay_leaves_the_rows_of_echoes_alone(harness: ReplayHarness):
    """One was changed since by the legacy application, one deleted; a third was changed by the API."""
    kept = legacy_row(harness, "a", "CHANGED")
    legacy_row(harness, "c", "LEGACY")
    harness.put_batch([echo("a", 1), echo("b", 2), echo("c", 3)])
    harness.put_batch([echo("a", 4, "MODIFY", seed="two"), change("c", 5), change("d", 6)], escaped=False)

    report = harness.replay()

    counted = {name: report["counts"][name] for name in ("changes", "applied", "seeded", "superseded")}
    assert counted == {"changes": 6, "applied": 2, "seeded": 2, "superseded": 2}
    assert harness.tables.orders() == [kept, applied("c", 5), applied("d", 6)]
    assert harness.tables.sidecar() == [("a", 4, SEEDED), ("b", 2, SEEDED), ("c", 5, 0), ("d", 6, 0)]
    harness.check()


def test_a_dry_run_counts_echoes_that_are_stale(harness: ReplayHarness):
    harness.put_batch([echo("a", 1), echo("b", 2)])
    harness.replay()
    harness.put_batch([echo("a", 1), echo("b", 3, "MODIFY", seed="two")])

    report = harness.replay({"dry_run": True})

    assert {name: report["counts"][name] for name in ("changes", "keys", "stale")} == {
        "changes": 2,
        "keys": 2,
        "stale": 1,
    }


def test_an_item_put_back_as_seeded_is_written_by_a_replay(harness: ReplayHarness):
    """Its old image, of which the reader keeps nothing, had no mark."""
    legacy_row(harness, "a", "CHANGED")
    restored = echo("a", 3, "MODIFY", status="SEEDED")
    restored["dynamodb"]["OldImage"] = item("a", status="PAID")
    harness.put_batch([restored])

    counts = harness.replay()["counts"]

    assert (counts["applied"], counts["seeded"]) == (1, 0)
    assert harness.tables.orders() == [order("a", status="SEEDED")]
    harness.check()


def test_the_reader_keeps_the_mark_of_an_old_image():
    """It saves the digest of each change to an item that was seeded once."""
    made = echo("a", 1, "MODIFY")
    made["dynamodb"]["OldImage"] = made["dynamodb"]["NewImage"]

    document = failure([made]) | {"payload": {"Records": [made]}}
    [record] = parse_lean(json.dumps(document).encode(), SOURCE).records

    assert record["dynamodb"]["OldImage"] == {MARK: made["dynamodb"]["NewImage"][MARK]}
    assert OldMark.__annotations__.keys() == {MARK}


def test_a_parked_echo_is_an_echo_when_it_is_retried(harness: ReplayHarness):
    kept = legacy_row(harness, "a", "CHANGED")
    harness.put_quarantined(echo("a", 1))

    report = harness.replay({"include_quarantine": True})

    assert report["counts"]["seeded"] == 1
    assert (harness.tables.orders(), harness.tables.sidecar()) == ([kept], [("a", 1, SEEDED)])
    harness.check()
