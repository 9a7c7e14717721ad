"""A mapping of two entities with composite keys keeps the replay's promises: see tests/support/stock.py."""

from __future__ import annotations

import itertools
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from common.changes import Change, Mark, Reference
from common.layout import DEFERRED, QUARANTINE, discarded_key
from common.records import parse_records
from dlq_replayer import collect, drain
from dlq_replayer.splits import SegmentFormat, cut, to_line
from tests.support.replay import STOCK, ReplayExecution, ReplayHarness, StoppedError
from tests.support.stock import KEYS, stock_change, stock_expiry, stock_remove

A, B, C, D, E = KEYS
TEXT_OF_A, LOT_OF_A = "sale/a/1/00", "lot/00/a/1"


@pytest.fixture
def make_stock(make_harness: Callable[..., ReplayHarness]) -> Callable[..., ReplayHarness]:
    return lambda **options: make_harness(dataset=STOCK, **options)


@pytest.fixture
def stock(make_stock: Callable[..., ReplayHarness]) -> ReplayHarness:
    return make_stock()


def poison(key: tuple[str, int, bytes], sequence: int) -> dict[str, Any]:
    """The price has one digit too many."""
    record = stock_change(key, sequence)
    record["dynamodb"]["NewImage"]["detail"] = {"M": {"price": {"N": "0.0001"}}}
    return record


BATCHES = [
    [stock_change(A, 1), stock_change(B, 2, "lot"), stock_change(A, 3, "lot"), stock_change(C, 4)],
    [poison(E, 5), stock_remove(C, 6), stock_change(D, 7), stock_change(A, 8)],
    [stock_change(D, 9, "neither"), stock_change(B, 10), stock_expiry(A, 11), stock_change(E, 12, "lot")],
]
RECORDS = [record for batch in BATCHES for record in batch]


def fill(harness: ReplayHarness) -> ReplayHarness:
    harness.put_batch(BATCHES[0])
    harness.put_batch(BATCHES[1], escaped=False)
    harness.send_pointer(BATCHES[2])
    return harness


def assert_all_settled(harness: ReplayHarness) -> None:
    harness.assert_last_states(RECORDS)
    assert (harness.left(), harness.sqs.messages, harness.keys(DEFERRED)) == ([], {}, [])
    assert all(key.startswith("quarantine/sale/%25C3%25A9%2F-5%2F2f/") for key in harness.keys(QUARANTINE))


def test_a_replay_writes_both_tables(stock: ReplayHarness):
    report = fill(stock).replay()
    assert report["outcome"] == "complete"
    assert_all_settled(stock)
    assert {table: len(rows) for table, rows in stock.rows().items()} == {"stock_sales": 4, "stock_lots": 1}


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_call_killed_anywhere_is_retried(
    make_stock: Callable[..., ReplayHarness], moment: str, monkeypatch: pytest.MonkeyPatch
):
    """Each chunk is two changes, so progress lies between the entities of a key, too."""
    monkeypatch.setattr(drain, "_CHUNK", 2)
    harness = fill(make_stock())
    harness.replay()
    total = harness.faults.calls
    for call in range(1, total + 1, 2):
        harness = fill(make_stock())
        harness.faults.kill(call, moment)
        execution = ReplayExecution(harness)
        assert execution.resume()["outcome"] == "complete"
        assert execution.crashes == 1, call
        assert_all_settled(harness)


def test_a_stopped_execution_leaves_the_rest(make_stock: Callable[..., ReplayHarness]):
    harness = fill(make_stock())
    harness.replay()
    for call in range(1, harness.faults.calls + 1, 7):
        harness = fill(make_stock())
        harness.faults.kill(call, "after")
        with suppress(StoppedError):
            ReplayExecution(harness, retries=0).resume()
        harness.clock.advance(200)
        harness.replay()
        assert_all_settled(harness)


@pytest.mark.parametrize("seed", range(6))
def test_two_replays_at_once_end_in_the_same_state(stock: ReplayHarness, seed: int):
    rng = random.Random(seed)
    fill(stock)
    one = ReplayExecution(stock, rng=rng).until("collect")
    one.stop()
    two = ReplayExecution(stock, rng=rng).until("collect")
    while running := [execution for execution in (one, two) if execution.action]:
        rng.choice(running).step()
        stock.check()
    assert_all_settled(stock)


def test_an_outage_leaves_only_the_rest(make_stock: Callable[..., ReplayHarness]):
    harness = make_stock(concurrency=4)
    fill(harness)
    execution = ReplayExecution(harness).until("drain")
    drained = iter(range(1, 1_000))

    def fail(operation: str) -> None:
        harness.server.down = harness.server.down or ("replaying" in operation and next(drained) >= 2)

    harness.database.before_execute = fail
    assert execution.resume()["outcome"] == "incomplete"
    harness.server.down = False
    harness.database.before_execute = lambda _: None
    assert harness.replay()["outcome"] == "complete"
    assert_all_settled(harness)


