"""Splits: every key in one of them, sorted, each line once, however many runs."""

from __future__ import annotations

import random

import pytest

from common import bucket as buckets
from common import mapping
from common.bucket import Bucket
from common.changes import Change, read
from common.layout import ReplayKeys, part_label
from dlq_replayer import collect, drain
from dlq_replayer import splits as splitting
from dlq_replayer.collect import Backlog
from dlq_replayer.splits import line_reader, open_split, run_files, split_of, to_line
from tests.support.aws import S3
from tests.support.records import remove
from tests.support.replay import Execution, World, change, last_states

TABLE, KEYS = mapping.load(), ReplayKeys("p")


def changes_of(count: int, keys: int, seed: int) -> list[Change]:
    rng = random.Random(seed)
    records = [
        remove(f"k{rng.randrange(keys)}", n) if rng.random() < 0.2 else change(f"k{rng.randrange(keys)}", n)
        for n in range(count)
    ]
    return read(records, TABLE).changes


@pytest.mark.parametrize("splits", [1, 3, 16])
@pytest.mark.parametrize("parts", [1, 2, 40])
@pytest.mark.parametrize(("memory", "piece"), [(0, 50), (0, 256 * 1024), (1_000_000, 50)])
def test_the_runs_of_a_split_hold_each_change_once_in_order(
    splits: int, parts: int, memory: int, piece: int, monkeypatch: pytest.MonkeyPatch
):
    """Put together in memory, or merged as they are read."""
    monkeypatch.setattr(splitting, "_IN_MEMORY", memory)
    monkeypatch.setattr(buckets, "_RANGE", piece)
    bucket, changes = Bucket(S3(), "b"), changes_of(300, 20, parts)
    random.Random(1).shuffle(changes)
    lines = [to_line(c, f"source {i % 7}", i) for i, c in enumerate(changes)]
    for part in range(parts):
        bucket.write_all(run_files(lines[part::parts], KEYS, part_label(part), splits, f"token {part}"))
    found: list[Change] = []
    for split in range(splits):
        opened = open_split(bucket, KEYS, split, line_reader(TABLE))
        held = list(opened.changes)
        assert [c[:2] for c in held] == sorted(c[:2] for c in held)
        assert {split_of(c.key, splits) for c in held} <= {split}
        assert all(token == f"token {int(part)}" for part, token in opened.tokens.items())
        found += held
    assert sorted(c[:4] for c in found) == sorted(c[:4] for c in changes)
    assert len({(c.record["source"], c.record["index"]) for c in found}) == len(changes)


@pytest.mark.parametrize("memory", [0, 1_000_000])
def test_a_line_in_two_runs_is_drained_once_and_a_repeated_change_twice(memory: int, monkeypatch: pytest.MonkeyPatch):
    """The first is a part collected again; the second two batches that overlap, each of which must be accounted for."""
    monkeypatch.setattr(splitting, "_IN_MEMORY", memory)
    bucket, (one,) = Bucket(S3(), "b"), read([change("a", 1)], TABLE).changes
    first, second, third = to_line(one, "x", 0), to_line(one, "x", 3), to_line(one, "y", 0)
    for part, lines in enumerate([[first], [first, second, third], [first, second]]):
        bucket.write_all(run_files(lines, KEYS, part_label(part), 1, "t"))
    found = [c.record for c in open_split(bucket, KEYS, 0, line_reader(TABLE)).changes]
    assert found == [{"source": "x", "index": 0}, {"source": "x", "index": 3}, {"source": "y", "index": 0}]