def test_an_item_that_changes_its_kind_moves_its_row(stock: ReplayHarness):
    """One record is the removal of one row and the row of another."""
    stock.put_batch([stock_change(A, 1), stock_change(A, 2, "lot")])
    counts = stock.replay()["counts"]
    assert (counts["records"], counts["changes"], counts["keys"]) == (2, 4, 2)
    stock.assert_last_states([stock_change(A, 1), stock_change(A, 2, "lot")])
    (sale,), (lot,) = stock.rows()["stock_sales"], stock.rows()["stock_lots"]
    assert (sale[3], sale[-2:], lot[3]) == (1, (1, "2026-02-02 02:40:02"), 2)


def test_a_part_is_bounded_by_its_changes(stock: ReplayHarness, monkeypatch: pytest.MonkeyPatch):
    """Each of these records is a change of both tables."""
    monkeypatch.setattr(collect, "_PART_RECORDS", 2)
    for number in (1, 2, 3):
        stock.put_batch([stock_change(A, number)])
    execution = ReplayExecution(stock).until("drain")
    assert execution.state["collected"]["parts"] == 3 + 1  # a full part is followed by another
    assert execution.resume()["outcome"] == "complete"


@pytest.mark.parametrize("key", [TEXT_OF_A, LOT_OF_A])
def test_keys_selects_the_records_that_concern_a_key(stock: ReplayHarness, key: str):
    """Here each record concerns a key of both entities."""
    wanted = stock.put_batch([stock_change(A, 1)])
    other = stock.put_batch([stock_change(B, 2), stock_change(C, 3)])
    report = stock.replay({"keys": [key]})
    assert (report["counts"]["batches"], report["counts"]["records"], stock.left()) == (1, 1, [other])
    stock.assert_last_states([stock_change(A, 1)])
    assert wanted not in stock.s3.objects


def test_a_key_that_names_no_entity_is_refused(stock: ReplayHarness):
    stock.put_batch([stock_change(A, 1)])
    message = stock.replay({"keys": ["order/1"]})["message"]
    assert "order/1 names no entity: write <entity>/<key>; the mapping stock has sale, lot" in message


def test_one_entity_of_a_record_is_parked_alone(stock: ReplayHarness):
    """The removal of the other row is applied; a corrected record is then replayed for both."""
    stock.put_batch([stock_change(E, 1, "lot"), poison(E, 2)])
    report = stock.replay()
    [name] = stock.keys(QUARANTINE)
    assert report["parked_records"] == [name]
    assert name.startswith("quarantine/sale/")
    assert (stock.rows()["stock_sales"], stock.rows()["stock_lots"]) == ([], [])
    assert stock.bucket.read_json(name)["key"] == "sale/%C3%A9/-5/2f"
    report = stock.replay({"include_quarantine": True, "keys": ["sale/%C3%A9/-5/2f"]})
    assert (report["counts"]["redelivered"], stock.keys(QUARANTINE)) == (1, [name])


def test_a_missing_parent_is_waited_for(stock: ReplayHarness):
    """The table of one entity refers to that of the other."""
    stock.tables.run(
        "ALTER TABLE stock_lots ADD CONSTRAINT sold FOREIGN KEY (shop, line, token)"
        " REFERENCES stock_sales (shop, line, token)"
    )
    try:
        stock.put_batch([stock_change(A, 1, "lot")])
        assert stock.replay()["counts"]["deferred"] == 1
        assert [key.rpartition("/")[0] for key in stock.keys(DEFERRED)] == ["deferred/lot/00%2Fa%2F1"]
        columns = "shop, line, token, seq, price, seal, is_deleted"
        stock.tables.run(f"INSERT INTO stock_sales ({columns}) VALUES ('a', 1, X'00', 0, 1, X'00', 0)")
        stock.replay()
        assert (len(stock.rows()["stock_lots"]), stock.keys(DEFERRED)) == (1, [])
    finally:
        stock.tables.run("ALTER TABLE stock_lots DROP FOREIGN KEY sold")


@pytest.fixture
def held_lot(stock: ReplayHarness) -> Iterator[ReplayHarness]:
    """A table that refers to the lot of E, so that the removal of the lot waits."""
    stock.put_batch([stock_change(E, 1, "lot")])
    stock.replay()
    stock.tables.run(
        "CREATE TABLE labels (token VARBINARY(16), shop VARCHAR(20) COLLATE utf8mb4_bin, line INT,"
        " FOREIGN KEY (token, shop, line) REFERENCES stock_lots (token, shop, line))",
        "INSERT INTO labels SELECT token, shop, line FROM stock_lots",
    )
    yield stock
    stock.tables.run("DROP TABLE labels")