def test_a_run_written_anew_while_it_is_read_raises(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(splitting, "_IN_MEMORY", 0)
    monkeypatch.setattr(buckets, "_RANGE", 50)
    s3 = S3()
    bucket = Bucket(s3, "b")
    lines = [to_line(c, "x", i) for i, c in enumerate(changes_of(50, 1, 1))]
    bucket.write_all(run_files(lines, KEYS, part_label(0), 1, "one"))
    opened = open_split(bucket, KEYS, 0, line_reader(TABLE))
    next(opened.changes)
    bucket.write_all(run_files(lines[10:], KEYS, part_label(0), 1, "two"))
    with pytest.raises(Exception, match="PreconditionFailed"):
        list(opened.changes)


@pytest.mark.parametrize(
    ("batches", "megabytes", "workers", "expected"),
    [(1, 0, 4, 4), (1, 16, 4, 4), (1, 80, 4, 10), (1, 10**6, 4, 2000), (0, 8, 4, 1), (0, 80, 4, 10)],
)
def test_splits_are_bounded_not_the_backlog(batches: int, megabytes: int, workers: int, expected: int):
    """Of nothing but parked records there are as few as there can be."""
    assert Backlog(batches=batches, size=megabytes * 1024 * 1024).splits(workers) == expected


def test_a_hot_key_with_a_hundred_thousand_changes_is_one_split_and_ends_in_its_last(world: World):
    """No row says how often it changed; the runs do, a part each."""
    for start in range(0, 100_000, 5_000):
        world.put_batch([change("hot", n) for n in range(start, start + 5_000)])
    world.batches.clear()  # what is checked of each record takes longer than the replay
    report = world.replay()
    assert (report["counts"]["changes"], report["counts"]["keys"]) == (100_000, 1)
    assert world.tables.sidecar() == [("hot", 99_999, 0)]


def one_call_at_a_time(world: World, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Batches of ten changes, and time for one of them a call; gives what MySQL is asked for from now on."""
    monkeypatch.setattr(drain, "_BATCH", 10)
    asked: list[str] = []
    world.database.before_execute = lambda operation: asked.append(operation.partition(",")[0])
    world.out_of_time = lambda: True
    return asked


def test_a_split_longer_than_a_call_goes_on_where_time_ran_out(world: World, monkeypatch: pytest.MonkeyPatch):
    """Each change is applied once, and the report counts as if one call had done it all."""
    records = [change("hot", n) for n in range(35)] + [change(f"k{n:02d}", 100 + n) for n in range(20)]
    world.put_batch(records)
    whole = world.replay({"dry_run": True, "concurrency": 1})["counts"]
    asked = one_call_at_a_time(world, monkeypatch)
    execution = Execution(world, {"concurrency": 1})
    counts = execution.resume()["counts"]
    assert [operation for operation in asked if "replaying" in operation] == [
        "replaying 10 changes to tbl_orders", *["replaying 10 changes to tbl_orders"] * 4,
        "replaying 5 changes to tbl_orders",
    ]  # fmt: skip
    assert (counts["changes"], counts["keys"]) == (whole["changes"], whole["keys"]) == (55, 21)
    assert (counts["applied"], counts["superseded"], counts["redelivered"]) == (24, 31, 0)
    assert execution.trail.count("drain") == 7
    assert world.tables.orders() == last_states(records)


def test_runs_written_anew_in_between_are_drained_from_their_start(world: World, monkeypatch: pytest.MonkeyPatch):
    records = [change("hot", n) for n in range(35)]
    world.put_batch(records)
    one_call_at_a_time(world, monkeypatch)
    execution = Execution(world, {"concurrency": 1}).until("drain")
    lane = execution.lanes[0]
    while not any(key.endswith("begun/00000.json") for key in world.s3.objects):
        lane = world.steps().drain(lane)
    (run,) = (key for key in world.s3.objects if "/splits/" in key)
    token, *lines = world.s3.body(run).split(b"\n")
    world.s3.put_object(Bucket="", Key=run, Body=b"\n".join([b'"another call"', *lines]))
    while lane["outcome"] == "more":
        lane = world.steps().drain(lane)
    (note,) = (key for key in world.s3.objects if key.endswith("done/00000.json"))
    done = world.bucket.read_json(note)
    assert done["runs"] == {"000000": "another call"} != {"000000": token.decode()}
    assert done["counts"]["changes"] == 35


def test_poison_of_many_parts_is_parked_a_part_at_a_time(world: World, monkeypatch: pytest.MonkeyPatch):
    """A mapping that fits nothing makes poison of a whole backlog: no call could park it all."""
    monkeypatch.setattr(collect, "_PART_BATCHES", 1)
    for number in range(5):
        world.put_batch([change(f"k{number}", number, amount="x"), change("good", 10 + number)])
    one_call_at_a_time(world, monkeypatch)
    execution = Execution(world, {"concurrency": 1})
    report = execution.resume()
    assert execution.trail.count("drain") == 5 + 1 + 1
    assert len(report["parked_records"]) == report["counts"]["parked"] == len(world.keys("quarantine/")) == 5
    assert world.left() == []


def test_poison_of_one_part_is_parked_a_piece_at_a_time(world: World, monkeypatch: pytest.MonkeyPatch):
    world.put_batch([change(f"k{number}", number, amount="x") for number in range(5)])
    one_call_at_a_time(world, monkeypatch)
    monkeypatch.setattr(drain, "_BATCH", 2)
    execution = Execution(world, {"concurrency": 1})
    report = execution.resume()
    assert execution.trail.count("drain") == 3 + 1 + 1
    assert len(report["parked_records"]) == report["counts"]["parked"] == len(world.keys("quarantine/")) == 5
    assert world.left() == []


def test_the_state_stays_small_and_a_part_bounded(world: World, monkeypatch: pytest.MonkeyPatch):
    """The driver refuses states beyond 32 KiB; here with forty lanes and many parts."""
    monkeypatch.setattr(collect, "_PART_RECORDS", 2)
    for number in range(60):
        world.put_batch([change(f"k{number}", number)])
    execution = Execution(world, {"concurrency": 40}, name="n" * 80)
    execution.resume()
    assert execution.trail.count("collect") == 1 + 31
    assert len(world.tables.orders()) == 60