@pytest.mark.parametrize("discarded", [False, True])
def test_what_waits_leaves_the_other_entity_in_quarantine(held_lot: ReplayHarness, *, discarded: bool):
    """A person decides about that one, however often the other is tried again."""
    held_lot.put_batch([poison(E, 2)])
    held_lot.replay()
    [quarantined], [deferred] = held_lot.keys(QUARANTINE), held_lot.keys(DEFERRED)
    if discarded:
        held_lot.bucket.move_all([(quarantined, discarded_key(quarantined))])
        held_lot.batches.clear()  # the harness would miss the record

    counts = held_lot.replay()["counts"]

    assert (counts["parked"], counts["quarantined"], counts["deferred"]) == (1, 0, 1)
    assert (held_lot.keys(QUARANTINE), held_lot.keys(DEFERRED)) == ([] if discarded else [quarantined], [deferred])
    held_lot.tables.run("DELETE FROM labels")
    assert held_lot.replay()["counts"]["deleted"] == 1
    assert (held_lot.rows()["stock_lots"], held_lot.keys(DEFERRED)) == ([], [])


def test_a_dry_run_knows_removals_that_left_the_row(stock: ReplayHarness):
    """The sidecar notes them beside the version of the row."""
    batch = [stock_change(A, 1), stock_remove(A, 2)]
    stock.put_batch(batch)
    assert stock.replay({"dry_run": True})["counts"]["stale"] == 0
    stock.replay()
    stock.put_batch(batch)
    assert stock.replay({"dry_run": True})["counts"]["stale"] == 2
    stock.put_batch([stock_remove(A, 3)])
    assert stock.replay({"dry_run": True})["counts"]["stale"] == 0


def test_a_dry_run_compares_a_removal_with_its_kind_and_the_row(stock: ReplayHarness):
    """An expiry that is older than a deletion is new to MySQL. The other entity is deleted in each case."""
    stock.put_batch([stock_change(A, 1), stock_remove(A, 5)])
    stock.replay()
    stock.put_batch([stock_expiry(A, 3)])
    assert stock.replay({"dry_run": True})["counts"]["stale"] == 1
    stock.put_batch([stock_change(A, 9)])
    stock.replay()
    stock.put_batch([stock_remove(A, 7)])
    assert stock.replay({"dry_run": True})["counts"]["stale"] == 2


# segments


def lines_of(records: list[dict[str, Any]]) -> list[Change]:
    changes = parse_records(records, STOCK.mapping).changes
    return [change._replace(record=Reference("batch", index)) for index, change in enumerate(changes)]


def test_values_of_every_entity_keep_their_types_in_a_segment():
    form, changes = SegmentFormat(STOCK.mapping), lines_of([*RECORDS[:4], *RECORDS[5:]])
    changes[0] = changes[0]._replace(mark=Mark.SEEDED)
    lines = [to_line(change, "batch", index) for index, change in enumerate(changes)]
    [(_, held)] = cut(lines, 1, 2)
    header, *pieces = form.encode(held, "token").split(b"\n")
    found = [form.change(line) for piece in pieces for line in form.decode(piece)]
    assert form.token(header) == "token"
    assert found == sorted(changes, key=lambda change: change[:2])
    assert str(found) == str(sorted(changes, key=lambda change: change[:2])), "also where types are equal by value"
    assert {change.mark for change in found} == set(Mark)
    assert all(type(change.mark) is Mark for change in found)


def test_a_mapping_has_the_same_digest_in_every_process():
    """Otherwise each call would take the segments of the call before for those of another build."""
    program = (
        "from dlq_replayer.splits import SegmentFormat; from tests.support.stock import STOCK;"
        "print(SegmentFormat(STOCK).encode([], 't').decode())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=_environment(seed)
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert digests == {SegmentFormat(STOCK.mapping).encode([], "t").decode()}


def _environment(seed: str) -> dict[str, str]:
    return {"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)}


def test_old_images_count_in_a_replay_as_in_the_stream(stock: ReplayHarness):
    """A change or an expiry of an item that stopped matching before is no second removal of its row."""
    batch = [stock_change(A, 1), stock_change(A, 2, "neither"), stock_change(A, 3, "neither"), stock_expiry(A, 4)]
    for old, new in itertools.pairwise(batch):
        new["dynamodb"]["OldImage"] = old["dynamodb"]["NewImage"]
    changes = [(one.key, one.version) for one in parse_records(batch, STOCK.mapping).changes]
    stock.put_batch(batch)

    assert stock.replay()["counts"]["changes"] == len(changes) == 3  # the first record lacks its old image
    ((*_, flag, time),) = stock.rows()["stock_sales"]
    assert (flag, time) == (1, "2026-02-02 02:40:02")
